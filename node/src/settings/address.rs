//! What counts as an address: for the API, for listening to other nodes, for dialling them.
//!
//! Everything is checked where it was typed. A node that starts with an address it can never use would only
//! fail later and further away.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::Deserialize;

use super::{HTTP_PORT_DEFAULT, P2P_PORT_DEFAULT};

/// An address of the API, `IP:PORT`; `localhost` stands for 127.0.0.1, port 0 for any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpListen(SocketAddr);

/// One or two addresses to listen on for other nodes: a multiaddr, or `IP:PORT` for TCP and QUIC on that
/// port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct P2pListen(Vec<Multiaddr>);

/// An address of a node as others reach it: a multiaddr, with its `/p2p/` id at the end or without.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DialAddress(Multiaddr);

/// A relay to be found at: a multiaddr with its `/p2p/` id at the end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RelayAddress(Multiaddr);

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not `IP:PORT`.
    #[error("{0:?} is not an address: write IP:PORT, such as 127.0.0.1:4800 or [::1]:4800")]
    NotSocket(String),
    /// Neither `IP:PORT` nor a multiaddr.
    #[error("{0:?} is not an address: write IP:PORT, or a multiaddr such as /ip4/0.0.0.0/tcp/4801")]
    NotListen(String),
    /// Not a multiaddr.
    #[error(
        "{0:?} is not a multiaddr: write one such as /ip4/192.0.2.7/tcp/4801 or \
         /dns/node.example/udp/4801/quic-v1"
    )]
    NotMultiaddr(String),
    /// A multiaddr of a transport that a node does not speak.
    #[error("{0:?} names no transport of a lattice: they are /tcp/PORT and /udp/PORT/quic-v1 after an IP or a name")]
    OtherTransport(String),
    /// Names can be dialled, not listened on.
    #[error("{0:?} can't be listened on: give the IP of an interface, or 0.0.0.0 or :: for all of them")]
    NameToListenOn(String),
    /// A peer id where a node says where it listens itself.
    #[error("{0:?} can't be listened on: leave out the /p2p/ part, which is this node's own id anyway")]
    PeerIdToListenOn(String),
    /// A relay that could be anybody.
    #[error(
        "{0:?} does not say who the relay is: put /p2p/ and its peer id at the end, as its `lattice status` shows it"
    )]
    NamelessRelay(String),
    /// A relay behind a relay.
    #[error("{0:?} is no address of a relay itself: leave out /p2p-circuit and what follows")]
    RelayedRelay(String),
}

impl FromStr for HttpListen {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        socket(text).map(Self).ok_or_else(|| BadAddress::NotSocket(text.to_owned()))
    }
}

impl FromStr for P2pListen {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Some(socket) = socket(text) {
            return Ok(Self::both_transports(socket));
        }
        let address: Multiaddr = text.parse().map_err(|_| BadAddress::NotListen(text.to_owned()))?;
        match Shape::of(&address) {
            Some(Shape { by_name: false, peer_id: false, .. }) => Ok(Self(vec![address])),
            Some(Shape { peer_id: true, .. }) => Err(BadAddress::PeerIdToListenOn(text.to_owned())),
            Some(Shape { by_name: true, .. }) => Err(BadAddress::NameToListenOn(text.to_owned())),
            None => Err(BadAddress::OtherTransport(text.to_owned())),
        }
    }
}

impl FromStr for DialAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let address: Multiaddr = text.parse().map_err(|_| BadAddress::NotMultiaddr(text.to_owned()))?;
        match Shape::of(&address) {
            Some(_) => Ok(Self(address)),
            None => Err(BadAddress::OtherTransport(text.to_owned())),
        }
    }
}

impl FromStr for RelayAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let address: Multiaddr = text.parse().map_err(|_| BadAddress::NotMultiaddr(text.to_owned()))?;
        match Shape::of(&address) {
            Some(Shape { peer_id: true, is_relayed: false, .. }) => Ok(Self(address)),
            Some(Shape { is_relayed: true, .. }) => Err(BadAddress::RelayedRelay(text.to_owned())),
            Some(Shape { peer_id: false, .. }) => Err(BadAddress::NamelessRelay(text.to_owned())),
            None => Err(BadAddress::OtherTransport(text.to_owned())),
        }
    }
}

impl HttpListen {
    /// The address of the API that only this machine reaches.
    pub fn default_on_loopback() -> Self {
        Self((Ipv4Addr::LOCALHOST, HTTP_PORT_DEFAULT).into())
    }
}

impl P2pListen {
    /// TCP and QUIC on every IPv4 interface.
    pub fn default_for_all_interfaces() -> Self {
        Self::both_transports((Ipv4Addr::UNSPECIFIED, P2P_PORT_DEFAULT).into())
    }

    /// The addresses, TCP first.
    pub fn into_addresses(self) -> Vec<Multiaddr> {
        self.0
    }

    fn both_transports(socket: SocketAddr) -> Self {
        let ip = Multiaddr::from(socket.ip());
        let tcp = ip.clone().with(Protocol::Tcp(socket.port()));
        let quic = ip.with(Protocol::Udp(socket.port())).with(Protocol::QuicV1);
        Self(vec![tcp, quic])
    }
}

fn socket(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
        None => text.parse().ok(),
    }
}

/// What matters about a multiaddr of a transport that a node speaks.
struct Shape {
    by_name: bool,
    peer_id: bool,
    /// Whether it leads through a relay to another peer.
    is_relayed: bool,
}

impl Shape {
    /// `None` for any other transport.
    fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter().peekable();
        let host = parts.next()?;
        let by_name = matches!(host, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_));
        if !by_name && !matches!(host, Protocol::Ip4(_) | Protocol::Ip6(_)) {
            return None;
        }
        let transport = parts.next()?;
        let quic = matches!(transport, Protocol::Udp(_)) && parts.next()? == Protocol::QuicV1;
        if !quic && !matches!(transport, Protocol::Tcp(_)) {
            return None;
        }
        let peer_id = matches!(parts.peek(), Some(Protocol::P2p(_)));
        if peer_id {
            parts.next();
        }
        let is_relayed = peer_id && matches!(parts.peek(), Some(Protocol::P2pCircuit));
        if is_relayed && !(parts.next().is_some() && matches!(parts.next(), Some(Protocol::P2p(_)))) {
            return None;
        }
        parts.next().is_none().then_some(Self { by_name, peer_id, is_relayed })
    }
}

// What serde's `try_from = "String"` asks for; the rules stand above.
impl TryFrom<String> for HttpListen {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl TryFrom<String> for P2pListen {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl TryFrom<String> for DialAddress {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl TryFrom<String> for RelayAddress {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<RelayAddress> for Multiaddr {
    fn from(address: RelayAddress) -> Self {
        address.0
    }
}

impl From<HttpListen> for SocketAddr {
    fn from(address: HttpListen) -> Self {
        address.0
    }
}

impl From<DialAddress> for Multiaddr {
    fn from(address: DialAddress) -> Self {
        address.0
    }
}
