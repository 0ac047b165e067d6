//! What can be asked of the writer, and what it answers.

use lattice::clock::ClockBehind;
use lattice::commit::{SignedHeader, VerifiedCommit, VerifyError};
use lattice::equivocation::Equivocation;
use lattice::fault::Fault;
use lattice::frontier::Chain;
use lattice::genesis::Member;
use lattice::ids::{AuthorId, CommitId, KeyHash, StateRoot};
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::{SignatureLine, VerifierKey};
use lattice::log::witness::AddCheckpoint;
use lattice::membership::NotAdmitted;
use lattice::op::{BadOp, Key, Op};
use lattice::record::Event;
use node_core::resume::Doubt;
use tokio::sync::oneshot;

use super::Reply;
use super::caught::{Caught, NotCaught};
use super::seat::{EntryTag, SeatJob};
use super::witness::Witnessed;
use crate::store::StoreError;

/// A client's name for one write, so that a repeated request is not a second write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes 1 to 128 visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        (visible && (1..=128).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One request to the writer.
pub enum Job {
    /// Sign and apply operations of our own.
    Write {
        /// The operations, applied together.
        ops: Vec<Op>,
        /// The client's name for this write.
        idempotency: Option<IdempotencyKey>,
        /// Where the answer goes once it is durable.
        reply: Reply,
    },
    /// Apply verified commits.
    Take {
        /// The commits.
        commits: Vec<VerifiedCommit>,
        /// Whether to gossip them once durable (not if gossip or a reconcile brought them).
        publish: bool,
        /// Where their fate goes.
        reply: Option<oneshot::Sender<Taken>>,
    },
    /// Raise the frontier to a peer's whose state equals ours at this root.
    Raise {
        /// The peer's root when it sent its frontier.
        root: StateRoot,
        /// Its chains.
        chains: Vec<((AuthorId, u64), Chain)>,
        /// Tells whether it is done: not if the state has moved on, or it can't be stored.
        reply: oneshot::Sender<bool>,
    },
    /// A session ended with a state and a frontier equal to the peer's.
    CaughtUp,
    /// Tell the last commit of an author's own chain that waits here.
    Waiting {
        /// The author.
        author: AuthorId,
        /// Tells its header.
        reply: oneshot::Sender<Option<SignedHeader>>,
    },
    /// A peer said how far it has this node's own chain.
    Learnt {
        /// The chain; nothing of it is believed without a signature.
        chain: Box<Chain>,
    },
    /// Enough others have said so: go on with the chain from there.
    Sure,
    /// Write a record of something that did not change the state.
    Note {
        /// What happened.
        event: Event,
    },
    /// Take a commit off the list of what is in quarantine: somebody has dealt with it.
    Dismiss {
        /// The commit.
        commit: CommitId,
        /// Its rows among the entries that cuts took out of the state.
        rows: Vec<i64>,
        /// Tells when that is durable.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Sign the own log as it is now, if that was not done.
    Checkpoint,
    /// Say what stands at a key in the state of the next checkpoint, or of the last one if nothing has changed since.
    Catch {
        /// The key.
        key: Key,
        /// Where the answer goes. A checkpoint may be long in coming.
        reply: oneshot::Sender<Result<Caught, NotCaught>>,
    },
    /// Add cosignatures to the last checkpoint.
    Cosigned {
        /// Signature lines with the keys that they are by. Those over an older checkpoint are left out.
        lines: Vec<(SignatureLine, VerifierKey)>,
        /// Tells whether any was new, once it is kept.
        reply: oneshot::Sender<bool>,
    },
    /// Others have said what they hold of the own log: it may be signed from now on.
    MaySign,
    /// Others hold a checkpoint of the own log that this node has lost: go on under a new name.
    RenameLog {
        /// The checkpoint, which the own key signed.
        held: Box<SignedCheckpoint>,
    },
    /// A checkpoint that bears this node's own cosignature was heard of: what it cosigned is not to be forgotten.
    Recall {
        /// The checkpoint.
        signed: Box<SignedCheckpoint>,
    },
    /// Cosign another's checkpoint, if it grew from the last one.
    Witness {
        /// The request.
        request: Box<AddCheckpoint>,
        /// Where the answer goes, once it is durable.
        reply: oneshot::Sender<Result<Witnessed, StoreError>>,
    },
    /// Keep evidence against a log; it was verified.
    Fork {
        /// The evidence.
        evidence: Box<ForkEvidence>,
        /// Gives it back if it is the first against that log.
        reply: oneshot::Sender<Result<Option<ForkEvidence>, StoreError>>,
    },
    /// Look at these keys' entries on disk again, and drop those that are damaged: a reconcile brings them back.
    Recheck {
        /// Hashes of the keys.
        keys: Vec<KeyHash>,
        /// Keys among them that were read though the state has no entry there.
        strays: Vec<Key>,
        /// Tells how many were dropped.
        reply: oneshot::Sender<Result<u64, StoreError>>,
    },
    /// What the seat's task wants done.
    Seat(SeatJob),
    /// Keep evidence that a peer sent.
    Evidence {
        /// Both signatures were checked.
        pair: Box<Equivocation>,
    },
    /// Keep the hash of an invitation's secret.
    Invite {
        /// SHA-256 of the secret.
        secret_hash: [u8; 32],
        /// Tells when it is durable.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Let in who shows the secret of an invitation.
    Redeem {
        /// SHA-256 of the secret shown.
        secret_hash: [u8; 32],
        /// Who asks; holds its author key.
        member: Member,
        /// Where the answer goes.
        reply: Reply,
    },
}

/// A durable write of our own. Of a write of the seat that is staged only, no log and no state tells yet: its position is
/// 0, and root and entries mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The commit.
    pub commit: CommitId,
    /// Its number in our chain.
    pub seq: u64,
    /// Its time in milliseconds since 1970.
    pub time_ms: u64,
    /// Log size once it was in.
    pub log_position: u64,
    /// State root once it was in.
    pub root: StateRoot,
    /// Entries once it was in.
    pub entries: u64,
}

/// The log position of a write that is not in the state yet, and in what is kept of one that came with a state: this node's log
/// tells of neither. No record of a commit is the first of a log, so that one that is
/// in the state has a greater one.
pub(crate) const NOT_APPLIED: u64 = 0;

impl Written {
    /// The same, as another node keeps it: of log and state it tells nothing there.
    pub(crate) fn elsewhere(self) -> Self {
        Self { log_position: NOT_APPLIED, root: StateRoot::ZERO, entries: 0, ..self }
    }

    /// A commit of the seat that is stored, and waits for its place in the state.
    pub(crate) fn staged(commit: &VerifiedCommit) -> Self {
        let header = commit.header();
        let (log_position, root) = (NOT_APPLIED, StateRoot::ZERO);
        Self { commit: commit.id(), seq: header.seq, time_ms: header.time.millis(), log_position, root, entries: 0 }
    }

    /// Whether it is in the state, and so in the log.
    pub fn is_applied(&self) -> bool {
        self.log_position != NOT_APPLIED
    }
}

/// What became of a commit handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It changed the state, and that is durable.
    Applied,
    /// It changed nothing: what it says was in the state, or has lost to something later.
    Known,
    /// It waits for its author or its time.
    Waits,
    /// It does not count here.
    Refused(NotAdmitted),
    /// This node could not store it.
    Failed(WriteError),
}

/// What became of all commits of a job, in their order.
pub type Taken = Vec<(CommitId, Fate)>;

/// What an invitation's secret is worth.
pub(super) enum Invitation {
    /// This operation adds the member.
    Open(Op),
    /// It was redeemed by the same member before.
    Done(Written),
    /// Nothing.
    Refused(WriteError),
}

/// Why nothing is signed yet.
fn unsure(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Usual => "this node has just started and asks the others what it signed last; come again in a moment",
        Doubt::Copied | Doubt::Restored => {
            "this node's directory was copied or restored, so it may have signed more than it knows of: it writes again by \
             itself once half of the other members have said what they hold of it. If no other node is left, stop this one, \
             remove the files `doubtful` and `catching-up` from the data directory, and start it again"
        }
    }
}

/// Why a write did not happen. Nothing of it is in the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A key or value out of bounds.
    #[error(transparent)]
    BadOp(#[from] BadOp),
    /// Beyond what the lattice allows.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Not this author, or not these keys.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// No operation at all.
    #[error("a write needs at least one operation")]
    Empty,
    /// This node was not let in yet.
    #[error("this node is not a member yet: the node that printed its ticket has not let it in; see `lattice status`")]
    NotYetMember,
    /// This node lost its database; its chain goes on elsewhere.
    #[error(
        "this node lost its database, or has an older one, and must learn from others what it signed before, or it would \
         sign two commits for one place; that happens by itself once they answer. If no other node is left, stop this one, \
         remove the files `catching-up` and `doubtful` from the data directory, and start it again"
    )]
    CatchingUp,
    /// Nobody has said yet what this node signed last.
    #[error("{}", unsure(*_0))]
    Unsure(Doubt),
    /// Our clock is behind what we have seen.
    #[error(transparent)]
    Clock(#[from] ClockBehind),
    /// The name was used for another request.
    #[error("this idempotency key was used for another request; use a new one")]
    KeyReused,
    /// No invitation with this secret.
    #[error("no invitation of this node has that secret, or it was redeemed by another node; ask for a new one")]
    NoInvitation,
    /// Only admins let others in.
    #[error("this node is not an admin of the lattice and can't add members; ask an admin's node")]
    NotAdmin,
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A write at a mirror of the seat's holder.
    #[error("this node mirrors the seat's holder and signs nothing of its own; write at another node")]
    Mirroring,
    /// A write of the seat at a node that does not hold it (any more).
    #[error("this node does not hold the seat")]
    NotHolder,
    /// The condition of a write of the seat does not hold.
    #[error("the entry is not what the request says it must be; read it again")]
    ConditionFailed {
        /// What stands there; `None` without a value.
        found: Option<EntryTag>,
    },
    /// The condition of a write of the seat fails because of one that the shadow has not got yet.
    #[error(
        "a write to the same key waits for the shadow; whether the condition holds is known when it is in the state"
    )]
    ConditionOpen,
    /// Too much is staged.
    #[error("as many writes as this node can stage wait for the shadow; come again in a moment")]
    SeatBusy,
    /// A takeover cut the write off before the shadow had it.
    #[error(
        "another node took the seat over before the shadow had this write; it is kept in quarantine at this node and          counts nowhere: write it again if it is still wanted"
    )]
    Deposed,
    /// The node is about to end.
    #[error("this node is stopping")]
    Stopping,
}

impl WriteError {
    /// Who is at fault.
    pub fn fault(&self) -> Fault {
        match self {
            Self::BadOp(_) | Self::Empty | Self::KeyReused | Self::NoInvitation | Self::NotAdmin => Fault::Sender,
            Self::Verify(error) => error.fault(),
            // A client that asks for a reserved key is at fault, whatever a gossiping peer would be.
            Self::NotAdmitted(_) => Fault::Sender,
            Self::ConditionFailed { .. } => Fault::Sender,
            Self::NotYetMember
            | Self::CatchingUp
            | Self::Unsure(_)
            | Self::Clock(_)
            | Self::NotHolder
            | Self::ConditionOpen
            | Self::Mirroring
            | Self::SeatBusy
            | Self::Deposed
            | Self::Stopping => Fault::Us,
            Self::Store(error) => error.fault(),
        }
    }
}
