//! What cuts took away, for people: commits whose entries left the state, and commits that were staged and never entered it.

use std::fmt;
use std::str::FromStr;

use futures::TryStreamExt;
use lattice::commit::{Commit, Header, OpSlot};
use lattice::entry::Version;
use lattice::ids::CommitId;
use lattice::op::{Key, Op};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::read::Reader;
use super::rebuild::sha2_of;
use super::{StoreError, staged, write};

/// Commits in a page: of the largest ones that were staged, 64 are 16 MB to read.
const PAGE_COMMITS_MAX: usize = 64;

/// Keys after which a page ends early: of the longest, 2 MB, and one commit's more.
const PAGE_KEYS_TARGET: usize = 4096;

/// Digits of an id that name a commit at least: by accident, one in four billion has the same.
pub const ID_DIGITS_MIN: usize = 8;

/// Digits of a whole id.
pub const ID_DIGITS_MAX: usize = 64;

/// Why a commit is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A cut took its entries out of the state.
    State,
    /// It was staged here, beyond the cut of its term, and never entered the state.
    Staging,
}

/// A commit in quarantine without its values.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: CommitId,
    /// What its author signed.
    pub header: Header,
    /// Why it is here.
    pub origin: Origin,
    /// What it wrote, or deleted.
    pub keys: Vec<Key>,
}

/// Some of what is in quarantine.
#[derive(Debug, Clone)]
pub struct Page {
    /// Commits: first those that were in the state, then those that were only staged, each kind with the oldest first.
    pub commits: Vec<Listed>,
    /// Where the next page begins, if there may be one.
    pub next: Option<After>,
}

/// The place in the list behind which a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// A row of table quarantine.
    State(i64),
    /// Term, number and id of a commit in table deposed.
    Staging(i64, i64, CommitId),
}

impl After {
    /// Before everything.
    pub const START: Self = Self::State(0);
    /// Before the first that was only staged.
    const STAGING: Self = Self::Staging(0, 0, CommitId([0; 32]));
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(row) => write!(f, "state-{row}"),
            Self::Staging(term, seq, id) => write!(f, "staging-{term}-{seq}-{id}"),
        }
    }
}

/// A text that no page gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("\"after\" is what the page before gave as \"next\"")]
pub struct NoPlace;

impl FromStr for After {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let number = |text: &str| text.parse::<i64>().map_err(|_| NoPlace);
        match text.split('-').collect::<Vec<_>>()[..] {
            ["state", row] => Ok(Self::State(number(row)?)),
            ["staging", term, seq, id] => {
                Ok(Self::Staging(number(term)?, number(seq)?, id.parse().map_err(|_| NoPlace)?))
            }
            _ => Err(NoPlace),
        }
    }
}

/// A whole commit in quarantine, as far as it is kept: of one whose entries were in the state, what stood of it.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// Its id.
    pub id: CommitId,
    /// What its author signed.
    pub header: Header,
    /// Why it is here.
    pub origin: Origin,
    /// Its operations with their places.
    pub ops: Vec<(u32, Op)>,
    /// Its rows in table quarantine.
    pub(crate) rows: Vec<i64>,
}

impl Quarantined {
    /// The version of the entry that the operation at this place made, or would have made.
    pub fn version(&self, op_index: u32) -> Version {
        Version::of(&self.header, self.id, op_index)
    }
}

/// How much is in quarantine that nobody has dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuarantineSize {
    /// Entries that cuts took out of the state.
    pub entries: u64,
    /// Commits that were only staged.
    pub staged: u64,
}

/// Counts what is in quarantine.
pub(crate) async fn size(connection: &mut SqliteConnection) -> Result<QuarantineSize, StoreError> {
    let sql = "SELECT (SELECT COUNT(*) FROM quarantine WHERE is_dismissed = 0), (SELECT COUNT(*) FROM deposed)";
    let (entries, staged): (i64, i64) = sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(QuarantineSize { entries: entries as u64, staged: staged as u64 })
}

/// Takes a commit off the list, in the open transaction. What was only staged is gone then; `rows` of table quarantine are
/// marked and stay.
pub(crate) async fn dismiss(connection: &mut SqliteConnection, id: CommitId, rows: &[i64]) -> Result<(), StoreError> {
    staged::drop_deposed(connection, id).await?;
    write::execute_for_all(connection, "UPDATE quarantine SET is_dismissed = 1 WHERE id IN", rows).await
}

impl Reader {
    /// The page of the list behind a place.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn quarantine_page(&self, after: After) -> Result<Page, StoreError> {
        match after {
            After::State(row) => self.page_of_state(row).await,
            After::Staging(term, seq, id) => self.page_of_staging((term, seq, id)).await,
        }
    }

    async fn page_of_state(&self, after: i64) -> Result<Page, StoreError> {
        let sql = "SELECT id, key, header FROM quarantine WHERE is_dismissed = 0 AND id > ? ORDER BY id";
        let mut rows = sqlx::query(sql).bind(after).fetch(self.pool());
        let mut commits: Vec<Listed> = Vec::new();
        let (mut last_row, mut last_header, mut keys) = (after, Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            // The rows of a commit follow each other.
            if row.get::<&[u8], _>(2) != last_header {
                if commits.len() == PAGE_COMMITS_MAX || keys >= PAGE_KEYS_TARGET {
                    return Ok(Page { commits, next: Some(After::State(last_row)) });
                }
                last_header = row.get(2);
                let header = Header::decode(&last_header).map_err(StoreError::damaged)?;
                commits.push(Listed { id: id_of(&last_header), header, origin: Origin::State, keys: Vec::new() });
            }
            let key = Key::new(row.get(1)).map_err(StoreError::damaged)?;
            commits.last_mut().into_iter().for_each(|commit| commit.keys.push(key.clone()));
            (last_row, keys) = (row.get(0), keys + 1);
        }
        Ok(Page { commits, next: Some(After::STAGING) })
    }

    async fn page_of_staging(&self, (term, seq, id): (i64, i64, CommitId)) -> Result<Page, StoreError> {
        let sql = "SELECT bytes FROM deposed WHERE (term, seq, id) > (?, ?, ?) ORDER BY term, seq, id LIMIT ?";
        let query = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(term).bind(seq).bind(id.0.to_vec());
        let rows = query.bind(PAGE_COMMITS_MAX as i64).fetch_all(self.pool()).await?;
        let (mut commits, mut keys) = (Vec::new(), 0);
        for bytes in &rows {
            let Quarantined { id, header, origin, ops, .. } = of_staging(bytes)?;
            keys += ops.len();
            commits.push(Listed { id, header, origin, keys: ops.iter().map(|(_, op)| op.key().clone()).collect() });
            if keys >= PAGE_KEYS_TARGET {
                break;
            }
        }
        let is_last = commits.len() == rows.len() && rows.len() < PAGE_COMMITS_MAX;
        let end = commits.last().filter(|_| !is_last);
        let next = end.map(|last| After::Staging(last.header.term as i64, last.header.seq as i64, last.id));
        Ok(Page { commits, next })
    }

    /// The commit in quarantine whose id begins with these lower-case hexadecimal digits; of several, the first two.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn quarantined(&self, digits: &str) -> Result<Vec<Quarantined>, StoreError> {
        let mut found: Vec<Quarantined> = Vec::new();
        for (id, rows) in self.rows_of_state(digits).await? {
            found.push(self.of_state(id, rows).await?);
        }
        let sql =
            "SELECT bytes FROM deposed WHERE substr(lower(hex(id)), 1, length(?1)) = ?1 ORDER BY term, seq LIMIT 2";
        let staged = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(digits.to_owned()).fetch_all(self.pool()).await?;
        for bytes in &staged {
            let commit = of_staging(bytes)?;
            if found.iter().all(|known| known.id != commit.id) {
                found.push(commit);
            }
        }
        found.truncate(2);
        Ok(found)
    }

    /// Rows of the first two commits in table quarantine whose ids begin so. No index has ids: all headers are hashed.
    async fn rows_of_state(&self, digits: &str) -> Result<Vec<(CommitId, Vec<i64>)>, StoreError> {
        let sql = "SELECT id, header FROM quarantine WHERE is_dismissed = 0 ORDER BY id";
        let mut rows = sqlx::query(sql).fetch(self.pool());
        let mut found: Vec<(CommitId, Vec<i64>)> = Vec::new();
        let (mut last_header, mut at) = (Vec::new(), None);
        while let Some(row) = rows.try_next().await? {
            if row.get::<&[u8], _>(1) != last_header {
                last_header = row.get(1);
                let id = id_of(&last_header);
                let is_wanted = id.to_string().starts_with(digits);
                at = is_wanted.then(|| found.iter().position(|(known, _)| *known == id).unwrap_or(found.len()));
                match at {
                    Some(2) => break,
                    Some(next) if next == found.len() => found.push((id, Vec::new())),
                    Some(_) | None => {}
                }
            }
            if let Some((_, rows)) = at.and_then(|at| found.get_mut(at)) {
                rows.push(row.get(0));
            }
        }
        Ok(found)
    }

    async fn of_state(&self, id: CommitId, rows: Vec<i64>) -> Result<Quarantined, StoreError> {
        let mut stored = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(super::ROWS_PER_STATEMENT) {
            let head = "SELECT key, value, op_index, header FROM quarantine WHERE id IN";
            let sql = sqlx::AssertSqlSafe(write::with_places(head, chunk.len()));
            let query = chunk.iter().fold(sqlx::query(sql), |query, row| query.bind(*row));
            stored.extend(query.fetch_all(self.pool()).await?);
        }
        // No row is ever deleted.
        let first = stored.first().ok_or_else(|| StoreError::damaged("rows of table quarantine are gone"))?;
        let header = Header::decode(first.get(3)).map_err(StoreError::damaged)?;
        let ops = stored.iter().map(op_of).collect::<Result<_, _>>()?;
        Ok(Quarantined { id, header, origin: Origin::State, ops, rows })
    }
}

/// Columns key, value, op index.
fn op_of(row: &SqliteRow) -> Result<(u32, Op), StoreError> {
    let op = match row.get::<Option<&[u8]>, _>(1) {
        Some(value) => Op::put(row.get(0), value),
        None => Op::delete(row.get(0)),
    };
    Ok((row.get::<i64, _>(2) as u32, op.map_err(StoreError::damaged)?))
}

fn of_staging(bytes: &[u8]) -> Result<Quarantined, StoreError> {
    let commit = Commit::decode(bytes).map_err(StoreError::damaged)?;
    let live = |(at, slot): (usize, &OpSlot)| match slot {
        OpSlot::Live(op) => Some((at as u32, op.clone())),
        OpSlot::Dead(_) => None,
    };
    let ops = commit.slots().iter().enumerate().filter_map(live).collect();
    let header = *commit.signed().header();
    Ok(Quarantined { id: commit.id(), header, origin: Origin::Staging, ops, rows: Vec::new() })
}

fn id_of(header: &[u8]) -> CommitId {
    CommitId(sha2_of(header))
}

#[cfg(test)]
mod tests;
