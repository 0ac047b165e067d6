//! Entries, the join, the state tree and its proofs.

use std::collections::BTreeMap;

use lattice::clock::Timestamp;
use lattice::commit::Commit;
use lattice::entry::{Entry, Version, wins};
use lattice::ids::{AuthorId, CommitId, KeyHash, LeafHash, StateRoot};
use lattice::merkle::leaf_hash;
use lattice::op::Key;
use lattice::tree::prefix::Prefix;
use lattice::tree::proof::{AbsenceProof, EntryProof};
use lattice::tree::{Leaf, StateTree};
use serde_json::{Value, json};

use crate::commits::{commit, some_ops};
use crate::json;
use crate::world::founded;

fn entries_of(commit: &Commit) -> Vec<Entry> {
    let verified = commit.clone().verify(&founded()).expect("made to be valid");
    verified.live_ops().map(|(index, op)| Entry::of(op, Version::of(verified.header(), verified.id(), index))).collect()
}

pub(crate) fn entries_file() -> Value {
    let case = |(entry, name): (Entry, &str)| {
        json!({
            "name": name,
            "entry": json::entry(&entry),
            "bytes": json::hex(entry.encode()),
            "key_hash": json::hex(entry.key_hash().0),
            "leaf": json::hex(entry.leaf().0),
        })
    };
    let entries = entries_of(&commit(3, CommitId([3; 32]), 1_700_000_000_000, some_ops(3)));
    let names = ["a put", "a later put of the same commit", "a tombstone"];
    json!({ "cases": entries.into_iter().zip(names).map(case).collect::<Vec<_>>() })
}

pub(crate) fn join_file() -> Value {
    let base = Version {
        time: Timestamp::from_millis(5),
        author: AuthorId([5; 32]),
        term: 5,
        seq: 5,
        commit: CommitId([5; 32]),
        op_index: 5,
    };
    type Change = fn(&mut Version);
    let changes: [(&str, Change); 10] = [
        ("the same operation", |_| {}),
        ("a later time", |v| v.time.0 += 1),
        ("a later time of a smaller author", |v| (v.time.0, v.author) = (v.time.0 + 1, AuthorId::ZERO)),
        ("a greater author", |v| v.author = AuthorId([6; 32])),
        ("a greater commit id", |v| v.commit = CommitId([6; 32])),
        ("a greater op index", |v| v.op_index = 6),
        ("a greater term at an earlier time", |v| (v.term, v.time) = (6, Timestamp(0))),
        ("a greater number at an earlier time", |v| (v.seq, v.time) = (6, Timestamp(0))),
        ("a greater term with a smaller number", |v| (v.term, v.seq) = (6, 1)),
        ("a smaller commit id", |v| v.commit = CommitId::ZERO),
    ];
    let mut cases = Vec::new();
    for (name, change) in changes {
        let mut other = base;
        change(&mut other);
        for key in ["plain", "green/seat"] {
            let over = |a, b| wins(&founded(), &Key::new(key).expect("small"), a, b);
            let winner = match (over(&base, &other), over(&other, &base)) {
                (true, false) => "a",
                (false, true) => "b",
                (false, false) => "neither",
                (true, true) => panic!("{name}: both win"),
            };
            let (a, b) = (json::version(&base), json::version(&other));
            cases.push(json!({ "name": name, "key": key, "a": a, "b": b, "winner": winner }));
        }
    }
    json!({ "seat_prefixes": founded().seat_prefixes, "cases": cases })
}

fn tree(leaves: impl IntoIterator<Item = (KeyHash, LeafHash)>) -> StateTree<()> {
    let mut tree = StateTree::default();
    for (key, leaf) in leaves {
        tree.insert(Leaf { key, leaf, tag: () });
    }
    tree
}

fn by_rule(n: u32) -> (KeyHash, LeafHash) {
    let key = Key::new(&format!("k/{n}")).expect("small").hash();
    (key, LeafHash(leaf_hash(format!("v/{n}").as_bytes())))
}

pub(crate) fn trees_file() -> Value {
    let ruled = |count: u32| {
        let root = tree((0..count).map(by_rule)).root();
        json!({ "count": count, "root": json::hex(root.0) })
    };
    let mut cases: Vec<_> = [0, 1, 2, 3, 31, 32, 33, 64, 65, 100, 1_000].map(ruled).into();
    let crowd = |n: u8| {
        let mut key = [0x69; 32];
        (key[20], key[21]) = (n.wrapping_mul(37), n);
        (KeyHash(key), LeafHash([n; 32]))
    };
    let crowd: Vec<_> = (0..40).map(crowd).collect();
    cases.push(json!({
        "leaves": crowd.iter().map(|(key, leaf)| [json::hex(key.0), json::hex(leaf.0)]).collect::<Vec<_>>(),
        "root": json::hex(tree(crowd).root().0),
    }));
    json!({
        "rule": "case with count: key hash n = SHA-256(\"k/n\"), leaf n = SHA-256(0x00 ‖ \"v/n\"), n from 0 to count - 1",
        "cases": cases,
    })
}

/// A state of 50 entries by one chain of commits, which is two pages or more.
fn shown() -> (BTreeMap<KeyHash, Entry>, StateTree<()>) {
    let entries = entries_of(&commit(9, CommitId([3; 32]), 77_000, some_ops(50)));
    let tree = tree(entries.iter().map(|entry| (entry.key_hash(), entry.leaf())));
    (entries.into_iter().map(|entry| (entry.key_hash(), entry)).collect(), tree)
}

fn hexes(hashes: &[[u8; 32]]) -> Vec<Value> {
    hashes.iter().map(json::hex).collect()
}

fn entry_case(root: &StateRoot, entry: &Entry, proof: &EntryProof, name: &str) -> Value {
    json!({
        "name": name,
        "kind": "entry",
        "holds": proof.verify(root, entry).is_ok(),
        "entry": json::hex(entry.encode()),
        "entries": proof.entries,
        "page_len": proof.page_len,
        "page_index": proof.page_index,
        "page_path": hexes(&proof.page_path),
        "siblings": hexes(&proof.siblings),
    })
}

fn absence_case(root: &StateRoot, key: &str, proof: &AbsenceProof, name: &str) -> Value {
    let key_hash = Key::new(key).expect("small").hash();
    json!({
        "name": name,
        "kind": "absence",
        "holds": proof.verify(root, &key_hash).is_ok(),
        "key": key,
        "entries": proof.entries,
        "page": proof.page.iter().map(|entry| json::hex(entry.encode())).collect::<Vec<_>>(),
        "siblings": hexes(&proof.siblings),
    })
}

pub(crate) fn proofs_file() -> Value {
    let (entries, tree) = shown();
    let root = tree.root();
    let key = |key: &str| Key::new(key).expect("small").hash();
    let proof = EntryProof::make(&tree, &key("key/4")).expect("it is there");
    let (page, siblings) = tree.page_of(&key("absent"));
    let page = page.iter().map(|leaf| entries[&leaf.key].clone()).collect();
    let absence = AbsenceProof { entries: tree.len(), page, siblings };
    let entry = &entries[&key("key/4")];
    let tombstone = EntryProof::make(&tree, &key("key/2")).expect("it is there");
    let mut cases = vec![
        entry_case(&root, entry, &proof, "a put"),
        entry_case(&root, &entries[&key("key/2")], &tombstone, "a tombstone"),
        absence_case(&root, "absent", &absence, "no entry"),
    ];
    type Alter<T> = fn(&mut T);
    let alterations: [(&str, Alter<EntryProof>); 6] = [
        ("another count of entries", |p| p.entries += 1),
        ("another place in the page", |p| p.page_index ^= 1),
        ("another length of the page", |p| p.page_len += 1),
        ("a spare hash in the page", |p| p.page_path.push([0; 32])),
        ("a hash of the path missing", |p| p.siblings.truncate(p.siblings.len() - 1)),
        ("a changed bit", |p| p.siblings[0][31] ^= 1),
    ];
    for (name, alter) in alterations {
        let mut altered = proof.clone();
        alter(&mut altered);
        cases.push(entry_case(&root, entry, &altered, name));
    }
    cases.push(entry_case(&root, &entries[&key("key/2")], &proof, "another entry"));
    let alterations: [(&str, Alter<AbsenceProof>); 3] = [
        ("a page without one of its entries", |p| drop(p.page.remove(0))),
        ("a page out of order", |p| p.page.swap(0, 1)),
        ("a spare hash", |p| p.siblings.push([0; 32])),
    ];
    for (name, alter) in alterations {
        let mut altered = absence.clone();
        alter(&mut altered);
        cases.push(absence_case(&root, "absent", &altered, name));
    }
    let held = absence.page[0].key.clone();
    cases.push(absence_case(&root, held.as_str(), &absence, "a key that the page holds"));
    assert_eq!(cases.iter().filter(|case| case["holds"] == true).count(), 3);
    json!({ "root": json::hex(root.0), "cases": cases })
}

pub(crate) fn prefixes_file() -> Value {
    let key = KeyHash(std::array::from_fn(|n| 0xf0 ^ n as u8));
    let case = |bits: usize| {
        let prefix = Prefix::of(&key, bits);
        let bytes = lattice::codec::encode(&prefix.to_wire());
        json!({ "name": format!("{bits} bits"), "key": json::hex(key.0), "bits": bits, "bytes": json::hex(bytes) })
    };
    let cases = [0, 1, 7, 8, 9, 20, 255, 256].map(case);
    json!({ "cases": cases })
}
