//! Two sessions of the same two nodes, one started by each: only one goes on, or everything would move twice.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use libp2p::PeerId;
use node_core::schedule::goes_on;
use reconcile::message::Request;
use tokio::sync::mpsc;

use crate::net::swarm::name;

/// Notes of askers that wait for the schedule. Beyond it they are lost, and the next request tells the same.
pub const ASKERS_MAX: usize = 64;

/// Who asks us, and whom we ask.
pub struct Crossing {
    asking: Mutex<BTreeSet<PeerId>>,
    askers: mpsc::Sender<PeerId>,
}

impl Crossing {
    /// Tells `askers` who asks.
    pub fn new(askers: mpsc::Sender<PeerId>) -> Self {
        Self { asking: Mutex::default(), askers }
    }

    /// A session of ours with this peer begins.
    pub(super) fn begin(&self, peer: PeerId) {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
    }

    /// It is over.
    pub(super) fn end(&self, peer: &PeerId) {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    /// Whether the peer's request opens a session that has to wait for ours with it. Else the peer's session runs now.
    pub(super) fn must_wait(&self, own: (u64, PeerId), peer: PeerId, request: &Request) -> bool {
        let is_asked = self.asking.lock().unwrap_or_else(PoisonError::into_inner).contains(&peer);
        let (entries, own) = own;
        let waits = match request {
            Request::Open { summary, .. } => {
                is_asked && goes_on((entries, &name(&own)), (summary.entries, &name(&peer)))
            }
            Request::Symbols { .. }
            | Request::Compare { .. }
            | Request::List { .. }
            | Request::Fetch { .. }
            | Request::FetchShort { .. }
            | Request::Push { .. }
            | Request::Frontier { .. } => false,
        };
        if !waits {
            // A note that finds no room is followed by the next.
            let _ = self.askers.try_send(peer);
        }
        waits
    }
}
