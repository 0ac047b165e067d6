//! Proofs: each true one holds, and no change to one goes unnoticed.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use lattice::clock::Timestamp;
use lattice::entry::{Entry, Version};
use lattice::ids::{AuthorId, CommitId, KeyHash, StateRoot, ValueHash};
use lattice::merkle::Digest;
use lattice::op::Key;
use lattice::tree::StateTree;
use lattice::tree::proof::{AbsenceProof, EntryProof};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::for_all;
use crate::state::leaf;

/// A state of 300 entries, 60 of them under one prefix of ten bits found by trying names.
struct Shown {
    entries: BTreeMap<KeyHash, Entry>,
    tree: StateTree<()>,
    root: StateRoot,
    absent: Vec<Key>,
}

fn entry(key: &str) -> Entry {
    let key = Key::new(key).expect("small");
    let tail = key.as_str().len() as u8;
    Entry {
        version: Version {
            time: Timestamp::from_millis(5),
            author: AuthorId([tail; 32]),
            term: 0,
            seq: 9,
            commit: CommitId(key.hash().0),
            op_index: 1,
        },
        value: (tail != 5).then(|| ValueHash(key.hash().0)),
        key,
    }
}

fn shown() -> &'static Shown {
    static SHOWN: OnceLock<Shown> = OnceLock::new();
    SHOWN.get_or_init(|| {
        let crowded = |key: &String| {
            let hash = Key::new(key).expect("small").hash();
            hash.0[0] == 0x5a && hash.0[1] & 0xc0 == 0x40
        };
        let crowd: Vec<_> = (0..).map(|n| format!("crowd/{n}")).filter(crowded).take(70).collect();
        let (crowd, absent_crowd) = crowd.split_at(60);
        let names = (0..240).map(|n| format!("key/{n}")).chain(crowd.iter().cloned());
        let entries: BTreeMap<_, _> = names.map(|key| entry(&key)).map(|entry| (entry.key_hash(), entry)).collect();
        let mut tree = StateTree::default();
        for entry in entries.values() {
            tree.insert(leaf(entry));
        }
        let absent = (0..100).map(|n| format!("absent/{n}")).chain(absent_crowd.iter().cloned());
        Shown { root: tree.root(), absent: absent.map(|key| Key::new(&key).expect("small")).collect(), entries, tree }
    })
}

fn absence(tree: &StateTree<()>, entries: &BTreeMap<KeyHash, Entry>, key: &KeyHash) -> AbsenceProof {
    let (page, siblings) = tree.page_of(key);
    AbsenceProof { entries: tree.len(), page: page.iter().map(|leaf| entries[&leaf.key].clone()).collect(), siblings }
}

#[test]
fn every_entry_and_every_absence_is_shown() {
    let shown = shown();
    let mut deepest = 0;
    for (key, entry) in &shown.entries {
        let proof = EntryProof::make(&shown.tree, key).expect("it is there");
        assert_eq!(proof.verify(&shown.root, entry), Ok(()), "{}", entry.key);
        let refuted = absence(&shown.tree, &shown.entries, key).verify(&shown.root, key);
        assert!(refuted.is_err(), "{} is there", entry.key);
        deepest = deepest.max(proof.siblings.len());
    }
    assert!(deepest > 10, "the crowd must split deep, but the deepest page stands at {deepest}");
    for key in &shown.absent {
        assert_eq!(EntryProof::make(&shown.tree, &key.hash()), None);
        let proof = absence(&shown.tree, &shown.entries, &key.hash());
        assert_eq!(proof.verify(&shown.root, &key.hash()), Ok(()), "{key}");
    }
}

#[test]
fn a_page_of_one_and_an_empty_state_show_what_they_hold() {
    let only = entry("only");
    let mut tree = StateTree::default();
    let absent = Key::new("absent").expect("small").hash();
    let nothing = absence(&tree, &BTreeMap::new(), &absent);
    assert_eq!(nothing.verify(&tree.root(), &absent), Ok(()));
    tree.insert(leaf(&only));
    let proof = EntryProof::make(&tree, &only.key_hash()).expect("it is there");
    assert_eq!(proof.verify(&tree.root(), &only), Ok(()));
    assert!(nothing.verify(&tree.root(), &absent).is_err(), "the state has grown");
}

/// One change to a list of hashes.
#[derive(Debug, Clone)]
enum HashChange {
    Flip(Index, Index),
    Drop(Index),
    Add(Index, [u8; 32]),
    Swap(Index, Index),
}

fn hash_change() -> impl Strategy<Value = HashChange> {
    let at = any::<Index>;
    prop_oneof![
        (at(), at()).prop_map(|(hash, bit)| HashChange::Flip(hash, bit)),
        at().prop_map(HashChange::Drop),
        (at(), any::<[u8; 32]>()).prop_map(|(place, hash)| HashChange::Add(place, hash)),
        (at(), at()).prop_map(|(a, b)| HashChange::Swap(a, b)),
    ]
}

impl HashChange {
    fn apply(&self, hashes: &mut Vec<Digest>) {
        let len = hashes.len();
        match self {
            Self::Add(place, hash) => hashes.insert(place.index(len + 1), *hash),
            Self::Flip(..) | Self::Drop(_) | Self::Swap(..) if len == 0 => {}
            Self::Flip(hash, bit) => {
                let bit = bit.index(256);
                hashes[hash.index(len)][bit / 8] ^= 1 << (bit % 8);
            }
            Self::Drop(place) => {
                hashes.remove(place.index(len));
            }
            Self::Swap(a, b) => hashes.swap(a.index(len), b.index(len)),
        }
    }
}

#[derive(Debug, Clone)]
enum ProofChange {
    Entries(u64),
    PageLen(u64),
    PageIndex(u64),
    Path(HashChange),
    Siblings(HashChange),
}

fn proof_change() -> impl Strategy<Value = ProofChange> {
    let number = || prop_oneof![0u64..70, any::<u64>()];
    prop_oneof![
        number().prop_map(ProofChange::Entries),
        number().prop_map(ProofChange::PageLen),
        number().prop_map(ProofChange::PageIndex),
        hash_change().prop_map(ProofChange::Path),
        hash_change().prop_map(ProofChange::Siblings),
    ]
}

#[test]
fn an_altered_entry_proof_is_refused() {
    let shown = shown();
    for_all(2_000, &(any::<Index>(), proof_change()), |(which, change)| {
        let entry = which.get(&shown.entries.values().collect::<Vec<_>>()).to_owned();
        let truth = EntryProof::make(&shown.tree, &entry.key_hash()).expect("it is there");
        let mut proof = truth.clone();
        match change {
            ProofChange::Entries(entries) => proof.entries = entries,
            ProofChange::PageLen(len) => proof.page_len = len,
            ProofChange::PageIndex(index) => proof.page_index = index,
            ProofChange::Path(change) => change.apply(&mut proof.page_path),
            ProofChange::Siblings(change) => change.apply(&mut proof.siblings),
        }
        assert_eq!(proof.verify(&shown.root, entry).is_ok(), proof == truth, "{proof:?}");
    });
}

#[test]
fn an_entry_proof_shows_no_other_entry_and_no_other_state() {
    let shown = shown();
    for_all(200, &(any::<Index>(), any::<Index>(), 0..7), |(which, other, field)| {
        let entries: Vec<_> = shown.entries.values().collect();
        let (entry, other) = (*which.get(&entries), *other.get(&entries));
        let proof = EntryProof::make(&shown.tree, &entry.key_hash()).expect("it is there");
        assert_eq!(proof.verify(&shown.root, other).is_ok(), entry == other);
        let mut altered = entry.clone();
        match field {
            0 => altered.version.time.0 += 1,
            1 => altered.version.author.0[0] ^= 1,
            2 => altered.version.term += 1,
            3 => altered.version.seq += 1,
            4 => altered.version.op_index += 1,
            5 => altered.value = altered.value.xor(Some(ValueHash::ZERO)),
            _ => altered.key = Key::new("other").expect("small"),
        }
        assert!(proof.verify(&shown.root, &altered).is_err(), "field {field}");
        let mut elsewhere = shown.tree.clone();
        elsewhere.insert(leaf(&altered));
        assert!(proof.verify(&elsewhere.root(), entry).is_err(), "another state");
    });
}

#[derive(Debug, Clone)]
enum PageChange {
    Omit(Index),
    Repeat(Index),
    Foreign(Index),
    Swap(Index, Index),
    Later(Index),
    Entries(u64),
    Siblings(HashChange),
}

fn page_change() -> impl Strategy<Value = PageChange> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(PageChange::Omit),
        at().prop_map(PageChange::Repeat),
        at().prop_map(PageChange::Foreign),
        (at(), at()).prop_map(|(a, b)| PageChange::Swap(a, b)),
        at().prop_map(PageChange::Later),
        any::<u64>().prop_map(PageChange::Entries),
        hash_change().prop_map(PageChange::Siblings),
    ]
}

impl PageChange {
    fn apply(&self, proof: &mut AbsenceProof) {
        let page = &mut proof.page;
        match self {
            Self::Foreign(which) => {
                let foreign = which.get(&shown().entries.values().collect::<Vec<_>>()).to_owned();
                let place = page.partition_point(|entry| entry.key_hash() < foreign.key_hash());
                page.insert(place, foreign.clone());
            }
            Self::Entries(entries) => proof.entries = *entries,
            Self::Siblings(change) => change.apply(&mut proof.siblings),
            Self::Omit(_) | Self::Repeat(_) | Self::Swap(..) | Self::Later(_) if page.is_empty() => {}
            Self::Omit(at) => {
                page.remove(at.index(page.len()));
            }
            Self::Repeat(at) => {
                let at = at.index(page.len());
                page.insert(at, page[at].clone());
            }
            Self::Swap(a, b) => {
                let len = page.len();
                page.swap(a.index(len), b.index(len));
            }
            Self::Later(at) => {
                let at = at.index(page.len());
                page[at].version.time.0 += 1;
            }
        }
    }
}

#[test]
fn an_altered_absence_proof_is_refused() {
    let shown = shown();
    for_all(2_000, &(any::<Index>(), page_change()), |(which, change)| {
        let key = which.get(&shown.absent).hash();
        let truth = absence(&shown.tree, &shown.entries, &key);
        let mut proof = truth.clone();
        change.apply(&mut proof);
        assert_eq!(proof.verify(&shown.root, &key).is_ok(), proof == truth, "{change:?}");
    });
}

#[test]
fn a_page_shows_the_absence_of_no_key_that_stands_elsewhere() {
    let shown = shown();
    for_all(200, &(any::<Index>(), any::<Index>()), |(page_of, key)| {
        let proof = absence(&shown.tree, &shown.entries, &page_of.get(&shown.absent).hash());
        let present = key.get(&shown.entries.keys().collect::<Vec<_>>()).to_owned();
        assert!(proof.verify(&shown.root, present).is_err());
        let absent = key.get(&shown.absent).hash();
        let same_page = shown.tree.page_of(&absent).1 == proof.siblings
            && proof.page == absence(&shown.tree, &shown.entries, &absent).page;
        assert_eq!(proof.verify(&shown.root, &absent).is_ok(), same_page);
    });
}
