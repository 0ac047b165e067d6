//! States that share most of their entries.

use std::collections::HashMap;

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, OpSlot};
use lattice::entry::{Entry, Version};
use lattice::ids::{CommitId, KeyHash, LatticeId, LeafHash};
use lattice::keys::NodeKeys;
use lattice::op::{Op, value_hash};
use lattice::tree::{Leaf, StateTree};
use reconcile::view::KeyLeaf;
use reconcile::{Index, View};

/// What both ends have.
pub(crate) struct World {
    pub(crate) shared: Index<()>,
}

/// One end: the shared entries, and its own with their commits.
pub(crate) struct Side {
    pub(crate) index: Index<()>,
    pub(crate) commits: HashMap<KeyHash, Commit>,
}

impl World {
    /// A state of `size` entries. Nobody asks for their commits, so they have none.
    pub(crate) fn of(size: u64) -> Self {
        let hash = |what: u64, i: u64| value_hash(&[what.to_be_bytes(), i.to_be_bytes()].concat()).0;
        let mut shared = Index::default();
        for i in 0..size {
            shared.insert(Leaf { key: KeyHash(hash(1, i)), leaf: LeafHash(hash(2, i)), tag: () });
        }
        shared.root();
        Self { shared }
    }

    /// Two ends that differ in `differences` entries, half of them missing on each.
    pub(crate) fn sides(&self, differences: u64, seed: u64) -> [Side; 2] {
        let mut sides = [0, 1].map(|_| Side { index: self.shared.clone(), commits: HashMap::new() });
        let keys = NodeKeys::from_seed([7; 32]);
        for i in 0..differences {
            let op = Op::put(&format!("difference/{seed}/{i}"), b"a value").expect("within limits");
            let draft = Draft {
                lattice: LatticeId::ZERO,
                term: 0,
                seq: i + 1,
                prev: if i == 0 { CommitId::ZERO } else { CommitId([1; 32]) },
                time: Timestamp::from_millis(1),
            };
            sides[1 - (i % 2) as usize].take(draft.sign(&keys.author, vec![op]));
        }
        for side in &sides {
            side.index.root();
        }
        sides
    }
}

impl Side {
    pub(crate) fn take(&mut self, commit: Commit) {
        let (header, id) = (*commit.signed().header(), commit.id());
        for (at, slot) in (0..).zip(commit.slots()) {
            let OpSlot::Live(op) = slot else { continue };
            let entry = Entry::of(op, Version::of(&header, id, at));
            self.index.insert(Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: () });
            self.commits.insert(entry.key_hash(), commit.clone());
        }
    }

    pub(crate) fn view(&self) -> View<()> {
        View { tree: self.index.clone(), members: StateTree::default(), frontier: [0; 32] }
    }

    /// Every entry's hashes.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = KeyLeaf> {
        self.index.leaves().map(KeyLeaf::from)
    }
}
