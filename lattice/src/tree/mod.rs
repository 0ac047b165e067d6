//! The state tree: one hash for a set of entries, whatever their history.
//!
//! A binary radix tree over [`KeyHash`], most significant bit first. A subtree with at most
//! [`PAGE_ENTRIES_MAX`](crate::limits::PAGE_ENTRIES_MAX) entries is a *page*; above pages stand branches:
//!
//! ```text
//! page   = SHA-256(0x02 ‖ count (8 bytes, big-endian) ‖ RFC 6962 root over its leaf hashes in key-hash order)
//! branch = SHA-256(0x01 ‖ left ‖ right)
//! root   = SHA-256("lattice/state/v1\0" ‖ entry count (8 bytes, big-endian) ‖ top)
//! ```
//!
//! An empty side is a page of no entries. The shape depends on the set alone, so equal sets have equal roots.
//!
//! The tree is persistent (Okasaki, "Purely Functional Data Structures", 1998): a clone costs one pointer and
//! shares every node until one side changes it. A writer clones, changes, stores, and only then publishes; a
//! reader keeps its snapshot for as long as it likes. Hashes are computed when asked for and kept in the node.

mod node;
pub mod prefix;
pub mod proof;

use std::sync::Arc;

use crate::ids::{KeyHash, LeafHash, StateRoot, sha256};
use crate::merkle::Digest;

use node::Node;
use prefix::Prefix;

const ROOT_DOMAIN: &[u8] = b"lattice/state/v1\0";

/// What the tree holds of an entry. The `tag` is the caller's (a row number, or `()`): it takes part in no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<T> {
    /// The entry's place.
    pub key: KeyHash,
    /// The entry's hash.
    pub leaf: LeafHash,
    /// The caller's.
    pub tag: T,
}

/// The Merkle tree over a state. See the [module](self) for shape and hashes.
#[derive(Debug, Clone)]
pub struct StateTree<T> {
    top: Arc<Node<T>>,
}

impl<T> Default for StateTree<T> {
    fn default() -> Self {
        Self { top: Arc::new(Node::empty()) }
    }
}

impl<T: Copy> StateTree<T> {
    /// Number of entries, tombstones included.
    pub fn len(&self) -> u64 {
        self.top.len() as u64
    }

    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state root. Costs the pages and paths changed since it was last asked for.
    pub fn root(&self) -> StateRoot {
        state_root(self.len(), &self.top.hash())
    }

    /// The leaf at `key`.
    pub fn get(&self, key: &KeyHash) -> Option<&Leaf<T>> {
        self.top.get(key, 0)
    }

    /// Puts a leaf in, replacing the one at the same key; gives back the one replaced.
    pub fn insert(&mut self, leaf: Leaf<T>) -> Option<Leaf<T>> {
        Node::insert(&mut self.top, leaf, 0)
    }

    /// Takes the leaf at `key` out. Only a cut does this: a delete leaves a tombstone entry.
    pub fn remove(&mut self, key: &KeyHash) -> Option<Leaf<T>> {
        self.get(key)?;
        Node::remove(&mut self.top, key, 0)
    }

    /// The hash of the subtree under `prefix`, as it would stand there in the tree of this set.
    pub fn subtree_hash(&self, prefix: &Prefix) -> Digest {
        self.top.subtree_hash(prefix, 0)
    }

    /// Number of entries under `prefix`.
    pub fn subtree_len(&self, prefix: &Prefix) -> u64 {
        self.top.subtree_len(prefix, 0) as u64
    }

    /// The leaves under `prefix` in key-hash order; of a prefix with several pages under it, those of the first. Faster
    /// than [`StateTree::leaves_under`] for a prefix that names hardly more than one entry.
    pub fn few_leaves_under(&self, prefix: &Prefix) -> &[Leaf<T>] {
        self.top.first_page_under(prefix, 0)
    }

    /// [`StateTree::few_leaves_under`] each of `prefixes`, in their order; of many, faster than one by one.
    pub fn few_leaves_under_each(&self, prefixes: &[Prefix]) -> impl Iterator<Item = &[Leaf<T>]> {
        self.top.first_pages_under(prefixes)
    }

    /// The leaves under `prefix` in key-hash order.
    pub fn leaves_under(&self, prefix: &Prefix) -> impl Iterator<Item = &Leaf<T>> {
        self.top.leaves_from(prefix.first_key()).take_while(move |leaf| prefix.covers(&leaf.key))
    }

    /// The leaves at or after `key` in key-hash order.
    pub fn leaves_from(&self, key: &KeyHash) -> impl Iterator<Item = &Leaf<T>> + use<'_, T> {
        self.top.leaves_from(*key)
    }

    /// All leaves in key-hash order.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf<T>> {
        self.top.leaves_from(KeyHash::ZERO)
    }

    /// The leaves of the page that `key` belongs to, and the hashes beside its path, top first.
    pub fn page_of(&self, key: &KeyHash) -> (&[Leaf<T>], Vec<Digest>) {
        let mut siblings = Vec::new();
        let page = self.top.page_of(key, 0, &mut siblings);
        (page, siblings)
    }
}

/// Of several leaves at one key the last counts. Many at once are much faster so than one by one.
impl<T: Copy> FromIterator<Leaf<T>> for StateTree<T> {
    fn from_iter<I: IntoIterator<Item = Leaf<T>>>(leaves: I) -> Self {
        let mut leaves: Vec<_> = leaves.into_iter().collect();
        // Leaves at one key stay in their order.
        leaves.sort_by_key(|leaf| leaf.key);
        leaves.dedup_by(|later, kept| {
            let is_same = later.key == kept.key;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        Self { top: Arc::new(Node::build(&leaves, 0)) }
    }
}

/// The state root over a count of entries and the hash of the tree's top.
pub fn state_root(entries: u64, top: &Digest) -> StateRoot {
    StateRoot(sha256(&[ROOT_DOMAIN, &entries.to_be_bytes(), top]))
}

/// The root of a state without entries.
pub fn empty_root() -> StateRoot {
    StateTree::<()>::default().root()
}

#[cfg(test)]
mod tests;
