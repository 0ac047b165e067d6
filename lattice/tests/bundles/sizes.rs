//! How large bundles are in a large lattice: a million entries, a million records, four cosignatures.

use lattice::bundle::Bundle;
use lattice::bundle::shown::{Claim, EntryShown, Shown};
use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::entry::{Entry, Version};
use lattice::ids::{CommitId, KeyHash, StateRoot};
use lattice::log::proof::Proof;
use lattice::merkle::{self, Digest, leaf_hash, node_hash};
use lattice::op::{Key, Op};
use lattice::record::{Event, Record};
use lattice::tree::proof::{AbsenceProof, EntryProof};
use lattice::tree::state_root;
use sha2::{Digest as _, Sha256};

use super::world::{LATTICE, NODES, WITNESSES, keys, policy, signed};

const ENTRIES: u64 = 1_000_000;

/// As many as make the longest path of that length.
const RECORDS: u64 = 1 << 20;

/// 2^15 pages have thirty entries each; some stand deeper.
const DEEPEST: usize = 17;

/// Bytes of a bundle without the value in it, which stands there in base64.
const ENTRY_BUNDLE_BYTES: usize = 4 * 1024;
const ABSENCE_BUNDLE_BYTES: usize = 8 * 1024;

const NOW_MS: u64 = 1_750_000_000_123;

/// A hash that nothing is known of.
fn hash(what: &str, n: usize) -> Digest {
    Sha256::digest(format!("{what} {n}")).into()
}

fn hashes(what: &str, count: usize) -> Vec<Digest> {
    (0..count).map(|n| hash(what, n)).collect()
}

/// The root of a state with this page `siblings` deep.
fn root(page_len: u64, page_root: &Digest, key: &Key, siblings: &[Digest]) -> StateRoot {
    let page = Sha256::digest([[0x02].as_slice(), &page_len.to_be_bytes(), page_root].concat()).into();
    let top = siblings.iter().enumerate().rev().fold(page, |hash, (depth, sibling)| {
        match key.hash().0[depth / 8] >> (7 - depth % 8) & 1 {
            0 => node_hash(&hash, sibling),
            _ => node_hash(sibling, &hash),
        }
    });
    state_root(ENTRIES, &top)
}

/// The claim at the last of many records, cosigned by all.
fn bundle(after: StateRoot, claim: Claim) -> Bundle {
    let before = StateRoot(hash("before", 0));
    let record = Record { time_ms: NOW_MS, before, after, entries: ENTRIES, event: Event::Stated }.encode();
    let path = hashes("log", RECORDS.ilog2() as usize);
    let root = merkle::root_from_path(&leaf_hash(&record), RECORDS - 1, RECORDS, &path).expect("a full path");
    let proof = Proof::new(Vec::new(), RECORDS - 1, path, signed(RECORDS, root, &[2, 3, 4, 5])).expect("small");
    let bundle = Bundle::new(Shown { record, claim }, &proof).expect("small");
    bundle.verify(&policy(WITNESSES)).expect("it holds");
    bundle
}

/// An entry whose commit has so many operations.
fn entry(ops: usize, depth: usize, value: &[u8]) -> Bundle {
    let ops = (0..ops).map(|n| Op::put(&format!("customers/00000000/{n:05}"), value).expect("small"));
    let ops: Vec<_> = ops.collect();
    let draft = Draft {
        lattice: LATTICE,
        term: 0,
        seq: ENTRIES,
        prev: CommitId(hash("prev", 0)),
        time: Timestamp::from_millis(NOW_MS),
    };
    let commit = draft.sign(&keys(2).author, ops.clone());
    let leaves: Vec<_> = commit.slots().iter().map(|slot| slot.hash().0).collect();
    let op_index = ops.len() / 2;
    let op = ops[op_index].clone();
    let found = Entry::of(&op, Version::of(commit.signed().header(), commit.id(), op_index as u32));
    let (page_path, siblings) = (hashes("page", 5), hashes("siblings", depth));
    let page_root = merkle::root_from_path(&found.leaf().0, 30, 32, &page_path).expect("a full path");
    let after = root(32, &page_root, &found.key, &siblings);
    let op_path = merkle::path(&leaves, op_index).expect("in the commit");
    let proof = EntryProof { entries: ENTRIES, page_len: 32, page_index: 30, page_path, siblings };
    let shown = EntryShown { signed: commit.signed().clone(), op_index: op_index as u32, op, op_path, proof };
    bundle(after, Claim::Entry(Box::new(shown)))
}

/// Bits that the names of a page's keys are mined for: a page that deep is full once in some thousand.
const FULL_PAGE_DEPTH: usize = 16;

/// A full page of keys where another one has none, written by all nodes.
fn absence() -> Bundle {
    let absent = Key::new("customers/00000000/absent").expect("small");
    let first_bits = |hash: KeyHash| u32::from_be_bytes([0, 0, hash.0[0], hash.0[1]]) >> (16 - FULL_PAGE_DEPTH);
    let names = (0..).map(|n| Key::new(&format!("customers/{n:08}/00000")).expect("small"));
    let mut found: Vec<_> = names.filter(|key| first_bits(key.hash()) == first_bits(absent.hash())).take(32).collect();
    found.sort_by_key(Key::hash);
    let entry = |(key, n): (Key, u64)| {
        let version = Version {
            time: Timestamp(Timestamp::from_millis(NOW_MS).0 + n),
            author: keys(n as u8 % NODES + 1).author.id(),
            term: 0,
            seq: ENTRIES + n,
            commit: CommitId(hash("commit", n as usize)),
            op_index: 900,
        };
        Entry { value: Some(lattice::op::value_hash(key.as_str().as_bytes())), key, version }
    };
    let page: Vec<_> = found.into_iter().zip(0..).map(entry).collect();
    let leaves: Vec<_> = page.iter().map(|entry| entry.leaf().0).collect();
    let siblings = hashes("siblings", FULL_PAGE_DEPTH);
    let after = root(page.len() as u64, &merkle::root(&leaves), &absent, &siblings);
    let proof = AbsenceProof { entries: ENTRIES, page, siblings };
    bundle(after, Claim::Absence { key: absent, proof })
}

#[test]
fn an_entry_is_shown_in_four_kilobytes_without_its_value() {
    for (ops, depth) in [(1, 15), (1, DEEPEST), (10, 15)] {
        let bytes = entry(ops, depth, b"").to_string().len();
        println!("entry, {ops} operations, {depth} deep: {bytes} bytes");
        assert!(bytes < ENTRY_BUNDLE_BYTES, "{ops} operations, {depth} deep: {bytes} bytes");
    }
    let (small, large) = (entry(1, 15, b"").to_string().len(), entry(1, 15, &[7; 3_000]).to_string().len());
    assert!((4_000..4_030).contains(&(large - small)), "a value stands there once, in base64: {}", large - small);
}

/// The other operations of a commit cost the path from one of them to the header, and nothing else: a hash for each
/// doubling, which is 34 bytes in base64.
#[test]
fn a_larger_commit_adds_one_hash_for_each_doubling() {
    const LEVEL_BYTES: usize = 46;
    // Longer numbers: operations in the header, the operation's place.
    const NUMBERS_BYTES: usize = 16;
    let single = entry(1, DEEPEST, b"").to_string().len();
    for ops in [2, 100, lattice::limits::COMMIT_OPS_MAX] {
        let levels = ops.next_power_of_two().ilog2() as usize;
        let bytes = entry(ops, DEEPEST, b"").to_string().len();
        println!("entry, {ops} operations, {DEEPEST} deep: {bytes} bytes");
        assert!(bytes <= single + levels * LEVEL_BYTES + NUMBERS_BYTES, "{ops} operations: {bytes} beside {single}");
    }
}

#[test]
fn an_absence_is_shown_in_eight_kilobytes() {
    let bytes = absence().to_string().len();
    println!("absence, {FULL_PAGE_DEPTH} deep: {bytes} bytes");
    assert!(bytes < ABSENCE_BUNDLE_BYTES, "{bytes} bytes");
}
