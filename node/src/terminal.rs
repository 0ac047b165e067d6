//! Standard error as the daemon's log and its progress bars share it: a line of the log never cuts through a bar.

use std::io::{self, Write};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

/// All bars of this process; like standard error itself there is one.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar over entries: how many, their rate, the time left.
pub(crate) fn entries_bar(doing: &str) -> ProgressBar {
    bar(doing, "entries")
}

/// A bar over the records of a log.
pub(crate) fn records_bar(doing: &str) -> ProgressBar {
    bar(doing, "records")
}

fn bar(doing: &str, of: &str) -> ProgressBar {
    let template = format!("{doing} {{wide_bar}} {{pos}}/{{len}} {of}, {{rate}}/s, {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // Writing into a line of text does not fail.
        let _ = write!(out, "{:.0}", state.per_sec());
    };
    BARS.add(ProgressBar::new(0)).with_style(style.with_key("rate", rate))
}

/// Where the log is written: standard error, with the bars out of the way for the moment.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
