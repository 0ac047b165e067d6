//! A transaction of the seat's tables that reports an error: undone, or durable all the same, or nobody knows.

use lattice::ids::CommitId;
use sqlx::sqlite::SqliteConnection;

use crate::store::{SEAT_LOG, StoreError, staged as table, write};
use crate::writer::state::State;

/// What shows, read back, that a transaction took place. One that stands for all: they are written together.
pub(super) enum Trace {
    /// This commit is staged.
    Staged(CommitId),
    /// This commit is staged no longer.
    Unstaged(CommitId),
    /// The seat's log has this size.
    LogSize(u64),
}

impl Trace {
    async fn is_there(&self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        match self {
            Self::Staged(id) => table::is_staged(connection, *id).await,
            Self::Unstaged(id) => Ok(!table::is_staged(connection, *id).await?),
            Self::LogSize(size) => Ok(write::stored_log_size(connection, SEAT_LOG).await? == *size),
        }
    }
}

impl State {
    /// Ends a transaction that was begun: what failed is rolled back, and whether a failed COMMIT took place is read back. If
    /// even that fails the writer refuses everything until a restart: a number must never be given to two commits.
    pub(super) async fn end(&mut self, written: Result<(), StoreError>, trace: Trace) -> Result<(), StoreError> {
        let Err(error) = written else { return Ok(()) };
        write::roll_back(&mut self.connection).await;
        let is_there = trace.is_there(&mut self.connection).await;
        self.is_uncertain = is_there.is_err();
        if is_there? { Ok(()) } else { Err(error) }
    }
}
