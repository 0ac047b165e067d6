//! Opens or creates the database of a node.

use std::path::Path;

use lattice::frontier::{Chain, Frontier};
use lattice::ids::{AuthorId, LatticeId, LogKey, StateRoot};
use lattice::log::edge::Edge;
use lattice::tree::empty_root;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};

use super::rebuild::{Progress, Rebuilt, rebuild};
use super::write::stored_log_size;
use super::{OWN_LOG, StoreError};

/// Connections that read; each costs [`READ_CACHE_KIB`] and a thread (a guess for two to eight cores).
const READ_CONNECTIONS: u32 = 4;

/// KiB of page cache of the writer and of each reader.
const WRITE_CACHE_KIB: i64 = 32 * 1024;
const READ_CACHE_KIB: i64 = 4 * 1024;

/// Pages of WAL before it is copied back: 64 MiB, which measured a third faster than SQLite's 4 MiB.
const WAL_CHECKPOINT_PAGES: i64 = 16_384;

/// When a transaction counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Once the disk has it: survives power loss.
    #[default]
    Full,
    /// Once the operating system has it: survives the process, not power loss.
    Normal,
}

/// Why a directory can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a later version.
    #[error(
        "{0} was written by a newer version of lattice (it holds migration {1}, unknown here); run that version or a \
         later one"
    )]
    Newer(String, i64),
    /// Another lattice's.
    #[error("the database belongs to lattice {found}, the genesis beside it to {ours}; restore the matching pair")]
    OtherLattice {
        /// Of the database.
        found: LatticeId,
        /// Of the genesis.
        ours: LatticeId,
    },
    /// Another node's.
    #[error(
        "the database was written by another node of this lattice: its log is signed with another key than this \
         directory's node.key gives; restore the matching pair"
    )]
    OtherNode,
    /// The entries do not give the stored root.
    #[error(
        "the stored entries give root {found} over {found_entries} entries, but the last transaction recorded {stored} \
         over {stored_entries}: the database is damaged. This node must not run on it. Keep a copy of the directory, \
         remove state.db, state.db-wal and state.db-shm, and start again: the state comes back from the other nodes"
    )]
    RootMismatch {
        /// Root of the entries.
        found: StateRoot,
        /// Number of entries found.
        found_entries: u64,
        /// Root recorded.
        stored: StateRoot,
        /// Number recorded.
        stored_entries: u64,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that a node holds in memory, as of the last transaction, and its connections.
pub struct Opened {
    /// The one connection that writes.
    pub writer: SqliteConnection,
    /// Connections that read.
    pub readers: SqlitePool,
    /// Tree, members and next numbers, rebuilt from the entries.
    pub rebuilt: Rebuilt,
    /// How far each chain is in.
    pub frontier: Frontier,
    /// Where the own log goes on.
    pub edge: Edge,
}

/// Opens `path`, creating it if absent, and proves the stored entries against the stored root.
///
/// # Errors
///
/// [`OpenError`] says what is wrong and what to do; nothing was changed but for migrations.
pub async fn open(
    path: &Path,
    lattice: LatticeId,
    log_key: LogKey,
    synchronous: Synchronous,
    progress: impl FnMut(Progress),
) -> Result<Opened, OpenError> {
    let mut writer =
        SqliteConnection::connect_with(&write_options(path, synchronous)).await.map_err(StoreError::from)?;
    migrate(&mut writer, path).await?;
    let (stored, stored_entries) = stored_state(&mut writer, lattice).await?;
    expect_own_log(&mut writer, log_key).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READ_CONNECTIONS)
        .connect_with(read_options(path))
        .await
        .map_err(StoreError::from)?;
    // A connection of its own, since a long scan is no slow statement to be warned of.
    let scan = read_options(path).disable_statement_logging();
    let mut scan = SqliteConnection::connect_with(&scan).await.map_err(StoreError::from)?;
    let rebuilt = rebuild(&mut scan, stored_entries, progress).await?;
    scan.close().await.map_err(StoreError::from)?;
    let (found, found_entries) = (rebuilt.tree.root(), rebuilt.tree.len());
    if (found, found_entries) != (stored, stored_entries) {
        return Err(OpenError::RootMismatch { found, found_entries, stored, stored_entries });
    }
    let frontier = Frontier::of(chains(&mut writer).await?);
    let log_size = stored_log_size(&mut writer, OWN_LOG).await?;
    let edge = super::log::edge(&mut writer, OWN_LOG, log_size).await?;
    Ok(Opened { writer, readers, rebuilt, frontier, edge })
}

fn write_options(path: &Path, synchronous: Synchronous) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        })
        .pragma("cache_size", (-WRITE_CACHE_KIB).to_string())
        .pragma("wal_autocheckpoint", WAL_CHECKPOINT_PAGES.to_string())
        .pragma("temp_store", "memory")
        .statement_cache_capacity(256)
        .row_buffer_size(256)
}

fn read_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .pragma("cache_size", (-READ_CACHE_KIB).to_string())
        .row_buffer_size(256)
}

async fn migrate(writer: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    match sqlx::migrate!().run(writer).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version)) => {
            Err(OpenError::Newer(path.display().to_string(), version))
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(StoreError::from(error).into())
        }
        Err(error) => Err(StoreError::Sqlite(error.to_string()).into()),
    }
}

/// Root and count of the last transaction; for a new database, those of the empty state, which it records.
async fn stored_state(writer: &mut SqliteConnection, lattice: LatticeId) -> Result<(StateRoot, u64), OpenError> {
    sqlx::query("INSERT OR IGNORE INTO state (id, lattice, root, entries) VALUES (1, ?, ?, 0)")
        .bind(lattice.as_bytes().as_slice())
        .bind(empty_root().as_bytes().as_slice())
        .execute(&mut *writer)
        .await
        .map_err(StoreError::from)?;
    let row = sqlx::query("SELECT lattice, root, entries FROM state")
        .fetch_one(&mut *writer)
        .await
        .map_err(StoreError::from)?;
    let damaged = || StoreError::damaged("the row of table state has a hash of another length");
    let found = LatticeId::from_slice(row.get(0)).ok_or_else(damaged)?;
    let root = StateRoot::from_slice(row.get(1)).ok_or_else(damaged)?;
    if found != lattice {
        return Err(OpenError::OtherLattice { found, ours: lattice });
    }
    Ok((root, row.get::<i64, _>(2) as u64))
}

/// A database whose log another node's key signs would be continued under a wrong name.
async fn expect_own_log(writer: &mut SqliteConnection, log_key: LogKey) -> Result<(), OpenError> {
    let stored = sqlx::query_scalar::<_, Vec<u8>>("SELECT key FROM logs WHERE id = ?").bind(OWN_LOG.0);
    match stored.fetch_optional(writer).await.map_err(StoreError::from)? {
        Some(key) if key != log_key.as_bytes() => Err(OpenError::OtherNode),
        Some(_) | None => Ok(()),
    }
}

async fn chains(writer: &mut SqliteConnection) -> Result<Vec<((AuthorId, u64), Chain)>, StoreError> {
    let rows = sqlx::query("SELECT author, term, chain FROM chains").fetch_all(writer).await?;
    rows.iter()
        .map(|row| {
            let author = AuthorId::from_slice(row.get(0))
                .ok_or_else(|| StoreError::damaged("an author of table chains has another length"))?;
            let chain = Chain::decode(row.get(2)).map_err(StoreError::damaged)?;
            Ok(((author, row.get::<i64, _>(1) as u64), chain))
        })
        .collect()
}

/// What a node did, promised or was given under its key: of no use to another one, which begins a log of its own.
const TABLES_OF_IDENTITY: [&str; 10] =
    ["logs", "records", "tiles", "checkpoints", "witnessed", "staged", "deposed", "ballot", "invitations", "answers"];

/// Leaves the state, and nothing of the node whose database this was.
///
/// # Errors
///
/// [`StoreError`].
pub async fn shed_identity(path: &Path) -> Result<(), StoreError> {
    let mut connection = SqliteConnection::connect_with(&write_options(path, Synchronous::Full)).await?;
    for table in TABLES_OF_IDENTITY {
        sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut connection).await?;
    }
    sqlx::query("VACUUM").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
