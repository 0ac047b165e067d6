//! How fast the writer works, in sums since start: whoever looks twice has a rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sums that the writer adds to and others read.
#[derive(Debug, Default)]
pub struct Pace {
    commits: AtomicU64,
    transactions: AtomicU64,
    micros: AtomicU64,
    slowest_micros: AtomicU64,
}

/// The sums at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paced {
    /// Commits in durable transactions, those included that changed nothing.
    pub commits: u64,
    /// Durable transactions of commits.
    pub transactions: u64,
    /// What they took together, in microseconds.
    pub micros: u64,
}

impl Pace {
    /// A transaction of so many commits became durable.
    pub(super) fn stored(&self, commits: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.slowest_micros.fetch_max(micros, Ordering::Relaxed);
    }

    /// The sums now.
    pub fn sums(&self) -> Paced {
        Paced {
            commits: self.commits.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            micros: self.micros.load(Ordering::Relaxed),
        }
    }

    /// Microseconds of the slowest transaction since this was asked last. One reader only: it forgets.
    pub fn take_slowest_micros(&self) -> u64 {
        self.slowest_micros.swap(0, Ordering::Relaxed)
    }
}
