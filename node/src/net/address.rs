//! Multiaddresses with and without a peer id at their end.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// Splits `/…/p2p/ID` into the address and the peer id, if it names one.
pub fn split(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => (rest, Some(peer)),
        _ => (address.clone(), None),
    }
}

/// The address with the peer id at its end.
pub fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    split(address).0.with(Protocol::P2p(peer))
}

/// Whether the address names this machine only.
pub fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_id_comes_off_and_on() {
        let peer = PeerId::random();
        let bare: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let whole = with_peer(&bare, peer);
        assert_eq!(split(&whole), (bare.clone(), Some(peer)));
        assert_eq!(split(&bare), (bare.clone(), None));
        assert_eq!(with_peer(&whole, peer), whole);
        assert!(is_loopback(&whole));
    }
}
