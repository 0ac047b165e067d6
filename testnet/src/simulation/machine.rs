//! What a simulated node runs on, and what is left of it when it stops.

use std::sync::Arc;

use super::node::database::Database;
use super::node::{Identity, Node};

/// Milliseconds that a healthy disk takes to make a transaction durable, at least and at most.
const DISK_MS: (u64, u64) = (1, 15);

/// A machine: a disk, a clock, and the node that runs on it now and then.
pub(crate) struct Machine {
    pub(crate) identity: Arc<Identity>,
    /// `None` while it is down.
    pub(crate) node: Option<Node>,
    /// What is durable while it is down.
    pub(crate) disk: Database,
    /// Grows with each start: what was meant for an earlier life is dropped.
    pub(crate) life: u64,
    /// How far the wall clock is off.
    pub(crate) skew_ms: i64,
    /// Milliseconds that a transaction takes, at least and at most.
    pub(crate) disk_ms: (u64, u64),
    pub(crate) is_disk_full: bool,
    /// Transactions that became durable.
    pub(crate) stored: u64,
}

impl Machine {
    /// A machine that was never on.
    pub(crate) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            node: None,
            disk: Database::default(),
            life: 0,
            skew_ms: 0,
            disk_ms: DISK_MS,
            is_disk_full: false,
            stored: 0,
        }
    }

    pub(crate) fn heal_disk(&mut self) {
        (self.disk_ms, self.is_disk_full) = (DISK_MS, false);
    }
}
