//! What a sketch read out becomes keys to fetch and entries to push.

use std::collections::BTreeSet;

use lattice::ids::StateRoot;
use lattice::tree::{Leaf, StateTree};

use super::{Missing, Work};
use crate::sketch::{Item, ShortKey, place_of};
use crate::view::KeyLeaf;

/// Whether our state lacks the entry that an item stands for.
pub(super) fn is_missing<T: Copy>(tree: &StateTree<T>, item: &Item) -> bool {
    entry_of(item, tree.few_leaves_under(&place_of(&item.short_key()))).is_none()
}

/// The entries of ours that items stand for; `None` if one of them stands for none.
pub(in crate::initiator) fn ours_of<T: Copy>(tree: &StateTree<T>, items: &[Item]) -> Option<Vec<KeyLeaf>> {
    let places: Vec<_> = items.iter().map(|item| place_of(&item.short_key())).collect();
    tree.few_leaves_under_each(&places).zip(items).map(|(leaves, item)| entry_of(item, leaves)).collect()
}

/// The entry that an item stands for, among those at its place.
fn entry_of<T: Copy>(item: &Item, leaves: &[Leaf<T>]) -> Option<KeyLeaf> {
    leaves.iter().find(|leaf| item.is_leaf(&leaf.leaf)).map(KeyLeaf::from)
}

impl Work {
    /// Queues a difference that was read out: what the peer has more is fetched, what it has less is pushed. `read_at` is
    /// our root as the symbols were taken of it.
    pub(in crate::initiator) fn take_found(&mut self, read_at: StateRoot, plus: Vec<Item>, minus: Vec<KeyLeaf>) {
        let theirs = plus.iter().map(|item| place_of(&item.short_key()).first_key());
        let places = theirs.chain(minus.iter().map(|at| at.key));
        self.first_difference = self.first_difference.into_iter().chain(places.min()).min();
        let contested: BTreeSet<ShortKey> = plus.iter().map(Item::short_key).collect();
        self.pushes.extend(minus.iter().map(|at| Missing {
            key: at.key,
            ours: at.leaf,
            is_contested: contested.contains(&Item::from(at).short_key()),
        }));
        self.found_at = Some(read_at).filter(|root| self.finds.is_empty() || self.found_at == Some(*root));
        self.finds.extend(plus);
    }
}
