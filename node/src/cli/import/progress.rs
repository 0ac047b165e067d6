//! What a person sees of an import: a bar on a terminal, else a line now and then.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::flight::Landed;
use crate::cli::text::{counted, grouped};

/// Time between two lines where there is no terminal: a log should not be full of them.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How much is in.
pub(super) struct Progress {
    entries: u64,
    written: u64,
    position: u64,
    started: Instant,
    last_line: Instant,
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts at nothing; `bytes` is the size of the input, if it has one.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| bar(bytes));
        Self { entries: 0, written: 0, position: 0, started: now, last_line: now, bar }
    }

    /// Counts a batch that is durable.
    pub(super) fn add(&mut self, landed: &Landed) {
        self.entries += landed.changed.written + landed.changed.unchanged;
        self.written += landed.changed.written;
        // Batches may land out of order.
        self.position = self.position.max(landed.batch.position);
        let rate = self.entries as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let figures = format!("{}, {} a second", counted(self.entries, "entry", "entries"), grouped(rate as u64));
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.position);
                bar.set_message(figures);
            }
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                eprintln!("importing: {figures}");
            }
            None => {}
        }
    }

    /// Entries that are durable, whether this import wrote them or found them.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Those of them that this import wrote.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Clears the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent}%  {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
