//! The first symbols of a set's sketch, kept as items come and go.

use std::sync::Arc;

use super::estimator::Estimator;
use super::item::{Item, Places};
use super::symbol::{Symbol, Way};
use crate::limits::KEPT_SYMBOLS;

/// Symbols copied together when a shared sketch changes: 2.5 KiB. An item changes about a dozen such blocks.
const BLOCK: usize = 64;

/// The first [`KEPT_SYMBOLS`] symbols of a set, and its estimator. Persistent like the tree: a clone costs one
/// pointer, and a change copies only the blocks that it touches. An item costs about 18 symbols.
#[derive(Debug, Clone)]
pub struct Sketch {
    blocks: Arc<Vec<Arc<[Symbol; BLOCK]>>>,
    estimator: Estimator,
}

impl Default for Sketch {
    fn default() -> Self {
        let empty = Arc::new([Symbol::default(); BLOCK]);
        Self { blocks: Arc::new(vec![empty; KEPT_SYMBOLS / BLOCK]), estimator: Estimator::default() }
    }
}

impl Sketch {
    /// Puts in an item that the set does not hold.
    pub(crate) fn put(&mut self, item: &Item) {
        self.take(item, Way::In);
    }

    /// Takes out an item that the set holds.
    pub(crate) fn remove(&mut self, item: &Item) {
        self.take(item, Way::Out);
    }

    fn take(&mut self, item: &Item, way: Way) {
        let marks = item.marks();
        self.estimator.take(&marks, way);
        let blocks = Arc::make_mut(&mut self.blocks);
        let mut places = Places::new(&marks);
        while let Some(at) = places.below(KEPT_SYMBOLS) {
            Arc::make_mut(&mut blocks[at / BLOCK])[at % BLOCK].take(item, &marks, way);
        }
    }

    /// `count` symbols from `from` on; fewer where the kept ones end.
    pub fn symbols(&self, from: usize, count: usize) -> impl Iterator<Item = Symbol> {
        let end = from.saturating_add(count).min(KEPT_SYMBOLS);
        (from..end).map(|at| self.blocks[at / BLOCK][at % BLOCK])
    }

    /// The estimator of the same set.
    pub fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// Symbols `from..from + count` of a set that is walked for it: for parts of a state that keep none.
    pub(crate) fn walk(items: impl Iterator<Item = Item>, from: usize, count: usize) -> Vec<Symbol> {
        let mut symbols = vec![Symbol::default(); count];
        for item in items {
            let marks = item.marks();
            let mut places = Places::new(&marks);
            while let Some(at) = places.below(from + count) {
                if at >= from {
                    symbols[at - from].take(&item, &marks, Way::In);
                }
            }
        }
        symbols
    }
}

const _: () = assert!(KEPT_SYMBOLS.is_multiple_of(BLOCK));
