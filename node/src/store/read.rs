//! Answers from the read pool: entries for clients, commits for peers, changes since a log position.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use lattice::commit::{Commit, Header, OpSlot, SignedHeader};
use lattice::entry::{Entry, Version};
use lattice::ids::{CommitId, OpHash};
use lattice::op::{Key, Op, value_hash};
use lattice::tree::Leaf;
use node_core::apply::{CommitRow, EntryRow, Standing};
use reconcile::limits::COMMITS_MAX;
use reconcile::message::commit_bytes_at_most;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rebuild::{HASHED, leaf_of, sha2_of};
use super::{OWN_LOG, ROWS_PER_STATEMENT, StoreError, StoredEntry};

/// Where a reader of changes stands: after the entry with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(i64);

/// Changed entries after a cursor, oldest change first; of a key only its last change.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The entries, tombstones included.
    pub entries: Vec<StoredEntry>,
    /// Log position up to which everything has been seen once `entries` are.
    pub upto: u64,
    /// Where to read on.
    pub cursor: Cursor,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// The read half of the store. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pool: SqlitePool,
    /// Held by whoever searches records without an index.
    search: Arc<Semaphore>,
}

/// Searches at once: each keeps a connection busy for long, and there are four, for everybody.
const SEARCHES_MAX: usize = 1;

impl Reader {
    /// Reads through this pool.
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, search: Arc::new(Semaphore::new(SEARCHES_MAX)) }
    }

    /// The place of a search that has no index, until it is dropped; `None` while another is under way.
    pub fn place_to_search(&self) -> Option<OwnedSemaphorePermit> {
        self.search.clone().try_acquire_owned().ok()
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// The entry at `key`, tombstones included.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn entry(&self, key: &Key) -> Result<Option<StoredEntry>, StoreError> {
        let row = sqlx::query(
            "SELECT e.key, e.value, e.op_index, c.header FROM entries e JOIN commits c ON c.id = e.commit_id \
             WHERE e.key = ?",
        )
        .bind(key.as_str().to_owned())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(stored_entry).transpose()
    }

    /// Live entries under `prefix` after the key `after`, in key order, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT e.key, e.value, e.op_index, c.header FROM entries e JOIN commits c ON c.id = e.commit_id \
             WHERE e.value IS NOT NULL AND ",
        );
        // One lower bound only: of two, SQLite starts at the first it reads, and each page would walk all before it.
        match after.filter(|after| *after >= prefix) {
            Some(after) => query.push("e.key > ").push_bind(after.to_owned()),
            None => query.push("e.key >= ").push_bind(prefix.to_owned()),
        };
        if let Some(end) = end_of_prefix(prefix) {
            query.push(" AND e.key < ").push_bind(end);
        }
        query.push(" ORDER BY e.key LIMIT ").push_bind(limit as i64);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(stored_entry).collect()
    }

    /// The cursor of someone who has seen the first `position` records of the log.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn cursor_at(&self, position: u64) -> Result<Cursor, StoreError> {
        let last =
            sqlx::query_scalar::<_, Option<i64>>("SELECT MAX(last_entry) FROM records WHERE log = ? AND position < ?")
                .bind(OWN_LOG.0)
                .bind(i64::try_from(position).unwrap_or(i64::MAX))
                .fetch_one(&self.pool)
                .await?;
        Ok(Cursor(last.unwrap_or(0)))
    }

    /// Entries under `prefix` changed after `cursor`, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn changes(&self, prefix: &str, cursor: Cursor, limit: usize) -> Result<Changes, StoreError> {
        let mut read = self.pool.begin().await?;
        let rows = sqlx::query(
            "SELECT e.key, e.value, e.op_index, c.header, e.id FROM entries e JOIN commits c ON c.id = e.commit_id \
             WHERE e.id > ?1 AND substr(e.key, 1, length(?2)) = ?2 ORDER BY e.id LIMIT ?3",
        )
        .bind(cursor.0)
        .bind(prefix.to_owned())
        .bind(limit as i64)
        .fetch_all(&mut *read)
        .await?;
        let more = rows.len() == limit;
        // With more to come, only the batches that end at or before the last row have been seen whole.
        let seen = rows.last().filter(|_| more).map_or(i64::MAX, |row| row.get::<i64, _>(4));
        let at = sqlx::query(
            "SELECT COALESCE(MAX(position) + 1, 0), COALESCE(MAX(last_entry), 0) FROM records \
             WHERE log = ? AND last_entry <= ?",
        )
        .bind(OWN_LOG.0)
        .bind(seen)
        .fetch_one(&mut *read)
        .await?;
        let cursor = Cursor(if more { seen } else { at.get::<i64, _>(1).max(cursor.0) });
        let entries = rows.iter().map(stored_entry).collect::<Result<_, _>>()?;
        Ok(Changes { entries, upto: at.get::<i64, _>(0) as u64, cursor, more })
    }

    /// The commits that hold the entries at `rows`, each once and with all its operations that still stand, the
    /// others by hash. Stops before `max_bytes` or 1024 commits are passed, but gives at least one. The count tells
    /// how many of `rows` are served; rows changed meanwhile are skipped.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn commits_of(&self, rows: &[EntryRow], max_bytes: usize) -> Result<(Vec<Commit>, usize), StoreError> {
        let mut read = self.pool.begin().await?;
        let mut given = BTreeSet::new();
        let (mut commits, mut bytes, mut served) = (Vec::new(), 0, 0);
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            let found = entry_rows(&mut read, chunk).await?;
            for row in chunk {
                if let Some(first) = found.get(&row.0).filter(|found| !given.contains(&found.get::<i64, _>(COMMIT))) {
                    let commit = whole_commit(&mut read, first).await?;
                    bytes += commit_bytes_at_most(&commit);
                    if !commits.is_empty() && (bytes > max_bytes || commits.len() == COMMITS_MAX) {
                        return Ok((commits, served));
                    }
                    given.insert(first.get::<i64, _>(COMMIT));
                    commits.push(commit);
                }
                served += 1;
            }
        }
        Ok((commits, served))
    }

    /// The leaves that the entries in these rows give now, by row; those that are missing or damaged have none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn leaves_at(&self, rows: &[EntryRow]) -> Result<BTreeMap<EntryRow, Leaf<EntryRow>>, StoreError> {
        let mut leaves = BTreeMap::new();
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            let places = vec!["?"; chunk.len()].join(",");
            let sql = AssertSqlSafe(format!("{HASHED} WHERE e.id IN ({places})"));
            let found =
                chunk.iter().fold(sqlx::query(sql), |query, row| query.bind(row.0)).fetch_all(&self.pool).await?;
            leaves.extend(found.iter().filter_map(|row| leaf_of(row).ok()).map(|leaf| (leaf.tag, leaf)));
        }
        Ok(leaves)
    }

    /// The commit behind the entry at `key`, with that operation and all others by hash, and the operation's place.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn commit_of(&self, key: &Key) -> Result<Option<(Commit, u32)>, StoreError> {
        commit_at(&mut *self.pool.acquire().await?, key).await
    }

    /// The entries in these rows, in their order; `None` if one of them was replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn entries_at(&self, rows: &[EntryRow]) -> Result<Option<Vec<Entry>>, StoreError> {
        entries_in(&mut *self.pool.begin().await?, rows).await
    }

    /// The signed header of a commit that the record at `index` names, if one of its operations still stands.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn header_of(&self, id: CommitId, index: u64) -> Result<Option<SignedHeader>, StoreError> {
        let mut rows = sqlx::query(
            "SELECT DISTINCT c.header, c.signature FROM entries e JOIN commits c ON c.id = e.commit_id \
             WHERE e.id > COALESCE((SELECT last_entry FROM records WHERE log = ?1 AND position = ?2 - 1), 0) \
             AND e.id <= (SELECT last_entry FROM records WHERE log = ?1 AND position = ?2)",
        )
        .bind(OWN_LOG.0)
        .bind(index as i64)
        .fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            if sha2_of(row.get(0)) == id.0 {
                let signature = row.get::<&[u8], _>(1).try_into().map_err(StoreError::damaged)?;
                return SignedHeader::decode(row.get(0), signature).map(Some).map_err(StoreError::damaged);
            }
        }
        Ok(None)
    }

    /// Whether this node printed an invitation with this secret.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn knows_invitation(&self, secret_hash: [u8; 32]) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT 1 FROM invitations WHERE secret_hash = ?")
            .bind(secret_hash.to_vec())
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// As [`Reader::commit_of`], by another connection.
pub(crate) async fn commit_at(
    connection: &mut SqliteConnection,
    key: &Key,
) -> Result<Option<(Commit, u32)>, StoreError> {
    let sql = AssertSqlSafe(format!("{PARTS} WHERE e.key = ?"));
    let row = sqlx::query(sql).bind(key.as_str().to_owned()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let (signed, mut slots) = slots_of(&row)?;
    fill_slot(&mut slots, &row)?;
    Ok(Some((Commit::from_parts(signed, slots), row.get::<i64, _>(3) as u32)))
}

/// As [`Reader::entries_at`], by another connection.
pub(crate) async fn entries_in(
    connection: &mut SqliteConnection,
    rows: &[EntryRow],
) -> Result<Option<Vec<Entry>>, StoreError> {
    let mut entries = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let found = entry_rows(&mut *connection, chunk).await?;
        for row in chunk {
            let Some(row) = found.get(&row.0) else { return Ok(None) };
            let header = Header::decode(row.get(5)).map_err(StoreError::damaged)?;
            let version = Version::of(&header, CommitId(sha2_of(row.get(5))), row.get::<i64, _>(3) as u32);
            let key = Key::new(row.get(1)).map_err(StoreError::damaged)?;
            entries.push(Entry { key, version, value: row.get::<Option<&[u8]>, _>(2).map(value_hash) });
        }
    }
    Ok(Some(entries))
}

/// Columns of [`PARTS`].
const COMMIT: usize = 4;

/// An entry and its commit: entry id, key, value, op index, commit id, header, signature, op hashes, first entry, span.
const PARTS: &str = "SELECT e.id, e.key, e.value, e.op_index, e.commit_id, c.header, c.signature, c.op_hashes, \
     c.first_entry, c.span FROM entries e JOIN commits c ON c.id = e.commit_id";

async fn entry_rows(read: &mut SqliteConnection, rows: &[EntryRow]) -> Result<BTreeMap<i64, SqliteRow>, StoreError> {
    let places = vec!["?"; rows.len()].join(",");
    let sql = AssertSqlSafe(format!("{PARTS} WHERE e.id IN ({places})"));
    let found = rows.iter().fold(sqlx::query(sql), |query, row| query.bind(row.0)).fetch_all(read).await?;
    Ok(found.into_iter().map(|row| (row.get(0), row)).collect())
}

/// The commit of an entry, with all its operations that stand. They were written side by side.
async fn whole_commit(read: &mut SqliteConnection, entry: &SqliteRow) -> Result<Commit, StoreError> {
    let (signed, mut slots) = slots_of(entry)?;
    let (first, span) = (entry.get::<i64, _>(8), entry.get::<i64, _>(9));
    if span == 1 {
        fill_slot(&mut slots, entry)?;
    } else {
        let sql = "SELECT id, key, value, op_index FROM entries WHERE id >= ? AND id < ? AND commit_id = ?";
        let query = sqlx::query(sql).bind(first).bind(first + span).bind(entry.get::<i64, _>(COMMIT));
        for row in query.fetch_all(read).await? {
            fill_slot(&mut slots, &row)?;
        }
    }
    Ok(Commit::from_parts(signed, slots))
}

/// A commit's header, and its operations as if none stood any more.
pub(super) fn slots_of(entry: &SqliteRow) -> Result<(SignedHeader, Vec<OpSlot>), StoreError> {
    let signature = entry.get::<&[u8], _>(6).try_into().map_err(StoreError::damaged)?;
    let signed = SignedHeader::decode(entry.get(5), signature).map_err(StoreError::damaged)?;
    let hashes = match entry.get::<Option<&[u8]>, _>(7) {
        Some(hashes) => hashes.to_vec(),
        None => signed.header().ops_root.to_vec(),
    };
    let slots: Vec<_> = hashes.chunks(32).filter_map(OpHash::from_slice).map(OpSlot::Dead).collect();
    if slots.len() != signed.header().op_count as usize {
        return Err(StoreError::damaged("a commit lacks hashes of its operations"));
    }
    Ok((signed, slots))
}

/// Puts an entry's operation into its place.
pub(super) fn fill_slot(slots: &mut [OpSlot], entry: &SqliteRow) -> Result<(), StoreError> {
    let op = match entry.get::<Option<&[u8]>, _>(2) {
        Some(value) => Op::put(entry.get(1), value),
        None => Op::delete(entry.get(1)),
    };
    let slot = slots.get_mut(entry.get::<i64, _>(3) as usize);
    *slot.ok_or_else(|| StoreError::damaged("an entry names an operation beyond its commit"))? =
        OpSlot::Live(op.map_err(StoreError::damaged)?);
    Ok(())
}

/// Columns key, value, op index, header.
fn stored_entry(row: &SqliteRow) -> Result<StoredEntry, StoreError> {
    let header = Header::decode(row.get(3)).map_err(StoreError::damaged)?;
    let commit = CommitId(sha2_of(row.get(3)));
    let version = Version::of(&header, commit, row.get::<i64, _>(2) as u32);
    Ok(StoredEntry { key: Key::new(row.get(0)).map_err(StoreError::damaged)?, value: row.get(1), version })
}

/// Columns entry id, op index, commit id, header.
pub(super) fn standing_of(row: &SqliteRow) -> Result<Standing, StoreError> {
    let header = Header::decode(row.get(3)).map_err(StoreError::damaged)?;
    let version = Version::of(&header, CommitId(sha2_of(row.get(3))), row.get::<i64, _>(1) as u32);
    Ok(Standing { version, commit: CommitRow(row.get(2)) })
}

/// The smallest text that is greater than all texts starting with `prefix`; `None` if there is no such text.
/// Bytewise order of UTF-8 is the order of code points.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_just_behind_it() {
        assert_eq!(end_of_prefix("a/").as_deref(), Some("a0"));
        assert_eq!(end_of_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"), "surrogates are no characters");
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix(""), None);
    }
}
