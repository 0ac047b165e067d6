//! What one transaction writes, and what it leaves: batch, log record, membership and its cuts, root, answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::equivocation::Equivocation;
use lattice::frontier::Frontier;
use lattice::ids::{AuthorId, KeyHash, StateRoot, ValueHash};
use lattice::log::edge::Edge;
use lattice::membership::{Change, Membership, is_change_key};
use lattice::op::{Key, value_hash};
use lattice::record::{Event, Record};
use lattice::seat::message::KeptName;
use node_core::apply::{EntryRow, NextRows, Plan, Tree};
use sqlx::sqlite::SqliteConnection;

use super::Identity;
use super::answers::{encode_written, request_hash, written};
use super::group::{Item, Task};
use super::seat::Copying;
use crate::store::{OWN_LOG, StoreError, answers, log, staged, write};

/// What a transaction is about.
pub(super) struct Batch<'a> {
    pub(super) identity: &'a Identity,
    pub(super) items: &'a [Item],
    pub(super) plan: &'a Plan<'a>,
    /// Chains that the items moved.
    pub(super) chains: &'a BTreeSet<(AuthorId, u64)>,
    /// The state root that it starts from.
    pub(super) before: StateRoot,
    pub(super) time_ms: u64,
    /// What goes to the seat's log with it.
    pub(super) copying: Copying<'a>,
}

/// What a transaction will leave, before it is durable.
pub(super) struct Next {
    pub(super) tree: Tree,
    pub(super) frontier: Arc<Frontier>,
    pub(super) membership: Arc<Membership>,
    pub(super) changes: Arc<BTreeMap<KeyHash, Change>>,
    pub(super) authors: BTreeMap<AuthorId, i64>,
    pub(super) evidence: Vec<Equivocation>,
    pub(super) next: NextRows,
    pub(super) edge: Edge,
    /// Where the seat's log goes on, if this node has it.
    pub(super) seat_edge: Option<Edge>,
    /// The records made so far.
    pub(super) made: Vec<Vec<u8>>,
}

impl Next {
    /// Writes everything that the batch changes, in an open transaction.
    pub(super) async fn write(
        mut self,
        connection: &mut SqliteConnection,
        what: &Batch<'_>,
    ) -> Result<Self, StoreError> {
        let Batch { items, plan, time_ms, .. } = *what;
        write::write_plan(connection, plan, &mut self.authors).await?;
        for (author, term) in what.chains {
            write::write_chain(connection, author, *term, &self.frontier.chain(author, *term)).await?;
        }
        let joined = plan.tree.root();
        let event = Event::Applied { commits: items.iter().map(|item| item.commit.id()).collect() };
        let applied = Record { time_ms, before: what.before, after: joined, entries: plan.tree.len(), event };
        self.append(connection, applied).await?;
        if let Some(event) = self.change_membership(connection, what.identity, plan).await? {
            let (after, entries) = (self.tree.root(), self.tree.len());
            self.append(connection, Record { time_ms, before: joined, after, entries, event }).await?;
        }
        for pair in &self.evidence {
            write::keep_evidence(connection, pair).await?;
        }
        let (root, entries) = (self.tree.root(), self.tree.len());
        write::write_state(connection, root, entries).await?;
        keep_answers(connection, items, root, entries, self.edge.size()).await?;
        let seated = items.iter().filter(|item| item.commit.header().term > 0);
        let seated: Vec<_> = seated.map(|item| item.commit.id()).collect();
        staged::unstage(connection, &seated).await?;
        what.copying.append(connection, &mut self.seat_edge, &self.made, EntryRow(self.next.entry.0 - 1)).await?;
        Ok(self)
    }

    async fn append(&mut self, connection: &mut SqliteConnection, record: Record) -> Result<(), StoreError> {
        let last_entry = EntryRow(self.next.entry.0 - 1);
        let record = record.encode();
        log::append_record(connection, OWN_LOG, &mut self.edge, record.clone(), last_entry).await?;
        self.made.push(record);
        Ok(())
    }

    /// Lets membership changes of the plan take effect: whoever lost a right loses what lies beyond the cut, and so
    /// on until nothing changes. Gives the record of it, if there was any.
    async fn change_membership(
        &mut self,
        connection: &mut SqliteConnection,
        identity: &Identity,
        plan: &Plan<'_>,
    ) -> Result<Option<Event>, StoreError> {
        let hashes = self.take_changes(plan)?;
        if hashes.is_empty() {
            return Ok(None);
        }
        let mut removed = 0;
        loop {
            let now = Membership::of(&identity.genesis, self.changes.values().cloned());
            let cuts = now.lowered_since(&self.membership, self.authors.keys());
            self.membership = Arc::new(now);
            if cuts.is_empty() {
                return Ok(Some(Event::Membership { changes: hashes, removed }));
            }
            for (author, term, last_seq) in cuts {
                if term > 0 {
                    answers::forget_beyond(connection, term, last_seq).await?;
                }
                // A holder that has written nothing has no number.
                let Some(row) = self.authors.get(&author) else { continue };
                for key in write::quarantine_beyond(connection, (*row, term), last_seq, &self.standing_falls()).await? {
                    let key = Key::new(&key).map_err(StoreError::damaged)?.hash();
                    self.tree.remove(&key);
                    Arc::make_mut(&mut self.changes).remove(&key);
                    removed += 1;
                }
            }
        }
    }

    /// Keys of changes that hold by their own signatures, whoever carried them: no cut removes them.
    fn standing_falls(&self) -> Vec<String> {
        let falls = self.changes.values().filter(|change| change.proves_itself());
        falls.filter_map(|change| change.to_op().ok()).map(|op| op.key().to_string()).collect()
    }

    fn take_changes(&mut self, plan: &Plan<'_>) -> Result<Vec<ValueHash>, StoreError> {
        let mut hashes = Vec::new();
        for write in plan.entries.iter().filter(|write| is_change_key(write.op.key().as_str())) {
            let Some(value) = write.op.value() else { continue };
            let change = Change::decode(value).map_err(StoreError::damaged)?;
            Arc::make_mut(&mut self.changes).insert(write.op.key().hash(), change);
            hashes.push(value_hash(value));
        }
        Ok(hashes)
    }
}

/// In the same transaction: answers for repeated requests, and invitations used up.
async fn keep_answers(
    connection: &mut SqliteConnection,
    items: &[Item],
    root: StateRoot,
    entries: u64,
    log_size: u64,
) -> Result<(), StoreError> {
    for item in items {
        let (name, ops, redeems) = match &item.task {
            Task::Own(own) => (own.idempotency.as_ref(), own.ops.clone(), own.redeems),
            Task::Staged(name) | Task::Foreign(_, name) => {
                (name.as_ref(), item.commit.live_ops().map(|(_, op)| op.clone()).collect(), None)
            }
        };
        if let Some(name) = name {
            let answer = encode_written(&written(&item.commit, log_size, root, entries));
            let (term, seq) = (item.commit.header().term, item.commit.header().seq);
            let kept = KeptName { name: name.as_str().to_owned(), request_hash: request_hash(&ops), term, answer };
            answers::keep(connection, &kept, seq).await?;
        }
        if let Some((secret_hash, author)) = redeems {
            write::redeem_invitation(connection, secret_hash, author).await?;
        }
    }
    Ok(())
}
