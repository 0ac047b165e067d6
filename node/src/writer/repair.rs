//! What the disk no longer gives back as it was stored leaves the state, so that other nodes are asked for it.

use lattice::ids::KeyHash;
use lattice::record::{Event, Record};
use node_core::apply::EntryRow;

use super::state::State;
use crate::store::{StoreError, log, write};

/// Dropped keys that are remembered until they come back: 2 MiB. Further ones are counted twice, nothing worse.
const DROPPED_MAX: usize = 65_536;

impl State {
    /// Looks at the entries of these keys once more and drops those whose stored row is not what the tree holds. Gives
    /// how many. A membership change stays: without it commits would be refused that count.
    pub(super) async fn drop_damaged(&mut self, keys: &[KeyHash], now_ms: u64) -> Result<u64, StoreError> {
        self.expect_certain()?;
        let mut damaged = Vec::new();
        for leaf in
            keys.iter().filter_map(|key| self.tree.get(key)).filter(|leaf| !self.changes.contains_key(&leaf.key))
        {
            let stored = write::stored_leaf(&mut self.connection, leaf.tag).await?;
            if stored != Some((leaf.key, leaf.leaf)) {
                damaged.push(*leaf);
            }
        }
        if damaged.is_empty() {
            return Ok(0);
        }
        let (mut tree, mut edge) = (self.tree.clone(), self.edge.clone());
        damaged.iter().for_each(|leaf| {
            tree.remove(&leaf.key);
        });
        let dropped = damaged.len() as u64;
        let (before, after, entries) = (self.tree.root(), tree.root(), tree.len());
        let record = Record { time_ms: now_ms, before, after, entries, event: Event::Damaged { dropped } };
        let last_entry = EntryRow(self.next.entry.0 - 1);
        write::begin(&mut self.connection).await?;
        let written = async {
            for leaf in &damaged {
                write::drop_entry(&mut self.connection, leaf.tag).await?;
            }
            write::write_state(&mut self.connection, after, entries).await?;
            log::append_record(&mut self.connection, &mut edge, record.encode(), last_entry).await?;
            write::commit(&mut self.connection).await
        };
        if let Err(error) = written.await {
            write::roll_back(&mut self.connection).await;
            if !self.took_place(edge.size()).await? {
                return Err(error);
            }
        }
        (self.tree, self.edge) = (tree, edge);
        self.damaged += dropped;
        let room = DROPPED_MAX.saturating_sub(self.dropped.len());
        self.dropped.extend(damaged.iter().map(|leaf| leaf.key).take(room));
        Ok(dropped)
    }
}
