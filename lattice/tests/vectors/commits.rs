//! Operations and commits, whole and in part.

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, OpSlot};
use lattice::ids::CommitId;
use lattice::op::{Op, value_hash};
use serde_json::{Value, json};

use crate::json;
use crate::world::{founded, keys};

pub(crate) fn put(key: &str, value: &[u8]) -> Op {
    Op::put(key, value).expect("within bounds")
}

pub(crate) fn delete(key: &str) -> Op {
    Op::delete(key).expect("within bounds")
}

pub(crate) fn ops_file() -> Value {
    let case = |name: &str, op: &Op| {
        json!({
            "name": name,
            "op": json::op(op),
            "bytes": json::hex(op.encode()),
            "op_hash": json::hex(op.hash().0),
            "key_hash": json::hex(op.key().hash().0),
            "value_hash": op.value().map(|value| json::hex(value_hash(value).0)),
        })
    };
    json!({
        "cases": [
            case("a put", &put("colour", b"green")),
            case("a put of nothing", &put("empty", b"")),
            case("a delete", &delete("colour")),
            case("a key beyond ASCII", &put("Straße/日本", &[0x00, 0xff])),
            case("a value of 24 bytes", &put("k", &[7; 24])),
            case("a value of 256 bytes", &put("k", &[7; 256])),
            case("a key of 512 bytes", &put(&"k".repeat(512), b"v")),
        ]
    })
}

/// A commit of node 1 in the founded lattice.
pub(crate) fn commit(seq: u64, prev: CommitId, millis: u64, ops: Vec<Op>) -> Commit {
    let draft = Draft { lattice: founded().id(), term: 0, seq, prev, time: Timestamp::from_millis(millis) };
    draft.sign(&keys(1).author, ops)
}

pub(crate) fn some_ops(count: usize) -> Vec<Op> {
    (0..count)
        .map(|n| match n % 3 {
            2 => delete(&format!("key/{n}")),
            _ => put(&format!("key/{n}"), format!("value {n}").as_bytes()),
        })
        .collect()
}

/// The commit with these operations given by hash alone.
pub(crate) fn in_part(whole: &Commit, dead: &[usize]) -> Commit {
    let slot = |(at, slot): (usize, &OpSlot)| match dead.contains(&at) {
        true => OpSlot::Dead(slot.hash()),
        false => slot.clone(),
    };
    let slots = whole.slots().iter().enumerate().map(slot).collect();
    Commit::from_parts(whole.signed().clone(), slots)
}

fn case(name: &str, commit: &Commit) -> Value {
    let slot = |slot: &OpSlot| match slot {
        OpSlot::Live(op) => json::op(op),
        OpSlot::Dead(hash) => json!({ "dead": json::hex(hash.0) }),
    };
    let signed = commit.signed();
    assert!(commit.clone().verify(&founded()).is_ok(), "{name}");
    json!({
        "name": name,
        "header": json::header(signed.header()),
        "header_bytes": json::hex(signed.header_bytes()),
        "id": json::hex(commit.id().0),
        "signature": json::hex(signed.signature()),
        "ops": commit.slots().iter().map(slot).collect::<Vec<_>>(),
        "bytes": json::hex(commit.encode()),
        "counted_length": commit.counted_bytes(),
    })
}

pub(crate) fn commits_file() -> Value {
    let first = commit(1, CommitId::ZERO, 1_000, some_ops(1));
    let second = commit(2, first.id(), 2_000, some_ops(2));
    let third = commit(3, second.id(), 1_700_000_000_000, some_ops(5));
    let part = in_part(&third, &[1, 4]);
    let hashes = in_part(&third, &[0, 1, 2, 3, 4]);
    let term = Draft { lattice: founded().id(), term: 7, seq: 1, prev: CommitId::ZERO, time: Timestamp(65_537) };
    let term = term.sign(&keys(1).author, vec![put("green/light", b"on")]);
    json!({
        "author_seed": json::hex([1; 32]),
        "cases": [
            case("the first of a chain", &first),
            case("two operations", &second),
            case("five operations", &third),
            case("the same in part", &part),
            case("the same, hashes alone", &hashes),
            case("of a term", &term),
            case("33 operations", &commit(4, third.id(), 3_000, some_ops(33))),
        ]
    })
}
