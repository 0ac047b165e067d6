//! How starting and stopping a node can end.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::deadline;

/// Bytes of a log's end that an error shows.
const LOG_TAIL_BYTES: usize = 2000;

/// Why a node could not be started, or a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program or a file of the node cannot be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended before it was ready.
    #[error("{name} ended with {status} before it was ready; {log} ends with:\n{tail}")]
    Ended {
        /// The node.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The process runs but is not ready in time.
    #[error("{name} was not ready: {late}; {log} ends with:\n{tail}")]
    TooSlow {
        /// The node.
        name: String,
        /// What was missing.
        late: deadline::TimedOut,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A command such as `init` or `join` failed.
    #[error("`lattice {command}` for {name} ended with {status}: {stderr}")]
    Command {
        /// The node.
        name: String,
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
}

/// How a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run.
    BeforeAsked,
    /// In time, after SIGTERM.
    Cleanly(ExitStatus),
    /// It had to be killed.
    Killed,
}

/// The end of a log, cut at a line.
pub(super) fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines = text.lines().rev().scan(0, |bytes, line| {
        *bytes += line.len() + 1;
        (*bytes <= LOG_TAIL_BYTES).then_some(line)
    });
    let mut lines: Vec<&str> = lines.collect();
    lines.reverse();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_whole_lines_within_the_bound() {
        let dir = tempfile::tempdir().expect("directory");
        let log = dir.path().join("log");
        std::fs::write(&log, "a long line\n".repeat(1000)).expect("written");
        let end = tail(&log);
        assert!(end.len() <= LOG_TAIL_BYTES && end.len() > LOG_TAIL_BYTES / 2);
        assert!(end.lines().all(|line| line == "a long line"));
    }
}
