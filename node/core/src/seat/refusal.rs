//! Why a voter refuses, in words and with what helps the asker.

use lattice::ids::AuthorId;

/// A voter's refusal. It has changed nothing at the voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No certificate of the seat is known here.
    #[error("no term of this seat is settled as far as is known here")]
    NoSeat,
    /// The asker is not the one whom the body or lease is for.
    #[error("only the node itself asks for a vote or lease of its own")]
    NotAsker,
    /// This node has no vote on it.
    #[error("this node is no voter of the term")]
    NoVoter,
    /// The voter restarted and may have granted a lease before.
    #[error("restarted lately; it votes and grants again in {ms} ms")]
    Resting {
        /// Milliseconds until it answers.
        ms: u64,
    },
    /// The voter lost its database or has an older one, and may have voted for what it knows no more.
    #[error("may have forgotten its votes, and abstains until a term above {above} is settled")]
    Abstaining {
        /// The highest term that it may have voted for, 0 while it does not know that either.
        above: u64,
    },
    /// The voter voted or stood for another body of this term.
    #[error("voted or stood for another body of term {term}")]
    TermTaken {
        /// The term; ask for a higher one.
        term: u64,
    },
    /// The voter is past that term: it voted or stood for a higher one, or saw it certified.
    #[error("term {term} is known here and is not lower")]
    LowTerm {
        /// The highest term that the voter voted for, stood for or saw certified.
        term: u64,
    },
    /// The asker is neither holder nor shadow in the highest body that the voter knows.
    #[error("neither holder nor shadow in term {term}, the highest that was voted for or certified")]
    NotEntitled {
        /// The term of that body.
        term: u64,
    },
    /// A lease of another node runs.
    #[error("the lease of {} runs for another {ms} ms", holder.short())]
    LeaseRuns {
        /// Whose lease.
        holder: AuthorId,
        /// Milliseconds until it has run out.
        ms: u64,
    },
    /// The body does not go on from the highest certificate that the voter knows, or not with its voters. The voter sends
    /// that one along.
    #[error("the request does not go on from term {term}, the highest certified that is known here, with its voters")]
    NotLatest {
        /// The term of the voter's highest certificate.
        term: u64,
    },
    /// The certificate of a term that renews is not known here. The asker sends it along.
    #[error("the certificate of that term is not known here")]
    Uncertified,
    /// The asker counts on a longer lease than this voter keeps.
    #[error("the voter keeps leases of {ms} ms, and the asker counts on longer ones: `seat_timing` differs")]
    ShorterLease {
        /// Milliseconds of the voter's leases.
        ms: u64,
    },
    /// The holder released the lease that this request asked for.
    #[error("that lease was released")]
    Released,
}

impl Refusal {
    /// The highest term that the refusal tells of, to stand above.
    pub const fn term(&self) -> Option<u64> {
        match self {
            Self::TermTaken { term }
            | Self::LowTerm { term }
            | Self::NotEntitled { term }
            | Self::NotLatest { term } => Some(*term),
            Self::NoSeat
            | Self::NotAsker
            | Self::NoVoter
            | Self::Resting { .. }
            | Self::Abstaining { .. }
            | Self::LeaseRuns { .. }
            | Self::Uncertified
            | Self::ShorterLease { .. }
            | Self::Released => None,
        }
    }

    /// Milliseconds after which the same request may be granted.
    pub const fn wait_ms(&self) -> Option<u64> {
        match self {
            Self::Resting { ms } | Self::LeaseRuns { ms, .. } => Some(*ms),
            Self::NoSeat
            | Self::NotAsker
            | Self::NoVoter
            | Self::Abstaining { .. }
            | Self::TermTaken { .. }
            | Self::LowTerm { .. }
            | Self::NotEntitled { .. }
            | Self::NotLatest { .. }
            | Self::Uncertified
            | Self::ShorterLease { .. }
            | Self::Released => None,
        }
    }
}
