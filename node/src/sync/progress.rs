//! What an operator sees of a long reconcile: entries, rate, time left.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::terminal;

/// Entries to move from which on it is worth showing: about a second.
const SHOWN_FROM: u64 = 20_000;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// The progress of one session. Nothing is shown of a short one.
pub(crate) struct Progress {
    peer: String,
    started: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(peer: String) -> Self {
        let now = Instant::now();
        Self { peer, started: now, told: now, bar: None }
    }

    /// Shows that `moved` of about `expected` entries have moved.
    pub(crate) fn show(&mut self, moved: u64, expected: u64) {
        let expected = expected.max(moved);
        if moved == 0 || expected < SHOWN_FROM {
            return;
        }
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| terminal::entries_bar("reconciling"));
            bar.set_length(expected);
            bar.set_position(moved);
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let rate = moved as f64 / self.started.elapsed().as_secs_f64();
            let left = (expected - moved) as f64 / rate;
            tracing::info!(
                peer = self.peer,
                "reconciling: {moved} of {expected} entries, {rate:.0}/s, {left:.0} s left"
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
