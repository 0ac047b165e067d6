//! A node's picture of its last durable transaction, and the transaction that replaces it. Wired as the daemon's writer
//! wires `node_core::apply`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::clock::{Clock, Timestamp};
use lattice::commit::{Draft, VerifiedCommit};
use lattice::entry::Version;
use lattice::equivocation::Equivocation;
use lattice::frontier::{Chain, Frontier};
use lattice::ids::{AuthorId, CommitId, KeyHash, StateRoot};
use lattice::membership::{Change, Membership, is_change_key};
use lattice::op::Op;
use lattice::tree::{Leaf, StateTree};
use node_core::apply::{EntryRow, NextRows, Plan, Standing, Tree, contested, plan};
use reconcile::message::ChainId;

use super::Identity;
use super::database::Database;
use crate::simulation::rule::SafetyRule;

/// What everybody but the writer sees, and what the writer starts its next transaction from.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// The entries under `@member/` as a tree of their own.
    pub(crate) members: StateTree<EntryRow>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) changes: Arc<BTreeMap<KeyHash, Change>>,
    pub(crate) equivocations: Arc<BTreeMap<AuthorId, Equivocation>>,
    pub(crate) next: NextRows,
    pub(crate) log_size: u64,
    clock: Clock,
}

/// A state and a database as a transaction will leave them.
pub(crate) struct Next {
    pub(crate) state: State,
    pub(crate) database: Database,
    /// Evidence found in it.
    pub(crate) evidence: Vec<Equivocation>,
    /// Keys whose entries the frontier said were here and that were not.
    pub(crate) damaged: Vec<KeyHash>,
    /// Commits of which an operation won.
    pub(crate) winning: BTreeSet<CommitId>,
}

/// Stored entries that do not give the stored root.
#[derive(Debug, thiserror::Error)]
#[error("the stored entries give root {}, stored is {}", found.short(), stored.short())]
pub(crate) struct Damaged {
    found: StateRoot,
    stored: StateRoot,
}

impl State {
    /// Brings the picture back from the stored rows, as a start does, and proves that they agree with the stored root.
    pub(crate) fn rebuilt(identity: &Identity, database: &Database) -> Result<Self, Damaged> {
        let (mut tree, mut changes, mut latest) = (Tree::default(), BTreeMap::new(), Timestamp(0));
        for (row, stored, commit) in database.rows() {
            let entry = Database::entry(stored, commit);
            tree.insert(Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: row });
            latest = latest.max(commit.signed.header().time);
            if let Some(change) = change_of(&stored.op) {
                changes.insert(entry.key_hash(), change);
            }
        }
        if tree.root() != database.root {
            return Err(Damaged { found: tree.root(), stored: database.root });
        }
        let tips = database.chains.chains().filter_map(|(_, chain)| chain.tip.as_ref()).map(|tip| tip.header().time);
        let latest = tips.fold(latest, Timestamp::max);
        Ok(Self {
            members: members_of(&tree, &changes),
            tree,
            frontier: database.chains.clone(),
            membership: Arc::new(Membership::of(&identity.genesis, changes.values().cloned())),
            changes: Arc::new(changes),
            equivocations: Arc::new(database.evidence.clone()),
            next: database.next,
            log_size: database.log_size,
            clock: Clock::resuming_at(latest),
        })
    }

    /// Signs the next commit of our chain, after `queued`, the last one of ours that waits for its transaction.
    pub(crate) fn draft(
        &mut self,
        identity: &Identity,
        queued: Option<&VerifiedCommit>,
        ops: Vec<Op>,
        now_ms: u64,
    ) -> Option<VerifiedCommit> {
        let stored = end_of(&self.frontier.chain(&identity.author, 0));
        let queued = queued.map(|last| (last.header().seq, last.id()));
        let (seq, prev) = queued.filter(|queued| queued.0 > stored.0).unwrap_or(stored);
        let time = self.clock.tick(now_ms, identity.genesis.limits.max_drift_ms).ok()?;
        let draft = Draft { lattice: identity.lattice, term: 0, seq: seq + 1, prev, time };
        draft.sign(&identity.keys.author, ops).verify_for(&identity.genesis, identity.lattice).ok()
    }

    /// Joins a batch into the state; `None` if it changes nothing.
    pub(crate) fn joined(
        &self,
        identity: &Identity,
        database: &Database,
        batch: &[VerifiedCommit],
        without: Option<SafetyRule>,
    ) -> Option<Next> {
        let evidence = self.find_equivocations(database, batch);
        let of_batch: Vec<&VerifiedCommit> = batch.iter().collect();
        let mut standing = database.standing(&contested(&self.tree, &of_batch));
        if without == Some(SafetyRule::GreatestVersionWins) {
            standing.values_mut().for_each(|standing| *standing = beaten_by_all(*standing));
        }
        let plan = plan(&identity.genesis, &self.tree, &of_batch, &standing, self.next);
        let mut state = self.clone();
        let is_advanced = advance(&mut state.frontier, batch);
        if plan.entries.is_empty() && !is_advanced && evidence.is_empty() {
            return None;
        }
        let damaged = self.damage(database, &plan, &evidence);
        let mut database = database.clone();
        database.write_plan(&plan);
        let winning = plan.commits.iter().map(|write| write.commit.id()).collect();
        state.tree = plan.tree.clone();
        state.next = plan.next;
        state.log_size += 1;
        state.change_membership(identity, &mut database, &plan, without);
        for pair in &evidence {
            let author = pair.first.header().author;
            Arc::make_mut(&mut state.equivocations).entry(author).or_insert_with(|| pair.clone());
        }
        batch.iter().for_each(|commit| state.clock.observe(commit.header().time));
        state.store_into(&mut database);
        Some(Next { state, database, evidence, damaged, winning })
    }

    /// Joins a peer's chains into ours, as far as members of this lattice signed them.
    pub(crate) fn raised(&self, identity: &Identity, database: &Database, chains: &[(ChainId, Chain)]) -> Next {
        let mut state = self.clone();
        let frontier = Arc::make_mut(&mut state.frontier);
        for ((author, term), chain) in chains {
            let mut joined = frontier.chain(author, *term);
            joined.raise_to(chain);
            let is_known = self.membership.last_seq_in(author, *term).is_some();
            if joined != frontier.chain(author, *term) && is_known && is_chain_of(identity, chain, author, *term) {
                *frontier.chain_mut(author, *term) = joined;
            }
        }
        Self::unchanged_but_for(state, database)
    }

    /// A record that leaves the state as it is.
    pub(crate) fn noted(&self, database: &Database) -> Next {
        let mut state = self.clone();
        state.log_size += 1;
        Self::unchanged_but_for(state, database)
    }

    /// Evidence that a peer sent, if there is none against that author yet.
    pub(crate) fn with_evidence(&self, database: &Database, pair: &Equivocation) -> Option<Next> {
        let author = pair.first.header().author;
        let mut state = self.clone();
        if state.equivocations.contains_key(&author) {
            return None;
        }
        Arc::make_mut(&mut state.equivocations).insert(author, pair.clone());
        Some(Self::unchanged_but_for(state, database))
    }

    fn unchanged_but_for(state: Self, database: &Database) -> Next {
        let mut database = database.clone();
        state.store_into(&mut database);
        Next { state, database, evidence: Vec::new(), damaged: Vec::new(), winning: BTreeSet::new() }
    }

    fn store_into(&self, database: &mut Database) {
        database.chains = self.frontier.clone();
        database.evidence = self.equivocations.as_ref().clone();
        database.log_size = self.log_size;
        database.root = self.tree.root();
    }

    /// Lets membership changes of the plan take effect: whoever lost a right loses what lies beyond the cut, and so on
    /// until nothing changes.
    fn change_membership(
        &mut self,
        identity: &Identity,
        database: &mut Database,
        plan: &Plan<'_>,
        without: Option<SafetyRule>,
    ) {
        let changes: Vec<_> =
            plan.entries.iter().filter_map(|write| Some((write.op.key().hash(), change_of(write.op)?))).collect();
        if changes.is_empty() {
            return;
        }
        Arc::make_mut(&mut self.changes).extend(changes);
        loop {
            let now = Membership::of(&identity.genesis, self.changes.values().cloned());
            let cuts = now.lowered_since(&self.membership, &database.authors);
            self.membership = Arc::new(now);
            if cuts.is_empty() || without == Some(SafetyRule::CutsRemove) {
                break;
            }
            let falls = self.changes.values().filter(|change| change.proves_itself());
            let kept: Vec<_> = falls.filter_map(|change| change.to_op().ok()).map(|op| op.key().to_string()).collect();
            for (author, term, last_seq) in cuts {
                for key in database.quarantine_beyond(&author, term, last_seq, &kept) {
                    self.tree.remove(&key);
                    Arc::make_mut(&mut self.changes).remove(&key);
                }
            }
        }
        self.members = members_of(&self.tree, &self.changes);
    }
}

/// The membership change that an operation makes, if it makes one.
pub(crate) fn change_of(op: &Op) -> Option<Change> {
    let value = op.value().filter(|_| is_change_key(op.key().as_str()))?;
    Change::decode(value).ok()
}

/// A version that any other wins over.
fn beaten_by_all(standing: Standing) -> Standing {
    let (author, commit) = (AuthorId::ZERO, CommitId::ZERO);
    Standing { version: Version { time: Timestamp(0), author, term: 0, seq: 0, commit, op_index: 0 }, ..standing }
}

/// Notes the whole commits of a batch in the frontier; tells whether any chain changed.
fn advance(frontier: &mut Arc<Frontier>, batch: &[VerifiedCommit]) -> bool {
    let mut is_changed = false;
    for commit in batch.iter().filter(|commit| commit.is_whole()) {
        let header = commit.header();
        if !frontier.covers(&header.author, header.term, header.seq) {
            Arc::make_mut(frontier).chain_mut(&header.author, header.term).note(commit.commit().signed());
            is_changed = true;
        }
    }
    is_changed
}

fn end_of(chain: &Chain) -> (u64, CommitId) {
    chain.beyond.last().map_or((chain.seq(), chain.tip_id()), |run| (run.last_seq(), run.last.id()))
}

/// Whether every header of a chain is of this lattice, author and term, and signed.
fn is_chain_of(identity: &Identity, chain: &Chain, author: &AuthorId, term: u64) -> bool {
    let mut ends = chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last));
    ends.all(|end| {
        let header = end.header();
        (header.lattice, header.author, header.term) == (identity.lattice, *author, term) && end.is_signed()
    })
}

fn members_of(tree: &Tree, changes: &BTreeMap<KeyHash, Change>) -> StateTree<EntryRow> {
    let mut members = StateTree::default();
    for leaf in changes.keys().filter_map(|key| tree.get(key)) {
        members.insert(*leaf);
    }
    members
}

/// Rows named in one place of the tree, for loading.
pub(crate) fn row_at(tree: &Tree, key: &KeyHash) -> Option<EntryRow> {
    tree.get(key).map(|leaf| leaf.tag)
}
