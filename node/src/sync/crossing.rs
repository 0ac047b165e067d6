//! Two sessions of the same two nodes, one started by each: only one goes on, or everything would move twice.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use libp2p::PeerId;
use node_core::schedule::{fetches_rather, goes_on};
use reconcile::message::Request;
use tokio::sync::mpsc;

use crate::net::swarm::name;

/// Notes that wait for the schedule. Beyond it they are lost, and the next request tells the same.
pub const NOTES_MAX: usize = 64;

/// What the schedule must know of a peer's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The peer's session runs.
    Asked(PeerId),
    /// The peer has much that we lack, and was told to let us fetch it.
    Offered(PeerId),
}

/// Who asks us, and whom we ask.
pub struct Crossing {
    peers: Mutex<Peers>,
    notes: mpsc::Sender<Note>,
}

#[derive(Default)]
struct Peers {
    /// With whom a session of ours runs.
    asked: BTreeSet<PeerId>,
    /// Who was told to let us fetch. It is told once: if nothing comes of it, its next session runs.
    offering: BTreeSet<PeerId>,
}

impl Crossing {
    /// Tells `notes` who asks.
    pub fn new(notes: mpsc::Sender<Note>) -> Self {
        Self { peers: Mutex::default(), notes }
    }

    /// A session of ours with this peer begins.
    pub(super) fn begin(&self, peer: PeerId) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).asked.insert(peer);
    }

    /// It is over.
    pub(super) fn end(&self, peer: &PeerId) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.asked.remove(peer);
        peers.offering.remove(peer);
    }

    /// Whether the peer's request opens a session that has to wait for ours with it. Else the peer's session runs now.
    pub(super) fn must_wait(&self, own: (u64, PeerId), peer: PeerId, request: &Request) -> bool {
        let (entries, own) = own;
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let (waits, note) = match request {
            Request::Open { summary, .. } if peers.asked.contains(&peer) => {
                let waits = goes_on((entries, &name(&own)), (summary.entries, &name(&peer)));
                (waits, (!waits).then_some(Note::Asked(peer)))
            }
            Request::Open { summary, .. }
                if fetches_rather(entries, summary.entries) && peers.offering.insert(peer) =>
            {
                (true, Some(Note::Offered(peer)))
            }
            Request::Open { .. }
            | Request::Symbols { .. }
            | Request::Compare { .. }
            | Request::List { .. }
            | Request::Fetch { .. }
            | Request::FetchShort { .. }
            | Request::Push { .. }
            | Request::Frontier { .. } => (false, Some(Note::Asked(peer))),
        };
        if let Some(note) = note {
            // One that finds no room is followed by the next.
            let _ = self.notes.try_send(note);
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lattice::ids::StateRoot;
    use reconcile::view::Summary;

    fn open(entries: u64) -> Request {
        let summary = Summary { root: StateRoot::ZERO, entries, members: StateRoot::ZERO, frontier: [0; 32] };
        Request::Open { summary, symbols: 0, estimate: true }
    }

    #[test]
    fn a_peer_with_much_more_is_told_once_to_let_us_fetch() {
        let (notes, mut noted) = mpsc::channel(NOTES_MAX);
        let (crossing, own, peer) = (Crossing::new(notes), PeerId::random(), PeerId::random());
        assert!(crossing.must_wait((0, own), peer, &open(1_000_000)));
        assert_eq!(noted.try_recv(), Ok(Note::Offered(peer)));
        assert!(!crossing.must_wait((0, own), peer, &open(1_000_000)), "nothing came of it");
        assert_eq!(noted.try_recv(), Ok(Note::Asked(peer)));
        crossing.begin(peer);
        assert!(crossing.must_wait((0, own), peer, &open(1_000_000)), "ours runs");
        assert!(!crossing.must_wait((2_000_000, own), peer, &open(1_000_000)), "it has less");
        crossing.end(&peer);
        assert!(crossing.must_wait((0, own), peer, &open(1_000_000)), "told anew after a session of ours");
        assert!(!crossing.must_wait((1_000_000, own), PeerId::random(), &open(1_000_001)), "hardly more");
    }
}
