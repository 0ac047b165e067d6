//! What the scenario says at its end, and the times that it must keep.

use std::time::Duration;

use serde::Serialize;

/// Times that a run must keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Targets {
    /// From a kill to the first acknowledged write, at the 99th percentile.
    unplanned_ms: u64,
    /// Longest pause of a switchover, at the 99th percentile.
    planned_ms: u64,
}

impl Targets {
    /// On the loopback with the default intervals.
    pub(super) const LAN: Self = Self { unplanned_ms: 3_000, planned_ms: 500 };

    /// On the loopback with the intervals for slow networks: a lease of 10 s, silence of some probes of 1 s, a round of
    /// questions each second. A switchover waits for none of these.
    pub(super) const WAN: Self = Self { unplanned_ms: 20_000, planned_ms: 1_500 };
}

/// The outcome of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    /// Whether everything came out right.
    pub(super) ok: bool,
    /// Whether times count: in a debug build they are told only.
    are_times_held: bool,
    /// From the kill of a holder to the first acknowledged write at `shadow`.
    pub(super) unplanned_ms: Times,
    /// Longest time between two acknowledged writes at `shadow` while the seat was handed over.
    pub(super) planned_ms: Times,
    /// Writes that were answered with anything but an acknowledgement meanwhile.
    pub(super) planned_refused: usize,
    /// Writes acknowledged.
    pub(super) acknowledged: Acknowledged,
    /// Acknowledged writes that are gone.
    pub(super) lost: usize,
    /// Writes that were acknowledged as two commits, or written twice.
    pub(super) double: usize,
    /// Writes acknowledged at `local` alone that a takeover cut off, and that are in quarantine.
    pub(super) quarantined: usize,
    /// Whether all nodes ended with one root.
    pub(super) roots_equal: bool,
    /// That root.
    pub(super) root: Option<String>,
    /// The last term.
    pub(super) term: u64,
    /// From the first process to the end of the comparison.
    seconds_total: f64,
    /// What is not as it should be.
    pub(super) differences: Vec<String>,
}

/// Acknowledged writes by level.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Acknowledged {
    pub(super) local: usize,
    pub(super) shadow: usize,
    pub(super) quorum: usize,
    /// Ordinary ones, by holders.
    pub(super) ordinary: usize,
}

/// Times of all rounds, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Times {
    p50: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
    target_p99: u64,
    rounds: Vec<u64>,
}

impl Times {
    fn with_target(target_p99: u64) -> Self {
        Self { target_p99, ..Self::default() }
    }

    pub(super) fn push(&mut self, time: Duration) {
        self.rounds.push(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let mut sorted = self.rounds.clone();
        sorted.sort_unstable();
        // The nearest rank: the least time that so many of a hundred do not exceed.
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        (self.p50, self.p99, self.max) = (rank(50), rank(99), rank(100));
    }

    fn is_kept(&self) -> bool {
        self.p99.is_none_or(|p99| p99 <= self.target_p99)
    }
}

impl Summary {
    pub(super) fn new(targets: Targets) -> Self {
        Self {
            ok: false,
            are_times_held: !cfg!(debug_assertions),
            unplanned_ms: Times::with_target(targets.unplanned_ms),
            planned_ms: Times::with_target(targets.planned_ms),
            planned_refused: 0,
            acknowledged: Acknowledged::default(),
            lost: 0,
            double: 0,
            quarantined: 0,
            roots_equal: false,
            root: None,
            term: 0,
            seconds_total: 0.0,
            differences: Vec::new(),
        }
    }

    /// Completes the summary.
    pub(super) fn conclude(&mut self, seconds_total: f64) {
        self.seconds_total = seconds_total;
        for (what, times) in [("unplanned", &self.unplanned_ms), ("planned", &self.planned_ms)] {
            if self.are_times_held && !times.is_kept() {
                let Times { p99, target_p99, .. } = times;
                let late = format!("{what}: p99 of {} ms, at most {target_p99} ms", p99.unwrap_or_default());
                self.differences.push(late);
            }
        }
        self.ok = self.differences.is_empty() && self.roots_equal && self.lost + self.double == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let mut times = Times::with_target(100);
        assert!(times.is_kept(), "no round, no complaint");
        for ms in (1..=200).rev() {
            times.push(Duration::from_millis(ms));
        }
        assert_eq!((times.p50, times.p99, times.max), (Some(100), Some(198), Some(200)));
        assert!(!times.is_kept());
    }
}
