//! What a controller is told.

use lattice::ids::AuthorId;
use lattice::keys::SIGNATURE_BYTES;
use lattice::seat::Certificate;

use super::candidacy::Position;
use super::health::Health;
use super::named::NamedBody;
use super::refusal::Refusal;
use super::timing::BootMs;
use super::voter::{LeaseState, Persisted};

/// Something happened. Each names the term that it belongs to where an answer may come late.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed; to be told at least every [`super::timing::Timing::ask_ms`].
    Tick,
    /// This body is the highest one certified in the state now. Told at the start too.
    Certified(NamedBody),
    /// A voter answered a request for a lease.
    RenewAnswered {
        /// Who.
        voter: AuthorId,
        /// The term that was asked for.
        term: u64,
        /// When it was asked, as [`super::effect::Effect::AskRenewal`] said.
        asked: BootMs,
        /// Granted or not.
        result: Result<(), Refusal>,
    },
    /// A voter said whether its lease runs.
    InquiryAnswered {
        /// Who.
        voter: AuthorId,
        /// What.
        state: LeaseState,
    },
    /// A candidacy of this node is on disk.
    Stood(Persisted),
    /// A voter answered a request for its vote.
    VoteAnswered {
        /// Who.
        voter: AuthorId,
        /// The term that was asked for.
        term: u64,
        /// Its signature under the body, or why not.
        result: Result<[u8; SIGNATURE_BYTES], Refusal>,
    },
    /// How the other side looks: the holder to its shadow, the shadow to its holder.
    OtherHealth(Health),
    /// How this node itself looks.
    OwnHealth(Health),
    /// A mirror's copy is durable up to here. Told before the fetch that acknowledges it is sent.
    StagedUpTo {
        /// Up to where.
        position: Position,
        /// Commits and records that the holder told of and that are not here yet.
        behind: u64,
    },
    /// The mirror is at rest, as [`super::effect::Effect::StopMirroring`] wanted: it stages and fetches nothing more.
    MirrorStopped(Position),
    /// The holder's mirror fetched, and so acknowledged.
    FetchedBy(Fetched),
    /// A mirror says that it stood or voted for a higher term: it can do nothing more for this one.
    MirrorStood {
        /// Who, as the connection proved it.
        from: AuthorId,
        /// For which term.
        term: u64,
    },
    /// The holder staged up to here.
    WrittenUpTo(Position),
    /// No write is under way, as [`super::effect::Effect::HoldWrites`] wanted; the shadow, if it was waited for, has all.
    Drained(Position),
    /// The holder of this term hands over: everything up to there counts, and its lease is released.
    HandedOver {
        /// Who, as the connection proved it.
        from: AuthorId,
        /// Its term.
        term: u64,
        /// The last number that it staged.
        staged_seq: u64,
    },
}

/// A mirror's fetch, as its holder in this term sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Which one.
    pub mirror: AuthorId,
    /// In which term.
    pub term: u64,
    /// What it has staged of that term.
    pub staged_seq: u64,
    /// What it has applied.
    pub log_size: u64,
    /// Whether its copy is the holder's record by record. One that is being seeded could not take over.
    pub is_twin: bool,
    /// Milliseconds for which it takes nothing over by order of an operator.
    pub paused_ms: u64,
}

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Hand the seat to the shadow, in good order.
    Switchover,
    /// Settle a term by a certificate that operators signed. It has verified.
    Promote(Box<Certificate>),
    /// Do nothing by itself for so long.
    Pause {
        /// Milliseconds.
        for_ms: u64,
    },
    /// End the pause.
    Resume,
    /// Name other mirrors.
    ChangeShadow {
        /// The shadow.
        shadow: AuthorId,
        /// Spares, in their order.
        spares: Vec<AuthorId>,
    },
    /// Go on without a shadow.
    Degrade,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// Only the holder can do that.
    #[error("this node does not hold the seat; ask the holder")]
    NotHolder,
    /// The holder is in the middle of something, and says until when.
    #[error("busy: {doing}; it ends by itself in {ms} ms at the latest")]
    Busy {
        /// What it does.
        doing: &'static str,
        /// Milliseconds.
        ms: u64,
    },
    /// The shadow could not take over.
    #[error("the shadow can't take over: {0}")]
    Impossible(super::takeover::WhyNot),
    /// There is nothing to do.
    #[error("it is so already")]
    AlreadySo,
    /// The certificate is for a term that is past.
    #[error("term {term} is settled; the certificate must be for a higher one")]
    Late {
        /// The highest settled term.
        term: u64,
    },
}
