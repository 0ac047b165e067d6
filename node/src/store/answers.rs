//! Answers kept for writes that clients named, so that a repeated request is not a second write.

use lattice::seat::message::KeptName;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::read::Reader;
use super::write::stored_log_size;
use super::{SEAT_LOG, StoreError};

/// Answers kept for repeated requests with an idempotency key (about a day of steady scripts; a guess).
pub(crate) const ANSWERS_MAX: i64 = 100_000;

/// Keeps the answer to a named write, which has this number in its term, and forgets the oldest beyond the bound. A mirror
/// follows a holder that had forgotten the name, and gave it to another write.
pub(crate) async fn keep(connection: &mut SqliteConnection, kept: &KeptName, seq: u64) -> Result<(), StoreError> {
    let keep =
        "INSERT OR REPLACE INTO answers (name, request_hash, answer, of_seat, term, seq) VALUES (?, ?, ?, ?, ?, ?)";
    let id: i64 = sqlx::query(keep)
        .bind(kept.name.clone())
        .bind(kept.request_hash.to_vec())
        .bind(kept.answer.clone())
        .bind(kept.term > 0)
        .bind(kept.term as i64)
        .bind(seq as i64)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    sqlx::query("DELETE FROM answers WHERE id <= ?").bind(id - ANSWERS_MAX).execute(connection).await?;
    Ok(())
}

/// Forgets the answers to writes of a term of the seat beyond its cut: they stand nowhere any more, and whoever asks again
/// writes again.
pub(crate) async fn forget_beyond(
    connection: &mut SqliteConnection,
    term: u64,
    last_seq: u64,
) -> Result<(), StoreError> {
    let last_seq = i64::try_from(last_seq).unwrap_or(i64::MAX);
    let forget = sqlx::query("DELETE FROM answers WHERE of_seat AND term = ? AND seq > ?");
    forget.bind(term as i64).bind(last_seq).execute(connection).await?;
    Ok(())
}

/// The answer kept under a name, with the hash of its request.
pub(crate) async fn of_name(connection: &mut SqliteConnection, name: &str) -> Result<Option<KeptName>, StoreError> {
    let query =
        sqlx::query("SELECT id, name, request_hash, term, answer FROM answers WHERE name = ?").bind(name.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(kept_name).transpose()
}

fn kept_name(row: &SqliteRow) -> Result<KeptName, StoreError> {
    let hash: Vec<u8> = row.get(2);
    let request_hash =
        hash.try_into().map_err(|_| StoreError::damaged("the hash of a named request has not 32 bytes"))?;
    Ok(KeptName { name: row.get(1), request_hash, term: row.get::<i64, _>(3) as u64, answer: row.get(4) })
}

/// Answers kept for writes of the seat.
pub(crate) struct SeatNames {
    /// The oldest first.
    pub(crate) names: Vec<KeptName>,
    /// The row of the last one; where there was none, the row that was asked for.
    pub(crate) upto: u64,
    /// Records that the seat's log had afterwards: those of all these writes are among them.
    pub(crate) log_size: u64,
}

impl Reader {
    /// The answers kept for writes of the seat behind a row, at most so many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) async fn seat_names(&self, after: u64, limit: usize) -> Result<SeatNames, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let rows = sqlx::query(
            "SELECT id, name, request_hash, term, answer FROM answers WHERE of_seat AND id > ? ORDER BY id LIMIT ?",
        );
        let rows = rows.bind(after as i64).bind(limit as i64).fetch_all(&mut *connection).await?;
        let upto = rows.last().map_or(after, |row| row.get::<i64, _>(0) as u64);
        let names = rows.iter().map(kept_name).collect::<Result<_, _>>()?;
        let log_size = stored_log_size(&mut connection, SEAT_LOG).await?;
        Ok(SeatNames { names, upto, log_size })
    }
}

#[cfg(test)]
mod tests {
    use lattice::ids::LatticeId;
    use lattice::keys::NodeKeys;

    use super::*;
    use crate::store::open::{Synchronous, open};

    fn named(name: &str) -> KeptName {
        KeptName { name: name.to_owned(), request_hash: [1; 32], term: 1, answer: vec![1] }
    }

    #[tokio::test]
    async fn as_many_answers_are_kept_as_the_bound_says_and_the_oldest_goes_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = NodeKeys::from_seed([1; 32]).log_key();
        let path = dir.path().join("state.db");
        let mut opened = open(&path, LatticeId::ZERO, key, Synchronous::Normal, |_| {}).await.expect("opens");
        let connection = &mut opened.writer;
        for name in ["oldest", "old"] {
            keep(&mut *connection, &named(name), 1).await.expect("kept");
        }
        // As many rows lie between as a day's scripts make.
        let between = sqlx::query("UPDATE answers SET id = ? WHERE name = 'old'").bind(ANSWERS_MAX);
        between.execute(&mut *connection).await.expect("SQL");
        keep(&mut *connection, &named("new"), 1).await.expect("kept");
        assert_eq!(of_name(&mut *connection, "oldest").await.expect("readable").map(|kept| kept.name), None);
        for name in ["old", "new"] {
            assert!(of_name(&mut *connection, name).await.expect("readable").is_some(), "{name}");
        }
    }
}
