//! Logs on disk, the own and the seat's: their records and the tiles over them.
//!
//! Tiles can be thrown away: they are functions of the records. A start reads back the right edge and holds it against the
//! tiles below and the last records, and hashes all records again if they are not those of the records.

use futures::TryStreamExt;
use lattice::ids::CommitId;
use lattice::log::edge::Edge;
use lattice::log::note::KeyName;
use lattice::log::tile::{BundleId, TILE_HASHES, TILE_HEIGHT, TILE_LEVELS, Tile, TileId};
use lattice::log::tree::{self, TileSet};
use lattice::merkle::{self, Digest, leaf_hash};
use lattice::record::{Event, Record};
use node_core::apply::EntryRow;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::read::Reader;
use super::{LogNumber, OWN_LOG, SEAT_LOG, StoreError};

/// The right edge of a stored log of `size` records.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) async fn edge(connection: &mut SqliteConnection, log: LogNumber, size: u64) -> Result<Edge, StoreError> {
    let mut partials = vec![leaves(connection, log, size - size % TILE_HASHES as u64, size).await?];
    for level in 1..TILE_LEVELS as u8 {
        let hashes = size >> (TILE_HEIGHT * u32::from(level));
        let width = hashes as usize % TILE_HASHES;
        let stored = stored_hashes(connection, log, level, hashes / TILE_HASHES as u64).await?;
        // A tile that is full by now is no part of the edge, and none is stored of a width of zero.
        let mut partial = if width == 0 { Vec::new() } else { stored };
        partial.truncate(width);
        partials.push(partial);
    }
    let restored = Edge::restore(size, partials);
    if let Ok(edge) = restored
        && stands_on_its_records(connection, log, &edge).await?
    {
        return Ok(edge);
    }
    tracing::warn!(records = size, "the log's tiles are not those of its records; hashing all records again");
    hash_again(connection, log, size).await
}

/// Whether the last full tile of leaves is that of its records, and each hash of the tiles that grow is the root of the
/// tile below it. A checkpoint over anything else would be one that no record explains. At most 255 tiles of each level
/// are read, two mebibytes: full tiles further left are the deep audit's (`lattice audit --db`).
async fn stands_on_its_records(
    connection: &mut SqliteConnection,
    log: LogNumber,
    edge: &Edge,
) -> Result<bool, StoreError> {
    let width = TILE_HASHES as u64;
    let full = edge.size() / width;
    if let Some(last) = full.checked_sub(1) {
        let given = leaves(connection, log, last * width, full * width).await?;
        if stored_hashes(connection, log, 0, last).await? != given {
            return Ok(false);
        }
    }
    for level in 1..TILE_LEVELS as u8 {
        let hashes = edge.size() >> (TILE_HEIGHT * u32::from(level));
        let partial = edge.partial(level.into());
        let first = hashes - partial.len() as u64;
        for (below, hash) in (first..hashes).zip(partial) {
            let stored = stored_hashes(connection, log, level - 1, below).await?;
            if stored.len() != TILE_HASHES || merkle::root(&stored) != *hash {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Writes all tiles anew, in one transaction.
async fn hash_again(connection: &mut SqliteConnection, log: LogNumber, size: u64) -> Result<Edge, StoreError> {
    super::write::begin(connection).await?;
    let done = write_all_tiles(connection, log, size).await;
    match done {
        Ok(edge) => super::write::commit(connection).await.map(|()| edge),
        Err(error) => {
            super::write::roll_back(connection).await;
            Err(error)
        }
    }
}

pub(super) async fn write_all_tiles(
    connection: &mut SqliteConnection,
    log: LogNumber,
    size: u64,
) -> Result<Edge, StoreError> {
    sqlx::query("DELETE FROM tiles WHERE log = ?").bind(log.0).execute(&mut *connection).await?;
    let mut edge = Edge::default();
    while edge.size() < size {
        let upto = size.min(edge.size() + TILE_HASHES as u64);
        for leaf in leaves(connection, log, edge.size(), upto).await? {
            append(connection, log, &mut edge, leaf).await?;
        }
    }
    Ok(edge)
}

/// Appends a record to a log, its leaf to the edge. `last_entry` is the greatest entry number given out.
///
/// # Errors
///
/// [`StoreError`]; the edge may be ahead of the log then.
pub async fn append_record(
    connection: &mut SqliteConnection,
    log: LogNumber,
    edge: &mut Edge,
    record: Vec<u8>,
    last_entry: EntryRow,
) -> Result<(), StoreError> {
    let leaf = leaf_hash(&record);
    sqlx::query("INSERT INTO records (log, position, record, last_entry) VALUES (?, ?, ?, ?)")
        .bind(log.0)
        .bind(edge.size() as i64)
        .bind(record)
        .bind(last_entry.0)
        .execute(&mut *connection)
        .await?;
    append(connection, log, edge, leaf).await
}

/// Appends a leaf to the edge, and stores the tiles that it fills.
async fn append(
    connection: &mut SqliteConnection,
    log: LogNumber,
    edge: &mut Edge,
    leaf: Digest,
) -> Result<(), StoreError> {
    let full = edge.append(leaf);
    if full.is_empty() {
        return Ok(());
    }
    // The level above the last full one has got a hash.
    let above = edge.partial_tiles().into_iter().find(|tile| usize::from(tile.id().level()) == full.len());
    for tile in full.iter().chain(&above) {
        write_tile(connection, log, tile).await?;
    }
    Ok(())
}

async fn write_tile(connection: &mut SqliteConnection, log: LogNumber, tile: &Tile) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tiles (log, level, tile, hashes) VALUES (?, ?, ?, ?) \
         ON CONFLICT (log, level, tile) DO UPDATE SET hashes = excluded.hashes",
    )
    .bind(log.0)
    .bind(i64::from(tile.id().level()))
    .bind(tile.id().index() as i64)
    .bind(tile.encode())
    .execute(connection)
    .await?;
    Ok(())
}

/// The leaf hashes of the records from `first` up to but not including `end`, all of which must be there.
async fn leaves(
    connection: &mut SqliteConnection,
    log: LogNumber,
    first: u64,
    end: u64,
) -> Result<Vec<Digest>, StoreError> {
    let mut rows =
        sqlx::query("SELECT record FROM records WHERE log = ? AND position >= ? AND position < ? ORDER BY position")
            .bind(log.0)
            .bind(first as i64)
            .bind(end as i64)
            .fetch(connection);
    let mut leaves = Vec::new();
    while let Some(row) = rows.try_next().await? {
        leaves.push(leaf_hash(row.get(0)));
    }
    if leaves.len() as u64 != end - first {
        return Err(StoreError::damaged("the log lacks records"));
    }
    Ok(leaves)
}

/// The hashes stored of a tile; none if it is not stored.
async fn stored_hashes(
    connection: &mut SqliteConnection,
    log: LogNumber,
    level: u8,
    index: u64,
) -> Result<Vec<Digest>, StoreError> {
    let bytes: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT hashes FROM tiles WHERE log = ? AND level = ? AND tile = ?")
            .bind(log.0)
            .bind(i64::from(level))
            .bind(index as i64)
            .fetch_optional(connection)
            .await?;
    Ok(bytes.unwrap_or_default().as_chunks::<32>().0.to_vec())
}

/// A tile out of tables; `None` if the log has not come as far.
pub(super) async fn tile(
    connection: &mut SqliteConnection,
    log: LogNumber,
    id: TileId,
) -> Result<Option<Tile>, StoreError> {
    let mut hashes = stored_hashes(connection, log, id.level(), id.index()).await?;
    if hashes.is_empty() && id.level() == 0 {
        let first = id.index() * TILE_HASHES as u64;
        let end = first + u64::from(id.width());
        if super::write::stored_log_size(connection, log).await? >= end {
            hashes = leaves(connection, log, first, end).await?;
        }
    }
    hashes.truncate(id.width().into());
    Ok(Tile::new(id, hashes).ok())
}

/// Gives the own log a new name. The checkpoint under the old one goes: it is not this log's any more.
pub(crate) async fn rename(connection: &mut SqliteConnection, origin: &KeyName) -> Result<(), StoreError> {
    sqlx::query("UPDATE logs SET origin = ? WHERE id = ?")
        .bind(origin.to_string())
        .bind(OWN_LOG.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM checkpoints WHERE log = ?").bind(OWN_LOG.0).execute(connection).await?;
    Ok(())
}

/// The root of the first `size` records of the own log, from the stored tiles; `None` if there are not as many.
pub(crate) async fn root_at(connection: &mut SqliteConnection, size: u64) -> Result<Option<Digest>, StoreError> {
    root_of(connection, OWN_LOG, size).await
}

/// The root of the first `size` records of a log.
pub(crate) async fn root_of(
    connection: &mut SqliteConnection,
    log: LogNumber,
    size: u64,
) -> Result<Option<Digest>, StoreError> {
    let mut tiles = TileSet::default();
    for id in tree::tiles_for_root(size).map_err(StoreError::damaged)? {
        let Some(tile) = tile(connection, log, id).await? else { return Ok(None) };
        tiles.insert(tile);
    }
    tree::root(size, &tiles).map(Some).map_err(StoreError::damaged)
}

/// One record of the own log.
pub(crate) async fn record(connection: &mut SqliteConnection, position: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let record = sqlx::query_scalar("SELECT record FROM records WHERE log = ? AND position = ?")
        .bind(OWN_LOG.0)
        .bind(i64::try_from(position).unwrap_or(i64::MAX))
        .fetch_optional(connection)
        .await?;
    Ok(record)
}

impl Reader {
    /// The canonical bytes of a record of the own log.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn record(&self, position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        record(&mut *self.pool().acquire().await?, position).await
    }

    /// The index of the record that names a commit, among the last `searched` of the first `size`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn record_naming(&self, id: CommitId, size: u64, searched: u64) -> Result<Option<u64>, StoreError> {
        let mut rows = sqlx::query(
            "SELECT position, record FROM records WHERE log = ? AND position < ? AND position >= ? \
             AND instr(record, ?) > 0 ORDER BY position DESC",
        )
        .bind(OWN_LOG.0)
        .bind(size as i64)
        .bind(size.saturating_sub(searched) as i64)
        .bind(id.0.to_vec())
        .fetch(self.pool());
        while let Some(row) = rows.try_next().await? {
            let record = Record::decode(row.get(1)).map_err(StoreError::damaged)?;
            if matches!(record.event, Event::Applied { commits } if commits.contains(&id)) {
                return Ok(Some(row.get::<i64, _>(0) as u64));
            }
        }
        Ok(None)
    }

    /// The root of the first `size` records; `None` if there are not as many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn log_root(&self, size: u64) -> Result<Option<Digest>, StoreError> {
        root_at(&mut *self.pool().acquire().await?, size).await
    }

    /// The root of the first `size` records of the seat's log; `None` if there are not as many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn seat_log_root(&self, size: u64) -> Result<Option<Digest>, StoreError> {
        root_of(&mut *self.pool().acquire().await?, SEAT_LOG, size).await
    }

    /// Records of the seat's log from a position on, at most so many.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn seat_records(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let records =
            sqlx::query_scalar("SELECT record FROM records WHERE log = ? AND position >= ? ORDER BY position LIMIT ?");
        let records = records.bind(SEAT_LOG.0).bind(from as i64).bind(limit as i64);
        Ok(records.fetch_all(self.pool()).await?)
    }

    /// A tile of the own log, full or as narrow as asked for; `None` if the log has not come as far.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn tile(&self, id: TileId) -> Result<Option<Tile>, StoreError> {
        tile(&mut *self.pool().acquire().await?, OWN_LOG, id).await
    }

    /// The records of a bundle of the own log; `None` if the log has not come as far.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn records(&self, id: BundleId) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let first = id.leaves().index() * TILE_HASHES as u64;
        let end = first + u64::from(id.leaves().width());
        let records: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT record FROM records WHERE log = ? AND position >= ? AND position < ? ORDER BY position",
        )
        .bind(OWN_LOG.0)
        .bind(first as i64)
        .bind(end as i64)
        .fetch_all(self.pool())
        .await?;
        Ok(Some(records).filter(|records| records.len() as u64 == end - first))
    }
}
