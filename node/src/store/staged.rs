//! Commits of the seat on their way into the state, those that lost their place there, and this node's vote.

use std::collections::BTreeSet;

use lattice::commit::{Commit, VerifiedCommit};
use lattice::ids::{AuthorId, CommitId};
use lattice::keys::{SIGNATURE_BYTES, is_signed_by};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::read::Reader;
use super::write::with_places;
use super::{LogNumber, ROWS_PER_STATEMENT, SEAT_LOG, StoreError, log};
use crate::writer::job::IdempotencyKey;
use crate::writer::seat::{BALLOT_DOMAIN, STAGED_COMMITS_MAX};

/// Commits kept for people that lost their place: what sixteen holders may have staged.
const DEPOSED_COMMITS_MAX: i64 = 16 * STAGED_COMMITS_MAX as i64;

/// Bytes of them: what fits on a small disk beside the state.
const DEPOSED_BYTES_MAX: i64 = 256 * 1024 * 1024;

/// All staged commits by term and number, with the clients' names for them.
pub(crate) async fn staged(
    connection: &mut SqliteConnection,
) -> Result<Vec<(Commit, Option<IdempotencyKey>)>, StoreError> {
    let rows = sqlx::query("SELECT bytes, name FROM staged ORDER BY term, seq").fetch_all(connection).await?;
    let read = |row: &SqliteRow| {
        let name: Option<&str> = row.get(1);
        Ok((Commit::decode(row.get(0)).map_err(StoreError::damaged)?, name.and_then(IdempotencyKey::new)))
    };
    rows.iter().map(read).collect()
}

/// Stages commits. That another one has the place of one of them is an error.
pub(crate) async fn stage(
    connection: &mut SqliteConnection,
    commits: &[(&VerifiedCommit, Option<&IdempotencyKey>)],
) -> Result<(), StoreError> {
    for (commit, name) in commits {
        sqlx::query("INSERT INTO staged (term, seq, id, bytes, name) VALUES (?, ?, ?, ?, ?)")
            .bind(commit.header().term as i64)
            .bind(commit.header().seq as i64)
            .bind(commit.id().0.to_vec())
            .bind(commit.commit().encode())
            .bind(name.map(|name| name.as_str().to_owned()))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Whether this commit is staged.
pub(crate) async fn is_staged(connection: &mut SqliteConnection, id: CommitId) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT 1 FROM staged WHERE id = ?").bind(id.0.to_vec());
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// Forgets staged commits that have entered the state.
pub(crate) async fn unstage(connection: &mut SqliteConnection, ids: &[CommitId]) -> Result<(), StoreError> {
    for chunk in ids.chunks(ROWS_PER_STATEMENT) {
        let sql = AssertSqlSafe(with_places("DELETE FROM staged WHERE id IN", chunk.len()));
        let query = chunk.iter().fold(sqlx::query(sql), |query, id| query.bind(id.0.to_vec()));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Moves staged commits that are beyond their term's cut to where people find them, and forgets the oldest there beyond the
/// bound. Gives how many those are.
pub(crate) async fn depose(connection: &mut SqliteConnection, ids: &BTreeSet<CommitId>) -> Result<u64, StoreError> {
    for id in ids {
        let copy = "INSERT OR IGNORE INTO deposed SELECT term, seq, id, bytes FROM staged WHERE id = ?";
        sqlx::query(copy).bind(id.0.to_vec()).execute(&mut *connection).await?;
        sqlx::query("DELETE FROM staged WHERE id = ?").bind(id.0.to_vec()).execute(&mut *connection).await?;
    }
    forget_oldest(connection, DEPOSED_COMMITS_MAX, DEPOSED_BYTES_MAX).await
}

async fn forget_oldest(connection: &mut SqliteConnection, commits: i64, bytes: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM deposed WHERE (term, seq, id) IN (SELECT term, seq, id FROM (\
         SELECT term, seq, id, row_number() OVER latest AS number, sum(length(bytes)) OVER latest AS total FROM deposed \
         WINDOW latest AS (ORDER BY term DESC, seq DESC, id DESC ROWS UNBOUNDED PRECEDING)) \
         WHERE number > ? OR total > ?)",
    );
    Ok(done.bind(commits).bind(bytes).execute(connection).await?.rows_affected())
}

/// Forgets a commit that lost its place.
pub(crate) async fn drop_deposed(connection: &mut SqliteConnection, id: CommitId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM deposed WHERE id = ?").bind(id.0.to_vec()).execute(connection).await?;
    Ok(())
}

/// What this node voted or stood for last, with its signature; neither is checked.
pub(crate) async fn ballot(connection: &mut SqliteConnection) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT ballot, signature FROM ballot").fetch_optional(connection).await?;
    Ok(row)
}

/// Stores what this node is about to vote or stand for.
pub(crate) async fn write_ballot(
    connection: &mut SqliteConnection,
    ballot: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO ballot (id, ballot, signature) VALUES (1, ?, ?)")
        .bind(ballot.to_vec())
        .bind(signature.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// Cuts the seat's log to `size` records, in the open transaction.
pub(crate) async fn cut_log(
    connection: &mut SqliteConnection,
    size: u64,
) -> Result<lattice::log::edge::Edge, StoreError> {
    let LogNumber(number) = SEAT_LOG;
    sqlx::query("DELETE FROM records WHERE log = ? AND position >= ?")
        .bind(number)
        .bind(size as i64)
        .execute(&mut *connection)
        .await?;
    log::write_all_tiles(connection, SEAT_LOG, size).await
}

impl Reader {
    /// What this node voted or stood for last, as it was stored.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if the row does not bear this node's signature: it may have promised anything then.
    pub async fn ballot(&self, own: &AuthorId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((ballot, signature)) = ballot(&mut *self.pool().acquire().await?).await? else { return Ok(None) };
        let signature: Option<[u8; SIGNATURE_BYTES]> = signature.try_into().ok();
        if signature.is_some_and(|signature| is_signed_by(own, BALLOT_DOMAIN, &ballot, &signature)) {
            Ok(Some(ballot))
        } else {
            Err(StoreError::damaged("this node's ballot does not bear its signature"))
        }
    }
}

#[cfg(test)]
mod tests {
    use lattice::ids::LatticeId;
    use lattice::keys::NodeKeys;

    use super::*;
    use crate::store::open::{Synchronous, open};

    #[tokio::test]
    async fn the_oldest_commits_in_quarantine_make_room_by_number_and_by_bytes() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = NodeKeys::from_seed([1; 32]).log_key();
        let path = dir.path().join("state.db");
        let mut opened = open(&path, LatticeId::ZERO, key, Synchronous::Normal, |_| {}).await.expect("opens");
        let connection = &mut opened.writer;
        for (term, seq, size) in [(1, 1, 10), (1, 2, 10), (2, 1, 10), (2, 2, 30), (2, 3, 10)] {
            let row = sqlx::query("INSERT INTO deposed (term, seq, id, bytes) VALUES (?, ?, ?, zeroblob(?))");
            let row = row.bind(term).bind(seq).bind(vec![1u8; 32]).bind(size);
            row.execute(&mut *connection).await.expect("SQL");
        }
        let forgot = forget_oldest(&mut *connection, 4, 1_000).await.expect("SQL");
        assert_eq!(forgot, 1);
        assert_eq!(forget_oldest(&mut *connection, 4, 50).await.expect("SQL"), 1, "20 bytes of 60 are over");
        assert_eq!(forget_oldest(&mut *connection, 4, 50).await.expect("SQL"), 0, "all that fits stays");
        let left = sqlx::query_as("SELECT term, seq FROM deposed ORDER BY term, seq").fetch_all(&mut *connection);
        let left: Vec<(i64, i64)> = left.await.expect("SQL");
        assert_eq!(left, [(2, 1), (2, 2), (2, 3)]);
    }
}
