//! The log against what others wrote down and programmed: RFC 6962, published vectors, `ct-merkle`, `tlog_tiles` and
//! `signed_note`; and everything that must be refused.

mod edge;
mod evidence;
mod notes;
mod policies;
mod proofs;
mod rfc6962;
mod tiles;
mod vectors;
mod witnessing;

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::edge::Edge;
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use lattice::log::tile::{TILE_HASHES, Tile, TileId};
use lattice::log::tree::{self, TileSet};
use lattice::merkle::{Digest, leaf_hash, node_hash};

/// Leaf hashes of records that differ.
fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|n| leaf_hash(&record(n))).collect()
}

fn record(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// All tiles of the log with these leaves, as tlog-tiles defines them: level by level, each hash from a full tile below.
fn all_tiles(leaves: &[Digest]) -> Vec<Tile> {
    let (mut tiles, mut level, mut hashes) = (Vec::new(), 0, leaves.to_vec());
    while !hashes.is_empty() {
        for (index, chunk) in hashes.chunks(TILE_HASHES).enumerate() {
            let id = TileId::new(level, index as u64, chunk.len() as u16).expect("it exists");
            tiles.push(Tile::new(id, chunk.to_vec()).expect("its width"));
        }
        hashes = hashes.chunks_exact(TILE_HASHES).map(root_by_definition).collect();
        level += 1;
    }
    tiles
}

/// MTH of RFC 6962, section 2.1, word by word.
fn root_by_definition(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => tree::EMPTY_ROOT,
        [leaf] => *leaf,
        [_, _, ..] => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root_by_definition(left), &root_by_definition(right))
        }
    }
}

/// The root of the first `size` leaves, by way of an edge.
fn root_of(leaves: &[Digest]) -> Digest {
    let mut edge = Edge::default();
    for leaf in leaves {
        edge.append(*leaf);
    }
    edge.root()
}

fn tile_set(leaves: &[Digest]) -> TileSet {
    all_tiles(leaves).into_iter().collect()
}

fn name(text: &str) -> KeyName {
    text.parse().expect("a name")
}

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn key(of: &str, kind: KeyKind, seed: u8) -> VerifierKey {
    VerifierKey::new(name(of), kind, secret(seed).verifying_key().to_bytes()).expect("a good key")
}

/// A log called `example.org/log` with key 1.
const LOG: &str = "example.org/log";

fn log_key() -> VerifierKey {
    key(LOG, KeyKind::Log, 1)
}

/// Its checkpoint over these leaves.
fn checkpoint(leaves: &[Digest]) -> SignedCheckpoint {
    signed(leaves.len() as u64, root_of(leaves))
}

/// One with a line behind the root, which logs of other kinds may have.
fn extended(size: u64, root: Digest, line: &str) -> SignedCheckpoint {
    let text = format!("{}{line}\n", signed(size, root).note().text());
    let bytes = [log_key().id().to_be_bytes().as_slice(), &secret(1).sign(text.as_bytes()).to_bytes()].concat();
    let note = format!("{text}\n— {LOG} {}\n", BASE64.encode(&bytes));
    SignedCheckpoint::parse(note.as_bytes()).expect("a checkpoint")
}

fn signed(size: u64, root: Digest) -> SignedCheckpoint {
    SignedCheckpoint::sign(&name(LOG), size, root, &secret(1))
}
