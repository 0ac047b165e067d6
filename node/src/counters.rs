//! Figures since start that are no state: what was refused, how reconciles ended.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::view::ReconcileView;

/// Distinct reasons kept; all further ones count as `other`.
const REASONS_MAX: usize = 64;

/// Counters that several tasks add to.
#[derive(Debug, Default)]
pub struct Counters {
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    reconciles: Mutex<BTreeMap<&'static str, u64>>,
    divergences: AtomicU64,
    last_reconcile: Mutex<Option<ReconcileView>>,
}

impl Counters {
    /// Something was refused for this reason.
    pub fn refused(&self, reason: &'static str) {
        add(&self.refusals, reason);
    }

    /// A reconcile that this node started ended.
    pub fn reconciled(&self, outcome: &'static str, view: ReconcileView) {
        add(&self.reconciles, outcome);
        *lock(&self.last_reconcile) = Some(view);
    }

    /// A peer's state differed, and nothing explained it.
    pub fn diverged(&self) {
        self.divergences.fetch_add(1, Ordering::Relaxed);
    }

    /// Refusals by reason.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.refusals).clone()
    }

    /// Reconciles by outcome.
    pub fn reconciles(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.reconciles).clone()
    }

    /// Divergences seen.
    pub fn divergences(&self) -> u64 {
        self.divergences.load(Ordering::Relaxed)
    }

    /// The last reconcile that this node started.
    pub fn last_reconcile(&self) -> Option<ReconcileView> {
        lock(&self.last_reconcile).clone()
    }
}

/// A counter is right or lost; a panic elsewhere does not make it wrong.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn add(counts: &Mutex<BTreeMap<&'static str, u64>>, reason: &'static str) {
    let mut counts = lock(counts);
    let reason = if counts.len() < REASONS_MAX || counts.contains_key(reason) { reason } else { "other" };
    *counts.entry(reason).or_default() += 1;
}
