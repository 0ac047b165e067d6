//! A state's tree and its sketch, changed together.

use std::ops::Deref;

use lattice::ids::KeyHash;
use lattice::tree::prefix::Prefix;
use lattice::tree::{Leaf, StateTree};

use crate::limits::SKETCH_WALK_MAX;
use crate::sketch::{Item, Sketch, Symbol};

/// What a node derives from its entries: the state tree, and the sketch over the same entries. It reads as the tree
/// does. A clone costs two pointers.
#[derive(Debug, Clone)]
pub struct Index<T> {
    tree: StateTree<T>,
    sketch: Sketch,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { tree: StateTree::default(), sketch: Sketch::default() }
    }
}

impl<T> Deref for Index<T> {
    type Target = StateTree<T>;

    fn deref(&self) -> &StateTree<T> {
        &self.tree
    }
}

impl<T: Copy> Index<T> {
    /// Puts a leaf in, replacing the one at the same key; gives back the one replaced.
    pub fn insert(&mut self, leaf: Leaf<T>) -> Option<Leaf<T>> {
        let replaced = self.tree.insert(leaf);
        if let Some(old) = &replaced {
            self.sketch.remove(&item(old));
        }
        self.sketch.put(&item(&leaf));
        replaced
    }

    /// Takes the leaf at `key` out.
    pub fn remove(&mut self, key: &KeyHash) -> Option<Leaf<T>> {
        let removed = self.tree.remove(key)?;
        self.sketch.remove(&item(&removed));
        Some(removed)
    }

    /// The sketch of all entries.
    pub fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// Symbols of the entries under `prefix`: those kept if that is everything, else by walking the entries there.
    /// `None` if they are not kept, or if there are more than [`SKETCH_WALK_MAX`] entries to walk.
    pub(crate) fn symbols(&self, prefix: &Prefix, from: usize, count: usize) -> Option<Vec<Symbol>> {
        if prefix.bits() == 0 {
            let kept: Vec<_> = self.sketch.symbols(from, count).collect();
            return (kept.len() == count).then_some(kept);
        }
        let few = self.tree.subtree_len(prefix) <= SKETCH_WALK_MAX;
        few.then(|| Sketch::walk(self.tree.leaves_under(prefix).map(item), from, count))
    }
}

fn item<T>(leaf: &Leaf<T>) -> Item {
    Item::of(&leaf.key, &leaf.leaf)
}
