//! What the disk no longer gives back as it was stored leaves the state, so that other nodes are asked for it; and what
//! comes back from them is counted.

use std::collections::BTreeSet;

use lattice::commit::Header;
use lattice::equivocation::Equivocation;
use lattice::ids::{AuthorId, KeyHash};
use lattice::op::Key;
use lattice::record::{Event, Record};
use lattice::tree::Leaf;
use node_core::apply::{EntryRow, Plan};

use super::state::State;
use crate::store::{OWN_LOG, StoreError, log, write};

/// Dropped keys that are remembered until they come back: 2 MiB. Further ones are counted twice, nothing worse.
const DROPPED_MAX: usize = 65_536;

impl State {
    /// Looks at the entries of these keys once more and drops those whose stored row is not what the tree holds, and
    /// those of `strays` that the tree does not have. Gives how many. A membership change stays: without it commits
    /// would be refused that count.
    pub(super) async fn drop_damaged(
        &mut self,
        keys: &[KeyHash],
        strays: &[Key],
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        self.expect_certain()?;
        let (damaged, strays) = (self.damaged_among(keys).await?, self.strays_among(strays).await?);
        let dropped = (damaged.len() + strays.len()) as u64;
        if dropped == 0 {
            return Ok(0);
        }
        let (mut tree, mut edge) = (self.tree.clone(), self.edge.clone());
        let (copying, mut seat_edge) = (self.seat.copying(), self.seat.edge.clone());
        damaged.iter().for_each(|leaf| {
            tree.remove(&leaf.key);
        });
        let (before, after, entries) = (self.tree.root(), tree.root(), tree.len());
        let record = Record { time_ms: now_ms, before, after, entries, event: Event::Damaged { dropped } };
        let last_entry = EntryRow(self.next.entry.0 - 1);
        write::begin(&mut self.connection).await?;
        let written = async {
            for leaf in &damaged {
                write::drop_entry(&mut self.connection, leaf.tag).await?;
            }
            for key in &strays {
                write::drop_stray(&mut self.connection, key).await?;
            }
            write::write_state(&mut self.connection, after, entries).await?;
            let record = record.encode();
            log::append_record(&mut self.connection, OWN_LOG, &mut edge, record.clone(), last_entry).await?;
            copying.append(&mut self.connection, &mut seat_edge, std::slice::from_ref(&record), last_entry).await?;
            write::commit(&mut self.connection).await
        };
        if let Err(error) = written.await {
            write::roll_back(&mut self.connection).await;
            if !self.took_place(edge.size()).await? {
                return Err(error);
            }
        }
        (self.tree, self.edge, self.seat.edge) = (tree, edge, seat_edge);
        self.seat.tell(&[record.encode()], &[]);
        self.damaged += dropped;
        let room = DROPPED_MAX.saturating_sub(self.dropped.len());
        self.dropped.extend(damaged.iter().map(|leaf| leaf.key).take(room));
        Ok(dropped)
    }

    /// Operations that win although our frontier says that their effect is in: the state had lost them. Keys that a
    /// cut emptied may be filled by older commits, and a forked chain has two commits for one number: neither counts.
    pub(super) async fn count_damage(&mut self, plan: &Plan<'_>, evidence: &[Equivocation]) -> Result<u64, StoreError> {
        let forked = |author: &AuthorId| {
            self.equivocations.iter().chain(evidence).any(|pair| pair.first.header().author == *author)
        };
        let is_covered =
            |header: &Header| self.frontier.covers(&header.author, header.term, header.seq) && !forked(&header.author);
        let covered: BTreeSet<_> =
            plan.commits.iter().filter(|write| is_covered(write.commit.header())).map(|write| write.row).collect();
        let mut damaged = 0;
        for write in plan.entries.iter().filter(|write| covered.contains(&write.commit)) {
            let emptied = self.membership.has_cuts()
                && write::is_quarantined(&mut self.connection, write.op.key().as_str()).await?;
            let is_counted = self.dropped.remove(&write.op.key().hash());
            damaged += u64::from(!emptied && !is_counted);
        }
        if damaged > 0 {
            tracing::error!(damaged, "divergence: entries came that this state should have held; healed");
        }
        Ok(damaged)
    }

    /// Entries of the tree whose row is not theirs any more.
    async fn damaged_among(&mut self, keys: &[KeyHash]) -> Result<Vec<Leaf<EntryRow>>, StoreError> {
        let mut damaged = Vec::new();
        for leaf in
            keys.iter().filter_map(|key| self.tree.get(key)).filter(|leaf| !self.changes.contains_key(&leaf.key))
        {
            let stored = write::stored_leaf(&mut self.connection, leaf.tag).await?;
            if stored != Some((leaf.key, leaf.leaf)) {
                damaged.push(*leaf);
            }
        }
        Ok(damaged)
    }

    /// Keys that have a row and no entry in the tree. One that was read a moment ago may be gone by now: a cut took it.
    async fn strays_among(&mut self, keys: &[Key]) -> Result<Vec<Key>, StoreError> {
        let mut strays = Vec::new();
        for key in keys.iter().filter(|key| self.tree.get(&key.hash()).is_none()) {
            if write::has_entry(&mut self.connection, key).await? {
                strays.push(key.clone());
            }
        }
        Ok(strays)
    }
}
