//! What stands in for SQLite: rows as the daemon's tables hold them. A transaction is a changed clone that replaces the
//! original once it is durable, or is lost whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::commit::{Commit, OpSlot, SignedHeader};
use lattice::entry::{Entry, Version};
use lattice::equivocation::Equivocation;
use lattice::frontier::Frontier;
use lattice::ids::{AuthorId, KeyHash, OpHash, StateRoot};
use lattice::op::Op;
use lattice::tree::empty_root;
use node_core::apply::{CommitRow, EntryRow, NextRows, Plan, Standing};
use reconcile::limits::COMMITS_MAX;
use reconcile::message::commit_bytes_at_most;

/// A stored entry.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    pub(crate) op: Op,
    op_index: u32,
    commit: CommitRow,
}

/// A stored commit: header, signature and the hashes of its operations.
#[derive(Debug)]
pub(crate) struct StoredCommit {
    pub(crate) signed: SignedHeader,
    op_hashes: Vec<OpHash>,
}

/// All tables.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) entries: BTreeMap<EntryRow, Arc<StoredEntry>>,
    commits: BTreeMap<CommitRow, Arc<StoredCommit>>,
    /// Entries of each commit that still win.
    live: BTreeMap<CommitRow, BTreeSet<EntryRow>>,
    /// Authors of whom there ever was a commit.
    pub(crate) authors: BTreeSet<AuthorId>,
    pub(crate) chains: Arc<Frontier>,
    quarantined: BTreeSet<KeyHash>,
    pub(crate) evidence: BTreeMap<AuthorId, Equivocation>,
    pub(crate) log_size: u64,
    pub(crate) root: StateRoot,
    pub(crate) next: NextRows,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            commits: BTreeMap::new(),
            live: BTreeMap::new(),
            authors: BTreeSet::new(),
            chains: Arc::default(),
            quarantined: BTreeSet::new(),
            evidence: BTreeMap::new(),
            log_size: 0,
            root: empty_root(),
            next: NextRows { entry: EntryRow(1), commit: CommitRow(1) },
        }
    }
}

impl Database {
    /// All entries with their commits.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (EntryRow, &StoredEntry, &StoredCommit)> {
        self.entries.iter().filter_map(|(row, entry)| Some((*row, &**entry, &**self.commits.get(&entry.commit)?)))
    }

    /// The entry of a row, as the state tree knows it.
    pub(crate) fn entry(stored: &StoredEntry, commit: &StoredCommit) -> Entry {
        Entry::of(&stored.op, Version::of(commit.signed.header(), commit.signed.id(), stored.op_index))
    }

    /// Which operation the entry of a row is.
    pub(crate) fn version(&self, row: EntryRow) -> Option<Version> {
        let entry = self.entries.get(&row)?;
        let signed = &self.commits.get(&entry.commit)?.signed;
        Some(Version::of(signed.header(), signed.id(), entry.op_index))
    }

    /// The value of the entry of a row; `None` for a tombstone.
    pub(crate) fn value(&self, row: EntryRow) -> Option<&[u8]> {
        self.entries.get(&row)?.op.value()
    }

    /// Versions and commits of the entries that a batch contests.
    pub(crate) fn standing(&self, rows: &BTreeSet<EntryRow>) -> BTreeMap<EntryRow, Standing> {
        let standing = |row: &EntryRow| {
            let (version, commit) = (self.version(*row)?, self.entries.get(row)?.commit);
            Some((*row, Standing { version, commit }))
        };
        rows.iter().filter_map(standing).collect()
    }

    /// Writes commits and entries of a plan, and deletes what lost.
    pub(crate) fn write_plan(&mut self, plan: &Plan<'_>) {
        for write in &plan.commits {
            let commit = write.commit.commit();
            self.authors.insert(write.commit.header().author);
            let op_hashes = commit.slots().iter().map(OpSlot::hash).collect();
            self.commits.insert(write.row, Arc::new(StoredCommit { signed: commit.signed().clone(), op_hashes }));
        }
        for (row, commit) in plan.entries.iter().filter_map(|write| write.replaces) {
            self.entries.remove(&row);
            self.release(row, commit);
        }
        for write in &plan.entries {
            let entry = StoredEntry { op: write.op.clone(), op_index: write.op_index, commit: write.commit };
            self.entries.insert(write.row, Arc::new(entry));
            self.live.entry(write.commit).or_default().insert(write.row);
        }
        self.next = plan.next;
    }

    /// A commit of which nothing is live any more goes with its last entry.
    fn release(&mut self, row: EntryRow, commit: CommitRow) {
        let Some(live) = self.live.get_mut(&commit) else { return };
        live.remove(&row);
        if live.is_empty() {
            self.live.remove(&commit);
            self.commits.remove(&commit);
        }
    }

    /// Removes what `author` wrote after `last_seq`, but for commits that hold one of the `kept` keys; gives the keys
    /// so emptied.
    pub(crate) fn quarantine_beyond(
        &mut self,
        author: &AuthorId,
        term: u64,
        last_seq: u64,
        kept: &[String],
    ) -> Vec<KeyHash> {
        let is_beyond = |signed: &SignedHeader| {
            let header = signed.header();
            (header.author, header.term) == (*author, term) && header.seq > last_seq
        };
        let beyond = self.commits.iter().filter(|(_, commit)| is_beyond(&commit.signed)).map(|(row, _)| *row);
        let is_kept = |commit: &CommitRow| {
            let entries = self.live.get(commit).into_iter().flatten().filter_map(|row| self.entries.get(row));
            entries.into_iter().any(|entry| kept.iter().any(|key| key == entry.op.key().as_str()))
        };
        let doomed: Vec<_> = beyond.filter(|commit| !is_kept(commit)).collect();
        let mut emptied = Vec::new();
        for commit in doomed {
            self.commits.remove(&commit);
            for row in self.live.remove(&commit).unwrap_or_default() {
                emptied.extend(self.entries.remove(&row).map(|entry| entry.op.key().hash()));
            }
        }
        self.quarantined.extend(emptied.iter().copied());
        emptied
    }

    /// Whether a cut ever emptied this key.
    pub(crate) fn is_quarantined(&self, key: &KeyHash) -> bool {
        self.quarantined.contains(key)
    }

    /// The commits that hold the entries at `rows`, each once and with all its operations that still stand, and how
    /// many of `rows` that serves. At least one commit, then no more than `max_bytes`.
    pub(crate) fn commits_of(&self, rows: &[EntryRow], max_bytes: usize) -> (Vec<Commit>, usize) {
        let mut given = BTreeSet::new();
        let (mut commits, mut bytes) = (Vec::new(), 0);
        for (served, row) in rows.iter().enumerate() {
            let Some(entry) = self.entries.get(row).filter(|entry| !given.contains(&entry.commit)) else { continue };
            let Some(commit) = self.commit(entry.commit) else { continue };
            bytes += commit_bytes_at_most(&commit);
            if !commits.is_empty() && (bytes > max_bytes || commits.len() == COMMITS_MAX) {
                return (commits, served);
            }
            given.insert(entry.commit);
            commits.push(commit);
        }
        (commits, rows.len())
    }

    /// A commit with its operations that still stand, the others by hash.
    fn commit(&self, row: CommitRow) -> Option<Commit> {
        let stored = self.commits.get(&row)?;
        let mut slots: Vec<_> = stored.op_hashes.iter().copied().map(OpSlot::Dead).collect();
        for entry in self.live.get(&row)?.iter().filter_map(|row| self.entries.get(row)) {
            *slots.get_mut(entry.op_index as usize)? = OpSlot::Live(entry.op.clone());
        }
        Some(Commit::from_parts(stored.signed.clone(), slots))
    }

    /// Headers stored at the place of this one.
    pub(crate) fn rivals(&self, signed: &SignedHeader) -> impl Iterator<Item = &SignedHeader> {
        let place = |header: &SignedHeader| (header.header().author, header.header().term, header.header().seq);
        let wanted = place(signed);
        self.commits.values().map(|commit| &commit.signed).filter(move |stored| place(stored) == wanted)
    }
}
