//! Who counts as what: connected, of the lattice, in the mesh, in sync. Five numbers, never mixed up.

use lattice::ids::{AuthorId, StateRoot};

use super::{Peer, PeerBook, PeerName};

/// Milliseconds for which an equal root or an explained reconcile counts as "in sync".
pub const IN_SYNC_MS: u64 = 30_000;

/// Five numbers, never mixed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Targets in the configuration.
    pub configured: u64,
    /// Distinct peers with an established connection.
    pub connected: u64,
    /// Those whose handshake proved the same lattice.
    pub lattice: u64,
    /// Lattice peers in the gossip mesh.
    pub mesh: u64,
    /// Lattice peers in sync.
    pub in_sync: u64,
}

impl PeerBook {
    /// The five counts.
    pub fn counts(&self, now_ms: u64, our_root: &StateRoot) -> Counts {
        let mut counts = Counts { configured: self.targets.len() as u64, ..Counts::default() };
        for (name, peer) in &self.peers {
            let is_lattice = self.member_behind(name, peer).is_some();
            let answers_target = self.targets.values().any(|target| target.at.as_ref() == Some(name));
            counts.configured += u64::from(peer.configured && !answers_target);
            counts.connected += u64::from(!peer.links.is_empty());
            counts.lattice += u64::from(is_lattice);
            counts.mesh += u64::from(is_lattice && peer.mesh);
            counts.in_sync += u64::from(self.is_in_sync(now_ms, name, our_root));
        }
        counts
    }

    /// Whether a peer is in sync.
    pub fn is_in_sync(&self, now_ms: u64, name: &PeerName, our_root: &StateRoot) -> bool {
        let Some(peer) = self.peers.get(name) else { return false };
        let lately = |at_ms: u64| now_ms.saturating_sub(at_ms) < IN_SYNC_MS;
        let is_equal = peer.head.is_some_and(|(head, at_ms)| head.root == *our_root && lately(at_ms));
        self.member_behind(name, peer).is_some() && (is_equal || peer.in_sync_at_ms.is_some_and(lately))
    }

    /// The member behind a connected peer, if its handshake proved it.
    pub fn author(&self, name: &PeerName) -> Option<AuthorId> {
        self.peers.get(name).and_then(|peer| self.member_behind(name, peer))
    }

    pub(super) fn member_behind(&self, name: &PeerName, peer: &Peer) -> Option<AuthorId> {
        let author = peer.proved.filter(|_| !peer.links.is_empty())?;
        let member = self.membership.member(&author)?;
        (self.membership.is_active(&author) && *member.peer_id == *name.0).then_some(author)
    }
}
