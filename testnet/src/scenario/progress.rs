//! What a person sees of a scenario while it runs, on standard error.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Lines with the time since the start, above a bar where there is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), bar: ProgressBar::hidden() }
    }

    /// Says one line.
    pub(super) fn say(&self, line: impl AsRef<str>) {
        self.say_of(self.elapsed(), line);
    }

    /// Says one line about what happened that long after the start.
    pub(super) fn say_of(&self, happened: Duration, line: impl AsRef<str>) {
        let line = format!("{:7.1} s  {}", happened.as_secs_f64(), line.as_ref());
        // Where nobody listens the line is lost; the summary counts.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }

    /// Shows a bar from 0 to `total` until [`Progress::clear`].
    pub(super) fn count_to(&mut self, total: usize) {
        self.bar = ProgressBar::new(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} entries, {per_sec}") {
            self.bar.set_style(style);
        }
    }

    /// Moves the bar on.
    pub(super) fn advance(&self, by: usize) {
        self.bar.inc(by as u64);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Seconds with one digit: more would pretend a precision that these waits do not have.
pub(super) fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}
