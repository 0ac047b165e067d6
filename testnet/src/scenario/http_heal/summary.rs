//! What the scenario says at its end, for programs and for people.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use super::watch::{Line, Watch, Watched};

/// The outcome of a run. Counts are of acknowledged operations; seconds are since the start unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Whether everything came out right.
    pub(super) ok: bool,
    /// Nodes.
    pub(super) nodes: usize,
    /// Entries that all agree on, tombstones included.
    pub(super) entries: Option<u64>,
    /// Root that all agree on.
    pub(super) root: Option<String>,
    /// Puts while all of it happened.
    pub(super) written: usize,
    /// Deletes meanwhile.
    pub(super) deleted: usize,
    /// What happened to each node that was cut off.
    pub(super) cut_off: Vec<CutOff>,
    /// From the last acknowledged write to equal roots and settled peers.
    pub(super) seconds_to_converge: Option<f64>,
    /// From the first process to the end of the comparison.
    pub(super) seconds_total: f64,
    /// What was told, in the order in which it became known.
    pub(super) timeline: Vec<Line>,
    /// What is not as it should be.
    pub(super) differences: Vec<String>,
}

/// One node that was cut off.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct CutOff {
    /// Its name.
    pub(super) node: String,
    /// The node on the other side with which the count came to 3 first.
    pub(super) with: Option<String>,
    /// Mismatches in a row when the session began.
    pub(super) mismatches: usize,
    /// From the third mismatch to equal roots with a node on the other side.
    pub(super) seconds_to_equal: Option<f64>,
    /// When it had no lattice peer any more.
    pub(super) alone_at: Option<f64>,
    /// When HTTP mode began.
    pub(super) http_mode_from: Option<f64>,
    /// When it ended.
    pub(super) http_mode_to: Option<f64>,
    /// Sessions that ended with equal roots before HTTP mode began.
    pub(super) sessions_before: usize,
    /// Sessions that did so in HTTP mode.
    pub(super) sessions_in_http_mode: usize,
    /// In HTTP mode: from a write here to its sight on the other side.
    pub(super) push_seconds: Vec<f64>,
    /// In HTTP mode: from a write on the other side to its sight here.
    pub(super) pull_seconds: Vec<f64>,
}

impl CutOff {
    /// What a node's events tell; how writes crossed is added.
    pub(super) fn new(watched: &Watched, watch: &Watch) -> Self {
        let story = &watched.story;
        let healing = story.healing.as_ref();
        let seconds = |time_ms: Option<u64>| time_ms.map(|time_ms| watch.seconds(time_ms));
        Self {
            node: watched.name.clone(),
            with: healing.map(|healing| watch.name(&healing.peer).to_owned()),
            mismatches: healing.map_or(0, |healing| healing.mismatches_ms.len()),
            // Thousandths: this is what the scenario is about, and it is less than a second.
            seconds_to_equal: healing.and_then(|healing| Some(healing.took_ms()? as f64 / 1000.0)),
            alone_at: seconds(story.alone_ms),
            http_mode_from: seconds(story.http_mode_ms.0),
            http_mode_to: seconds(story.http_mode_ms.1),
            sessions_before: story.equal_sessions.0,
            sessions_in_http_mode: story.equal_sessions.1,
            ..Self::default()
        }
    }
}

impl Summary {
    /// Prints the summary on standard output, as one line of JSON or for people.
    ///
    /// # Errors
    /// If it cannot be encoded, which would be a mistake here.
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            println!("{self}");
        }
        Ok(())
    }

    /// 0 if everything came out right, 1 if not.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.ok))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(root), Some(entries)) = (&self.root, self.entries) {
            writeln!(f, "{} nodes agree on {entries} entries, root {root}", self.nodes)?;
        }
        if self.written > 0 {
            let none_missing = if self.ok { ", none missing" } else { "" };
            let Self { written, deleted, .. } = self;
            writeln!(f, "acknowledged, at all nodes together: {written} written, {deleted} deleted{none_missing}")?;
        }
        for cut_off in &self.cut_off {
            write!(f, "{cut_off}")?;
        }
        for difference in &self.differences {
            writeln!(f, "DIFFERENT {difference}")?;
        }
        if let Some(seconds) = self.seconds_to_converge {
            writeln!(f, "converged {seconds:.1} s after the last write")?;
        }
        let verdict = if self.ok { "ok" } else { "NOT ok" };
        write!(f, "{verdict}, {:.1} s in all", self.seconds_total)
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, mismatches, with, .. } = self;
        if let (Some(with), Some(seconds)) = (with, self.seconds_to_equal) {
            writeln!(f, "{node}: count {mismatches} with {with}, equal roots {seconds:.3} s after the third mismatch")?;
        }
        if let (Some(from), Some(to)) = (self.http_mode_from, self.http_mode_to) {
            let (before, within) = (self.sessions_before, self.sessions_in_http_mode);
            let mode = format!("http mode for {:.1} s", to - from);
            writeln!(f, "{node}: {mode}; {within} sessions to equal roots in it, {before} before it")?;
        }
        if !self.push_seconds.is_empty() {
            let (push, pull) = (listed(&self.push_seconds), listed(&self.pull_seconds));
            writeln!(f, "{node}: its writes were seen across after {push} s, theirs here after {pull} s")?;
        }
        Ok(())
    }
}

fn listed(seconds: &[f64]) -> String {
    seconds.iter().map(|seconds| format!("{seconds:.1}")).collect::<Vec<_>>().join(", ")
}
