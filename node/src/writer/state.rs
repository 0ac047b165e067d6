//! The writer's picture of the last durable transaction, and the transaction that replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::clock::Clock;
use lattice::commit::{Draft, VerifiedCommit};
use lattice::equivocation::Equivocation;
use lattice::frontier::{Chain, Frontier};
use lattice::ids::{AuthorId, CommitId, KeyHash, StateRoot};
use lattice::log::checkpoint::origin;
use lattice::log::edge::Edge;
use lattice::log::note::KeyName;
use lattice::membership::{Change, Membership};
use lattice::op::Op;
use lattice::record::{Event, Record};
use lattice::seat::SEAT_PREFIX;
use lattice::tree::StateTree;
use node_core::apply::{EntryRow, NextRows, Tree, contested, plan};
use node_core::resume::Doubt;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::Identity;
use super::answers::written;
use super::caught::Wanted;
use super::checkpoint::Checkpointed;
use super::group::{Group, Item, Task};
use super::job::{WriteError, Written};
use super::seat::{Copying, Part, Seat, SeatPublished};
use super::transaction::{Batch, Next};
use crate::home::Start;
use crate::store::checkpoints::{Forks, WitnessedLogs};
use crate::store::open::Opened;
use crate::store::quarantine::QuarantineSize;
use crate::store::{OWN_LOG, StoreError, log, write};

/// Operations in a group from which on the planning leaves the async threads.
const BLOCKING_OPS: usize = 64;

/// What everybody but the writer sees: one durable state. Cheap to hold, never changes.
pub struct Published {
    /// The state tree.
    pub tree: Tree,
    /// Its root.
    pub root: StateRoot,
    /// How far each chain is in.
    pub frontier: Arc<Frontier>,
    /// The frontier's digest.
    pub frontier_digest: [u8; 32],
    /// Whose commits count.
    pub membership: Arc<Membership>,
    /// Membership changes by key hash.
    pub changes: Arc<BTreeMap<KeyHash, Change>>,
    /// The entries under `@member/` as a tree of their own: they move first in a reconcile.
    pub members: StateTree<EntryRow>,
    /// Records in the own log.
    pub log_size: u64,
    /// Its name.
    pub origin: KeyName,
    /// Its last checkpoint.
    pub checkpointed: Option<Arc<Checkpointed>>,
    /// Whether it is signed while it grows: not before enough others have said what they hold of it.
    pub may_sign: bool,
    /// What this node cosigned last of others' logs.
    pub witnessed: Arc<WitnessedLogs>,
    /// Evidence against logs that forked.
    pub forks: Arc<Forks>,
    /// The seat, as far as it is here.
    pub seat: SeatPublished,
    /// What cuts took away and nobody has dealt with.
    pub quarantine: QuarantineSize,
    /// Commits that wait.
    pub waiting: usize,
    /// Evidence kept.
    pub equivocations: Arc<Vec<Equivocation>>,
    /// Winning operations since start that our frontier said we had: each was damage here.
    pub damaged: u64,
    /// Whether this node lost its database and does not sign until it knows from a peer what it signed.
    pub is_catching_up: bool,
    /// The clock that commits are dated by.
    pub clock: Clock,
    /// What speaks for an older copy of the database, until others have said what they hold of this node's chain: nothing
    /// is signed before.
    pub doubt: Option<Doubt>,
    /// What spoke for an older copy when this node started.
    pub started: Doubt,
    /// Why the last transaction failed, until one succeeds.
    pub trouble: Option<StoreError>,
}

impl Published {
    /// Records under the last checkpoint; 0 before the first.
    pub fn checkpoint_size(&self) -> u64 {
        self.checkpointed.as_ref().map_or(0, |last| last.signed.checkpoint().size())
    }
}

pub(super) struct State {
    pub(super) connection: SqliteConnection,
    pub(super) tree: Tree,
    pub(super) frontier: Arc<Frontier>,
    pub(super) membership: Arc<Membership>,
    /// Membership changes by key hash, and their leaves.
    pub(super) changes: Arc<BTreeMap<KeyHash, Change>>,
    pub(super) members: StateTree<EntryRow>,
    pub(super) authors: BTreeMap<AuthorId, i64>,
    pub(super) equivocations: Arc<Vec<Equivocation>>,
    pub(super) next: NextRows,
    /// Name of the own log.
    pub(super) origin: KeyName,
    pub(super) edge: Edge,
    pub(super) checkpointed: Option<Arc<Checkpointed>>,
    pub(super) may_sign: bool,
    /// Keys that wait for the next checkpoint.
    pub(super) wanted: Vec<Wanted>,
    pub(super) witnessed: Arc<WitnessedLogs>,
    pub(super) forks: Arc<Forks>,
    pub(super) clock: Clock,
    pub(super) damaged: u64,
    pub(super) seat: Seat,
    pub(super) quarantine: QuarantineSize,
    /// Keys whose entries were dropped as damaged, and counted; they are not counted again when they come back.
    pub(super) dropped: BTreeSet<KeyHash>,
    /// Whether the last transaction may or may not be on disk.
    pub(super) is_uncertain: bool,
    /// Whether this node lost its database and must not sign before it knows what it signed.
    pub(super) is_catching_up: bool,
    /// What speaks for an older copy, until that is settled.
    pub(super) doubt: Option<Doubt>,
    pub(super) started: Doubt,
    /// Where others have the end of the own chain, if that is beyond what is stored here.
    pub(super) floor: Option<(u64, CommitId)>,
}

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum NotApplied {
    /// It would make other records than the holder's.
    Differs,
    /// The disk.
    Store(StoreError),
}

impl From<StoreError> for NotApplied {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a transaction did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) membership_changed: bool,
    /// Commits of which an operation won.
    pub(super) winning: BTreeSet<CommitId>,
    /// Evidence found in it, to be told to others.
    pub(super) evidence: Vec<Equivocation>,
}

impl State {
    /// Takes over an opened store; opens the log of a new one.
    pub(super) async fn resume(
        identity: &Identity,
        opened: Opened,
        start: Start,
        now_ms: u64,
    ) -> Result<Self, StoreError> {
        let rebuilt = opened.rebuilt;
        let membership = Arc::new(Membership::of(&identity.genesis, rebuilt.changes.values().cloned()));
        let tips = opened.frontier.chains().filter_map(|(_, chain)| chain.tip.as_ref()).map(|t| t.header().time).max();
        let mut state = Self {
            connection: opened.writer,
            members: members_of(&rebuilt.tree, &rebuilt.changes),
            tree: rebuilt.tree,
            frontier: Arc::new(opened.frontier),
            membership,
            changes: Arc::new(rebuilt.changes),
            authors: rebuilt.authors,
            equivocations: Arc::default(),
            next: rebuilt.next,
            origin: origin(&identity.lattice, &identity.keys.author.id(), 1),
            edge: opened.edge,
            checkpointed: None,
            may_sign: false,
            wanted: Vec::new(),
            witnessed: Arc::default(),
            forks: Arc::default(),
            clock: Clock::resuming_at(rebuilt.latest.max(tips.unwrap_or_default())),
            damaged: 0,
            seat: Seat::default(),
            quarantine: QuarantineSize::default(),
            dropped: BTreeSet::new(),
            is_uncertain: false,
            is_catching_up: start.is_catching_up,
            doubt: start.doubt,
            started: start.doubt.unwrap_or(Doubt::Usual),
            floor: None,
        };
        state.equivocations = Arc::new(state.stored_evidence().await?);
        if state.edge.size() == 0 {
            let author = identity.keys.author.id();
            // A log is never begun twice under one name.
            let opening = if start.is_catching_up { now_ms } else { 1 };
            state.origin = origin(&identity.lattice, &author, opening);
            let key = identity.keys.log_key();
            write::name_log(&mut state.connection, OWN_LOG, state.origin.as_str(), key.as_bytes()).await?;
            // A start that was cut short may have named it already.
            state.origin = write::log_name(&mut state.connection).await?;
            state.note(now_ms, Event::Opened { lattice: identity.lattice, author }).await?;
            // Nobody can hold anything of a log that begins now.
            state.may_sign = true;
        } else {
            state.origin = write::log_name(&mut state.connection).await?;
            state.take_up_checkpoint(identity).await?;
            if start.renames_log {
                let (size, root) = (state.edge.size(), state.edge.root());
                state.rename_log(identity, size, root, now_ms).await?;
            }
        }
        state.take_up_witnessed().await?;
        state.take_up_seat(identity).await?;
        state.recount_quarantine().await;
        Ok(state)
    }

    pub(super) fn publish(&self, waiting: usize, trouble: Option<StoreError>) -> Published {
        Published {
            tree: self.tree.clone(),
            root: self.tree.root(),
            frontier: self.frontier.clone(),
            frontier_digest: self.frontier.digest(),
            membership: self.membership.clone(),
            changes: self.changes.clone(),
            members: self.members.clone(),
            log_size: self.edge.size(),
            origin: self.origin.clone(),
            checkpointed: self.checkpointed.clone(),
            may_sign: self.may_sign,
            witnessed: self.witnessed.clone(),
            forks: self.forks.clone(),
            seat: self.seat_published(),
            quarantine: self.quarantine,
            waiting,
            equivocations: self.equivocations.clone(),
            damaged: self.damaged,
            is_catching_up: self.is_catching_up,
            clock: self.clock,
            doubt: self.doubt,
            started: self.started,
            trouble,
        }
    }

    /// Signs the next commit of our chain, after those already in `group`, and verifies it like any other.
    pub(super) fn draft(
        &mut self,
        identity: &Identity,
        group: &Group,
        ops: Vec<Op>,
        now_ms: u64,
    ) -> Result<VerifiedCommit, WriteError> {
        if ops.is_empty() {
            return Err(WriteError::Empty);
        }
        self.expect_sure()?;
        // Its state is the holder's, record by record; only the certificate that ends its mirroring is its own.
        let is_certificate = ops.iter().all(|op| op.key().as_str().starts_with(SEAT_PREFIX));
        if matches!(self.seat.part, Part::Mirror(_)) && !is_certificate {
            return Err(WriteError::Mirroring);
        }
        let author = identity.keys.author.id();
        let stored = end_of(&self.frontier.chain(&author, 0));
        let queued = group.last_of(&author).map(|last| (last.header().seq, last.id()));
        let ends = [Some(stored), queued, self.floor].into_iter().flatten();
        let (seq, prev) = ends.max_by_key(|(seq, _)| *seq).unwrap_or(stored);
        let time = self.clock.tick(now_ms, identity.genesis.limits.max_drift_ms)?;
        let draft = Draft { lattice: identity.lattice, term: 0, seq: seq + 1, prev, time };
        let commit = draft.sign(&identity.keys.author, ops);
        Ok(commit.verify_for(&identity.genesis, identity.lattice)?)
    }

    /// Joins the items into the state in one transaction. On an error nothing has changed, here or on disk.
    pub(super) async fn apply(&mut self, identity: &Identity, items: &[Item], now_ms: u64) -> Result<Done, StoreError> {
        match self.join(identity, items, now_ms, self.seat.copying()).await {
            Ok(done) => Ok(done),
            Err(NotApplied::Store(error)) => Err(error),
            Err(NotApplied::Differs) => unreachable!("only a mirror's records are compared"),
        }
    }

    /// As [`State::apply`], and says what goes to the seat's log.
    pub(super) async fn join(
        &mut self,
        identity: &Identity,
        items: &[Item],
        now_ms: u64,
        copying: Copying<'_>,
    ) -> Result<Done, NotApplied> {
        let batch: Vec<&VerifiedCommit> = items.iter().map(|item| &item.commit).collect();
        let evidence = self.find_equivocations(&batch).await?;
        let rows: Vec<EntryRow> = contested(&self.tree, &batch).into_iter().collect();
        let standing = write::standing(&mut self.connection, &rows).await?;
        let ops = batch.iter().map(|commit| commit.commit().slots().len()).sum::<usize>();
        let make = || {
            let plan = plan(&identity.genesis, &self.tree, &batch, &standing, self.next);
            // Hashing changed pages is the other half of the work.
            plan.tree.root();
            plan
        };
        let plan = if ops >= BLOCKING_OPS { tokio::task::block_in_place(make) } else { make() };
        let mut frontier = self.frontier.clone();
        let chains = advance(&mut frontier, &batch);
        let changes_nothing = plan.entries.is_empty() && chains.is_empty() && evidence.is_empty();
        // What was staged has to leave staging, and a mirror makes a record wherever the holder made one.
        let must_be_told =
            !matches!(copying, Copying::Nothing | Copying::Made) || items.iter().any(is_staged_or_redeems);
        if changes_nothing && !must_be_told {
            return Ok(Done::default());
        }
        let next = Next {
            tree: plan.tree.clone(),
            frontier,
            membership: self.membership.clone(),
            changes: self.changes.clone(),
            authors: self.authors.clone(),
            evidence,
            next: plan.next,
            edge: self.edge.clone(),
            seat_edge: self.seat.edge.clone(),
            made: Vec::new(),
        };
        let damaged = self.count_damage(&plan, &next.evidence).await?;
        let what =
            Batch { identity, items, plan: &plan, chains: &chains, before: self.tree.root(), time_ms: now_ms, copying };
        let next = self.transact(next, &what).await?;
        self.seat.tell(&next.made, items);
        self.damaged += damaged;
        let winning = plan.commits.iter().map(|write| write.commit.id()).collect();
        let done = self.adopt(next, &batch);
        if done.membership_changed {
            self.recount_quarantine().await;
        }
        Ok(Done { winning, ..done })
    }

    /// All or nothing, on disk and in what it gives back.
    async fn transact(&mut self, next: Next, what: &Batch<'_>) -> Result<Next, NotApplied> {
        self.expect_certain()?;
        write::begin(&mut self.connection).await?;
        let (next, error) = match next.write(&mut self.connection, what).await {
            Ok(next) if what.copying.differs(&next.made) => {
                write::roll_back(&mut self.connection).await;
                return Err(NotApplied::Differs);
            }
            Ok(next) => match write::commit(&mut self.connection).await {
                Ok(()) => return Ok(next),
                Err(error) => (Some(next), error),
            },
            Err(error) => (None, error),
        };
        write::roll_back(&mut self.connection).await;
        let Some(next) = next else { return Err(error.into()) };
        // A commit that reports an error may still have taken place. Every transaction appends to the log, so its size
        // on disk tells.
        if self.took_place(next.edge.size()).await? { Ok(next) } else { Err(error.into()) }
    }

    /// Whether the log on disk has reached this size. If even that can't be read, nobody knows what is durable, and
    /// going on could sign a second commit for one place: the writer refuses everything until a restart.
    pub(super) async fn took_place(&mut self, log_size: u64) -> Result<bool, StoreError> {
        let stored = write::stored_log_size(&mut self.connection, OWN_LOG).await;
        self.is_uncertain = stored.is_err();
        Ok(stored? == log_size)
    }

    pub(super) fn expect_certain(&self) -> Result<(), StoreError> {
        if self.is_uncertain { Err(StoreError::Uncertain) } else { Ok(()) }
    }

    fn adopt(&mut self, next: Next, batch: &[&VerifiedCommit]) -> Done {
        let membership_changed = !Arc::ptr_eq(&next.membership, &self.membership);
        if membership_changed {
            self.members = members_of(&next.tree, &next.changes);
        }
        if !next.evidence.is_empty() {
            let mut known = self.equivocations.as_ref().clone();
            known.extend(next.evidence.iter().cloned());
            known.sort_by_key(|pair| pair.first.header().author);
            known.dedup_by_key(|pair| pair.first.header().author);
            self.equivocations = Arc::new(known);
        }
        self.tree = next.tree;
        self.frontier = next.frontier;
        self.membership = next.membership;
        self.changes = next.changes;
        self.authors = next.authors;
        self.next = next.next;
        self.edge = next.edge;
        self.seat.edge = next.seat_edge;
        batch.iter().for_each(|commit| self.clock.observe(commit.header().time));
        Done { membership_changed, winning: BTreeSet::new(), evidence: next.evidence }
    }

    /// Appends a record that leaves the state as it is.
    pub(super) async fn note(&mut self, now_ms: u64, event: Event) -> Result<(), StoreError> {
        let root = self.tree.root();
        let record = Record { time_ms: now_ms, before: root, after: root, entries: self.tree.len(), event };
        let last_entry = EntryRow(self.next.entry.0 - 1);
        self.expect_certain()?;
        let mut edge = self.edge.clone();
        write::begin(&mut self.connection).await?;
        let appended = log::append_record(&mut self.connection, OWN_LOG, &mut edge, record.encode(), last_entry).await;
        let written = match appended {
            Ok(()) => write::commit(&mut self.connection).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            write::roll_back(&mut self.connection).await;
            if !self.took_place(edge.size()).await? {
                return Err(error);
            }
        }
        self.edge = edge;
        Ok(())
    }

    pub(super) fn written(&self, commit: &VerifiedCommit) -> Written {
        let (root, entries) = (self.tree.root(), self.tree.len());
        written(commit, self.edge.size(), root, entries)
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database did not close cleanly; the next start repairs it");
        }
    }
}

/// Notes the whole commits of a batch in the frontier; gives the chains that changed.
fn advance(frontier: &mut Arc<Frontier>, batch: &[&VerifiedCommit]) -> BTreeSet<(AuthorId, u64)> {
    let mut touched = BTreeSet::new();
    for commit in batch.iter().filter(|commit| commit.is_whole()) {
        let header = commit.header();
        if !frontier.covers(&header.author, header.term, header.seq) {
            Arc::make_mut(frontier).chain_mut(&header.author, header.term).note(commit.commit().signed());
            touched.insert((header.author, header.term));
        }
    }
    touched
}

pub(super) fn end_of(chain: &Chain) -> (u64, CommitId) {
    chain.beyond.last().map_or((chain.seq(), chain.tip_id()), |run| (run.last_seq(), run.last.id()))
}

fn members_of(tree: &Tree, changes: &BTreeMap<KeyHash, Change>) -> StateTree<EntryRow> {
    let mut members = StateTree::default();
    changes.keys().filter_map(|key| tree.get(key)).for_each(|leaf| {
        members.insert(*leaf);
    });
    members
}

fn is_staged_or_redeems(item: &Item) -> bool {
    match &item.task {
        Task::Own(own) => own.redeems.is_some(),
        Task::Staged(_) => true,
        Task::Foreign(..) => false,
    }
}
