//! The end of a log's name: what happens when others hold more of our own log than we do.

use lattice::log::checkpoint::origin;
use lattice::record::{Event, Record};
use node_core::apply::EntryRow;

use super::Identity;
use super::state::State;
use crate::store::{OWN_LOG, StoreError, log, write};

impl State {
    /// Lets the own log go on under a new name, since more of it was signed than this node has, up to this size and root
    /// at least; tells that it did.
    pub(super) async fn rename_log(
        &mut self,
        identity: &Identity,
        size: u64,
        root: [u8; 32],
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        self.expect_certain()?;
        let new = origin(&identity.lattice, &identity.keys.author.id(), now_ms);
        let event = Event::Renamed { origin: self.origin.to_string(), size, root };
        let (root, entries) = (self.tree.root(), self.tree.len());
        let record = Record { time_ms: now_ms, before: root, after: root, entries, event };
        let last_entry = EntryRow(self.next.entry.0 - 1);
        let mut edge = self.edge.clone();
        write::begin(&mut self.connection).await?;
        let written = async {
            log::append_record(&mut self.connection, OWN_LOG, &mut edge, record.encode(), last_entry).await?;
            log::rename(&mut self.connection, &new).await?;
            write::commit(&mut self.connection).await
        };
        if let Err(error) = written.await {
            write::roll_back(&mut self.connection).await;
            if !self.took_place(edge.size()).await? {
                return Err(error);
            }
        }
        tracing::error!(
            old = %self.origin, %new, size,
            "this node signed more of its log than it has: its database is an older copy. The log goes on under a new name \
             that names the old one, so that it never contradicts what was signed; auditors need the new policy (`lattice \
             policy show`)"
        );
        (self.edge, self.origin, self.checkpointed) = (edge, new, None);
        self.may_sign = true;
        Ok(true)
    }
}
