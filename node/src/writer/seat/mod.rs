//! The seat in the writer: commits staged on their way into the state, and the seat's log at its holder and mirrors.
//!
//! At the holder a commit of the seat is signed and staged first, and enters the state only when its shadow has staged it
//! too: what a takeover may cut off was never in a state, nor gossiped. Every record of a transaction at the holder goes to
//! the seat's log as well, and from there, with its commits, through the [`Outbox`] to the mirrors, which make the same
//! records of the same commits and compare them byte by byte.
//!
//! # Reading order
//!
//! 1. `job`: what the seat's task asks. `staging`: from the signature to the state; `staged`: what is on that way.
//! 2. `log`: the seat's log within a transaction. `outbox`: what mirrors fetch. `mirroring`: the mirror's end of it,
//!    and `admitting`: its door.
//! 3. `certainty`: what becomes of a transaction that reports an error. `voting`: the ballot. `begun`: which terms began
//!    with nothing that is not here.

pub mod job;
mod staging;
mod staged;
mod log;
pub mod outbox;
mod mirroring;
mod admitting;
mod certainty;
mod voting;
mod begun;

use std::sync::{Arc, Mutex, PoisonError};

use lattice::log::edge::Edge;
use lattice::merkle::Digest;
use lattice::seat::BodyHash;

pub use job::{
    BallotError, Condition, EntryTag, Fidelity, Holdings, MirrorBatch, MirrorError, Mirrored, SeatJob, Staging,
};
pub(super) use log::Copying;
pub use outbox::Outbox;
pub(crate) use staged::STAGED_COMMITS_MAX;
pub(super) use staged::Staged;
pub(crate) use staging::BALLOT_DOMAIN;
pub(super) use staging::answer;

/// What a node does with the seat's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Nothing.
    #[default]
    None,
    /// It holds the seat in this term: every record goes to the seat's log.
    Holder(u64),
    /// It copies the holder of this term.
    Mirror(u64),
}

/// What everybody but the writer sees of the seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeatPublished {
    /// What this node does.
    pub part: Part,
    /// Records in the seat's log here.
    pub log_size: u64,
    /// Its root at that size.
    pub log_root: Digest,
    /// Commits staged here.
    pub staged: usize,
    /// The highest term of which a commit is staged or in the state here, and the last number of it.
    pub last: (u64, u64),
    /// The highest term of which everything that it began with is here, in the state or staged; 0 if there is none.
    pub begun: u64,
}

/// The writer's picture of the seat.
#[derive(Default)]
pub(super) struct Seat {
    pub(super) part: Part,
    /// Whether writes are held back because the seat is about to move.
    pub(super) is_held: bool,
    /// Right edge of the seat's log, once it was opened or copied here.
    pub(super) edge: Option<Edge>,
    pub(super) staged: Staged,
    pub(super) outbox: Arc<Mutex<Outbox>>,
    /// The highest term of which everything that it began with was found to be here.
    begun: Option<(u64, BodyHash)>,
}

impl Seat {
    /// Changes what mirrors may fetch.
    pub(super) fn with_outbox<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        change(&mut self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_holder(&self) -> bool {
        matches!(self.part, Part::Holder(_))
    }
}

#[cfg(test)]
mod tests;
