//! Figures since start that are no state: what was refused, how reconciles ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::now_ms;
use crate::metrics::measured::Measured;
use crate::view::{EndedReconcile, ReconcileView};

/// Distinct reasons kept; all further ones count as `other`.
const REASONS_MAX: usize = 64;

/// Pairs of a URL and a result of a beat that are counted; some hundred peers. All further ones count as `other`: a
/// counter that shows never goes back.
const BEATS_MAX: usize = 1024;

/// Reconciles remembered one by one: those of a busy quarter of an hour. The oldest go first.
pub const RECONCILES_MAX: usize = 256;

/// Counters that several tasks add to.
#[derive(Debug, Default)]
pub struct Counters {
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    reconciles: Mutex<BTreeMap<&'static str, u64>>,
    healings: Mutex<BTreeMap<&'static str, u64>>,
    beats: Mutex<BTreeMap<(String, &'static str), u64>>,
    divergences: AtomicU64,
    shown_divergences: AtomicU64,
    last_reconcile: Mutex<Option<ReconcileView>>,
    told: Mutex<Told>,
    /// How long things took.
    pub measured: Measured,
}

/// The last reconciles that moved something or failed, numbered since start.
#[derive(Debug, Default)]
struct Told {
    last: u64,
    reconciles: VecDeque<EndedReconcile>,
}

impl Counters {
    /// Something was refused for this reason.
    pub fn refused(&self, reason: &'static str) {
        add(&self.refusals, reason);
    }

    /// A reconcile that this node started ended.
    pub fn reconciled(&self, outcome: &'static str, view: ReconcileView) {
        add(&self.reconciles, outcome);
        // A peer that is busy is asked again in a moment: no news.
        let is_quiet = matches!(outcome, "equal" | "explained" | "busy");
        if !is_quiet || view.received + view.sent > 0 {
            let mut told = lock(&self.told);
            told.last += 1;
            let ended = EndedReconcile { number: told.last, time_ms: now_ms(), reconcile: view.clone() };
            if told.reconciles.len() == RECONCILES_MAX {
                told.reconciles.pop_front();
            }
            told.reconciles.push_back(ended);
        }
        *lock(&self.last_reconcile) = Some(view);
    }

    /// Reconciles that moved something or did not end in step, behind number `after`, the oldest first.
    pub fn reconciles_behind(&self, after: u64) -> Vec<EndedReconcile> {
        lock(&self.told).reconciles.iter().filter(|ended| ended.number > after).cloned().collect()
    }

    /// A healing over HTTP ended.
    pub fn healed(&self, outcome: &'static str) {
        add(&self.healings, outcome);
    }

    /// A beat to this URL ended so.
    pub fn beat(&self, url: String, result: &'static str) {
        let mut beats = lock(&self.beats);
        let pair = (url, result);
        let is_counted = beats.len() < BEATS_MAX || beats.contains_key(&pair);
        *beats.entry(if is_counted { pair } else { ("other".to_owned(), result) }).or_default() += 1;
    }

    /// Healings over HTTP by outcome.
    pub fn healings(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.healings).clone()
    }

    /// Beats by URL and result.
    pub fn beats(&self) -> BTreeMap<(String, &'static str), u64> {
        lock(&self.beats).clone()
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

    /// As many as were ever shown, or `now` if that is more. Part of them is added up by the writer, which another task
    /// may read a moment earlier.
    pub fn divergences_at_least(&self, now: u64) -> u64 {
        self.shown_divergences.fetch_max(now, Ordering::Relaxed).max(now)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_counter_goes_back_however_many_peers_there_were() {
        let counters = Counters::default();
        for peer in 0..=BEATS_MAX {
            counters.beat(format!("http://{peer}"), "equal");
        }
        counters.beat("http://0".to_owned(), "equal");
        let beats = counters.beats();
        assert_eq!((beats[&("http://0".to_owned(), "equal")], beats[&("other".to_owned(), "equal")]), (2, 1));
        assert_eq!((counters.divergences_at_least(3), counters.divergences_at_least(2)), (3, 3));
    }
}
