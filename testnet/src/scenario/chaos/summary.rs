//! What the scenario says at its end, for programs and for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::plan::{Kind, Planned};

/// The outcome of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Summary {
    /// Whether everything came out right.
    pub(super) ok: bool,
    /// The seed that this plan is drawn from.
    pub(super) seed: u64,
    /// Length of the plan.
    pub(super) seconds_planned: u64,
    /// Nodes.
    pub(super) nodes: usize,
    /// What was done to the nodes, counted.
    pub(super) injected: BTreeMap<Kind, usize>,
    /// Kinds of faults that cannot be had here, and why.
    pub(super) missing: BTreeMap<Kind, String>,
    /// Faults of the plan, each with what became of it.
    pub(super) faults: Vec<Injected>,
    /// Writes acknowledged.
    pub(super) acknowledged: Acknowledged,
    /// Acknowledged writes that are gone.
    pub(super) lost: usize,
    /// Writes of one name that were acknowledged as two commits, or written twice.
    pub(super) double: usize,
    /// Whether all nodes ended with one root.
    pub(super) roots_equal: bool,
    /// That root.
    pub(super) root: Option<String>,
    /// The last term.
    pub(super) term: u64,
    /// Longest time between two looks at which all nodes under no fault had one root. Clients write most of that time:
    /// it is never below some seconds.
    pub(super) longest_disagreement_ms: u64,
    /// Longest time in which writes of the seat waited and none was acknowledged.
    pub(super) longest_seat_outage_ms: u64,
    /// From the end of the last fault to a steady seat, equal roots and ready nodes.
    pub(super) seconds_to_heal: Option<f64>,
    /// From the first process to the end of the comparison.
    pub(super) seconds_total: f64,
    /// What is not as it should be.
    pub(super) differences: Vec<String>,
}

/// Acknowledged writes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Acknowledged {
    /// Of the seat, at level `shadow`.
    pub(super) shadow: usize,
    /// Ordinary ones.
    pub(super) ordinary: usize,
}

/// A fault of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Injected {
    /// As planned.
    pub(super) plan: String,
    /// Who was hit; nobody, if it could not be had here.
    pub(super) node: Option<String>,
    /// When it began, in seconds from the start of the plan.
    pub(super) began_s: Option<f64>,
    /// When it was over.
    pub(super) ended_s: Option<f64>,
}

impl From<&Planned> for Injected {
    fn from(planned: &Planned) -> Self {
        Self { plan: planned.to_string(), node: None, began_s: None, ended_s: None }
    }
}

impl Summary {
    /// Completes the summary.
    pub(super) fn conclude(&mut self, seconds_total: f64) {
        self.seconds_total = seconds_total;
        self.ok = self.differences.is_empty() && self.roots_equal && self.lost + self.double == 0;
    }

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
}

/// Milliseconds for a figure.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds as people read them.
fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "killed",
            Self::Pause => "paused",
            Self::Cut => "cut off",
            Self::Skew => "clock wrong",
            Self::FullDisk => "disk full",
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let injected: Vec<String> = self.injected.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "seed {}, {} s, {} nodes: {}", self.seed, self.seconds_planned, self.nodes, injected.join(", "))?;
        for (kind, reason) in &self.missing {
            writeln!(f, "left out: {kind}: {reason}")?;
        }
        let Acknowledged { shadow, ordinary } = self.acknowledged;
        writeln!(f, "acknowledged: {shadow} of the seat at level shadow, {ordinary} ordinary")?;
        writeln!(f, "lost {}, double {}", self.lost, self.double)?;
        let (apart, outage) = (seconds(self.longest_disagreement_ms), seconds(self.longest_seat_outage_ms));
        writeln!(f, "longest disagreement of nodes under no fault {apart:.1} s, longest seat outage {outage:.1} s")?;
        if let (Some(root), Some(healed)) = (&self.root, self.seconds_to_heal) {
            writeln!(f, "roots equal {healed:.1} s after the last fault, in term {}: {root}", self.term)?;
        }
        for difference in &self.differences {
            writeln!(f, "DIFFERENT {difference}")?;
        }
        let verdict = if self.ok { "ok" } else { "NOT ok" };
        write!(f, "{verdict}, {:.1} s in all", self.seconds_total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_roots_without_a_loss_are_well() {
        let well = Summary { roots_equal: true, ..Summary::default() };
        let bad = [
            Summary::default(),
            Summary { lost: 1, ..well.clone() },
            Summary { double: 1, ..well.clone() },
            Summary { differences: vec!["x".into()], ..well.clone() },
        ];
        let is_ok = |mut summary: Summary| {
            summary.conclude(1.0);
            summary.ok
        };
        assert!(is_ok(well));
        assert!(!bad.into_iter().any(is_ok));
    }
}
