//! What has come of following nodes so far, up to the exit code.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::finding::{Finding, Kind};
use super::look::Look;

/// What has come of following so far.
pub(super) struct Course {
    /// Whether there was an alarm about the nodes.
    pub(super) raised: bool,
    /// Nodes that have not answered yet.
    unheard: BTreeSet<String>,
    /// Nodes that are to be read in depth.
    pub(super) unread: BTreeSet<String>,
    /// Those of which that was said.
    pub(super) said_unread: BTreeSet<String>,
    /// What was found in depth.
    pub(super) found: Vec<Finding>,
    /// When a node was last read in part.
    pub(super) read_at: Option<Instant>,
    /// Whether what was seen last is written down.
    is_saved: bool,
}

impl Course {
    /// Of these nodes.
    pub(super) fn of(urls: &[String], is_deep: bool) -> Self {
        let all = BTreeSet::from_iter(urls.iter().cloned());
        Self {
            raised: false,
            unread: if is_deep { all.clone() } else { BTreeSet::new() },
            unheard: all,
            said_unread: BTreeSet::new(),
            found: Vec::new(),
            read_at: None,
            is_saved: true,
        }
    }

    /// Takes note of a look.
    pub(super) fn saw(&mut self, look: &Look) {
        for node in look.nodes.iter().filter(|node| node.answered) {
            self.unheard.remove(&node.url);
        }
        self.is_saved = look.weighed.alarms.iter().all(speaks_against_nodes);
    }

    /// As a single look has it, over all looks.
    pub(super) fn exit_code(&self) -> u8 {
        let could_tell = self.unheard.is_empty() && self.unread.is_empty() && self.is_saved;
        if self.raised {
            1
        } else if could_tell {
            0
        } else {
            3
        }
    }
}

/// Whether a finding says something of the nodes, and not of this auditor.
pub(super) fn speaks_against_nodes(finding: &Finding) -> bool {
    finding.kind != Kind::Unsaved
}
