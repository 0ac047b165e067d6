//! Proofs against a state root: an entry is there, or a key has none.
//!
//! Inclusion is a path inside the entry's page (RFC 9162) and a path from the page to the top. Absence shows the
//! whole page where the key would stand. Both carry nothing that the verifier does not use, and no key to trust.

use super::node::{branch_hash, page_hash};
use super::{StateTree, prefix::Prefix, state_root};
use crate::entry::Entry;
use crate::ids::{KeyHash, StateRoot, sha256};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::merkle::{self, Digest};

/// Shows that an entry is part of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    /// Entries in the state.
    pub entries: u64,
    /// Entries in the page.
    pub page_len: u64,
    /// The entry's place in the page.
    pub page_index: u64,
    /// Audit path inside the page, from the leaf upwards.
    pub page_path: Vec<Digest>,
    /// Hashes beside the path from the top down to the page; as many as the page is deep.
    pub siblings: Vec<Digest>,
}

/// Shows that a key has no entry, not even a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsenceProof {
    /// Entries in the state.
    pub entries: u64,
    /// Every entry of the page where the key would stand, in key-hash order.
    pub page: Vec<Entry>,
    /// Hashes beside the path from the top down to the page.
    pub siblings: Vec<Digest>,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refuted {
    /// An index, count or length that no state tree has.
    #[error("the proof has a shape that no state tree has")]
    Shape,
    /// The hashes lead to another root.
    #[error("the proof leads to another state root")]
    OtherRoot,
    /// The page shown is not the one where the key would stand, or it holds the key.
    #[error("the page shown does not prove that the key is absent")]
    WrongPage,
}

impl EntryProof {
    /// Proves the entry at `key`; `None` if there is none.
    pub fn make<T: Copy>(tree: &StateTree<T>, key: &KeyHash) -> Option<Self> {
        let (page, siblings) = tree.page_of(key);
        let index = page.binary_search_by_key(key, |leaf| leaf.key).ok()?;
        let leaves: Vec<_> = page.iter().map(|leaf| leaf.leaf.0).collect();
        Some(Self {
            entries: tree.len(),
            page_len: page.len() as u64,
            page_index: index as u64,
            page_path: merkle::path(&leaves, index)?,
            siblings,
        })
    }

    /// Checks that `entry` is part of the state with this root.
    ///
    /// # Errors
    ///
    /// [`Refuted`] says what does not hold.
    pub fn verify(&self, root: &StateRoot, entry: &Entry) -> Result<(), Refuted> {
        if self.page_len > PAGE_ENTRIES_MAX as u64 || self.page_len > self.entries {
            return Err(Refuted::Shape);
        }
        let page_root = merkle::root_from_path(&entry.leaf().0, self.page_index, self.page_len, &self.page_path)
            .ok_or(Refuted::Shape)?;
        let page = sha256(&[&[0x02], &self.page_len.to_be_bytes(), &page_root]);
        climb(page, &entry.key_hash(), &self.siblings, self.entries, root)
    }
}

impl AbsenceProof {
    /// Checks that `key` has no entry in the state with this root.
    ///
    /// # Errors
    ///
    /// [`Refuted`] says what does not hold.
    pub fn verify(&self, root: &StateRoot, key: &KeyHash) -> Result<(), Refuted> {
        if self.page.len() > PAGE_ENTRIES_MAX || self.page.len() as u64 > self.entries || self.siblings.len() > 256 {
            return Err(Refuted::Shape);
        }
        let keys: Vec<_> = self.page.iter().map(Entry::key_hash).collect();
        let here = Prefix::of(key, self.siblings.len());
        let is_the_page =
            keys.windows(2).all(|pair| pair[0] < pair[1]) && keys.iter().all(|k| here.covers(k) && k != key);
        if !is_the_page {
            return Err(Refuted::WrongPage);
        }
        let leaves: Vec<_> = self.page.iter().map(|entry| entry.leaf().0).collect();
        climb(page_hash(&leaves), key, &self.siblings, self.entries, root)
    }
}

/// Walks from a page up to the top, taking sides by the bits of `key`, and compares the root.
fn climb(page: Digest, key: &KeyHash, siblings: &[Digest], entries: u64, root: &StateRoot) -> Result<(), Refuted> {
    if siblings.len() > 256 {
        return Err(Refuted::Shape);
    }
    let top =
        siblings.iter().enumerate().rev().fold(page, |hash, (depth, sibling)| match super::prefix::bit(key, depth) {
            0 => branch_hash(&hash, sibling),
            _ => branch_hash(sibling, &hash),
        });
    if state_root(entries, &top) == *root { Ok(()) } else { Err(Refuted::OtherRoot) }
}
