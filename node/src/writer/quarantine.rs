//! What cuts took away, as the writer counts it, and what people have dealt with.

use lattice::ids::CommitId;

use super::state::State;
use crate::store::{StoreError, quarantine, write};

impl State {
    /// Takes a commit off the list of what is in quarantine.
    pub(super) async fn dismiss(&mut self, commit: CommitId, rows: &[i64]) -> Result<(), StoreError> {
        self.expect_certain()?;
        write::begin(&mut self.connection).await?;
        let written = match quarantine::dismiss(&mut self.connection, commit, rows).await {
            Ok(()) => write::commit(&mut self.connection).await,
            Err(error) => Err(error),
        };
        // Whether or not an error was one, the list tells: done twice it is done once.
        if written.is_err() {
            write::roll_back(&mut self.connection).await;
        }
        self.recount_quarantine().await;
        written
    }

    /// Counts what is in quarantine, after something that may have changed it. That the disk does not tell now is no reason to
    /// undo what was written: the number stays as it was.
    pub(in crate::writer) async fn recount_quarantine(&mut self) {
        match quarantine::size(&mut self.connection).await {
            Ok(size) => self.quarantine = size,
            Err(error) => tracing::warn!(%error, "what is in quarantine can't be counted now"),
        }
    }
}
