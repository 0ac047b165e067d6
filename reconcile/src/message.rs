//! What the two sides of a session say to each other. `PROTOCOL.md` gives every byte.
//!
//! A request is answered by exactly one response. A message holds no more than its bounds allow (see
//! [`crate::limits`]); whether a response fits the question is for [`crate::initiator`].

mod wire;

use lattice::commit::Commit;
use lattice::frontier::Chain;
use lattice::ids::{AuthorId, CommitId, KeyHash, StateRoot};
use lattice::merkle::Digest;
use lattice::tree::prefix::Prefix;

use crate::limits::{CHILDREN, REASON_BYTES_MAX};
use crate::sketch::{Estimator, ShortKey, Symbol};
use crate::view::{KeyLeaf, Scope, Summary};

/// What the initiator asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What have you got? This is what I have.
    Open {
        /// Our state in short.
        summary: Summary,
        /// So many symbols of yours, if our roots differ; 0 to 16384.
        symbols: u64,
        /// Your estimator too: we know nothing of the difference yet.
        estimate: bool,
    },
    /// The symbols of your sketch, of the whole state or of parts of it.
    Symbols {
        /// 1 to 256; at most 49152 symbols in all.
        parts: Vec<Stretch>,
    },
    /// Send the commits that hold your entries at the keys that begin so.
    FetchShort {
        /// 1 to 1024.
        keys: Vec<ShortKey>,
    },
    /// What stands in these subtrees? Mine have these hashes.
    Compare {
        /// Places and hashes; 1 to 256.
        nodes: Vec<(Prefix, Digest)>,
    },
    /// Name all your entries in these subtrees, in key-hash order.
    List {
        /// All entries, or those under `@member/`.
        scope: Scope,
        /// Sorted, none within another; 1 to 256.
        prefixes: Vec<Prefix>,
        /// Begin behind this key: the last one of the page before.
        after: Option<KeyHash>,
    },
    /// Send the commits that hold your entries at these keys.
    Fetch {
        /// 1 to 1024.
        keys: Vec<KeyHash>,
    },
    /// Take these commits.
    Push {
        /// 1 to 1024.
        commits: Vec<Commit>,
    },
    /// Which commits do you know to be in your state?
    Frontier {
        /// Begin behind this chain: the last one of the page before.
        after: Option<ChainId>,
    },
}

impl Request {
    /// Whether it looks for the difference; the others move it.
    pub fn is_search(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Symbols { .. } | Self::Compare { .. } | Self::List { .. } => true,
            Self::Fetch { .. } | Self::FetchShort { .. } | Self::Push { .. } | Self::Frontier { .. } => false,
        }
    }

    /// Whether answering it walks a large part of the state: that is work for a thread of its own.
    pub fn is_long(&self) -> bool {
        matches!(self, Self::Symbols { parts } if parts.iter().any(|part| part.prefix.bits() > 0))
    }
}

/// Symbols of one part of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The part: everything, or a subtree.
    pub prefix: Prefix,
    /// The first symbol.
    pub from: u64,
    /// Number of symbols, at least 1; of everything not beyond the 16384 that are kept.
    pub count: u64,
}

/// An author's chain in a term.
pub type ChainId = (AuthorId, u64);

/// What the responder answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::Open`].
    Opened {
        /// The responder's state in short.
        summary: Summary,
        /// If the roots differ.
        flight: Option<Flight>,
    },
    /// To [`Request::Symbols`].
    Symbols {
        /// The state root at that moment: symbols read at different roots are not of one row.
        root: StateRoot,
        /// The estimator at that moment.
        estimator: Box<Estimator>,
        /// For the first parts asked, at least one: all symbols asked for, or none if the responder has too many
        /// entries there.
        parts: Vec<Vec<Symbol>>,
    },
    /// To [`Request::Compare`]: one answer for each node asked, in that order.
    Compared {
        /// The answers.
        answers: Vec<Compared>,
    },
    /// To [`Request::List`].
    Listed {
        /// In key-hash order; at most 4096.
        leaves: Vec<KeyLeaf>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// To [`Request::Fetch`].
    Commits {
        /// Each commit once; at most 1024.
        commits: Vec<Commit>,
        /// How many of the keys asked, from the first, are answered. At least one.
        served: u64,
    },
    /// To [`Request::Push`].
    Pushed(Intake),
    /// To [`Request::Frontier`].
    Frontier {
        /// The state root at the moment the chains were read.
        root: StateRoot,
        /// In order of author and term; at most 1024.
        chains: Vec<(ChainId, Chain)>,
        /// Whether there are more behind the last.
        more: bool,
    },
    /// No room for a session now; come back later.
    Busy,
    /// No answer to this, now or later.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

/// What comes along when two states turn out to differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flight {
    /// The responder's estimator, if it was asked for.
    pub estimator: Option<Box<Estimator>>,
    /// The first symbols of its sketch, as many as were asked for.
    pub symbols: Vec<Symbol>,
}

/// What stands in one subtree of the responder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// The same as at the initiator.
    Same,
    /// More than 32 entries: the hashes four bits further down, in order.
    Children(Box<[Digest; CHILDREN]>),
    /// At most 32 entries, in key-hash order.
    Leaves(Vec<KeyLeaf>),
}

/// What became of commits that were handed to a node's one way in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intake {
    /// Commits of which at least one operation won.
    pub applied: u64,
    /// Commits that wait for a membership change or for their time.
    pub waiting: u64,
    /// Commits that may never enter here; at most 16 of them are named.
    pub refused: Vec<Refusal>,
}

/// A commit that a node does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The commit.
    pub commit: CommitId,
    /// Why, for machines.
    pub why: RefusedFor,
    /// Why, for people.
    pub reason: String,
    /// The commit that proves the refusal right: the cut, for [`RefusedFor::BeyondCut`].
    pub evidence: Option<Commit>,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedFor {
    /// Its author was cut before it. Always with evidence.
    BeyondCut,
    /// It does what no feature of the refusing node owns, or changes the membership without the right to.
    NotAdmitted,
    /// It does not verify.
    Invalid,
    /// The refusing node can't store it.
    NoRoom,
}

/// At most this many bytes does a commit take in a message: for packing, without encoding it twice.
pub fn commit_bytes_at_most(commit: &Commit) -> usize {
    commit.counted_bytes()
}

/// A text no longer than [`REASON_BYTES_MAX`], cut at a character.
pub(crate) fn short_reason(mut reason: String) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
