//! What a heartbeat shows of itself, for status and figures.

use lattice::ids::{AuthorId, StateRoot};
use tokio::time::Instant;

use crate::mode::Mode;
use crate::tracker::{Breaker, Kind};

/// The last state of a heartbeat. Times are milliseconds since `started`.
#[derive(Debug, Clone)]
pub struct Board {
    /// When the heartbeat began.
    pub started: Instant,
    /// The mode.
    pub mode: Mode,
    /// Since when.
    pub since_ms: u64,
    /// Why.
    pub reason: String,
    /// The peers, by URL.
    pub peers: Vec<PeerBoard>,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerBoard {
    /// Where it answers.
    pub url: String,
    /// Who answered there last.
    pub author: Option<AuthorId>,
    /// Whether a member published the URL; else it is configured.
    pub is_published: bool,
    /// Mismatches in a row.
    pub count: u32,
    /// What the last one meant.
    pub kind: Option<Kind>,
    /// Its root when it last answered.
    pub root: Option<StateRoot>,
    /// When it last answered.
    pub answered_ms: Option<u64>,
    /// Whether sessions with it are started.
    pub breaker: Breaker,
    /// Why the last beat brought nothing.
    pub error: Option<String>,
}

impl Default for Board {
    fn default() -> Self {
        let reason = "the node started".to_owned();
        Self { started: Instant::now(), mode: Mode::P2p, since_ms: 0, reason, peers: Vec::new() }
    }
}

impl Board {
    /// How long ago a moment of this board was.
    pub fn age_ms(&self, at_ms: u64) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_sub(at_ms)
    }
}
