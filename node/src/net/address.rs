//! Multiaddresses with and without a peer id at their end.

use std::collections::BTreeSet;
use std::io;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::DialError;
use libp2p::{Multiaddr, PeerId};

/// Characters of the reason why a dial failed: a line (a guess).
const WHY_CHARS_MAX: usize = 160;

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

/// What to do about an address that can't be listened on, given with the option `flag`.
pub fn listen_hint(error: io::ErrorKind, flag: &str) -> String {
    match error {
        io::ErrorKind::AddrInUse => format!("is another node running there? choose another {flag}"),
        io::ErrorKind::AddrNotAvailable => {
            format!("that is no address of this machine; choose another {flag}, such as 0.0.0.0 with a port")
        }
        io::ErrorKind::PermissionDenied => {
            format!("this user may not use that port; choose one above 1023 with {flag}")
        }
        _ => format!("choose another {flag}"),
    }
}

/// Of which kind an error of the operating system is that libp2p wrapped. Its number is left in the text only: the
/// error itself lies in types of libp2p that can't be named.
pub fn kind_of(error: &dyn std::error::Error) -> io::ErrorKind {
    let text = error.to_string();
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
    number.map_or(io::ErrorKind::Other, |number| io::Error::from_raw_os_error(number).kind())
}

/// Why a dial led to no connection, in words for the operator who typed the address.
pub fn why_not_dialled(error: &DialError) -> String {
    match error {
        DialError::LocalPeerId { .. } => "that is this node itself".to_owned(),
        DialError::NoAddresses => "no address of it is known".to_owned(),
        DialError::WrongPeerId { obtained, .. } => format!("another peer answers there: {obtained}"),
        DialError::DialPeerConditionFalse(_) => "it is being dialled already".to_owned(),
        DialError::Aborted => "the dial was given up".to_owned(),
        DialError::Denied { cause: denied } => cause(denied).to_string(),
        DialError::Transport(tried) => {
            // One address, tried over several transports or resolved to several, mostly fails in one way.
            let reasons: BTreeSet<String> = tried.iter().map(|(_, error)| cause(error).to_string()).collect();
            let text = reasons.into_iter().collect::<Vec<_>>().join("; ");
            text.chars().take(WHY_CHARS_MAX).collect()
        }
    }
}

/// The innermost cause of an error: libp2p's outer ones say nothing, or all of it twice.
pub fn cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
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

    #[test]
    fn the_kind_of_a_wrapped_error_is_found() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr().map(|at| (held, at)));
        let (_held, address) = taken.expect("a free port");
        let inner = std::net::TcpListener::bind(address).expect_err("taken");
        assert_eq!(kind_of(&io::Error::other(inner)), io::ErrorKind::AddrInUse);
        assert_eq!(kind_of(&io::Error::other("words")), io::ErrorKind::Other);
    }
}
