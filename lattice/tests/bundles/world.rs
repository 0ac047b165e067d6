//! A lattice of five nodes in memory, the log of the first one, and what can be shown of it.

use std::collections::BTreeMap;

use lattice::bundle::Bundle;
use lattice::bundle::shown::{Claim, EntryShown, Shown};
use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft};
use lattice::entry::{Entry, Version};
use lattice::ids::{CommitId, KeyHash, LatticeId};
use lattice::keys::NodeKeys;
use lattice::log::checkpoint::{self, SignedCheckpoint};
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use lattice::log::policy::Policy;
use lattice::log::proof::Proof;
use lattice::merkle::{self, Digest, leaf_hash};
use lattice::op::{Key, Op};
use lattice::record::{Event, Record};
use lattice::tree::proof::{AbsenceProof, EntryProof};
use lattice::tree::{Leaf, StateTree};

/// Nodes of the lattice. The first keeps the log, the others cosign it.
pub(crate) const NODES: u8 = 5;

/// Their cosignatures.
pub(crate) const WITNESSES: usize = NODES as usize - 1;

/// The id of the lattice that the log is of.
pub(crate) const LATTICE: LatticeId = LatticeId([0xa7; 32]);

const START_MS: u64 = 1_750_000_000_000;
const START_S: u64 = START_MS / 1_000;

pub(crate) fn keys(node: u8) -> NodeKeys {
    NodeKeys::from_seed([node; 32])
}

pub(crate) fn origin(node: u8) -> KeyName {
    checkpoint::origin(&LATTICE, &keys(node).author.id(), 1)
}

pub(crate) fn verifier(node: u8, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(origin(node), kind, keys(node).log_key().0).expect("a good key")
}

/// The first node's log, and so many of the other nodes as witnesses.
pub(crate) fn policy(threshold: usize) -> Policy {
    let witnesses = (2..=NODES).map(|node| (format!("node{node}"), verifier(node, KeyKind::Cosigner))).collect();
    Policy::of_members(vec![verifier(1, KeyKind::Log)], witnesses, threshold).expect("a policy")
}

/// The first node's log, and no witness.
pub(crate) fn policy_without_witnesses() -> Policy {
    Policy::of_members(vec![verifier(1, KeyKind::Log)], Vec::new(), 0).expect("a policy")
}

/// Signs a tree head as the first node, cosigned by these others.
pub(crate) fn signed(size: u64, root: Digest, witnesses: &[u8]) -> SignedCheckpoint {
    let mut signed = SignedCheckpoint::sign(&origin(1), size, root, &keys(1).log);
    for node in witnesses {
        let line = signed.cosign(START_S + u64::from(*node), &origin(*node), &keys(*node).log);
        signed.add(line, &verifier(*node, KeyKind::Cosigner)).expect("it holds");
    }
    signed
}

/// State and log of the first node.
pub(crate) struct World {
    /// The lattice that commits name; another one than the log's for a test.
    pub(crate) lattice: LatticeId,
    pub(crate) tree: StateTree<()>,
    entries: BTreeMap<KeyHash, Entry>,
    standing: BTreeMap<Key, (Commit, u32)>,
    chains: BTreeMap<u8, (u64, CommitId)>,
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) now_ms: u64,
}

impl World {
    /// Nothing but the record that opened the log.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            lattice: LATTICE,
            tree: StateTree::default(),
            entries: BTreeMap::new(),
            standing: BTreeMap::new(),
            chains: BTreeMap::new(),
            records: Vec::new(),
            now_ms: START_MS,
        };
        let before = world.tree.clone();
        world.record(&before, Event::Opened { lattice: LATTICE, author: keys(1).author.id() });
        world
    }

    /// A world with `count` keys, three to a commit, and the record of each.
    pub(crate) fn with_keys(count: usize) -> Self {
        let mut world = Self::new();
        let keys: Vec<_> = (0..count).collect();
        for (at, keys) in keys.chunks(3).enumerate() {
            let put = |n: &usize| Op::put(&format!("key/{n}"), format!("value {n}").as_bytes()).expect("small");
            world.commit(at as u8 % NODES + 1, keys.iter().map(put).collect());
        }
        world
    }

    fn record(&mut self, before: &StateTree<()>, event: Event) {
        self.now_ms += 7;
        let (before, after, entries) = (before.root(), self.tree.root(), self.tree.len());
        self.records.push(Record { time_ms: self.now_ms, before, after, entries, event }.encode());
    }

    /// A commit that wins all its keys, and the record of it.
    pub(crate) fn commit(&mut self, node: u8, ops: Vec<Op>) -> Commit {
        self.now_ms += 1_000;
        let (last, prev) = self.chains.get(&node).copied().unwrap_or((0, CommitId::ZERO));
        let time = Timestamp::from_millis(self.now_ms);
        let draft = Draft { lattice: self.lattice, term: 0, seq: last + 1, prev, time };
        let commit = draft.sign(&keys(node).author, ops.clone());
        self.chains.insert(node, (last + 1, commit.id()));
        let before = self.tree.clone();
        for (op, op_index) in ops.iter().zip(0..) {
            let entry = Entry::of(op, Version::of(commit.signed().header(), commit.id(), op_index));
            self.tree.insert(Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: () });
            self.standing.insert(op.key().clone(), (commit.clone(), op_index));
            self.entries.insert(entry.key_hash(), entry);
        }
        self.record(&before, Event::Applied { commits: vec![commit.id()] });
        commit
    }

    /// A record that a commit was applied, whatever it did.
    pub(crate) fn applied(&mut self, commit: CommitId) {
        let before = self.tree.clone();
        self.record(&before, Event::Applied { commits: vec![commit] });
    }

    /// A record of the state as it stands.
    pub(crate) fn stated(&mut self) {
        let before = self.tree.clone();
        self.record(&before, Event::Stated);
    }

    /// Keys that have an entry.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.standing.keys()
    }

    /// The last checkpoint's proof of one record.
    pub(crate) fn proof(&self, index: usize, witnesses: &[u8]) -> Proof {
        let leaves: Vec<_> = self.records.iter().map(|record| leaf_hash(record)).collect();
        let path = merkle::path(&leaves, index).expect("in the log");
        let signed = signed(leaves.len() as u64, merkle::root(&leaves), witnesses);
        Proof::new(Vec::new(), index as u64, path, signed).expect("small")
    }

    /// The claim, at the last record and with the cosignatures of all.
    pub(crate) fn bundle(&self, claim: Claim) -> Bundle {
        self.bundle_at(self.records.len() - 1, claim)
    }

    pub(crate) fn bundle_at(&self, index: usize, claim: Claim) -> Bundle {
        let shown = Shown { record: self.records[index].clone(), claim };
        Bundle::new(shown, &self.proof(index, &[2, 3, 4, 5])).expect("small")
    }

    pub(crate) fn entry_shown(&self, key: &str) -> EntryShown {
        let (commit, op_index) = &self.standing[&Key::new(key).expect("a key")];
        let lattice::commit::OpSlot::Live(op) = &commit.slots()[*op_index as usize] else {
            panic!("every operation here is live");
        };
        let hashes: Vec<_> = commit.slots().iter().map(|slot| slot.hash().0).collect();
        EntryShown {
            signed: commit.signed().clone(),
            op_index: *op_index,
            op: op.clone(),
            op_path: merkle::path(&hashes, *op_index as usize).expect("in the commit"),
            proof: EntryProof::make(&self.tree, &op.key().hash()).expect("in the state"),
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Claim {
        Claim::Entry(Box::new(self.entry_shown(key)))
    }

    pub(crate) fn absence(&self, key: &str) -> Claim {
        let key = Key::new(key).expect("a key");
        let (page, siblings) = self.tree.page_of(&key.hash());
        let page = page.iter().map(|leaf| self.entries[&leaf.key].clone()).collect();
        Claim::Absence { key, proof: AbsenceProof { entries: self.tree.len(), page, siblings } }
    }
}

/// The text with the line anew that binds its proof: what somebody gives who changed the proof on purpose.
pub(crate) fn resealed(text: &str) -> String {
    let Some((head, proof)) = text.split_once("\n\n") else { return text.to_owned() };
    let (rest, _) = head.rsplit_once("\nproof SHA-256/128 ").expect("the line stands last");
    let hash = data_encoding::HEXLOWER.encode(&lattice::op::value_hash(proof.as_bytes()).0[..16]);
    format!("{rest}\nproof SHA-256/128 {hash}\n\n{proof}")
}

/// One bundle of each kind that there is, by name.
pub(crate) fn one_of_each() -> Vec<(&'static str, Bundle)> {
    let mut lone = World::new();
    let commit = lone.commit(2, vec![Op::put("colour", b"green").expect("small")]);
    let mut some = World::with_keys(300);
    some.commit(3, vec![Op::delete("key/7").expect("small"), Op::put("e\u{301} \"\n", b"").expect("small")]);
    some.stated();
    let page_of_32 = World::with_keys(32);
    let opened = World::new();
    vec![
        ("the only entry", lone.bundle(lone.entry("colour"))),
        ("an entry of a commit of three", some.bundle(some.entry("key/100"))),
        ("a deleted entry", some.bundle(some.entry("key/7"))),
        ("an empty value, and a key with strange characters", some.bundle(some.entry("e\u{301} \"\n"))),
        ("no entry in an empty state", opened.bundle(opened.absence("colour"))),
        ("no entry beside the only one", lone.bundle(lone.absence("color"))),
        ("no entry in a page of 32", page_of_32.bundle(page_of_32.absence("absent"))),
        ("no entry among 301", some.bundle(some.absence("absent"))),
        ("a commit", lone.bundle(Claim::Commit(commit.signed().clone()))),
        ("an old commit", some.bundle_at(34, Claim::Commit(some.entry_shown("key/100").signed))),
    ]
}
