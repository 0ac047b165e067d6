//! Brings the state tree back from the stored entries at start.
//!
//! Every entry's value is hashed again, so a value that changed on disk is found here and not by a client.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use lattice::clock::Timestamp;
use lattice::commit::Header;
use lattice::entry::{Entry, Version};
use lattice::ids::{AuthorId, CommitId, KeyHash};
use lattice::membership::{Change, is_change_key};
use lattice::op::{Key, value_hash};
use lattice::tree::Leaf;
use node_core::apply::{CommitRow, EntryRow, NextRows, Tree};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::{OWN_LOG, StoreError};

/// Entries hashed at once on another thread, while SQLite reads the next.
const CHUNK_ENTRIES: usize = 4096;

/// How far the rebuild is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Entries done.
    pub done: u64,
    /// Entries recorded by the last transaction.
    pub total: u64,
}

/// What the entries give.
pub struct Rebuilt {
    /// The state tree.
    pub tree: Tree,
    /// Membership changes by key hash.
    pub changes: BTreeMap<KeyHash, Change>,
    /// Authors by their number in the database.
    pub authors: BTreeMap<AuthorId, i64>,
    /// The latest time of any entry.
    pub latest: Timestamp,
    /// The next free numbers.
    pub next: NextRows,
}

/// An entry decoded and hashed.
struct Hashed {
    leaf: Leaf<EntryRow>,
    time: Timestamp,
    change: Option<Change>,
}

/// Reads and hashes all entries, telling `progress` after each chunk.
///
/// # Errors
///
/// [`StoreError::Damaged`] if a row does not decode.
pub async fn rebuild(
    connection: &mut SqliteConnection,
    total: u64,
    mut progress: impl FnMut(Progress),
) -> Result<Rebuilt, StoreError> {
    let next = next_rows(connection).await?;
    let authors = authors(connection).await?;
    let mut rebuilt = Rebuilt { tree: Tree::default(), changes: BTreeMap::new(), authors, latest: Timestamp(0), next };
    let mut rows = sqlx::query(AssertSqlSafe(format!("{HASHED} ORDER BY e.id"))).fetch(&mut *connection);
    let mut hashing = None;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
        while chunk.len() < CHUNK_ENTRIES
            && let Some(row) = rows.try_next().await?
        {
            chunk.push(row);
        }
        let last = chunk.is_empty();
        let started = tokio::task::spawn_blocking(move || hash_rows(&chunk));
        if let Some(before) = hashing.replace(started) {
            rebuilt.take(joined(before).await?);
            progress(Progress { done: rebuilt.tree.len(), total });
        }
        if last {
            break;
        }
    }
    Ok(rebuilt)
}

async fn joined(hashing: tokio::task::JoinHandle<Result<Vec<Hashed>, StoreError>>) -> Result<Vec<Hashed>, StoreError> {
    hashing.await.map_err(|e| StoreError::Sqlite(format!("hashing stopped: {e}")))?
}

impl Rebuilt {
    fn take(&mut self, chunk: Vec<Hashed>) {
        for Hashed { leaf, time, change } in chunk {
            self.latest = self.latest.max(time);
            self.tree.insert(leaf);
            if let Some(change) = change {
                self.changes.insert(leaf.key, change);
            }
        }
    }
}

/// Hashes entries; rows of one commit follow each other, so its header is decoded once.
fn hash_rows(rows: &[SqliteRow]) -> Result<Vec<Hashed>, StoreError> {
    let mut hashed = Vec::with_capacity(rows.len());
    let mut last: Option<(&[u8], Header, CommitId)> = None;
    for row in rows {
        let bytes: &[u8] = row.get(4);
        let (header, commit) = match last {
            Some((known, header, commit)) if known == bytes => (header, commit),
            _ => (Header::decode(bytes).map_err(|e| damaged_entry(row, &e))?, CommitId(sha2_of(bytes))),
        };
        last = Some((bytes, header, commit));
        hashed.push(hash_row(row, &header, commit)?);
    }
    Ok(hashed)
}

/// An entry with what its hash takes, for [`leaf_of`].
pub(super) const HASHED: &str =
    "SELECT e.id, e.key, e.value, e.op_index, c.header FROM entries e JOIN commits c ON c.id = e.commit_id";

/// The leaf that a row of [`HASHED`] gives.
pub(super) fn leaf_of(row: &SqliteRow) -> Result<Leaf<EntryRow>, StoreError> {
    let bytes: &[u8] = row.get(4);
    let header = Header::decode(bytes).map_err(|e| damaged_entry(row, &e))?;
    Ok(hash_row(row, &header, CommitId(sha2_of(bytes)))?.leaf)
}

/// Columns entry id, key, value, op index.
fn hash_row(row: &SqliteRow, header: &Header, commit: CommitId) -> Result<Hashed, StoreError> {
    let text: &str = row.try_get(1).map_err(|e| damaged_entry(row, &e))?;
    let value: Option<&[u8]> = row.get(2);
    let key = Key::new(text).map_err(|e| damaged_entry(row, &e))?;
    let change = match value {
        Some(value) if is_change_key(text) => Some(Change::decode(value).map_err(|e| damaged_entry(row, &e))?),
        _ => None,
    };
    let version = Version::of(header, commit, row.get::<i64, _>(3) as u32);
    let entry = Entry { key, version, value: value.map(value_hash) };
    let leaf = Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: EntryRow(row.get(0)) };
    Ok(Hashed { leaf, time: header.time, change })
}

fn damaged_entry(row: &SqliteRow, what: &dyn std::fmt::Display) -> StoreError {
    StoreError::damaged(format_args!("entry {} ({:?}): {what}", row.get::<i64, _>(0), row.try_get::<&str, _>(1)))
}

/// SHA-256 of a stored header: its commit's id.
pub(super) fn sha2_of(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

async fn next_rows(connection: &mut SqliteConnection) -> Result<NextRows, StoreError> {
    // A cut may have removed the newest entries: numbers given out once are never given out again.
    let row = sqlx::query(
        "SELECT MAX((SELECT COALESCE(MAX(id), 0) FROM entries), \
                    (SELECT COALESCE(MAX(last_entry), 0) FROM records WHERE log = ?)) + 1, \
                (SELECT COALESCE(MAX(id), 0) + 1 FROM commits)",
    )
    .bind(OWN_LOG.0)
    .fetch_one(connection)
    .await?;
    Ok(NextRows { entry: EntryRow(row.get(0)), commit: CommitRow(row.get(1)) })
}

async fn authors(connection: &mut SqliteConnection) -> Result<BTreeMap<AuthorId, i64>, StoreError> {
    let rows = sqlx::query("SELECT author, id FROM authors").fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let author = AuthorId::from_slice(row.get(0));
            author.map(|a| (a, row.get(1))).ok_or_else(|| StoreError::damaged("an author has another length"))
        })
        .collect()
}
