//! The state on disk: one SQLite database, one writer, a few readers.
//!
//! The store decides nothing. [`mod@write`] carries out a plan in one transaction, [`read`] answers, [`open`] and
//! [`rebuild`] bring a directory back to life and prove that what is stored agrees with the stored root.

pub(crate) mod answers;
pub mod checkpoints;
pub mod log;
pub mod open;
pub mod quarantine;
pub mod read;
pub mod rebuild;
pub mod staged;
pub mod transfer;
pub mod write;

use lattice::clock::Timestamp;
use lattice::entry::{Entry, Version};
use lattice::fault::Fault;
use lattice::op::{Key, value_hash};
use lattice::tree::Leaf;

/// Rows in one multi-row statement: on this engine 10 to 50 are fastest.
pub(crate) const ROWS_PER_STATEMENT: usize = 32;

/// Which log a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogNumber(pub(crate) i64);

/// The log of what this node did.
pub const OWN_LOG: LogNumber = LogNumber(1);

/// The seat's log, at its holder and those who copy it.
pub(crate) const SEAT_LOG: LogNumber = LogNumber(2);

/// An entry as clients see it; `value` is `None` for a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The key.
    pub key: Key,
    /// The value, or a tombstone.
    pub value: Option<Vec<u8>>,
    /// Which operation won.
    pub version: Version,
}

impl StoredEntry {
    /// The leaf that it gives in the state tree.
    pub fn leaf(&self) -> Leaf<()> {
        let entry =
            Entry { key: self.key.clone(), version: self.version, value: self.value.as_deref().map(value_hash) };
        Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: () }
    }

    /// When it was written, by its author's clock.
    pub fn time(&self) -> Timestamp {
        self.version.time
    }
}

/// The disk did not do its part, or what it gave back is not what was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error("the disk is full; free space on the file system of the data directory, writes go on by themselves then")]
    Full,
    /// Not writable.
    #[error("the database can't be written; check owner, mode and mount of the data directory")]
    ReadOnly,
    /// Stored bytes do not decode.
    #[error(
        "the database is damaged: {0}; stop the node, keep a copy of the directory, remove state.db, state.db-wal and state.db-shm, and start again: the state comes back from the other nodes"
    )]
    Damaged(String),
    /// An entry changed on disk; it has left the state.
    #[error(
        "what this node stored there has changed on its disk and was dropped; other nodes bring it back: ask again in a \
         moment, and check the disk"
    )]
    Dropped,
    /// Neither success nor failure of the last transaction could be read back.
    #[error("nobody knows whether the last transaction is on the disk; check the disk and restart the node")]
    Uncertain,
    /// A file beside the database.
    #[error("a file in the data directory can't be written: {0}; check owner, mode, mount and free space")]
    Directory(String),
    /// Anything else that SQLite says.
    #[error("the database failed: {0}")]
    Sqlite(String),
}

impl StoreError {
    /// A disk's failure is nobody's fault but ours.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Full
            | Self::ReadOnly
            | Self::Damaged(_)
            | Self::Dropped
            | Self::Uncertain
            | Self::Directory(_)
            | Self::Sqlite(_) => Fault::Us,
        }
    }

    pub(crate) fn damaged(what: impl std::fmt::Display) -> Self {
        Self::Damaged(what.to_string())
    }
}

// Primary result codes of SQLite, https://www.sqlite.org/rescode.html
const SQLITE_READONLY: u32 = 8;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<u32>().ok());
        match code.map(|extended| extended & 0xff) {
            Some(SQLITE_FULL) => Self::Full,
            Some(SQLITE_READONLY | SQLITE_CANTOPEN) => Self::ReadOnly,
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error.to_string()),
        }
    }
}
