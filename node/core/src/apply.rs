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

/// Rows of stored entries whose keys the batch writes with another leaf than theirs.
pub fn contested(tree: &Tree, batch: &[VerifiedCommit]) -> BTreeSet<EntryRow> {
    batch
        .iter()
        .flat_map(|commit| commit.live_ops())
        .filter_map(|(_, op)| tree.get(&op.key().hash()).map(|leaf| leaf.tag))
        .collect()
}

/// Joins a batch into the state. `standing` holds what [`contested`] asked for; a row missing there is taken as
/// lost by the store, and the batch's operation wins.
pub fn plan<'a>(
    genesis: &Genesis,
    tree: &Tree,
    batch: &'a [VerifiedCommit],
    standing: &BTreeMap<EntryRow, Standing>,
    next: NextRows,
) -> Plan<'a> {
    let winners = winners(genesis, tree, batch, standing);
    let mut rows: BTreeMap<usize, (CommitRow, u32)> = BTreeMap::new();
    for winner in winners.values() {
        rows.entry(winner.commit).or_insert((CommitRow(0), 0)).1 += 1;
    }
    let mut plan = Plan { tree: tree.clone(), commits: Vec::new(), entries: Vec::new(), next };
    let mut first_entry = next.entry;
    for (&index, (row, live)) in &mut rows {
        *row = plan.next.commit;
        plan.next.commit.0 += 1;
        plan.commits.push(CommitWrite { row: *row, commit: &batch[index], live: *live, first_entry });
        first_entry.0 += i64::from(*live);
    }
    for winner in winners.into_values() {
        let commit = rows.get(&winner.commit).map_or(CommitRow(0), |(row, _)| *row);
        plan.write_entry(winner, commit, standing);
    }
    plan
}

impl<'a> Plan<'a> {
    fn write_entry(&mut self, winner: Winner<'a>, commit: CommitRow, standing: &BTreeMap<EntryRow, Standing>) {
        let row = self.next.entry;
        self.next.entry.0 += 1;
        let entry = Entry::of(winner.op, winner.version);
        let replaced = self.tree.insert(Leaf { key: winner.key, leaf: entry.leaf(), tag: row });
        let replaces = replaced.and_then(|leaf| standing.get(&leaf.tag).map(|old| (leaf.tag, old.commit)));
        self.entries.push(EntryWrite { row, op: winner.op, op_index: winner.version.op_index, commit, replaces });
    }
}

struct Winner<'a> {
    key: KeyHash,
    version: Version,
    op: &'a Op,
    /// Index of the commit in the batch.
    commit: usize,
}

/// The winning operation of each key that the batch changes, in an order that keeps the batch's: by commit, then
/// operation, so that rows follow the order of writing.
fn winners<'a>(
    genesis: &Genesis,
    tree: &Tree,
    batch: &'a [VerifiedCommit],
    standing: &BTreeMap<EntryRow, Standing>,
) -> BTreeMap<(usize, u32), Winner<'a>> {
    let mut best: BTreeMap<KeyHash, Winner<'a>> = BTreeMap::new();
    for (commit, verified) in batch.iter().enumerate() {
        for (op_index, op) in verified.live_ops() {
            let key = op.key().hash();
            let version = Version::of(verified.header(), verified.id(), op_index);
            let stored = tree.get(&key).and_then(|leaf| standing.get(&leaf.tag).map(|old| (leaf.leaf, old.version)));
            // The same operation with another content: only one of them was signed, and it is not the stored one.
            let is_damaged = |leaf, stored| stored == version && leaf != Entry::of(op, version).leaf();
            let stored = stored.filter(|(leaf, stored)| !is_damaged(*leaf, *stored)).map(|(_, stored)| stored);
            let rival = best.get(&key).map(|winner| winner.version).or(stored);
            if rival.is_none_or(|rival| wins(genesis, op.key(), &version, &rival)) {
                best.insert(key, Winner { key, version, op, commit });
            }
        }
    }
    best.into_values().map(|winner| ((winner.commit, winner.version.op_index), winner)).collect()
}

#[cfg(test)]
mod tests;
