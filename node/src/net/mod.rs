//! The libp2p road: connections, gossip, and requests between two nodes.
//!
//! One task runs the swarm and nothing else. It tells the pure [`node_core::peers::PeerBook`] what it saw, carries
//! out what the book wants, and hands bytes to the tasks that decode, verify and store.
//!
//! Reading order: `behaviour` (the protocols and their bounds), [`exchange`] (bytes on a request's stream), `outgoing`
//! (how many at once), [`address`] (what is dialled, and why not), [`swarm`] (the task), `events` (what the swarm says),
//! `relaying` (nodes behind a NAT), `punching` (when they try again to reach each other directly), `instances` (connections to
//! processes that are no more).

#![allow(clippy::wildcard_enum_match_arm, reason = "libp2p's enums grow with each version; most of it is not ours")]

mod behaviour;
pub mod exchange;
mod outgoing;
pub mod address;
pub mod swarm;
mod events;
mod relaying;
mod punching;
mod instances;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use behaviour::SEAT_STREAMS_MAX;
use lattice::head::Head;
use lattice::ids::AuthorId;
use lattice::membership::Membership;
use libp2p::gossipsub::MessageId;
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId};
use node_core::blame::Verdict;
use node_core::peers::PeerBook;
use tokio::sync::{mpsc, oneshot, watch};

/// Commands waiting for the swarm. Beyond it the askers wait.
pub(crate) const COMMANDS_MAX: usize = 1024;

/// Gossip frames waiting for a check. Beyond it they are ignored, and reconcile brings what they held.
pub(crate) const GOSSIP_MAX: usize = 128;

/// Requests of peers waiting for an answer. Beyond it a peer's request fails, and it comes again.
pub(crate) const REQUESTS_MAX: usize = 64;

/// The protocols in which a peer asks and is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// An invitation is redeemed.
    Join,
    /// Two states are compared.
    Reconcile,
    /// A log's checkpoint is shown, or asked for.
    Witness,
    /// The nodes of a seat ask each other.
    Seat,
}

/// What other tasks ask of the swarm.
pub enum Command {
    /// Gossip these bytes.
    Publish(Vec<u8>),
    /// Tell gossip what a message was worth.
    Report {
        /// The message.
        id: MessageId,
        /// Who sent it to us.
        from: PeerId,
        /// What it is worth.
        verdict: Verdict,
    },
    /// Ask a peer.
    Request {
        /// Whom.
        peer: PeerId,
        /// In which protocol.
        protocol: Protocol,
        /// What.
        bytes: Vec<u8>,
        /// Where the answer goes; an error says why there is none.
        reply: oneshot::Sender<Result<Vec<u8>, String>>,
    },
    /// Answer a peer.
    Respond {
        /// In which protocol.
        protocol: Protocol,
        /// Its request's channel.
        channel: ResponseChannel<Vec<u8>>,
        /// What.
        bytes: Vec<u8>,
    },
    /// A hello was checked.
    Proved {
        /// Who said it.
        peer: PeerId,
        /// The author it proves, or why it proves none.
        author: Result<AuthorId, String>,
    },
    /// A verified head came.
    Head {
        /// The head.
        head: Head,
        /// Whether its root is or was lately ours.
        known: bool,
    },
    /// A reconcile ended equal or explained.
    Synced(PeerId),
    /// A peer sent what no honest peer sends.
    Strike(PeerId),
    /// The membership changed.
    Membership(Arc<Membership>),
    /// Dial this peer at once if it is not connected.
    Want(PeerId),
    /// The settings name other addresses: those that are gone, and those that are new.
    Reconfigure {
        /// Peers to dial for ever.
        peers: (Vec<Multiaddr>, Vec<Multiaddr>),
        /// Addresses to announce.
        external: (Vec<Multiaddr>, Vec<Multiaddr>),
        /// All relays to be found at.
        relays: Vec<Multiaddr>,
    },
    /// Keep out of gossip and listen nowhere, as a mirror of the seat does; or the opposite.
    Hide(bool),
}

/// A gossip message that waits for a verdict.
pub struct Gossip {
    /// Its id.
    pub id: MessageId,
    /// Who sent it to us.
    pub from: PeerId,
    /// Whether that peer proved the lattice.
    pub is_lattice: bool,
    /// The frame.
    pub bytes: Vec<u8>,
    /// When it arrived.
    pub arrived: Instant,
}

/// A peer's request that waits for an answer.
pub struct Request {
    /// Who asks.
    pub peer: PeerId,
    /// The member behind it, if its handshake proved one.
    pub author: Option<AuthorId>,
    /// In which protocol.
    pub protocol: Protocol,
    /// What.
    pub bytes: Vec<u8>,
    /// Where the answer goes.
    pub channel: ResponseChannel<Vec<u8>>,
}

/// What the network looks like, as of the last change.
#[derive(Clone)]
pub struct NetView {
    /// Peers and counts.
    pub book: Arc<PeerBook>,
    /// Addresses listened on, without the peer id.
    pub listening: Vec<Multiaddr>,
    /// Peers of which two processes run under one key.
    pub twins: BTreeSet<PeerId>,
}

/// How other tasks talk to the swarm. Cheap to clone.
#[derive(Clone)]
pub struct NetHandle {
    /// Our own peer id.
    pub own: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) view: watch::Receiver<NetView>,
}

/// What the swarm hands to other tasks.
pub struct NetStreams {
    /// Gossip to be checked.
    pub gossip: mpsc::Receiver<Gossip>,
    /// Requests to be answered.
    pub requests: mpsc::Receiver<Request>,
    /// Requests about the seat: a lease must not wait behind a reconcile.
    pub seat_requests: mpsc::Receiver<Request>,
}

impl NetHandle {
    /// Hands a command to the swarm, waiting for room; nothing happens if it has stopped.
    pub async fn command(&self, command: Command) {
        // A stopped swarm has no use for commands, and whoever asked sees its reply dropped.
        let _ = self.commands.send(command).await;
    }

    /// Asks a peer and waits for the answer.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn request(&self, peer: PeerId, protocol: Protocol, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Request { peer, protocol, bytes, reply }).await;
        answer.await.unwrap_or_else(|_| Err("this node is stopping".to_owned()))
    }

    /// What the network looks like now.
    pub fn view(&self) -> NetView {
        self.view.borrow().clone()
    }

    /// Changes with every change of the network.
    pub fn watch(&self) -> watch::Receiver<NetView> {
        self.view.clone()
    }
}
