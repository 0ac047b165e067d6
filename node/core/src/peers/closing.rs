//! Whom to disconnect, and why. libp2p's own idle time-out can't tell a silent peer from a stranger.

use super::{Action, Peer, PeerBook, PeerName};

/// Milliseconds without a sign of life after which a peer is closed and leaves every count. libp2p's ping only
/// reports: a stopped process would stay "connected" for as long as TCP cares.
pub const SILENT_MS: u64 = 15_000;

/// Milliseconds that a connected stranger has to prove the lattice before it is closed.
pub const STRANGER_MS: u64 = 60_000;

/// Milliseconds for which a lattice peer may be connected without its gossip subscription. Gossip sends that on the
/// first connection only: if we closed a silent peer that still held the old connection when we dialled again, it
/// never comes, and nothing but a clean reconnect brings it.
pub const UNSUBSCRIBED_MS: u64 = 5_000;

impl PeerBook {
    /// Says once for each set of links that it is to be closed; closing takes the swarm a moment.
    pub(super) fn close(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let linked = self.peers.iter().filter(|(_, peer)| !peer.links.is_empty() && !peer.closing);
        let reasons = linked.filter_map(|(name, peer)| Some((name.clone(), self.why_close(now_ms, name, peer)?)));
        let closing: Vec<_> = reasons.collect();
        for (name, reason) in closing {
            if let Some(peer) = self.peers.get_mut(&name) {
                peer.closing = true;
            }
            actions.push(Action::Close(name, reason));
        }
    }

    fn why_close(&self, now_ms: u64, name: &PeerName, peer: &Peer) -> Option<&'static str> {
        if self.is_banned(now_ms, name) {
            return Some("banned for a while: it sent too much that no honest peer sends");
        }
        if now_ms.saturating_sub(peer.heard_at_ms) >= SILENT_MS {
            return Some("silent for 15 s");
        }
        let is_missing = peer.unsubscribed_since_ms.is_some_and(|since| now_ms >= since + UNSUBSCRIBED_MS);
        if is_missing && !self.is_mirror(name, peer) {
            return Some("its gossip subscription is missing; connecting again");
        }
        let is_stranger = self.member_behind(name, peer).is_none();
        (is_stranger && now_ms.saturating_sub(peer.connected_at_ms) >= STRANGER_MS)
            .then_some("did not prove this lattice within 60 s")
    }
    /// Whether a peer is a mirror of the seat: those keep out of gossip on purpose.
    fn is_mirror(&self, name: &PeerName, peer: &Peer) -> bool {
        let current = self.membership.seats().current().map(|term| &term.certificate.body);
        let author = self.member_behind(name, peer);
        current.is_some_and(|body| body.mirrors().any(|mirror| Some(*mirror) == author))
    }
}
