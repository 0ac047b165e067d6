//! What a scenario says at its end, for programs and for people.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use crate::client::{PeerCounts, Status};

/// The outcome of a run. Counts are of acknowledged operations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Whether everything came out right.
    pub(super) ok: bool,
    /// Nodes at the end.
    pub(super) nodes: usize,
    /// Entries that all agree on, tombstones included.
    pub(super) entries: Option<u64>,
    /// Root that all agree on.
    pub(super) root: Option<String>,
    /// Entries imported.
    pub(super) imported: usize,
    /// Puts at the other nodes.
    pub(super) written: usize,
    /// Deletes at the other nodes.
    pub(super) deleted: usize,
    /// The node that was killed and started again.
    pub(super) killed: Option<String>,
    /// The node that joined late.
    pub(super) late_joiner: Option<String>,
    /// From the first process to the end of the comparison.
    pub(super) seconds_total: f64,
    /// From the last acknowledged write to equal roots and settled peers.
    pub(super) seconds_to_converge: Option<f64>,
    /// Peer counts of each node when they agreed.
    pub(super) peers: Vec<NodePeers>,
    /// What is not as it should be.
    pub(super) differences: Vec<String>,
}

/// Peer counts of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct NodePeers {
    /// The node.
    pub(super) name: String,
    /// Its counts.
    #[serde(flatten)]
    pub(super) counts: PeerCounts,
}

impl From<&Status> for NodePeers {
    fn from(status: &Status) -> Self {
        Self { name: status.name.clone(), counts: status.peers }
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
        let Self { imported, written, deleted, .. } = self;
        writeln!(f, "acknowledged: {imported} imported, {written} written and {deleted} deleted at the same time")?;
        for (what, node) in [("killed and started again", &self.killed), ("joined late", &self.late_joiner)] {
            if let Some(node) = node {
                writeln!(f, "{what}: {node}")?;
            }
        }
        for NodePeers { name, counts } in &self.peers {
            let PeerCounts { configured, connected, lattice, mesh, in_sync } = counts;
            writeln!(
                f,
                "{name}: peers {configured} configured, {connected} connected, {lattice} lattice, {mesh} mesh, {in_sync} in sync"
            )?;
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
