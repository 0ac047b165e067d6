//! When nodes that speak through a relay try again to reach each other directly.
//!
//! libp2p tries once for each relayed connection, in three dials. That fails for a moment's reasons too: a busy machine, a
//! lost packet, an own address that was not known yet. So whoever dialled the relayed connection makes another one now and
//! then, over which both sides try again, and closes the older one.

use std::collections::{BTreeSet, HashMap};
use std::mem::discriminant;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

/// Pause before the second attempt: the first is over by then, with its time-outs.
const AGAIN_MS: u64 = 15_000;

/// The longest pause; each is twice the one before. Routers that let nobody in seldom change, and an attempt costs the
/// streams of the connection that it replaces.
const AGAIN_MAX_MS: u64 = 3_600_000;

/// Relayed connections, and when their sides try again.
#[derive(Debug, Default)]
pub(super) struct Punching {
    relayed: HashMap<PeerId, Vec<Relayed>>,
    again: HashMap<PeerId, Again>,
}

#[derive(Debug)]
struct Relayed {
    connection: ConnectionId,
    /// The address, if this side dialled.
    dialled: Option<Multiaddr>,
}

#[derive(Debug)]
struct Again {
    at_ms: u64,
    pause_ms: u64,
}

impl Punching {
    /// A connection through a relay came; `dialled` is its address if this side dialled it. Gives those that it replaces.
    pub(super) fn connected(
        &mut self,
        now_ms: u64,
        peer: PeerId,
        connection: ConnectionId,
        dialled: Option<Multiaddr>,
    ) -> Vec<ConnectionId> {
        let relayed = self.relayed.entry(peer).or_default();
        let replaces = |older: &&Relayed| older.dialled.is_some() && dialled.is_some();
        let replaced = relayed.iter().filter(replaces).map(|older| older.connection).collect();
        if dialled.is_some() {
            self.again.entry(peer).or_insert(Again { at_ms: now_ms + AGAIN_MS, pause_ms: AGAIN_MS });
        }
        relayed.push(Relayed { connection, dialled });
        replaced
    }

    /// A connection closed, of whatever kind.
    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(relayed) = self.relayed.get_mut(peer) {
            relayed.retain(|other| other.connection != connection);
            if relayed.is_empty() {
                self.relayed.remove(peer);
                self.again.remove(peer);
            }
        }
    }

    /// A direct connection came of an attempt. Gives the relayed ones that nobody needs any more.
    pub(super) fn reached(&mut self, peer: &PeerId) -> Vec<ConnectionId> {
        self.again.remove(peer);
        let relayed = self.relayed.remove(peer).unwrap_or_default();
        relayed.into_iter().map(|relayed| relayed.connection).collect()
    }

    /// Whom to dial now through which relay, beside the connection that there is.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<(PeerId, Multiaddr)> {
        let mut due = Vec::new();
        for (peer, again) in self.again.iter_mut().filter(|(_, again)| again.at_ms <= now_ms) {
            let relayed = self.relayed.get(peer).into_iter().flatten();
            let Some(address) = relayed.filter_map(|relayed| relayed.dialled.clone()).last() else { continue };
            again.pause_ms = (2 * again.pause_ms).min(AGAIN_MAX_MS);
            again.at_ms = now_ms + again.pause_ms;
            due.push((*peer, address));
        }
        due
    }
}

/// Where this node may be seen over the other transport, if it was seen at this address: a router that kept the port of
/// one keeps that of the other. Of two nodes that know one transport each, and not the same, neither would ever reach the
/// other. Empty if the port is another than any that this node listens on.
pub(super) fn beside<'a>(observed: &Multiaddr, listening: impl Iterator<Item = &'a Multiaddr>) -> Vec<Multiaddr> {
    let Some((ip, seen)) = endpoint(observed) else { return Vec::new() };
    let own: BTreeSet<_> = listening.filter_map(endpoint).map(|(_, at)| at).collect();
    if !own.contains(&seen) {
        return Vec::new();
    }
    let other = own.into_iter().filter(|at| discriminant(at) != discriminant(&seen));
    other.map(|at| at.on(&ip)).collect()
}

/// A transport and its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Tcp(u16),
    Quic(u16),
}

impl At {
    fn on(self, ip: &Protocol<'_>) -> Multiaddr {
        let ip = Multiaddr::empty().with(ip.clone());
        match self {
            Self::Tcp(port) => ip.with(Protocol::Tcp(port)),
            Self::Quic(port) => ip.with(Protocol::Udp(port)).with(Protocol::QuicV1),
        }
    }
}

/// The address's IP, and what is behind it; `None` for names, relayed and other addresses.
fn endpoint(address: &Multiaddr) -> Option<(Protocol<'_>, At)> {
    let mut parts = address.iter();
    let ip = parts.next().filter(|part| matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_)))?;
    let at = match (parts.next()?, parts.next()) {
        (Protocol::Tcp(port), None | Some(Protocol::P2p(_))) => At::Tcp(port),
        (Protocol::Udp(port), Some(Protocol::QuicV1)) => At::Quic(port),
        _ => return None,
    };
    let is_relayed = parts.any(|part| part == Protocol::P2pCircuit);
    (!is_relayed).then_some((ip, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn who_dialled_tries_again_ever_more_seldom_until_a_direct_connection_comes() {
        let (peer, address): (_, Multiaddr) = (PeerId::random(), "/ip4/10.0.0.1/tcp/1".parse().expect("an address"));
        let mut punching = Punching::default();
        assert!(punching.connected(0, peer, connection(1), Some(address.clone())).is_empty());
        assert!(punching.due(AGAIN_MS - 1).is_empty());
        assert_eq!(punching.due(AGAIN_MS), [(peer, address.clone())]);
        assert_eq!(punching.connected(AGAIN_MS, peer, connection(2), Some(address.clone())), [connection(1)]);
        punching.closed(&peer, connection(1));
        assert!(punching.due(3 * AGAIN_MS - 1).is_empty());
        assert_eq!(punching.due(3 * AGAIN_MS), [(peer, address.clone())]);
        let mut now = 3 * AGAIN_MS;
        for _ in 0..20 {
            now += AGAIN_MAX_MS;
            assert_eq!(punching.due(now).len(), 1);
        }
        assert!(punching.due(now + AGAIN_MAX_MS - 1).is_empty());
        assert_eq!(punching.reached(&peer), [connection(2)]);
        assert!(punching.due(u64::MAX).is_empty());
    }

    #[test]
    fn who_was_dialled_waits_and_one_that_is_gone_is_forgotten() {
        let (peer, address): (_, Multiaddr) = (PeerId::random(), "/ip4/10.0.0.1/tcp/1".parse().expect("an address"));
        let mut punching = Punching::default();
        punching.connected(0, peer, connection(1), None);
        assert!(punching.due(u64::MAX).is_empty());
        assert!(punching.connected(0, peer, connection(2), Some(address)).is_empty(), "the other side closes its own");
        punching.closed(&peer, connection(2));
        punching.closed(&peer, connection(1));
        assert!(punching.due(u64::MAX).is_empty() && punching.reached(&peer).is_empty());
    }

    #[test]
    fn a_router_that_kept_one_port_is_taken_to_keep_the_other() {
        let parse = |text: &str| text.parse::<Multiaddr>().expect("an address");
        let listening =
            ["/ip4/10.0.0.2/tcp/4801", "/ip4/10.0.0.2/udp/4802/quic-v1", "/ip4/127.0.0.1/tcp/4801"].map(parse);
        let relay = PeerId::random();
        for (observed, expected) in [
            ("/ip4/1.2.3.4/tcp/4801".to_owned(), Some("/ip4/1.2.3.4/udp/4802/quic-v1")),
            (format!("/ip4/1.2.3.4/udp/4802/quic-v1/p2p/{relay}"), Some("/ip4/1.2.3.4/tcp/4801")),
            ("/ip4/1.2.3.4/tcp/4802".to_owned(), None),
            ("/dns/a.example/tcp/4801".to_owned(), None),
            (format!("/ip4/1.2.3.4/tcp/4801/p2p/{relay}/p2p-circuit"), None),
        ] {
            let expected: Vec<_> = expected.into_iter().map(parse).collect();
            assert_eq!(beside(&parse(&observed), listening.iter()), expected, "{observed}");
        }
    }
}
