//! The bytes of messages: `[version, kind, body bytes, extensions]`, strict DAG-CBOR.

mod request;
mod response;

use lattice::codec::{self, DecodeError, Extensions};
use lattice::commit::Commit;
use lattice::ids::{KeyHash, LeafHash, StateRoot};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use crate::limits::{COMMITS_MAX, MESSAGE_BYTES_MAX};
use crate::sketch::{SYMBOL_BYTES, Symbol};
use crate::view::{KeyLeaf, Summary};

const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope<'a>(u64, u64, #[serde(borrow)] &'a Bytes, #[serde(borrow)] Extensions<'a>);

fn seal(kind: u64, body: &[u8]) -> Vec<u8> {
    codec::encode(&Envelope(VERSION, kind, Bytes::new(body), Extensions::new()))
}

fn open(bytes: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
    let Envelope(version, kind, body, extensions) = codec::decode(bytes, MESSAGE_BYTES_MAX)?;
    codec::expect_version(version, VERSION)?;
    codec::expect_small(&extensions)?;
    Ok((kind, body))
}

fn body<'a, B: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Result<B, DecodeError> {
    codec::decode(bytes, MESSAGE_BYTES_MAX)
}

/// Refuses a list with too few or too many items.
fn within<I>(items: &[I], least: usize, most: usize, what: &'static str) -> Result<(), DecodeError> {
    if (least..=most).contains(&items.len()) { Ok(()) } else { Err(DecodeError::Invalid(what)) }
}

#[derive(Serialize, Deserialize)]
struct SummaryWire(StateRoot, u64, StateRoot, ByteArray<32>);

impl From<&Summary> for SummaryWire {
    fn from(summary: &Summary) -> Self {
        Self(summary.root, summary.entries, summary.members, ByteArray::new(summary.frontier))
    }
}

impl From<SummaryWire> for Summary {
    fn from(wire: SummaryWire) -> Self {
        Self { root: wire.0, entries: wire.1, members: wire.2, frontier: wire.3.into_array() }
    }
}

fn encode_commits(commits: &[Commit]) -> Vec<ByteBuf> {
    commits.iter().map(|commit| ByteBuf::from(commit.encode())).collect()
}

fn decode_commits(wire: &[&Bytes]) -> Result<Vec<Commit>, DecodeError> {
    within(wire, 0, COMMITS_MAX, "a message holds at most 1024 commits")?;
    wire.iter().map(|bytes| Commit::decode(bytes)).collect()
}

/// One byte string of symbols in turn.
fn encode_symbols(symbols: &[Symbol]) -> Vec<u8> {
    symbols.iter().flat_map(Symbol::to_bytes).collect()
}

fn decode_symbols(bytes: &[u8], most: usize) -> Result<Vec<Symbol>, DecodeError> {
    let (symbols, rest) = bytes.as_chunks::<SYMBOL_BYTES>();
    if !rest.is_empty() || symbols.len() > most {
        return Err(DecodeError::Invalid("symbols are 34 bytes each, and no more than a message may hold"));
    }
    Ok(symbols.iter().map(Symbol::from_bytes).collect())
}

const LEAF_BYTES: usize = 64;

/// One byte string of key hash and leaf hash in turn: two bytes an entry less than a list, and one allocation.
fn encode_leaves(leaves: &[KeyLeaf]) -> Vec<u8> {
    leaves.iter().flat_map(|leaf| [leaf.key.0, leaf.leaf.0]).flatten().collect()
}

fn decode_leaves(bytes: &[u8], most: usize) -> Result<Vec<KeyLeaf>, DecodeError> {
    let (leaves, rest) = bytes.as_chunks::<LEAF_BYTES>();
    if !rest.is_empty() || leaves.len() > most {
        return Err(DecodeError::Invalid("leaves are 64 bytes each, and no more than the question allows"));
    }
    Ok(leaves.iter().map(decode_leaf).collect())
}

fn decode_leaf(bytes: &[u8; LEAF_BYTES]) -> KeyLeaf {
    let mut leaf = KeyLeaf { key: KeyHash::ZERO, leaf: LeafHash::ZERO };
    leaf.key.0.copy_from_slice(&bytes[..32]);
    leaf.leaf.0.copy_from_slice(&bytes[32..]);
    leaf
}
