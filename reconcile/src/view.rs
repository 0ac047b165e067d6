//! What a session sees of its node's state: one moment of it, cheap to take and to keep.

use lattice::ids::{KeyHash, LeafHash, StateRoot};
use lattice::merkle::Digest;
use lattice::tree::{Leaf, StateTree};

use crate::index::Index;

/// A snapshot of a node's state. Its parts are persistent: a clone costs a few pointers.
#[derive(Debug, Clone)]
pub struct View<T> {
    /// All entries, tombstones included, with their sketch.
    pub tree: Index<T>,
    /// The entries under `@member/` once more, as a tree of their own.
    pub members: StateTree<T>,
    /// Digest of the frontier at the same moment.
    pub frontier: Digest,
}

/// A view in 104 bytes: what two nodes compare first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The state root.
    pub root: StateRoot,
    /// Number of entries, tombstones included.
    pub entries: u64,
    /// Root of the state that the entries under `@member/` alone would be.
    pub members: StateRoot,
    /// Digest of the frontier.
    pub frontier: Digest,
}

impl<T: Copy> View<T> {
    /// The figures to compare.
    pub fn summary(&self) -> Summary {
        Summary {
            root: self.tree.root(),
            entries: self.tree.len(),
            members: self.members.root(),
            frontier: self.frontier,
        }
    }

    /// The hash of our entry at `key`.
    pub(crate) fn leaf(&self, key: &KeyHash) -> Option<LeafHash> {
        self.tree.get(key).map(|leaf| leaf.leaf)
    }

    pub(crate) fn scoped(&self, scope: Scope) -> &StateTree<T> {
        match scope {
            Scope::State => &self.tree,
            Scope::Members => &self.members,
        }
    }
}

/// Which of a view's trees a listing walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All entries.
    State,
    /// The entries under `@member/`, which move before all others: they decide whose commits count.
    Members,
}

/// A place in a tree and what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyLeaf {
    /// The entry's place.
    pub key: KeyHash,
    /// The entry's hash.
    pub leaf: LeafHash,
}

impl<T> From<&Leaf<T>> for KeyLeaf {
    fn from(leaf: &Leaf<T>) -> Self {
        Self { key: leaf.key, leaf: leaf.leaf }
    }
}
