//! Figures of the last fifteen minutes, one sample every few seconds (pure).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::writer::pace::Paced;

/// Milliseconds that one sample is about: short enough to see a burst, long enough for 180 of them to be a quarter of an hour.
pub const SAMPLE_MS: u64 = 5_000;

/// Samples kept: fifteen minutes. The oldest go first.
pub const SAMPLES_MAX: usize = 180;

/// A few seconds of a node's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Its number since start.
    pub number: u64,
    /// When it ended, in milliseconds since 1970.
    pub time_ms: u64,
    /// Commits made durable a second.
    pub commits_per_second: f64,
    /// Lattice peers at its end.
    pub peers: u64,
    /// Other roots seen at beats over HTTP, and differences that nothing explained.
    pub divergences: u64,
    /// Milliseconds that a transaction took on average; none if there was none.
    pub apply_ms: Option<f64>,
    /// Milliseconds of the slowest one.
    pub apply_slowest_ms: Option<f64>,
}

/// What is looked at for a sample.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Milliseconds on a clock that nobody sets.
    pub steady_ms: u64,
    /// The writer's sums.
    pub paced: Paced,
    /// Lattice peers.
    pub peers: u64,
    /// Divergences since start.
    pub divergences: u64,
}

/// The samples.
#[derive(Debug)]
pub struct History {
    samples: VecDeque<Sample>,
    last: Look,
    taken: u64,
}

impl History {
    /// Begins with a first look.
    pub fn beginning(look: Look) -> Self {
        Self { samples: VecDeque::new(), last: look, taken: 0 }
    }

    /// Whether the next sample is due.
    pub fn is_due(&self, steady_ms: u64) -> bool {
        steady_ms.saturating_sub(self.last.steady_ms) >= SAMPLE_MS
    }

    /// Takes the sample between the last look and this one, whose slowest transaction took so long.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn take(&mut self, look: Look, slowest_micros: u64) {
        let before = std::mem::replace(&mut self.last, look);
        let seconds = look.steady_ms.saturating_sub(before.steady_ms).max(1) as f64 / 1000.0;
        let transactions = look.paced.transactions.saturating_sub(before.paced.transactions);
        let millis = |micros: u64| micros as f64 / 1000.0;
        let micros = look.paced.micros.saturating_sub(before.paced.micros);
        self.taken += 1;
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            number: self.taken,
            time_ms: look.time_ms,
            commits_per_second: look.paced.commits.saturating_sub(before.paced.commits) as f64 / seconds,
            peers: look.peers,
            divergences: look.divergences.saturating_sub(before.divergences),
            apply_ms: (transactions > 0).then(|| millis(micros) / transactions as f64),
            apply_slowest_ms: (transactions > 0).then(|| millis(slowest_micros)),
        });
    }

    /// Samples behind number `after`, the oldest first.
    pub fn behind(&self, after: u64) -> Vec<Sample> {
        self.samples.iter().filter(|sample| sample.number > after).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: u64, commits: u64, transactions: u64, micros: u64) -> Look {
        let paced = Paced { commits, transactions, micros };
        Look { time_ms: 1_000_000 + at_ms, steady_ms: at_ms, paced, peers: 2, divergences: commits / 10 }
    }

    #[test]
    fn a_sample_is_about_the_time_since_the_one_before() {
        let mut history = History::beginning(look(100, 7, 3, 900));
        assert!(!history.is_due(5_099) && history.is_due(5_100));
        history.take(look(5_100, 57, 13, 20_900), 4_500);
        let sample = &history.behind(0)[0];
        assert_eq!((sample.number, sample.time_ms, sample.peers, sample.divergences), (1, 1_005_100, 2, 5));
        assert!((sample.commits_per_second - 10.0).abs() < 1e-9);
        assert_eq!((sample.apply_ms, sample.apply_slowest_ms), (Some(2.0), Some(4.5)));
        history.take(look(10_100, 57, 13, 20_900), 0);
        let quiet = &history.behind(1)[0];
        assert!(quiet.commits_per_second.abs() < 1e-9);
        assert_eq!((quiet.apply_ms, quiet.apply_slowest_ms), (None, None));
    }

    #[test]
    fn fifteen_minutes_are_kept_and_numbers_go_on() {
        let mut history = History::beginning(look(0, 0, 0, 0));
        for n in 1..=SAMPLES_MAX as u64 + 3 {
            history.take(look(n * SAMPLE_MS, 0, 0, 0), 0);
        }
        let kept = history.behind(0);
        assert_eq!((kept.len(), kept[0].number), (SAMPLES_MAX, 4));
        assert_eq!(history.behind(SAMPLES_MAX as u64 + 2).len(), 1);
    }
}
