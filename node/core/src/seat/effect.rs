//! What a controller wants done.

use std::fmt;

use lattice::ids::AuthorId;
use lattice::seat::Certificate;

use super::named::NamedBody;
use super::takeover::WhyNot;
use super::timing::BootMs;
use super::voter::{Pending, Ticket};

/// Something to be done, in the order in which it is said. Where voters are named, this node may be among them and is
/// asked like the others.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask these voters for a lease; the answer tells when this was.
    AskRenewal {
        /// Whom.
        voters: Vec<AuthorId>,
        /// The term's body; who does not know its certificate is sent it.
        body: NamedBody,
        /// The request's name.
        ticket: Ticket,
        /// When it was asked: now, before anything is sent.
        asked: BootMs,
    },
    /// Ask these voters whether leases have run out.
    AskInquiry {
        /// Whom.
        voters: Vec<AuthorId>,
    },
    /// Make this durable, then tell [`super::event::Event::Stood`].
    PersistStand(Pending),
    /// Ask these voters to sign.
    AskVote {
        /// Whom.
        voters: Vec<AuthorId>,
        /// What; the certificate that it follows is sent along.
        body: NamedBody,
    },
    /// Tell the holder that this node, its shadow, stood for a higher term.
    TellStood {
        /// The holder.
        holder: AuthorId,
        /// The term.
        term: u64,
    },
    /// Write this certificate into the state as a commit of this node.
    Certify(Box<Certificate>),
    /// Reads under the lease may be served while the clock is before this; writes may be acknowledged.
    ServeUntil(BootMs),
    /// Serve nothing under the lease and acknowledge nothing. What is staged stays.
    StopServing(Stopped),
    /// A majority of the term's voters know its certificate: from now on what the term began with, and what its shadow has
    /// staged, may be applied, told and acknowledged. Before, none of it may. Said again after a restart.
    Open {
        /// The term.
        term: u64,
    },
    /// Hold new writes without refusing them, and tell [`super::event::Event::Drained`] once none is under way.
    HoldWrites {
        /// Whether the shadow must have everything first.
        until_shadow_has_all: bool,
    },
    /// Let the writes go on that were held.
    ResumeWrites,
    /// Tell the shadow that it may stand at once.
    HandOver {
        /// The shadow.
        to: AuthorId,
        /// The term that ends.
        term: u64,
        /// The last number that was staged in it.
        staged_seq: u64,
    },
    /// Take back every lease that was asked for up to this ticket.
    Release {
        /// Where.
        voters: Vec<AuthorId>,
        /// The last request.
        ticket: Ticket,
    },
    /// This node no longer holds the seat. Its unacknowledged commits go to quarantine.
    StepDown {
        /// Who holds it now.
        holder: AuthorId,
        /// In which term.
        term: u64,
    },
    /// Copy this holder's log.
    StartMirroring {
        /// Whom.
        holder: AuthorId,
        /// In which term.
        term: u64,
    },
    /// Fetch and stage nothing more, then tell [`super::event::Event::MirrorStopped`].
    StopMirroring,
    /// An operator should know.
    Alarm(Alarm),
    /// A record for the log.
    Note(Note),
}

/// Why a holder stopped serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its lease ran out.
    LeaseRanOut,
    /// It let go, since its shadow stood for a higher term.
    Yielded,
    /// It hands the seat over.
    HandedOver,
    /// It stands for a term of its own.
    Stands,
    /// Another holds the seat.
    Deposed,
}

/// What an operator should know. Said once until it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// Nobody could take over now.
    CannotTakeOver(WhyNot),
    /// The shadow has been away for so long; writes at `shadow` wait (policy `block`).
    ShadowGone {
        /// Milliseconds.
        ms: u64,
    },
    /// The seat goes on without a shadow (policy `degrade`, or an order).
    Degraded,
    /// No majority of voters grants a lease.
    NoLease,
    /// A candidacy has found no majority for so long; it goes on.
    NoMajority {
        /// Of the term.
        term: u64,
        /// Votes so far.
        votes: usize,
    },
    /// The holder is suspected, but the voters still keep its lease, or do not answer.
    LeaseKept {
        /// How many say that no lease runs.
        free: usize,
        /// Voters in all.
        of: usize,
    },
    /// The drain took too long and was given up; writes go on.
    DrainGivenUp,
    /// A takeover is due and does not happen, as this node took over lately.
    CoolingDown {
        /// Milliseconds.
        ms: u64,
    },
    /// Something that this node was to do by itself is not answered.
    NotAnswered(&'static str),
    /// A voter keeps shorter leases than this holder counts on: they are not configured alike.
    ShorterLease {
        /// Who.
        voter: AuthorId,
        /// Milliseconds of its leases.
        ms: u64,
    },
    /// This node would stand and may not, by what it knows.
    CannotStand(super::candidacy::CannotStand),
    /// This node would stand and may not, by what it voted for.
    Bound(super::refusal::Refusal),
}

/// A transition, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The term before.
    pub old_term: u64,
    /// The term that was stood for or begins.
    pub new_term: u64,
    /// What happened.
    pub what: Step,
    /// Why, for people.
    pub reason: String,
    /// Votes that it got.
    pub votes: usize,
    /// Commits and records that the old holder told of and that this node lacked, where it mirrored.
    pub lag: Option<u64>,
}

/// What happened in a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A shadow suspects its holder.
    Suspected,
    /// The suspicion passed.
    Trusted,
    /// This node stands.
    Stood,
    /// A majority voted for it.
    Won,
    /// A term began, and this node has a place in it.
    Began,
    /// The holder let go for its shadow.
    Yielded,
    /// The holder took its place again, as no higher term came.
    Returned,
    /// The holder hands over.
    HandedOver,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotTakeOver(why) => write!(f, "nobody could take the seat over: {why}"),
            Self::ShadowGone { ms } => write!(f, "the shadow has been away for {ms} ms; writes at `shadow` wait"),
            Self::Degraded => f.write_str("the seat goes on without a shadow; nobody takes over by itself"),
            Self::NoLease => f.write_str("no majority of voters grants a lease; the seat is not served"),
            Self::NoMajority { term, votes } => write!(f, "term {term} has {votes} votes and no majority; asking on"),
            Self::LeaseKept { free, of } => {
                write!(f, "the holder is suspected, but only {free} of {of} voters say that no lease runs")
            }
            Self::DrainGivenUp => f.write_str("the drain took too long and was given up; writes go on"),
            Self::CoolingDown { ms } => write!(f, "took over lately; no takeover by itself for another {ms} ms"),
            Self::NotAnswered(what) => write!(f, "no answer from this node's own {what}"),
            Self::ShorterLease { voter, ms } => {
                write!(
                    f,
                    "voter {} keeps leases of {ms} ms, less than this holder's: set `seat_timing` alike",
                    voter.short()
                )
            }
            Self::Bound(why) => write!(f, "can't stand: {why}; operators can settle a term"),
            Self::CannotStand(why) => write!(f, "can't stand: {why}"),
        }
    }
}
