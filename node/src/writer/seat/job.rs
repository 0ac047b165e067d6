//! What the seat's task asks of the writer.

use lattice::commit::VerifiedCommit;
use lattice::fault::Fault;
use lattice::ids::{AuthorId, CommitId};
use lattice::membership::NotAdmitted;
use lattice::merkle::Digest;
use lattice::op::Op;
use lattice::seat::message::KeptName;
use tokio::sync::oneshot;

use super::SeatPublished;
use crate::store::StoreError;
use crate::writer::Reply;
use crate::writer::job::IdempotencyKey;

/// Which operation an entry is: its commit, and its place there. Clients compare and set by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryTag {
    /// The commit.
    pub commit: CommitId,
    /// The operation's index.
    pub op_index: u32,
}

/// What must hold of a key for a write of the seat to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// It has no value.
    Absent,
    /// It has a value.
    Present,
    /// Its entry is this one.
    Is(EntryTag),
}

/// A write of the seat's holder.
pub struct Staging {
    /// The operations, applied together.
    pub ops: Vec<Op>,
    /// What must hold of the key of the first one.
    pub condition: Condition,
    /// The client's name for the write.
    pub idempotency: Option<IdempotencyKey>,
    /// Whether to answer as soon as the write is staged here, and not only when it is in the state.
    pub is_local: bool,
    /// Where the answer goes.
    pub reply: Reply,
}

/// One record of the holder's log with the commits that it names.
pub struct Mirrored {
    /// The record's canonical bytes.
    pub record: Vec<u8>,
    /// Its commits, but for those staged here.
    pub commits: Vec<VerifiedCommit>,
}

/// What a mirror fetched.
pub struct MirrorBatch {
    /// Size of the log here that the records go on from.
    pub from: u64,
    /// Records in order.
    pub records: Vec<Mirrored>,
    /// Commits that the holder has staged, each with the client's name for it.
    pub staged: Vec<(VerifiedCommit, Option<IdempotencyKey>)>,
    /// How the records are taken over.
    pub fidelity: Fidelity,
}

/// How a mirror takes the holder's records over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fidelity {
    /// The records alone: the log is being copied, the state comes otherwise.
    Log,
    /// Their commits are joined into a state that may have more: the mirror is being seeded.
    Joined,
    /// The records that their commits make here must be the same, byte by byte.
    Twin,
}

/// Why a mirror could not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// The records don't go on where the log here ends.
    #[error("the records go on from {from}, and the log here has {size}")]
    Gap {
        /// Where the records begin.
        from: u64,
        /// The log's size here.
        size: u64,
    },
    /// The same commits made another record here: one of the two is damaged, or has a bug.
    #[error("record {position} of the seat's log comes out otherwise here: the states differ")]
    Differs {
        /// The record.
        position: u64,
    },
    /// A record names a commit that did not come and is not staged here.
    #[error("commit {} of record {position} did not come", commit.short())]
    Missing {
        /// The record.
        position: u64,
        /// The commit.
        commit: CommitId,
    },
    /// The holder dropped what was damaged on its disk.
    #[error("the holder dropped damaged entries in record {position}")]
    HolderDamaged {
        /// The record.
        position: u64,
    },
    /// Bytes of the holder are no record.
    #[error("what came as record {position} is none")]
    NoRecord {
        /// The record.
        position: u64,
    },
    /// The holder sends a commit that counts nowhere.
    #[error("the holder sends commit {}, which may not enter the state: {why}", commit.short())]
    NotAdmitted {
        /// The commit.
        commit: CommitId,
        /// Why not.
        why: NotAdmitted,
    },
    /// The holder gave one number to two commits.
    #[error("the holder sends another commit {seq} of term {term} than the one that is staged here")]
    Twice {
        /// The term.
        term: u64,
        /// The number.
        seq: u64,
    },
    /// The holder says that it has staged more than it may.
    #[error("the holder sends more commits to be staged than any holder may have")]
    TooMuch,
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MirrorError {
    /// Whether an honest holder may have sent it, of which this node knows less or more than it should.
    pub fn is_of_nobody(&self) -> bool {
        matches!(self, Self::NotAdmitted { why, .. } if why.fault() == Fault::Nobody)
    }
}

/// How much of a term is here, in the state or staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// The last number up to which no commit is missing.
    pub whole: u64,
    /// The greatest number seen.
    pub highest: u64,
}

/// Why a ballot is not on disk, and nothing may be said of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BallotError {
    /// A later one came first: this node does nothing for the earlier any more.
    #[error("this node is bound in term {term} already")]
    Overtaken {
        /// The term of the one that is stored.
        term: u64,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One request of the seat's task.
pub enum SeatJob {
    /// Stage a write of the seat.
    Stage(Staging),
    /// The shadow has staged everything of this term up to this number: let it into the state.
    Release {
        /// The term.
        term: u64,
        /// The number.
        upto: u64,
    },
    /// Hold the seat in this term from now on: what is staged of earlier terms within their cuts enters the state, what is
    /// beyond them goes into quarantine, and every record goes to the seat's log.
    Serve {
        /// The term.
        term: u64,
        /// Tells when that is done.
        reply: oneshot::Sender<Result<SeatPublished, StoreError>>,
    },
    /// Copy the holder of this term from now on, from `size` records of the seat's log with this root; what is more here is
    /// cut off. Gives what the log here amounts to then, empty if it does not have that root.
    Copy {
        /// The term.
        term: u64,
        /// Records of the certificate.
        size: u64,
        /// The log's root at that size.
        root: Digest,
        /// Tells when that is done.
        reply: oneshot::Sender<Result<SeatPublished, StoreError>>,
    },
    /// Tell how much of a term is here, in the state or staged.
    Measure {
        /// Its holder.
        holder: AuthorId,
        /// The term.
        term: u64,
        /// Tells it.
        reply: oneshot::Sender<Holdings>,
    },
    /// Take no more writes of the seat until told otherwise: those who ask try again.
    Hold {
        /// Tells when everything that came before is staged.
        reply: oneshot::Sender<()>,
    },
    /// Take writes again.
    Resume,
    /// Have no part in the seat from now on; what is staged of terms before this one and beyond their cuts goes into
    /// quarantine.
    Rest {
        /// The highest term settled.
        term: u64,
    },
    /// Take over what was fetched.
    Mirror {
        /// What came.
        batch: Box<MirrorBatch>,
        /// What the log here amounts to then.
        reply: oneshot::Sender<Result<SeatPublished, MirrorError>>,
    },
    /// In a seed: keep the holder's answers to named writes, which this node may have to know later, and forget what is staged
    /// here and came with the state.
    TakeNames {
        /// The names, the oldest first.
        names: Vec<KeptName>,
        /// Tells when that is done.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Store what this node is about to vote or stand for, unless something later is stored.
    Vote {
        /// Its stored form.
        ballot: Vec<u8>,
        /// Tells when it is durable.
        reply: oneshot::Sender<Result<(), BallotError>>,
    },
}
