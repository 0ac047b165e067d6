//! A batch of admitted commits against the state: which operations win, and what the store must write.
//!
//! The caller asks [`contested`] which stored entries it must look at, reads their versions, and calls [`plan`].
//! A plan holds the tree as it will be; the store writes the rest in one transaction and only then publishes it.

use std::collections::{BTreeMap, BTreeSet};

use lattice::commit::VerifiedCommit;
use lattice::entry::{Entry, Version, wins};
use lattice::genesis::Genesis;
use lattice::ids::KeyHash;
use lattice::op::Op;
use lattice::tree::Leaf;
use reconcile::index::Index;

/// The store's number of an entry. A changed entry gets a new, greater one, so that numbers order changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryRow(pub i64);

/// The store's number of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitRow(pub i64);

/// The state tree as a node holds it, with the sketch beside it: each leaf knows its row.
pub type Tree = Index<EntryRow>;

/// What the store knows of an entry that a batch contests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its version.
    pub version: Version,
    /// The commit that holds its operation.
    pub commit: CommitRow,
}

/// The next free numbers of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRows {
    /// For an entry.
    pub entry: EntryRow,
    /// For a commit.
    pub commit: CommitRow,
}

/// An entry to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryWrite<'a> {
    /// Its new row.
    pub row: EntryRow,
    /// The operation that won.
    pub op: &'a Op,
    /// The operation's place in its commit.
    pub op_index: u32,
    /// Its commit's row.
    pub commit: CommitRow,
    /// The row it replaces, and the commit that row belonged to.
    pub replaces: Option<(EntryRow, CommitRow)>,
}

/// A commit to write: at least one of its operations won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitWrite<'a> {
    /// Its row.
    pub row: CommitRow,
    /// The commit.
    pub commit: &'a VerifiedCommit,
    /// How many of its operations won in this batch.
    pub live: u32,
    /// The row of the first of them; the others follow without a gap.
    pub first_entry: EntryRow,
}

/// What one batch changes.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The tree after the batch.
    pub tree: Tree,
    /// Commits to write, in row order.
    pub commits: Vec<CommitWrite<'a>>,
    /// Entries to write, in row order.
    pub entries: Vec<EntryWrite<'a>>,
    /// The numbers left free.
    pub next: NextRows,
}

/// Rows of stored entries whose keys the batch writes.
pub fn contested(tree: &Tree, batch: &[&VerifiedCommit]) -> BTreeSet<EntryRow> {
    let mut keys: Vec<KeyHash> =
        batch.iter().flat_map(|commit| commit.live_ops()).map(|(_, op)| op.key().hash()).collect();
    // In the tree's order, so that neighbours are read together.
    keys.sort_unstable();
    keys.iter().filter_map(|key| tree.get(key).map(|leaf| leaf.tag)).collect()
}

/// Joins a batch into the state. `standing` holds what [`contested`] asked for; a row missing there is taken as
/// lost by the store, and the batch's operation wins.
pub fn plan<'a>(
    genesis: &Genesis,
    tree: &Tree,
    batch: &[&'a VerifiedCommit],
    standing: &BTreeMap<EntryRow, Standing>,
    next: NextRows,
) -> Plan<'a> {
    let winners = winners(genesis, tree, batch, standing);
    let mut plan = Plan { tree: tree.clone(), commits: Vec::new(), entries: Vec::new(), next };
    let rows = plan.number(&winners, batch);
    for (winner, row) in winners.iter().zip(rows) {
        plan.write_entry(winner, row, standing);
    }
    plan.entries.sort_unstable_by_key(|write| write.row);
    plan
}

/// The rows that a winner gets.
#[derive(Debug, Clone, Copy)]
struct Rows {
    entry: EntryRow,
    commit: CommitRow,
}

impl<'a> Plan<'a> {
    /// Gives the winners their rows, in the order of writing: by commit, then by operation.
    fn number(&mut self, winners: &[Winner<'a>], batch: &[&'a VerifiedCommit]) -> Vec<Rows> {
        let mut order: Vec<usize> = (0..winners.len()).collect();
        order.sort_unstable_by_key(|at| winners[*at].place());
        let mut rows = vec![Rows { entry: self.next.entry, commit: self.next.commit }; winners.len()];
        for of_one in order.chunk_by(|one, two| winners[*one].commit == winners[*two].commit) {
            let first = Rows { entry: self.next.entry, commit: self.next.commit };
            for at in of_one {
                rows[*at] = Rows { entry: self.next.entry, ..first };
                self.next.entry.0 += 1;
            }
            self.next.commit.0 += 1;
            let (commit, live) = (batch[winners[of_one[0]].commit], of_one.len() as u32);
            self.commits.push(CommitWrite { row: first.commit, commit, live, first_entry: first.entry });
        }
        rows
    }

    fn write_entry(&mut self, winner: &Winner<'a>, rows: Rows, standing: &BTreeMap<EntryRow, Standing>) {
        let Rows { entry: row, commit } = rows;
        let entry = Entry::of(winner.op, winner.version);
        let replaced = self.tree.insert(Leaf { key: winner.key, leaf: entry.leaf(), tag: row });
        let replaces = replaced.and_then(|leaf| standing.get(&leaf.tag).map(|old| (leaf.tag, old.commit)));
        self.entries.push(EntryWrite { row, op: winner.op, op_index: winner.version.op_index, commit, replaces });
    }
}

/// An operation that wins its key, or may.
struct Winner<'a> {
    key: KeyHash,
    version: Version,
    op: &'a Op,
    /// Index of the commit in the batch.
    commit: usize,
}

impl Winner<'_> {
    fn place(&self) -> (usize, u32) {
        (self.commit, self.version.op_index)
    }
}

/// The winning operation of each key that the batch changes, in the order of the tree, so that each of its pages is
/// copied once while it is at hand.
fn winners<'a>(
    genesis: &Genesis,
    tree: &Tree,
    batch: &[&'a VerifiedCommit],
    standing: &BTreeMap<EntryRow, Standing>,
) -> Vec<Winner<'a>> {
    let candidate = |(commit, verified): (usize, &&'a VerifiedCommit)| {
        let verified = *verified;
        let version = move |op_index| Version::of(verified.header(), verified.id(), op_index);
        let of_op = move |(op_index, op): (u32, &'a Op)| Winner {
            key: op.key().hash(),
            version: version(op_index),
            op,
            commit,
        };
        verified.live_ops().map(of_op)
    };
    let mut candidates: Vec<Winner<'a>> = batch.iter().enumerate().flat_map(candidate).collect();
    candidates.sort_unstable_by_key(|candidate| (candidate.key, candidate.place()));
    let mut winners: Vec<Winner<'a>> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let Winner { key, version, op, .. } = candidate;
        let rival = winners.last().filter(|last| last.key == key).map(|last| last.version);
        let stands = |rival: Version| !wins(genesis, op.key(), &version, &rival);
        match rival {
            Some(rival) if stands(rival) => {}
            Some(_) => {
                winners.pop();
                winners.push(candidate);
            }
            None if stored(tree, &candidate, standing).is_some_and(stands) => {}
            None => winners.push(candidate),
        }
    }
    winners
}

/// The version of the stored entry that a candidate must beat. The same operation with another content is damaged: only
/// one of them was signed, and it is not the stored one.
fn stored(tree: &Tree, candidate: &Winner<'_>, standing: &BTreeMap<EntryRow, Standing>) -> Option<Version> {
    let leaf = tree.get(&candidate.key)?;
    let stored = standing.get(&leaf.tag)?.version;
    let is_damaged = stored == candidate.version && leaf.leaf != Entry::of(candidate.op, stored).leaf();
    (!is_damaged).then_some(stored)
}

#[cfg(test)]
mod tests;
