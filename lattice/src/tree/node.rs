//! Pages and branches: the persistent radix tree itself.

use std::sync::{Arc, OnceLock};

use super::Leaf;
use super::prefix::{Prefix, bit};
use crate::ids::{KeyHash, sha256};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::merkle::{self, Digest};

#[derive(Debug, Clone)]
pub(super) enum Node<T> {
    /// At most [`PAGE_ENTRIES_MAX`] leaves, sorted by key.
    Page { leaves: Vec<Leaf<T>>, hash: OnceLock<Digest> },
    /// More leaves than a page holds, split by the bit at this depth.
    Branch { sides: [Arc<Node<T>>; 2], len: usize, hash: OnceLock<Digest> },
}

/// The hash of a page over its leaf hashes in key order.
pub(super) fn page_hash(leaves: &[Digest]) -> Digest {
    sha256(&[&[0x02], &(leaves.len() as u64).to_be_bytes(), &merkle::root(leaves)])
}

/// The hash of a branch.
pub(super) fn branch_hash(left: &Digest, right: &Digest) -> Digest {
    merkle::node_hash(left, right)
}

impl<T> Node<T> {
    pub(super) fn empty() -> Self {
        Self::page(Vec::new())
    }

    fn page(leaves: Vec<Leaf<T>>) -> Self {
        Self::Page { leaves, hash: OnceLock::new() }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Page { leaves, .. } => leaves.len(),
            Self::Branch { len, .. } => *len,
        }
    }
}

impl<T: Copy> Node<T> {
    /// The node over sorted `leaves` at `depth`: the one shape that this set has.
    pub(super) fn build(leaves: &[Leaf<T>], depth: usize) -> Self {
        if leaves.len() <= PAGE_ENTRIES_MAX {
            return Self::page(leaves.to_vec());
        }
        let split = leaves.partition_point(|leaf| bit(&leaf.key, depth) == 0);
        let (left, right) = leaves.split_at(split);
        let sides = [left, right].map(|side| Arc::new(Self::build(side, depth + 1)));
        Self::Branch { sides, len: leaves.len(), hash: OnceLock::new() }
    }

    pub(super) fn hash(&self) -> Digest {
        match self {
            Self::Page { leaves, hash } => *hash.get_or_init(|| page_hash_of(leaves)),
            Self::Branch { sides: [left, right], hash, .. } => {
                *hash.get_or_init(|| branch_hash(&left.hash(), &right.hash()))
            }
        }
    }

    pub(super) fn get(&self, key: &KeyHash, depth: usize) -> Option<&Leaf<T>> {
        match self {
            Self::Page { leaves, .. } => leaves.binary_search_by_key(key, |leaf| leaf.key).ok().map(|at| &leaves[at]),
            Self::Branch { sides, .. } => sides[bit(key, depth)].get(key, depth + 1),
        }
    }

    pub(super) fn insert(this: &mut Arc<Self>, leaf: Leaf<T>, depth: usize) -> Option<Leaf<T>> {
        if let Self::Page { leaves, .. } = &**this {
            let place = leaves.binary_search_by_key(&leaf.key, |leaf| leaf.key);
            let replaced = place.ok().map(|at| leaves[at]);
            let changed = with(leaves, place, leaf);
            let node =
                if changed.len() > PAGE_ENTRIES_MAX { Self::build(&changed, depth) } else { Self::page(changed) };
            match Arc::get_mut(this) {
                Some(own) => *own = node,
                None => *this = Arc::new(node),
            }
            return replaced;
        }
        let Self::Branch { sides, len, hash } = Arc::make_mut(this) else { unreachable!("a page was handled") };
        *hash = OnceLock::new();
        let replaced = Self::insert(&mut sides[bit(&leaf.key, depth)], leaf, depth + 1);
        *len += usize::from(replaced.is_none());
        replaced
    }

    /// Removes a leaf that is known to be there, so that a branch always shrinks by one.
    pub(super) fn remove(this: &mut Arc<Self>, key: &KeyHash, depth: usize) -> Option<Leaf<T>> {
        let node = Arc::make_mut(this);
        match node {
            Self::Page { leaves, hash } => {
                let at = leaves.binary_search_by_key(key, |leaf| leaf.key).ok()?;
                *hash = OnceLock::new();
                Some(leaves.remove(at))
            }
            Self::Branch { sides, len, hash } => {
                *hash = OnceLock::new();
                let removed = Self::remove(&mut sides[bit(key, depth)], key, depth + 1);
                *len -= usize::from(removed.is_some());
                if *len <= PAGE_ENTRIES_MAX {
                    let leaves: Vec<_> = node.leaves_from(KeyHash::ZERO).copied().collect();
                    *node = Self::page(leaves);
                }
                removed
            }
        }
    }

    pub(super) fn subtree_hash(&self, prefix: &Prefix, depth: usize) -> Digest {
        match self {
            Self::Branch { sides, .. } if depth < prefix.bits() => {
                sides[prefix.bit(depth)].subtree_hash(prefix, depth + 1)
            }
            Self::Page { leaves, .. } if depth < prefix.bits() => page_hash_of(covered(leaves, prefix)),
            Self::Page { .. } | Self::Branch { .. } => self.hash(),
        }
    }

    pub(super) fn subtree_len(&self, prefix: &Prefix, depth: usize) -> usize {
        match self {
            Self::Branch { sides, .. } if depth < prefix.bits() => {
                sides[prefix.bit(depth)].subtree_len(prefix, depth + 1)
            }
            Self::Page { leaves, .. } => covered(leaves, prefix).len(),
            Self::Branch { len, .. } => *len,
        }
    }

    /// The leaves under `prefix` if they are in one page, as all are under a prefix longer than the tree is deep; else
    /// those in the first of its pages.
    pub(super) fn first_page_under(&self, prefix: &Prefix, depth: usize) -> &[Leaf<T>] {
        match self {
            Self::Branch { sides, .. } if depth < prefix.bits() => {
                sides[prefix.bit(depth)].first_page_under(prefix, depth + 1)
            }
            Self::Branch { sides: [left, right], .. } => {
                let side = if left.len() > 0 { left } else { right };
                side.first_page_under(prefix, depth + 1)
            }
            Self::Page { leaves, .. } => covered(leaves, prefix),
        }
    }

    /// [`Node::first_page_under`] each prefix, from the top. All go down a level together: a large tree is not in the
    /// processor's cache, and the misses of one level wait side by side.
    pub(super) fn first_pages_under(&self, prefixes: &[Prefix]) -> impl Iterator<Item = &[Leaf<T>]> {
        let mut nodes = vec![(self, 0); prefixes.len()];
        let mut is_down = false;
        while !is_down {
            is_down = true;
            for ((node, depth), prefix) in nodes.iter_mut().zip(prefixes) {
                if let Self::Branch { sides, .. } = *node
                    && *depth < prefix.bits()
                {
                    *node = &sides[prefix.bit(*depth)];
                    *depth += 1;
                    is_down = false;
                }
            }
        }
        nodes.into_iter().zip(prefixes).map(|((node, depth), prefix)| match node {
            Self::Page { leaves, .. } => covered_from(leaves, prefix, near(leaves, &prefix.first_key(), depth)),
            Self::Branch { .. } => node.first_page_under(prefix, depth),
        })
    }

    pub(super) fn page_of(&self, key: &KeyHash, depth: usize, siblings: &mut Vec<Digest>) -> &[Leaf<T>] {
        match self {
            Self::Page { leaves, .. } => leaves,
            Self::Branch { sides, .. } => {
                let side = bit(key, depth);
                siblings.push(sides[1 - side].hash());
                sides[side].page_of(key, depth + 1, siblings)
            }
        }
    }

    /// Leaves at or after `start`, by a stack of nodes still to visit; nothing is collected.
    pub(super) fn leaves_from(&self, start: KeyHash) -> impl Iterator<Item = &Leaf<T>> {
        let mut stack = Vec::new();
        let mut node = self;
        let mut depth = 0;
        let first = loop {
            match node {
                Self::Page { leaves, .. } => {
                    break &leaves[leaves.partition_point(|leaf| leaf.key < start)..];
                }
                Self::Branch { sides, .. } => {
                    let side = bit(&start, depth);
                    if side == 0 {
                        stack.push(&*sides[1]);
                    }
                    node = &sides[side];
                    depth += 1;
                }
            }
        };
        first.iter().chain(std::iter::from_fn(move || next_page(&mut stack)).flatten())
    }
}

/// A page's leaves with one more, or one replaced, at its place; in memory for exactly so many.
fn with<T: Copy>(leaves: &[Leaf<T>], place: Result<usize, usize>, leaf: Leaf<T>) -> Vec<Leaf<T>> {
    let (before, after) = match place {
        Ok(at) => (&leaves[..at], &leaves[at + 1..]),
        Err(at) => leaves.split_at(at),
    };
    let mut with = Vec::with_capacity(before.len() + 1 + after.len());
    with.extend_from_slice(before);
    with.push(leaf);
    with.extend_from_slice(after);
    with
}

fn next_page<'a, T>(stack: &mut Vec<&'a Node<T>>) -> Option<&'a [Leaf<T>]> {
    let mut node = stack.pop()?;
    loop {
        match node {
            Node::Page { leaves, .. } => return Some(leaves),
            Node::Branch { sides: [left, right], .. } => {
                stack.push(right);
                node = left;
            }
        }
    }
}

fn page_hash_of<T>(leaves: &[Leaf<T>]) -> Digest {
    let mut hashes = [[0; 32]; PAGE_ENTRIES_MAX];
    for (hash, leaf) in hashes.iter_mut().zip(leaves) {
        *hash = leaf.leaf.0;
    }
    page_hash(&hashes[..leaves.len()])
}

fn covered<'a, T>(leaves: &'a [Leaf<T>], prefix: &Prefix) -> &'a [Leaf<T>] {
    covered_from(leaves, prefix, leaves.partition_point(|leaf| leaf.key < prefix.first_key()))
}

/// The number of leaves before `key` in a page at `depth`. Key hashes are uniform, so the bits below the page's own tell
/// about where it stands: a few leaves side by side are looked at, where halving looks all over the page.
fn near<T>(leaves: &[Leaf<T>], key: &KeyHash, depth: usize) -> usize {
    let bits = std::array::from_fn(|i| key.0.get(depth / 8 + i).copied().unwrap_or(0));
    let share = (u64::from_be_bytes(bits) << (depth % 8)) >> 32;
    let guess = (share * leaves.len() as u64) >> 32;
    let (before, after) = leaves.split_at(guess as usize);
    match before.iter().rev().take_while(|leaf| leaf.key >= *key).count() {
        0 => before.len() + after.iter().take_while(|leaf| leaf.key < *key).count(),
        back => before.len() - back,
    }
}

/// The leaves under `prefix`, of which the first stands at `start`.
fn covered_from<'a, T>(leaves: &'a [Leaf<T>], prefix: &Prefix, start: usize) -> &'a [Leaf<T>] {
    let rest = &leaves[start..];
    // Mostly one or none, or all.
    let few = rest.iter().take(2).take_while(|leaf| prefix.covers(&leaf.key)).count();
    let end = if few < 2 { few } else { rest.partition_point(|leaf| prefix.covers(&leaf.key)) };
    &rest[..end]
}
