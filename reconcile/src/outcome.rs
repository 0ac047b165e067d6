//! How a session ends, and what it cost. Equal roots or a reason; never success with unequal roots.

use lattice::fault::Fault;
use lattice::ids::{CommitId, StateRoot};
use lattice::tree::prefix::Prefix;

use crate::message::{Refusal, RefusedFor};

/// The end of a session, as the initiator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both states had this root at the moment the peer was last asked.
    Equal {
        /// The root.
        root: StateRoot,
        /// Whether the peer's frontier was asked for and given to the node.
        frontier_raised: bool,
    },
    /// The roots differ for a reason that time or another session removes.
    Explained {
        /// Our root.
        ours: StateRoot,
        /// The peer's.
        theirs: StateRoot,
        /// The reason.
        rest: Rest,
    },
    /// The roots differ because a side does not take what the other has.
    Refused {
        /// Our root.
        ours: StateRoot,
        /// The peer's.
        theirs: StateRoot,
        /// What we refused, at most 16 of them.
        by_us: Vec<Refusal>,
        /// What the peer refused, at most 16 of them.
        by_peer: Vec<Refusal>,
    },
    /// The roots differ and nothing explains it: damage, a bug or a lie.
    Unexplained {
        /// Our root.
        ours: StateRoot,
        /// The peer's.
        theirs: StateRoot,
        /// The first page of our tree that differs; the whole tree if no page was shown to differ.
        first: Prefix,
    },
    /// The peer broke the protocol.
    PeerFault(PeerFault),
    /// The peer has no room for a session now.
    Busy,
    /// The peer does not answer such requests.
    Declined {
        /// Its words.
        reason: String,
    },
    /// A request did not come through.
    Lost {
        /// The road's words.
        reason: String,
    },
    /// Our own node could not do its part.
    OurFault {
        /// What failed.
        reason: String,
    },
}

/// Why roots may differ though nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The peer's or our state was still changing in the last pass.
    NewWrites,
    /// Commits wait for a membership change or for their time.
    Waiting {
        /// At our node.
        ours: u64,
        /// At the peer.
        theirs: u64,
    },
    /// The session's round trips are used up; what was moved stays, another session goes on.
    Budget,
}

/// What a peer did that no honest peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// A response to another kind of request.
    #[error("the answer is of another kind than the question")]
    OtherKind,
    /// More or fewer answers than subtrees were asked for.
    #[error("the answers are not as many as the subtrees asked for")]
    AnswerCount,
    /// Leaves that are not sorted, not in the place asked for, or too many.
    #[error("the leaves are not sorted, not where they were asked for, or too many")]
    BadLeaves,
    /// A subtree so deep that it can't hold more than a page, said to hold more.
    #[error("a subtree at the bottom of the tree is said to have children")]
    TooDeep,
    /// Symbols of another number of parts than asked for, or another number of them.
    #[error("the symbols are not as many as were asked for")]
    BadSymbols,
    /// More is promised, but nothing was given.
    #[error("the answer is empty and promises more")]
    EmptyPage,
    /// Not a single key served, or more than were asked for.
    #[error("the number of keys served is zero or beyond those asked for")]
    BadServed,
    /// A commit that holds none of the keys asked for, or too many commits.
    #[error("a commit came that holds no key asked for")]
    UnaskedCommit,
    /// A commit that does not verify.
    #[error("commit {} does not verify", .0.short())]
    InvalidCommit(CommitId),
    /// A refusal because of a cut, and the cut is not shown.
    #[error("commit {} was refused because of a cut that was not shown", .0.short())]
    UnfoundedRefusal(CommitId),
    /// Chains out of order, repeated, too many, or with headers of another chain.
    #[error("the chains of the frontier are not sorted, too many, or not their authors' own")]
    BadChains,
    /// Round trip after round trip, and our state does not change.
    #[error("the answers go on and on and bring nothing")]
    Fruitless,
}

impl Outcome {
    /// One word for records and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Equal { .. } => "equal",
            Self::Explained { .. } => "explained",
            Self::Refused { .. } => "refused",
            Self::Unexplained { .. } => "unexplained",
            Self::PeerFault(_) => "peer-fault",
            Self::Busy => "busy",
            Self::Declined { .. } => "declined",
            Self::Lost { .. } => "lost",
            Self::OurFault { .. } => "our-fault",
        }
    }

    /// Whether the two states are in step: equal, or different for a reason that passes by itself.
    pub fn is_in_step(&self) -> bool {
        match self {
            Self::Equal { .. } | Self::Explained { .. } => true,
            Self::Refused { .. }
            | Self::Unexplained { .. }
            | Self::PeerFault(_)
            | Self::Busy
            | Self::Declined { .. }
            | Self::Lost { .. }
            | Self::OurFault { .. } => false,
        }
    }

    /// Who is at fault; `None` if the session did what it should.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Equal { .. } | Self::Explained { .. } => None,
            Self::PeerFault(_) => Some(Fault::Sender),
            Self::OurFault { .. } => Some(Fault::Us),
            Self::Refused { by_us, .. } if by_us.iter().any(|r| r.why == RefusedFor::NoRoom) => Some(Fault::Us),
            // An unexplained difference is an alarm, but which side is damaged it does not say.
            Self::Refused { .. }
            | Self::Unexplained { .. }
            | Self::Busy
            | Self::Declined { .. }
            | Self::Lost { .. } => Some(Fault::Nobody),
        }
    }
}

/// What a session cost and moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests sent.
    pub rounds: u64,
    /// Those of them that looked for the difference; the others moved it.
    pub rounds_to_find: u64,
    /// Times that the session went through the difference.
    pub passes: u32,
    /// Parts whose symbols said what can't be: made-up symbols, or entries chosen to spoil them.
    pub misread: u64,
    /// Commits that came, repeated ones included.
    pub commits_received: u64,
    /// Operations in them, those by hash alone not counted.
    pub entries_received: u64,
    /// Commits sent, repeated ones included.
    pub commits_sent: u64,
    /// Operations in them, those by hash alone not counted.
    pub entries_sent: u64,
    /// Commits that changed our state.
    pub applied_here: u64,
    /// Commits that changed the peer's, as it says.
    pub applied_there: u64,
}

impl Stats {
    /// Whether either state is another than it would be without the session. What came and was known already, or was
    /// sent to a peer that had it, is nothing.
    pub fn has_changed_anything(&self) -> bool {
        self.applied_here + self.applied_there > 0
    }
}
