//! The writer's picture of the last durable transaction, and the transaction that replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::clock::Clock;
use lattice::commit::{Draft, Header, SignedHeader, VerifiedCommit};
use lattice::equivocation::Equivocation;
use lattice::frontier::{Chain, Frontier};
use lattice::genesis::Member;
use lattice::ids::{AuthorId, CommitId, KeyHash, LatticeId, StateRoot};
use lattice::membership::{Change, Membership};
use lattice::op::Op;
use lattice::record::{Event, Record};
use node_core::apply::{EntryRow, NextRows, Plan, Tree, contested, plan};
use sha2::{Digest, Sha256};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::Identity;
use super::group::{Group, Item, Task};
use super::job::{IdempotencyKey, Invitation, WriteError, Written};
use super::transaction::{Batch, Next};
use crate::store::open::Opened;
use crate::store::{StoreError, write};

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
    pub members: Tree,
    /// Records in the own log.
    pub log_size: u64,
    /// Commits that wait.
    pub waiting: usize,
    /// Evidence kept.
    pub equivocations: Arc<Vec<Equivocation>>,
    /// Winning operations since start that our frontier said we had: each was damage here.
    pub damaged: u64,
    /// Why the last transaction failed, until one succeeds.
    pub trouble: Option<StoreError>,
}

pub(super) struct State {
    connection: SqliteConnection,
    tree: Tree,
    frontier: Arc<Frontier>,
    pub(super) membership: Arc<Membership>,
    /// Membership changes by key hash, and their leaves.
    changes: Arc<BTreeMap<KeyHash, Change>>,
    members: Tree,
    authors: BTreeMap<AuthorId, i64>,
    equivocations: Arc<Vec<Equivocation>>,
    next: NextRows,
    log_size: u64,
    clock: Clock,
    damaged: u64,
}

/// What a transaction did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) membership_changed: bool,
    /// Evidence found in it, to be told to others.
    pub(super) evidence: Vec<Equivocation>,
}

impl State {
    /// Takes over an opened store; opens the log of a new one.
    pub(super) async fn resume(identity: &Identity, opened: Opened, now_ms: u64) -> Result<Self, StoreError> {
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
            log_size: opened.log_size,
            clock: Clock::resuming_at(rebuilt.latest.max(tips.unwrap_or_default())),
            damaged: 0,
        };
        state.equivocations = Arc::new(state.stored_evidence().await?);
        if state.log_size == 0 {
            let author = identity.keys.author.id();
            let origin = format!("{}/{author}", identity.lattice);
            write::name_log(&mut state.connection, &origin, identity.keys.log_key().as_bytes()).await?;
            state.note(now_ms, Event::Opened { lattice: identity.lattice, author }).await?;
        }
        Ok(state)
    }

    async fn stored_evidence(&mut self) -> Result<Vec<Equivocation>, StoreError> {
        let stored: Vec<Vec<u8>> = sqlx::query_scalar("SELECT evidence FROM equivocations ORDER BY author")
            .fetch_all(&mut self.connection)
            .await?;
        stored.iter().map(|bytes| Equivocation::decode(bytes).map_err(StoreError::damaged)).collect()
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
            log_size: self.log_size,
            waiting,
            equivocations: self.equivocations.clone(),
            damaged: self.damaged,
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
        let author = identity.keys.author.id();
        let (seq, prev) = match group.last_of(&author) {
            Some(last) => (last.header().seq, last.id()),
            None => end_of(&self.frontier.chain(&author, 0)),
        };
        let time = self.clock.tick(now_ms, identity.genesis.limits.max_drift_ms)?;
        let draft = Draft { lattice: identity.lattice, term: 0, seq: seq + 1, prev, time };
        let commit = draft.sign(&identity.keys.author, ops);
        Ok(commit.verify_for(&identity.genesis, identity.lattice)?)
    }

    /// Joins the items into the state in one transaction. On an error nothing has changed, here or on disk.
    pub(super) async fn apply(&mut self, identity: &Identity, items: &[Item], now_ms: u64) -> Result<Done, StoreError> {
        let batch: Vec<_> = items.iter().map(|item| item.commit.clone()).collect();
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
        if plan.entries.is_empty() && chains.is_empty() && evidence.is_empty() && !items.iter().any(redeems) {
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
            log_size: self.log_size,
        };
        let damaged = self.count_damage(&plan, &next.evidence);
        let what = Batch { identity, items, plan: &plan, chains: &chains, before: self.tree.root(), time_ms: now_ms };
        let next = self.transact(next, &what).await?;
        self.damaged += damaged;
        Ok(self.adopt(next, &batch))
    }

    /// All or nothing, on disk and in what it gives back.
    async fn transact(&mut self, next: Next, what: &Batch<'_>) -> Result<Next, StoreError> {
        write::begin(&mut self.connection).await?;
        let (next, error) = match next.write(&mut self.connection, what).await {
            Ok(next) => match write::commit(&mut self.connection).await {
                Ok(()) => return Ok(next),
                Err(error) => (Some(next), error),
            },
            Err(error) => (None, error),
        };
        write::roll_back(&mut self.connection).await;
        // A commit that reports an error may still have taken place: the disk knows.
        match next {
            Some(next) if write::stored_root(&mut self.connection).await.ok().flatten() == Some(next.tree.root()) => {
                Ok(next)
            }
            _ => Err(error),
        }
    }

    fn adopt(&mut self, next: Next, batch: &[VerifiedCommit]) -> Done {
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
        self.log_size = next.log_size;
        batch.iter().for_each(|commit| self.clock.observe(commit.header().time));
        Done { membership_changed, evidence: next.evidence }
    }

    /// Operations that win although our frontier says that their effect is in: the state had lost them. Keys emptied
    /// by a cut may be filled by older commits, and a forked chain has two commits for one number, so neither counts.
    fn count_damage(&self, plan: &Plan<'_>, evidence: &[Equivocation]) -> u64 {
        let forked = |author: &AuthorId| {
            self.equivocations.iter().chain(evidence).any(|pair| pair.first.header().author == *author)
        };
        if self.membership.has_cuts() {
            return 0;
        }
        let is_damage =
            |header: &Header| self.frontier.covers(&header.author, header.term, header.seq) && !forked(&header.author);
        let damaged: u64 =
            plan.commits.iter().filter(|c| is_damage(c.commit.header())).map(|c| u64::from(c.live)).sum();
        if damaged > 0 {
            tracing::error!(damaged, "divergence: entries came that this state should have held; healed");
        }
        damaged
    }

    /// Pairs of commits at one place of a chain; only places known to be taken are looked up.
    async fn find_equivocations(&mut self, batch: &[VerifiedCommit]) -> Result<Vec<Equivocation>, StoreError> {
        let mut found: BTreeMap<AuthorId, Equivocation> = BTreeMap::new();
        for (index, commit) in batch.iter().enumerate() {
            let (header, signed) = (commit.header(), commit.commit().signed());
            let known = self.equivocations.iter().any(|pair| pair.first.header().author == header.author);
            let taken = !commit.is_whole() || self.frontier.covers(&header.author, header.term, header.seq);
            let in_batch = batch[..index].iter().find_map(|other| Equivocation::of(other.commit().signed(), signed));
            let pair = match in_batch {
                _ if known => None,
                Some(pair) => Some(pair),
                None if taken => self.stored_rival(signed).await?,
                None => None,
            };
            if let Some(pair) = pair {
                found.entry(header.author).or_insert(pair);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn stored_rival(&mut self, signed: &SignedHeader) -> Result<Option<Equivocation>, StoreError> {
        let header = signed.header();
        let chain = self.frontier.chain(&header.author, header.term);
        let ends = chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last));
        if let Some(pair) = ends.filter_map(|end| Equivocation::of(end, signed)).next() {
            return Ok(Some(pair));
        }
        let Some(author) = self.authors.get(&header.author) else { return Ok(None) };
        let stored = write::headers_at(&mut self.connection, *author, header.term, header.seq).await?;
        for (bytes, signature) in stored {
            let signature = signature.as_slice().try_into().map_err(StoreError::damaged)?;
            let other = SignedHeader::decode(&bytes, signature).map_err(StoreError::damaged)?;
            if let Some(pair) = Equivocation::of(&other, signed) {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }

    /// Keeps evidence that a peer sent, if there is none against that author yet.
    pub(super) async fn keep_evidence(&mut self, pair: &Equivocation) -> Result<(), StoreError> {
        if write::keep_evidence(&mut self.connection, pair).await? {
            let mut known = self.equivocations.as_ref().clone();
            known.push(pair.clone());
            known.sort_by_key(|pair| pair.first.header().author);
            self.equivocations = Arc::new(known);
        }
        Ok(())
    }

    /// Raises the frontier to a peer's, if the state is still the one that equals the peer's.
    pub(super) async fn raise(&mut self, lattice: LatticeId, root: &StateRoot, chains: &[((AuthorId, u64), Chain)]) {
        if self.tree.root() != *root {
            return;
        }
        let mut frontier = self.frontier.clone();
        let raised = Arc::make_mut(&mut frontier);
        let mut touched = Vec::new();
        for ((author, term), chain) in chains {
            let ours = raised.chain(author, *term);
            let mut joined = ours.clone();
            joined.raise_to(chain);
            if joined != ours
                && self.membership.last_seq(author).is_some()
                && is_chain_of(chain, lattice, author, *term)
            {
                *raised.chain_mut(author, *term) = joined;
                touched.push((*author, *term));
            }
        }
        for (author, term) in touched {
            if write::write_chain(&mut self.connection, &author, term, &frontier.chain(&author, term)).await.is_err() {
                return;
            }
        }
        self.frontier = frontier;
    }

    /// Appends a record that leaves the state as it is.
    pub(super) async fn note(&mut self, now_ms: u64, event: Event) -> Result<(), StoreError> {
        let root = self.tree.root();
        let record = Record { time_ms: now_ms, before: root, after: root, entries: self.tree.len(), event };
        let last_entry = EntryRow(self.next.entry.0 - 1);
        write::append_record(&mut self.connection, self.log_size, record.encode(), last_entry).await?;
        self.log_size += 1;
        Ok(())
    }

    pub(super) fn written(&self, commit: &VerifiedCommit) -> Written {
        let (root, entries) = (self.tree.root(), self.tree.len());
        written(commit, self.log_size, root, entries)
    }

    /// The answer kept for this idempotency key.
    pub(super) async fn kept_answer(
        &mut self,
        key: Option<&IdempotencyKey>,
        ops: &[Op],
    ) -> Result<Option<Written>, WriteError> {
        let Some(key) = key else { return Ok(None) };
        let Some((hash, answer)) = write::kept_answer(&mut self.connection, key.as_str()).await? else {
            return Ok(None);
        };
        if hash != request_hash(ops) {
            return Err(WriteError::KeyReused);
        }
        Ok(Some(decode_written(&answer)?))
    }

    pub(super) async fn keep_invitation(&mut self, secret_hash: [u8; 32], now_ms: u64) -> Result<(), StoreError> {
        write::keep_invitation(&mut self.connection, secret_hash, now_ms).await
    }

    /// What the secret of an invitation is worth for this member.
    pub(super) async fn invitation(
        &mut self,
        identity: &Identity,
        secret_hash: [u8; 32],
        member: &Member,
    ) -> Invitation {
        let redeemed_by = match write::invitation(&mut self.connection, secret_hash).await {
            Ok(Some(redeemed_by)) => redeemed_by,
            Ok(None) => return Invitation::Refused(WriteError::NoInvitation),
            Err(error) => return Invitation::Refused(error.into()),
        };
        if redeemed_by.is_some_and(|author| author != member.author) {
            return Invitation::Refused(WriteError::NoInvitation);
        }
        if self.membership.is_active(&member.author) {
            let (root, entries) = (self.tree.root(), self.tree.len());
            let log_position = self.log_size;
            return Invitation::Done(Written {
                commit: CommitId::ZERO,
                seq: 0,
                time_ms: 0,
                log_position,
                root,
                entries,
            });
        }
        if !identity.genesis.admins.contains(&identity.keys.author.id()) {
            return Invitation::Refused(WriteError::NotAdmin);
        }
        match Change::Add(member.clone()).to_op() {
            Ok(op) => Invitation::Open(op),
            Err(bad) => Invitation::Refused(bad.into()),
        }
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database did not close cleanly; the next start repairs it");
        }
    }
}

/// Notes the whole commits of a batch in the frontier; gives the chains that changed.
fn advance(frontier: &mut Arc<Frontier>, batch: &[VerifiedCommit]) -> BTreeSet<(AuthorId, u64)> {
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

fn end_of(chain: &Chain) -> (u64, CommitId) {
    chain.beyond.last().map_or((chain.seq(), chain.tip_id()), |run| (run.last_seq(), run.last.id()))
}

/// Whether every header of a chain is of this lattice, author and term, and signed.
fn is_chain_of(chain: &Chain, lattice: LatticeId, author: &AuthorId, term: u64) -> bool {
    let mut ends = chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last));
    ends.all(|end| {
        let header = end.header();
        (header.lattice, header.author, header.term) == (lattice, *author, term) && end.is_signed()
    })
}

fn members_of(tree: &Tree, changes: &BTreeMap<KeyHash, Change>) -> Tree {
    let mut members = Tree::default();
    changes.keys().filter_map(|key| tree.get(key)).for_each(|leaf| {
        members.insert(*leaf);
    });
    members
}

fn redeems(item: &Item) -> bool {
    matches!(&item.task, Task::Own(own) if own.redeems.is_some())
}

pub(super) fn written(commit: &VerifiedCommit, log_position: u64, root: StateRoot, entries: u64) -> Written {
    let header = commit.header();
    Written { commit: commit.id(), seq: header.seq, time_ms: header.time.millis(), log_position, root, entries }
}

pub(super) fn request_hash(ops: &[Op]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    ops.iter().for_each(|op| hasher.update(op.hash().0));
    hasher.finalize().into()
}

type WrittenWire = (CommitId, u64, u64, u64, StateRoot, u64);

pub(super) fn encode_written(w: &Written) -> Vec<u8> {
    lattice::codec::encode(&(w.commit, w.seq, w.time_ms, w.log_position, w.root, w.entries))
}

fn decode_written(bytes: &[u8]) -> Result<Written, StoreError> {
    let (commit, seq, time_ms, log_position, root, entries): WrittenWire =
        lattice::codec::decode(bytes, 256).map_err(StoreError::damaged)?;
    Ok(Written { commit, seq, time_ms, log_position, root, entries })
}
