//! The whole state in the order of commits' rows, a page at a time: what is streamed to a node that has little of it.
//!
//! A commit keeps its row for as long as one of its operations stands, and new ones get greater rows. So one walk
//! upwards sees every commit that stood all the while, and those that came meanwhile, without holding a transaction
//! open for its time.

use std::collections::VecDeque;

use futures::TryStreamExt;
use lattice::commit::{Commit, OpSlot, SignedHeader};
use lattice::transfer::Cursor;
use node_core::apply::EntryRow;
use reconcile::message::commit_bytes_at_most;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::read::{Reader, fill_slot, slots_of};
use super::rebuild::sha2_of;
use super::{OWN_LOG, StoreError};

/// Bytes of commits in one page: what a session's message holds.
const PAGE_BYTES: usize = 512 * 1024;

/// Commits in one page (a guess): bounds the time that a reader of the pool is busy.
const PAGE_COMMITS: usize = 1024;

/// The same columns as those of an entry with its commit in [`super::read`], by commit. Hashes come with a commit's first
/// row alone: they are up to 32 KiB. `CROSS JOIN` keeps SQLite from starting at the entries, all of which it would read and
/// sort for each page, and `+` from making an index over all of them.
const COMMITS_BEHIND: &str = "SELECT e.id, e.key, e.value, e.op_index, c.id, c.header, c.signature, \
     CASE WHEN c.op_hashes IS NOT NULL AND e.id = (SELECT first.id FROM entries first \
         WHERE first.id >= c.first_entry AND first.commit_id = c.id ORDER BY first.id LIMIT 1) THEN c.op_hashes END \
     FROM commits c CROSS JOIN entries e ON e.id >= c.first_entry AND e.id < c.first_entry + c.span AND +e.commit_id = c.id \
     WHERE c.id > ? ORDER BY c.id, e.id LIMIT ?";

/// Rows of entries that one statement gives at most: a page of commits with one entry each, or one of the largest.
const PAGE_ROWS: i64 = 2048;

/// Commits with their rows, in order of them.
#[derive(Debug, Default)]
pub struct Page {
    /// The commits.
    pub commits: VecDeque<(u64, Commit)>,
    /// Whether nothing lies behind them.
    pub is_last: bool,
}

/// A commit whose entries are being gathered.
struct Gathering {
    row: i64,
    signed: SignedHeader,
    slots: Vec<OpSlot>,
}

impl Reader {
    /// A number for this database: a cursor into another one means nothing here.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn epoch(&self) -> Result<u64, StoreError> {
        let origin: String =
            sqlx::query_scalar("SELECT origin FROM logs WHERE id = ?").bind(OWN_LOG.0).fetch_one(self.pool()).await?;
        let hash = sha2_of(origin.as_bytes());
        Ok(hash.iter().take(8).fold(0, |epoch, byte| epoch << 8 | u64::from(*byte)))
    }

    /// The commits of these entries, to go first: membership changes decide whose commits count.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn first_commits(&self, rows: &[EntryRow]) -> Result<(Vec<Commit>, usize), StoreError> {
        self.commits_of(rows, PAGE_BYTES).await
    }

    /// Commits behind a cursor's row, in order of rows.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn commits_behind(&self, after: Cursor) -> Result<Page, StoreError> {
        let mut rows = sqlx::query(COMMITS_BEHIND)
            .bind(i64::try_from(after.row).unwrap_or(i64::MAX))
            .bind(PAGE_ROWS)
            .fetch(self.pool());
        let (mut page, mut bytes, mut seen) = (Page::default(), 0, 0);
        let mut gathering: Option<Gathering> = None;
        while let Some(row) = rows.try_next().await? {
            seen += 1;
            let commit_row = row.get::<i64, _>(4);
            if let Some(done) = gathering.take_if(|gathering| gathering.row != commit_row) {
                let (row, commit) = done.into_commit();
                bytes += commit_bytes_at_most(&commit);
                page.commits.push_back((row, commit));
                if bytes >= PAGE_BYTES || page.commits.len() >= PAGE_COMMITS {
                    return Ok(page);
                }
            }
            let mut begun = match gathering.take() {
                Some(begun) => begun,
                None => Gathering::of(&row)?,
            };
            fill_slot(&mut begun.slots, &row)?;
            gathering = Some(begun);
        }
        // The last commit is whole if the statement ended by itself; else it begins the next page. One has at most
        // 1024 entries, so a page always holds one.
        page.is_last = seen < PAGE_ROWS;
        if let Some(last) = gathering.filter(|_| page.is_last) {
            page.commits.push_back(last.into_commit());
        }
        Ok(page)
    }
}

impl Gathering {
    fn of(row: &SqliteRow) -> Result<Self, StoreError> {
        let (signed, slots) = slots_of(row)?;
        Ok(Self { row: row.get(4), signed, slots })
    }

    fn into_commit(self) -> (u64, Commit) {
        (self.row.unsigned_abs(), Commit::from_parts(self.signed, self.slots))
    }
}
