//! A state as small as it can be: a map of entries, and the tree that must always agree with it.

use std::collections::BTreeMap;

use lattice::commit::VerifiedCommit;
use lattice::entry::{Entry, Version, wins};
use lattice::ids::StateRoot;
use lattice::op::Key;
use lattice::tree::{Leaf, StateTree};

use crate::generate::world;

#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<Key, Entry>,
    pub(crate) tree: StateTree<()>,
}

impl State {
    /// The state that these commits give, one by one.
    pub(crate) fn of<'a>(commits: impl IntoIterator<Item = &'a VerifiedCommit>) -> Self {
        let mut state = Self::default();
        commits.into_iter().for_each(|commit| state.apply(commit));
        state
    }

    pub(crate) fn apply(&mut self, commit: &VerifiedCommit) {
        for (index, op) in commit.live_ops() {
            self.join_entry(&Entry::of(op, Version::of(commit.header(), commit.id(), index)));
        }
    }

    /// Joins another state in, which is how a batch enters: its winners first, then the state's.
    pub(crate) fn join(&mut self, other: &Self) {
        other.entries.values().for_each(|entry| self.join_entry(entry));
    }

    fn join_entry(&mut self, new: &Entry) {
        let standing = self.entries.get(&new.key);
        if standing.is_some_and(|old| !wins(&world().genesis, &new.key, &new.version, &old.version)) {
            return;
        }
        self.entries.insert(new.key.clone(), new.clone());
        self.tree.insert(leaf(new));
    }

    pub(crate) fn root(&self) -> StateRoot {
        self.tree.root()
    }
}

pub(crate) fn leaf(entry: &Entry) -> Leaf<()> {
    Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: () }
}
