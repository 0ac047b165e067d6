//! The rows of a large table, hundreds at a time: one row that SQLite gives carries all of them.
//!
//! SQLite's thread hands over rows one by one, and for a table of short rows that costs more than to read and hash
//! them. So SQLite joins each column of a chunk to one text or blob, which is taken apart here. A chunk in which anything
//! is not of the type that it should be is read again row by row, and the row is named.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::flaws::Broken;
use super::open;
use super::rows::{column, number};

/// Rows in a chunk: enough that what a chunk costs beside them is little. Of the largest values they are 32 MiB.
const CHUNK_ROWS: usize = 512;

/// Chunks that wait to be judged: the one that reads and the one that judges seldom wait for each other.
const CHUNKS_AHEAD: usize = 2;

/// Bytes of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bytes {
    Text(&'static str),
    Blob(&'static str),
}

/// A row of a table that is read in chunks.
pub(super) trait Packed: Sized + Send + 'static {
    const TABLE: &'static str;
    /// Columns of numbers that are never below zero.
    const NUMBERS: &'static [&'static str];
    /// Columns of bytes.
    const BYTES: &'static [Bytes];

    /// Makes a row of its rowid and its columns, in the order in which they are named above.
    fn of(row: i64, numbers: &[u64], bytes: &[Option<&[u8]>]) -> Result<Self, String>;
}

/// A row that can't be read: its rowid, and why.
pub(super) type Unread = (i64, String);

/// All rows of a table, in the order of their rowids. They are read on another thread.
pub(super) struct Rows<T> {
    chunks: mpsc::Receiver<Result<Vec<Result<T, Unread>>, Broken>>,
    chunk: std::vec::IntoIter<Result<T, Unread>>,
    reading: JoinHandle<()>,
}

impl<T: Packed> Rows<T> {
    /// Starts to read.
    pub(super) async fn of(options: &SqliteConnectOptions) -> Result<Self, Broken> {
        let connection = open(options).await?;
        let (chunks_in, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let reading = tokio::spawn(read(connection, chunks_in));
        Ok(Self { chunks, chunk: Vec::new().into_iter(), reading })
    }

    /// The next row; `None` behind the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Result<T, Unread>>, Broken> {
        loop {
            if let Some(row) = self.chunk.next() {
                return Ok(Some(row));
            }
            match self.chunks.recv().await {
                Some(chunk) => self.chunk = chunk?.into_iter(),
                None => break,
            }
        }
        let stopped = |error: tokio::task::JoinError| Broken { table: T::TABLE, why: error.to_string() };
        (&mut self.reading).await.map(|()| None).map_err(stopped)
    }
}

/// Reads chunk after chunk until there is none, or nobody waits for it.
async fn read<T: Packed>(
    mut connection: SqliteConnection,
    chunks: mpsc::Sender<Result<Vec<Result<T, Unread>>, Broken>>,
) {
    let mut after = i64::MIN;
    loop {
        let chunk = match chunk(&mut connection, after).await {
            Ok(Some((chunk, last))) => {
                after = last;
                Ok(chunk)
            }
            Ok(None) => return,
            Err(error) => Err(Broken::of(T::TABLE)(error)),
        };
        let is_end = chunk.is_err();
        if chunks.send(chunk).await.is_err() || is_end {
            return;
        }
    }
}

type Chunk<T> = (Vec<Result<T, Unread>>, i64);

/// The rows behind rowid `after`, as many as fit a chunk, and the rowid of the last of them; `None` if there are none.
async fn chunk<T: Packed>(connection: &mut SqliteConnection, after: i64) -> Result<Option<Chunk<T>>, sqlx::Error> {
    let packed = sqlx::query(AssertSqlSafe(packed_sql::<T>())).bind(after).fetch_one(&mut *connection).await?;
    let Some(last) = packed.try_get::<Option<i64>, _>(0)? else { return Ok(None) };
    if let Some(rows) = unpacked(&packed) {
        return Ok(Some((rows, last)));
    }
    let rows = sqlx::query(AssertSqlSafe(plain_sql::<T>())).bind(after).fetch_all(&mut *connection).await?;
    let name = |row: &SqliteRow| row.try_get(0).unwrap_or_default();
    Ok(Some((rows.iter().map(|row| single(row).map_err(|what| (name(row), what))).collect(), last)))
}

/// One row, by the numbers of the columns in a statement that names them all.
fn plain_sql<T: Packed>() -> String {
    let names = T::BYTES.iter().map(|(Bytes::Text(name) | Bytes::Blob(name))| *name);
    let columns: Vec<_> = ["rowid"].into_iter().chain(T::NUMBERS.iter().copied()).chain(names).collect();
    format!("SELECT {} FROM {} WHERE rowid > ? ORDER BY rowid LIMIT {CHUNK_ROWS}", columns.join(", "), T::TABLE)
}

fn single<T: Packed>(row: &SqliteRow) -> Result<T, String> {
    let numbers = (1..).take(T::NUMBERS.len()).map(|at| number(row, at)).collect::<Result<Vec<_>, _>>()?;
    let bytes = |(at, bytes): (usize, &Bytes)| match bytes {
        Bytes::Text(_) => Ok(column::<Option<&str>>(row, at)?.map(str::as_bytes)),
        Bytes::Blob(_) => column::<Option<&[u8]>>(row, at),
    };
    let bytes = (1 + T::NUMBERS.len()..).zip(T::BYTES).map(bytes).collect::<Result<Vec<_>, String>>()?;
    T::of(column(row, 0)?, &numbers, &bytes)
}

/// A chunk in one row: the last rowid; how many values are of another type than their column; a list of rowids; of each
/// column of numbers a list; of each column of bytes a list of lengths, and all bytes.
fn packed_sql<T: Packed>() -> String {
    let mut of_other_type: Vec<_> = T::NUMBERS.iter().map(|name| format!("typeof({name}) <> 'integer'")).collect();
    let listed = ["row"].into_iter().chain(T::NUMBERS.iter().copied());
    let mut columns: Vec<_> = listed.map(|name| format!("group_concat({name})")).collect();
    for bytes in T::BYTES {
        let (name, of_type) = match bytes {
            Bytes::Text(name) => (name, "text"),
            Bytes::Blob(name) => (name, "blob"),
        };
        of_other_type.push(format!("typeof({name}) NOT IN ('{of_type}', 'null')"));
        columns.push(format!("group_concat(IFNULL(octet_length({name}), 'null'))"));
        columns.push(format!("CAST(group_concat({name}, '') AS BLOB)"));
    }
    let (of_other_type, columns) = (of_other_type.join(" OR "), columns.join(", "));
    let rows = format!("SELECT rowid AS row, * FROM {} WHERE rowid > ? ORDER BY rowid LIMIT {CHUNK_ROWS}", T::TABLE);
    format!("SELECT MAX(row), SUM({of_other_type}), {columns} FROM ({rows})")
}

/// Takes a chunk apart; `None` if anything in it is not of its type, or not in its order.
fn unpacked<T: Packed>(packed: &SqliteRow) -> Option<Vec<Result<T, Unread>>> {
    let of_other_type: i64 = packed.try_get(1).ok()?;
    let names: Vec<i64> = numbers(packed, 2)?;
    let numbers = (3..).take(T::NUMBERS.len()).map(|at| numbers(packed, at)).collect::<Option<Vec<Vec<u64>>>>()?;
    let columns = (3 + T::NUMBERS.len()..).step_by(2).take(T::BYTES.len());
    let mut bytes = columns.map(|at| Column::of(packed, at)).collect::<Option<Vec<_>>>()?;
    if of_other_type != 0 || !names.is_sorted_by(|one, next| one < next) {
        return None;
    }
    let mut rows = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let own = numbers.iter().map(|list| list.get(at).copied()).collect::<Option<Vec<_>>>()?;
        let parts = bytes.iter_mut().map(Column::next).collect::<Option<Vec<_>>>()?;
        rows.push(T::of(*name, &own, &parts).map_err(|what| (*name, what)));
    }
    bytes.iter().all(|column| column.rest.is_empty()).then_some(rows)
}

fn numbers<N: std::str::FromStr>(packed: &SqliteRow, at: usize) -> Option<Vec<N>> {
    packed.try_get::<&str, _>(at).ok()?.split(',').map(|number| number.parse().ok()).collect()
}

/// A column of bytes as far as it is not taken apart.
struct Column<'a> {
    lengths: std::str::Split<'a, char>,
    rest: &'a [u8],
}

impl<'a> Column<'a> {
    fn of(packed: &'a SqliteRow, at: usize) -> Option<Self> {
        let lengths = packed.try_get::<&str, _>(at).ok()?.split(',');
        // Of nulls alone there are no bytes.
        let rest = packed.try_get::<Option<&[u8]>, _>(at + 1).ok()?.unwrap_or_default();
        Some(Self { lengths, rest })
    }

    /// What the next row has in this column; `None` if the column does not give it.
    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.lengths.next()?;
        if length == "null" {
            return Some(None);
        }
        let (own, rest) = self.rest.split_at_checked(length.parse().ok()?)?;
        self.rest = rest;
        Some(Some(own))
    }
}
