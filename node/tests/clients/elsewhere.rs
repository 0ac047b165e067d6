//! Commits that a member signed elsewhere, handed in over HTTP.

use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::ids::{CommitId, LatticeId};
use lattice::keys::NodeKeys;
use lattice::op::Op;
use reqwest::Method;
use serde_json::json;
use testnet::process::{Launch, Node};

use crate::program::program;
use crate::running::{Running, json};

#[tokio::test(flavor = "multi_thread")]
async fn commits_signed_elsewhere_are_judged_one_by_one() {
    let (node, member) = with_second_member().await;
    let id: LatticeId = node.get("/api/v1/status").await["lattice_id"].as_str().expect("an id").parse().expect("hex");
    let now = node.get("/api/lattice/state").await["time_ms"].as_u64().expect("a time");
    let sign = |keys: &NodeKeys, lattice, seq, prev, at: u64, key: &str| {
        let draft = Draft { lattice, term: 0, seq, prev, time: Timestamp::from_millis(at) };
        draft.sign(&keys.author, vec![Op::put(key, b"v").expect("in bounds")])
    };
    let first = sign(&member, id, 1, CommitId::ZERO, now, "theirs");
    let stranger = NodeKeys::from_seed([9; 32]);
    let mut wrong_signature = sign(&member, id, 2, first.id(), now, "forged").encode();
    let at = wrong_signature.windows(2).position(|pair| pair == [0x58, 0x40]).expect("64 bytes of signature");
    wrong_signature[at + 10] ^= 1;
    let commits = [
        (first.encode(), "applied"),
        (first.encode(), "applied"),
        (sign(&member, id, 2, first.id(), now, "@other/x").encode(), "refused"),
        (sign(&member, id, 2, first.id(), now + 3_600_000, "ahead").encode(), "waiting"),
        (sign(&stranger, id, 1, CommitId::ZERO, now, "unknown author").encode(), "waiting"),
        (sign(&member, LatticeId([1; 32]), 2, first.id(), now, "other lattice").encode(), "refused"),
        (wrong_signature, "refused"),
    ];
    let encoded: Vec<String> = commits.iter().map(|(bytes, _)| data_encoding::BASE64.encode(bytes)).collect();
    let request = node.write(Method::POST, "/api/v1/commits").header("content-type", "application/json");
    let answer = json(request.body(json!({"commits_base64":encoded}).to_string())).await;
    let results = answer["results"].as_array().expect("a list");
    assert_eq!(results.len(), commits.len(), "{answer:#}");
    for (result, (_, outcome)) in results.iter().zip(&commits) {
        assert_eq!(&result["outcome"], outcome, "{answer:#}");
        assert!(!result["detail"].as_str().expect("text").is_empty());
    }
    let entry = node.get("/api/v1/entries/theirs").await;
    assert_eq!((&entry["value"], &entry["author"]), (&json!("v"), &json!(member.author.id().to_string())));
    let listed = node.get("/api/v1/entries").await;
    assert_eq!(listed["entries"].as_array().expect("a list").len(), 1, "{listed:#}");
}

/// A node whose genesis names one more member, and that member's keys.
async fn with_second_member() -> (Running, NodeKeys) {
    let root = tempfile::tempdir().expect("a directory");
    let keys = NodeKeys::from_seed([8; 32]);
    let file = root.path().join("genesis.toml");
    let text = format!(
        "[[members]]\nname = 'second'\nauthor = '{}'\nlog_key = '{}'\n\
         peer_id = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'\n",
        keys.author.id(),
        keys.log_key()
    );
    std::fs::write(&file, text).expect("written");
    let node = Node::new(Launch::new(program(), "alone", root.path().join("node")));
    let founded =
        node.output(&["init", "--name", "alone", "--genesis", file.to_str().expect("text")]).await.expect("run");
    assert!(founded.status.success(), "{}", String::from_utf8_lossy(&founded.stderr));
    (Running::start(node, root).await, keys)
}
