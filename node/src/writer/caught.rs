//! What stands at keys that proofs are asked for, caught with a checkpoint, before a later write replaces it.
//!
//! Readers look at a checkpoint a moment after it was signed. A key that is written all the time has changed by then, and
//! would never be found as the checkpoint has it. The writer looks before anything else is written.

use std::sync::Arc;

use lattice::commit::Commit;
use lattice::entry::Entry;
use lattice::op::Key;
use node_core::apply::{EntryRow, Tree};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpointed;
use super::state::State;
use crate::store::StoreError;
use crate::store::read::{commit_at, entries_in};

/// Keys that may wait for one checkpoint: each costs the writer one or two reads, so all of them some milliseconds (a
/// guess). More are refused.
pub(super) const WANTED_MAX: usize = 64;

/// What a key holds in the state of a checkpoint.
pub struct Caught {
    /// The checkpoint.
    pub checkpointed: Arc<Checkpointed>,
    /// What stands at the key.
    pub found: Found,
}

/// What is found at a key.
pub enum Found {
    /// The commit behind its entry, with the operation that made it, and that operation's place.
    Operation(Box<Commit>, u32),
    /// No entry, and the entries of the page where it would stand.
    Nothing(Vec<Entry>),
}

/// Why nothing was caught.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCaught {
    /// As many wait as may.
    #[error("{WANTED_MAX} proofs wait for the next checkpoint of this node already; ask again in a moment")]
    Busy,
    /// The disk, or what it gave back.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key that waits for the next checkpoint, and where the answer goes.
pub(super) struct Wanted {
    key: Key,
    reply: oneshot::Sender<Result<Caught, NotCaught>>,
}

impl State {
    /// Notes that a key is wanted; answers at once if the state has not changed since the last checkpoint.
    pub(super) async fn want(&mut self, key: Key, reply: oneshot::Sender<Result<Caught, NotCaught>>) {
        self.wanted.retain(|wanted| !wanted.reply.is_closed());
        if self.wanted.len() >= WANTED_MAX {
            // Whoever asked may be gone.
            let _ = reply.send(Err(NotCaught::Busy));
            return;
        }
        self.wanted.push(Wanted { key, reply });
        self.catch_wanted().await;
    }

    /// Answers for all wanted keys, if the last checkpoint is of the state as it is.
    pub(super) async fn catch_wanted(&mut self) {
        let is_of_now =
            |last: &&Arc<Checkpointed>| last.state.is_some() && last.signed.checkpoint().size() == self.edge.size();
        let Some(checkpointed) = self.checkpointed.as_ref().filter(is_of_now).cloned() else { return };
        for Wanted { key, reply } in std::mem::take(&mut self.wanted) {
            let found = find(&mut self.connection, &self.tree, &key).await;
            let caught = found.map(|found| Caught { checkpointed: checkpointed.clone(), found });
            let _ = reply.send(caught.map_err(NotCaught::from));
        }
    }
}

async fn find(connection: &mut SqliteConnection, tree: &Tree, key: &Key) -> Result<Found, StoreError> {
    let damaged = || StoreError::damaged("an entry of the state is not among the stored ones");
    if tree.get(&key.hash()).is_some() {
        let (commit, op_index) = commit_at(connection, key).await?.ok_or_else(damaged)?;
        return Ok(Found::Operation(Box::new(commit), op_index));
    }
    let rows: Vec<EntryRow> = tree.page_of(&key.hash()).0.iter().map(|leaf| leaf.tag).collect();
    Ok(Found::Nothing(entries_in(connection, &rows).await?.ok_or_else(damaged)?))
}
