//! The seat at one node: the driver of its pure machines, and what they move.
//!
//! ```text
//!            certificates (state) ─┐                 ┌─► renewals, votes, inquiries ─► other nodes
//!  questions of other nodes ───────┼─► driver ───────┤
//!            progress of a mirror ─┘  (controller)   └─► writer: serve, copy, release, ballots
//! ```
//!
//! The decisions are [`node_core::seat`]; [`driver`] runs them, `effects` carries out what they want, `handing` brings the
//! writer its part of that in order, `answering` answers other nodes, `probing` looks at them. [`asking`] is how one node asks
//! another, `places` how many ask and are answered at once; [`fetching`] answers mirrors at the holder, [`mirror`] is the
//! other end of that, which `copies` begins and ends.
//! [`admin`] takes orders, [`settling`] what operators settle, [`quarantine`] what becomes of commits beyond a cut.
//! [`writing`] and `reading` are what a client's request goes through, wherever it comes in, and [`write_error`] why it fails.
//! `opening` tries again what failed at a term's beginning, `moving` runs the operator's command. `watching` says how both
//! sides do, `draining` when nothing is under way any more, `room` what is free here, `learning` brings terms that were missed,
//! `abstaining` keeps a node out that forgot what it voted for; [`status`] and [`refusal`] are what is told of it.

pub mod driver;
mod effects;
mod handing;
pub mod opening;
mod answering;
mod probing;
pub mod asking;
mod places;
pub mod fetching;
pub mod mirror;
mod copies;
pub mod admin;
pub mod settling;
pub mod quarantine;
pub mod writing;
mod reading;
pub mod write_error;
mod moving;
mod watching;
mod draining;
pub mod room;
mod learning;
mod abstaining;
pub mod status;
pub mod refusal;

use std::sync::{Arc, Mutex};

use lattice::ids::AuthorId;
use lattice::seat::{Body, BodyHash, Term};
use libp2p::PeerId;
use node_core::seat::timing::{BootMs, Timing};
use tokio::sync::{Semaphore, watch};

use crate::clock::boot_ms;
use crate::home::Home;
use crate::net::NetHandle;
use crate::store::read::Reader;
use crate::sync::Sync;
use crate::writer::{Identity, WriterHandle};

/// What the seat's tasks work with. Cheap to clone.
#[derive(Clone)]
pub struct Seat {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// The state.
    pub writer: WriterHandle,
    /// The stored log.
    pub reader: Reader,
    /// The road.
    pub net: NetHandle,
    /// Sessions with the holder.
    pub sync: Sync,
    /// The seat's intervals.
    pub timing: Timing,
    /// What the driver lets this node do.
    pub serving: watch::Receiver<Serving>,
    /// Places for questions that clients cause, on their way to other nodes.
    pub asked: Arc<Semaphore>,
    /// The commit that carries the highest certificate, for those who may not know it.
    pub carrier: Arc<Mutex<Option<Carrier>>>,
    /// The data directory: its disk is looked at, and a seed leaves its mark there.
    pub home: Home,
    /// What is free there, and of memory.
    pub room: watch::Receiver<room::Room>,
}

/// The commit that carries a certificate, encoded.
#[derive(Debug)]
pub struct Carrier {
    /// The body that the certificate settles.
    pub body: BodyHash,
    /// Its term.
    pub term: u64,
    /// The commit.
    pub commit: Vec<u8>,
}

/// What a node may do with the seat now, as the driver last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// The term that it holds, if it holds one and may take writes.
    pub term: Option<u64>,
    /// Until when its lease runs.
    pub lease_until: Option<BootMs>,
    /// Whether writes wait because the seat is about to move.
    pub is_draining: bool,
    /// Whether this node has let go of its lease so that its shadow may stand at once.
    pub is_released: bool,
    /// Whether the shadow of the term is in reach; without a shadow it always is.
    pub has_shadow: bool,
    /// Whether this node can do what it holds the seat for: the last tries to open its term did not all fail.
    pub is_able: bool,
    /// The lowest term for which this node still does anything.
    pub floor: u64,
    /// Until when it takes nothing over by order of an operator.
    pub paused_until: Option<BootMs>,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            term: None,
            lease_until: None,
            is_draining: false,
            is_released: false,
            has_shadow: false,
            is_able: true,
            floor: 0,
            paused_until: None,
        }
    }
}

impl Serving {
    /// Whether the lease runs at this moment.
    pub fn is_leased(&self) -> bool {
        self.lease_until.is_some_and(|until| boot_ms() < until)
    }
}

impl Seat {
    /// As many places for questions that clients cause as a node has.
    pub fn asked_places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(places::CLIENTS_ASKED_MAX))
    }

    /// This node's author.
    pub fn own(&self) -> AuthorId {
        self.identity.keys.author.id()
    }

    /// The highest term settled, as far as is known here.
    pub fn current(&self) -> Option<Term> {
        self.writer.published().membership.seats().current().cloned()
    }

    /// The body of that term.
    pub fn body(&self) -> Option<Body> {
        self.current().map(|term| term.certificate.body)
    }

    /// The peer that a member is on the network.
    pub fn peer_of(&self, member: &AuthorId) -> Option<PeerId> {
        let published = self.writer.published();
        PeerId::from_bytes(&published.membership.member(member)?.peer_id).ok()
    }
}
