//! What simulated nodes send each other. Protocol messages are the daemon's bytes; the rest stands for what libp2p and
//! HTTP do by themselves.

use std::fmt;
use std::sync::Arc;

use http_fallback::tracker::Summary;
use lattice::ids::AuthorId;
use node_core::peers::PeerName;

/// A node of a simulation, by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeIndex(pub(crate) u8);

/// Bytes of a simulated peer id: as many as a real one has.
const PEER_ID_BYTES: usize = 38;

impl NodeIndex {
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn peer_id(self) -> Vec<u8> {
        vec![self.0; PEER_ID_BYTES]
    }

    pub(crate) fn peer_name(self) -> PeerName {
        PeerName::from(self.peer_id().as_slice())
    }

    /// The node behind a peer id.
    pub(crate) fn of(name: &PeerName) -> Self {
        Self(name.0.first().copied().unwrap_or_default())
    }

    pub(crate) fn url(self) -> String {
        format!("http://{self}")
    }

    /// The node behind a URL.
    pub(crate) fn at(url: &str) -> Option<Self> {
        url.strip_prefix("http://n")?.parse().ok().map(Self)
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// Which of the two networks a message takes. They can be cut apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Road {
    P2p,
    Http,
}

impl Road {
    pub(crate) const ALL: [Self; 2] = [Self::P2p, Self::Http];
}

/// A question's number at the node that asked it.
pub(crate) type AskId = u64;

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Ping,
    Pong,
    Hello {
        bytes: Vec<u8>,
        is_answer: bool,
    },
    /// A gossip frame.
    Frame(Arc<[u8]>),
    /// A reconcile request.
    Ask {
        road: Road,
        id: AskId,
        /// Who asks, as its signature over the HTTP request proves. libp2p knows by the connection.
        author: AuthorId,
        bytes: Vec<u8>,
    },
    Answer {
        road: Road,
        id: AskId,
        bytes: Vec<u8>,
    },
    /// A heartbeat.
    AskState {
        id: AskId,
    },
    State {
        id: AskId,
        summary: Summary,
    },
    /// The connection that a message came over does not exist here (any more).
    Reset,
}

impl Body {
    pub(crate) fn road(&self) -> Road {
        match self {
            Self::Ping | Self::Pong | Self::Hello { .. } | Self::Frame(_) | Self::Reset => Road::P2p,
            Self::Ask { road, .. } | Self::Answer { road, .. } => *road,
            Self::AskState { .. } | Self::State { .. } => Road::Http,
        }
    }

    /// A word and a size for the trace.
    pub(crate) fn shown(&self) -> (&'static str, usize) {
        match self {
            Self::Ping => ("ping", 0),
            Self::Pong => ("pong", 0),
            Self::Hello { bytes, .. } => ("hello", bytes.len()),
            Self::Frame(bytes) => ("frame", bytes.len()),
            Self::Ask { bytes, .. } => ("ask", bytes.len()),
            Self::Answer { bytes, .. } => ("answer", bytes.len()),
            Self::AskState { .. } => ("ask-state", 0),
            Self::State { .. } => ("state", 0),
            Self::Reset => ("reset", 0),
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) from: NodeIndex,
    pub(crate) to: NodeIndex,
    pub(crate) body: Body,
}
