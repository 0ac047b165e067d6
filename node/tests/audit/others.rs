//! What a running node serves, judged by others' code for the public formats: two of them for each, as far as they reach.

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use lattice::base64;
use lattice::log::proof::Proof;
use lattice::log::tile::{Tile, TileId};
use lattice::merkle::{Digest, leaf_hash};
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::checkpoint::Checkpoint;
use tlog_tiles::tile::{Tile as TheirTile, TileHashReader, TileReader};
use tlog_tiles::tlog::{Error, Hash, check_record, check_tree, tree_hash};

use crate::stage::{Stage, own_log, size_of};

/// Tiles as they came from the node.
struct Served(Vec<Tile>);

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, wanted: &[TheirTile]) -> Result<Vec<Vec<u8>>, Error> {
        let find = |wanted: &TheirTile| {
            let id = id(wanted);
            self.0.iter().find(|tile| tile.id() == id).unwrap_or_else(|| panic!("no tile {id}")).encode()
        };
        Ok(wanted.iter().map(find).collect())
    }

    fn save_tiles(&self, _: &[TheirTile], _: &[Vec<u8>]) {}
}

/// Their paths begin with the height of the tiles, which tlog-tiles fixes.
fn id(tile: &TheirTile) -> TileId {
    tile.path().strip_prefix("tile/8/").and_then(|path| path.parse().ok()).expect("a tile of height 8")
}

async fn get(stage: &Stage, path: &str) -> Vec<u8> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let answer = client.get(format!("{}{path}", stage.url())).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.bytes().await.expect("bytes").to_vec()
}

fn their_root(root: &Digest, size: u64) -> RootHash<Sha256> {
    RootHash::new((*root).into(), size)
}

/// A log of more than one tile that has come to rest: its size, its root, and its checkpoint.
async fn rested() -> (Stage, u64, Digest) {
    let stage = Stage::set().await;
    for n in 0..300 {
        stage.put(&format!("k/{}", n % 20), &n.to_string()).await;
    }
    stage.signed().await;
    let text = stage.checkpoint().await;
    let note = Note::from_bytes(text.as_bytes()).expect("signed_note reads it");
    let verifier = StandardVerifier::new(&own_log(&stage).1.to_string()).expect("its key");
    let verifiers = VerifierList::new(vec![Box::new(verifier) as Box<dyn signed_note::Verifier>]);
    assert_eq!(note.verify(&verifiers).expect("signed_note verifies it").0.len(), 1);
    let checkpoint = Checkpoint::from_bytes(note.text()).expect("tlog_tiles reads it");
    assert_eq!((checkpoint.origin(), checkpoint.size()), (own_log(&stage).0.as_str(), size_of(&text)));
    (stage, checkpoint.size(), checkpoint.hash().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_tiles_and_proofs_of_a_node_hold_by_the_code_of_others() {
    let (stage, size, root) = rested().await;
    let mut served = Vec::new();
    for tile in TheirTile::new_tiles(8, 0, size) {
        let id = id(&tile);
        served.push(Tile::decode(id, &get(&stage, &format!("/tile/{id}")).await).expect("a tile"));
    }
    let reader = Served(served);
    let tiles = TileHashReader::new(size, Hash(root), &reader);
    assert_eq!(tree_hash(size, &tiles).expect("tlog_tiles reads its tiles").0, root);
    for index in [0, 1, 17, 255, 256, size - 1] {
        let proof = Proof::parse(&get(&stage, &format!("/api/v1/proof/log/{index}")).await).expect("a proof");
        assert_eq!(*proof.checkpoint().checkpoint().root(), root, "the log rests");
        let path = InclusionProof::try_from_bytes(proof.path().concat()).expect("whole hashes");
        let held = their_root(&root, size).verify_inclusion(&proof.extra(), index, &path);
        held.unwrap_or_else(|error| panic!("ct-merkle, {index}: {error:?}"));
        let path: Vec<_> = proof.path().iter().copied().map(Hash).collect();
        check_record(&path, size, Hash(root), index, Hash(leaf_hash(proof.extra()))).expect("tlog_tiles accepts it");
    }
    for old in [1, 2, 255, 256, 257, size - 1, size] {
        let shown = get(&stage, &format!("/api/v1/proof/consistency/{old}/{size}")).await;
        let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
        let hash = |text: &serde_json::Value| -> Digest {
            base64::decode(text.as_str().expect("text")).expect("base64").try_into().expect("a hash")
        };
        let old_root = hash(&shown["old_root"]);
        assert_eq!(hash(&shown["new_root"]), root);
        let proof: Vec<Digest> = shown["proof"].as_array().expect("a list").iter().map(hash).collect();
        let theirs = ConsistencyProof::try_from_bytes(proof.concat()).expect("whole hashes");
        let held = their_root(&root, size).verify_consistency(&their_root(&old_root, old), &theirs);
        held.unwrap_or_else(|error| panic!("ct-merkle, {old}: {error:?}"));
        let proof: Vec<_> = proof.into_iter().map(Hash).collect();
        check_tree(&proof, size, Hash(root), old, Hash(old_root)).expect("tlog_tiles accepts it");
    }
}
