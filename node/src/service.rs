//! What the API may ask of a node: the one handle that request handlers hold.
//!
//! It owns no state. Writes go to the writer task, reads to the read pool, facts come from what writer and swarm
//! last published.

mod facts;
mod settling;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use http_fallback::heartbeat::Board;
use lattice::commit::Commit;
use lattice::hello::INVITATION_SECRET_BYTES;
use lattice::ids::CommitId;
use lattice::op::{Key, Op};
use lattice::ticket::Ticket;
use node_core::confirmed::Confirmations;
use node_core::resume::Doubt;
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::steady_ms;
use crate::counters::Counters;
use crate::dashboard::recorder::Recorder;
use crate::intake;
use crate::join::JoinRefused;
use crate::journal::{Happening, Journal};
use crate::metrics::Metrics;
use crate::net::NetHandle;
use crate::net::swarm::public_addresses;
use crate::scrub;
use crate::seat::status::SeatStatus;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::writer::job::{Fate, Job};
use crate::writer::{Identity, Published, Reply, WriterHandle};

pub use crate::store::StoredEntry;
pub use crate::store::read::{Changes, Cursor};
pub use crate::writer::job::{IdempotencyKey, WriteError, Written};

/// Reads fail only as the store does.
pub type ReadError = StoreError;

/// Why no invitation was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Only admins let others in.
    #[error("this node is not an admin of the lattice; ask for an invitation at an admin's node")]
    NotAdmin,
    /// Nothing to dial.
    #[error("this node listens on no address that another could dial; start it with --p2p or --external")]
    NoAddress,
    /// The secret could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is about to end, or has no randomness.
    #[error("{0}")]
    Unavailable(String),
}

/// What became of a commit signed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Its effect is in the state and durable.
    Applied,
    /// It waits for its author or its time.
    Waiting,
    /// It does not count here.
    Refused(WriteError),
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) identity: Arc<Identity>,
    pub(crate) name: String,
    pub(crate) writer: WriterHandle,
    pub(crate) reader: Reader,
    pub(crate) net: NetHandle,
    pub(crate) counters: Arc<Counters>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) journal: Arc<Journal>,
    /// What the dashboard remembers.
    pub(crate) dashboard: Arc<Recorder>,
    pub(crate) board: watch::Receiver<Board>,
    /// The last checkpoints of all logs.
    pub(crate) logs: crate::audit::Board,
    /// What members state of their states.
    pub(crate) confirmations: Mutex<Confirmations>,
    pub(crate) started: Instant,
    /// What the seat looks like from here, once its driver runs.
    pub(crate) seat: OnceLock<watch::Receiver<SeatStatus>>,
    /// Why the inviting node did not let this one in, if it said so since start.
    pub(crate) join_refusal: OnceLock<JoinRefused>,
    pub(crate) stop: CancellationToken,
}

impl Service {
    /// Signs, applies and stores operations of this node's own; answers once they are durable.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; nothing of the write is in the state then.
    pub async fn write(&self, ops: Vec<Op>, idempotency: Option<IdempotencyKey>) -> Result<Written, WriteError> {
        self.settled_start().await;
        let (reply, answer) = oneshot::channel();
        self.inner.writer.send(Job::Write { ops, idempotency, reply: Reply(reply) }).await;
        answer.await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Those of `ops` that would change what a reader of their key finds now. Another write may come in between: they
    /// are then written though they change nothing, or left out though the key has changed since.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn changes_among(&self, ops: Vec<Op>) -> Result<Vec<Op>, ReadError> {
        let published = self.inner.writer.published();
        let mut changes = Vec::with_capacity(ops.len());
        for op in ops {
            // The tree knows without the disk that a key was never written, which is the rule in a first import.
            let known = published.tree.get(&op.key().hash()).is_some();
            let stored = if known { self.inner.reader.entry(op.key()).await? } else { None };
            if stored.and_then(|entry| entry.value).as_deref() != op.value() {
                changes.push(op);
            }
        }
        Ok(changes)
    }

    /// Takes commits signed elsewhere by members; tells each one's fate, in their order.
    pub async fn submit(&self, commits: Vec<Commit>) -> Vec<(CommitId, Submitted)> {
        let mut fates = Vec::with_capacity(commits.len());
        let mut verified = Vec::with_capacity(commits.len());
        for checked in intake::verify(&self.inner.identity, commits).await {
            match checked {
                Ok(commit) => {
                    fates.push((commit.id(), Submitted::Refused(WriteError::Stopping)));
                    verified.push(commit);
                }
                Err((id, error)) => fates.push((id, Submitted::Refused(error.into()))),
            }
        }
        for (id, fate) in self.inner.writer.take(verified, true).await.unwrap_or_default() {
            let submitted = match fate {
                Fate::Applied | Fate::Known => Submitted::Applied,
                Fate::Waits => Submitted::Waiting,
                Fate::Refused(why) => Submitted::Refused(why.into()),
                Fate::Failed(why) => Submitted::Refused(why),
            };
            fates.iter_mut().filter(|(known, _)| *known == id).for_each(|(_, slot)| *slot = submitted.clone());
        }
        fates
    }

    /// The entry at `key`, tombstones included.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn get(&self, key: &Key) -> Result<Option<StoredEntry>, ReadError> {
        let entry = self.inner.reader.entry(key).await?;
        self.expect_as_stored(entry.as_slice(), entry.is_none().then_some(key)).await?;
        Ok(entry)
    }

    /// Live entries under `prefix` after the key `after`, in key order.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<StoredEntry>, ReadError> {
        let entries = self.inner.reader.list(prefix, after, limit).await?;
        self.expect_as_stored(&entries, None).await?;
        Ok(entries)
    }

    /// Refuses entries that are not those of the state tree, and a `missing` one that is there: the disk has changed. What
    /// is wrong is dropped, and other nodes are asked for it.
    async fn expect_as_stored(&self, entries: &[StoredEntry], missing: Option<&Key>) -> Result<(), ReadError> {
        let published = self.inner.writer.published();
        let missing = missing.map(Key::hash).filter(|key| published.tree.get(key).is_some());
        let (mut suspects, mut strays) = (Vec::from_iter(missing), Vec::new());
        // One written this moment is not published yet. The writer, asked next, knows.
        for entry in entries {
            let leaf = entry.leaf();
            match published.tree.get(&leaf.key) {
                Some(held) if held.leaf == leaf.leaf => {}
                Some(_) => suspects.push(leaf.key),
                None => {
                    suspects.push(leaf.key);
                    strays.push(entry.key.clone());
                }
            }
        }
        match scrub::recheck(&self.inner.writer, &self.inner.journal, suspects, strays).await? {
            0 => Ok(()),
            _dropped => Err(StoreError::Dropped),
        }
    }

    /// Where to read changes from, for someone who has seen the log up to `position`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn cursor_at(&self, position: u64) -> Result<Cursor, ReadError> {
        self.inner.reader.cursor_at(position).await
    }

    /// Entries under `prefix` changed after `cursor`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn changes(&self, prefix: &str, cursor: Cursor, limit: usize) -> Result<Changes, ReadError> {
        self.inner.reader.changes(prefix, cursor, limit).await
    }

    /// What the last durable transaction left; changes with each.
    pub fn states(&self) -> watch::Receiver<Arc<Published>> {
        self.inner.writer.watch()
    }

    /// What the network looks like; changes with it.
    pub fn peers_changed(&self) -> watch::Receiver<crate::net::NetView> {
        self.inner.net.watch()
    }

    /// Fires when the node is about to end.
    pub fn stopped(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Makes the right to enter once, and the string that carries it.
    ///
    /// # Errors
    ///
    /// [`InviteError`].
    pub async fn invite(&self) -> Result<Ticket, InviteError> {
        let inner = &self.inner;
        if !inner.identity.genesis.admins.contains(&inner.identity.keys.author.id()) {
            return Err(InviteError::NotAdmin);
        }
        let addresses: Vec<_> =
            public_addresses(&inner.net.view(), inner.net.own).iter().map(ToString::to_string).collect();
        if addresses.is_empty() {
            return Err(InviteError::NoAddress);
        }
        let mut secret = [0; INVITATION_SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| InviteError::Unavailable(error.to_string()))?;
        let (reply, kept) = oneshot::channel();
        inner.writer.send(Job::Invite { secret_hash: Sha256::digest(secret).into(), reply }).await;
        kept.await.map_err(|_| InviteError::Unavailable(WriteError::Stopping.to_string()))??;
        let addresses = addresses.into_iter().take(lattice::ticket::TICKET_ADDRESSES_MAX).collect();
        Ok(Ticket { genesis: inner.identity.genesis.clone(), addresses, secret })
    }

    /// Whether this node serves right answers now.
    ///
    /// # Errors
    ///
    /// The reason why not.
    pub fn ready(&self) -> Result<(), String> {
        let published = self.inner.writer.published();
        if let Some(trouble) = &published.trouble {
            return Err(trouble.to_string());
        }
        if !published.membership.is_active(&self.inner.identity.keys.author.id()) {
            return Err(match self.inner.join_refusal.get() {
                Some(refused) => format!("not a member: {refused}; then join with a new directory"),
                None => WriteError::NotYetMember.to_string(),
            });
        }
        if published.is_catching_up {
            return Err(WriteError::CatchingUp.to_string());
        }
        if let Some(doubt @ (Doubt::Copied | Doubt::Restored)) = published.doubt {
            return Err(WriteError::Unsure(doubt).to_string());
        }
        let (counts, last) = (self.counts(), self.inner.counters.last_reconcile());
        if counts.lattice > 0 && counts.in_sync == 0 {
            return Err("not in sync with any peer yet; see `lattice peers`".to_owned());
        }
        match last.filter(|last| last.outcome == "unexplained") {
            Some(last) => Err(format!("the state differs from that of peer {}, and nothing explains it", last.peer)),
            None => Ok(()),
        }
    }

    /// What happened behind number `after`, the oldest first.
    pub fn happenings(&self, after: u64, limit: usize) -> Vec<Happening> {
        self.inner.journal.behind(after, limit)
    }

    /// Prometheus text.
    pub fn metrics(&self) -> String {
        self.inner.metrics.text(steady_ms(), self.status())
    }
}
