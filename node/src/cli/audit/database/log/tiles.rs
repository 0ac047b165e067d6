//! Table tiles against the hashes that the records give.

use futures::TryStreamExt;
use lattice::log::edge::Edge;
use lattice::log::tile::{TILE_HASHES, Tile, TileId};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::flaws::{Broken, Flaws};
use super::super::rows::{column, expect, number};
use crate::store::{LogNumber, OWN_LOG};

/// Holds a stored tile against the one that the records give.
pub(super) async fn compare(
    connection: &mut SqliteConnection,
    log: LogNumber,
    tile: &Tile,
    flaws: &mut Flaws,
) -> Result<(), Broken> {
    let sql = "SELECT hashes FROM tiles WHERE log = ? AND level = ? AND tile = ?";
    let query = sqlx::query(sql).bind(log.0).bind(i64::from(tile.id().level())).bind(tile.id().index() as i64);
    let row = query.fetch_optional(connection).await.map_err(Broken::of("tiles"))?;
    let holds = match &row {
        None => Err("it is missing".to_owned()),
        Some(row) => column::<&[u8]>(row, 0)
            .and_then(|hashes| expect(hashes == tile.encode(), "column hashes is not what the records give")),
    };
    let place = (tile.id().level().into(), tile.id().index() as i64);
    flaws.check("tiles", name(log.0, place), holds);
    Ok(())
}

/// The tiles that grow, and rows that stand for no tile of any log.
pub(super) async fn growing_and_spare(
    connection: &mut SqliteConnection,
    logs: &[(LogNumber, Edge)],
    flaws: &mut Flaws,
) -> Result<(), Broken> {
    for (log, edge) in logs {
        // One is stored once the level below has given it a hash.
        for tile in edge.partial_tiles().iter().filter(|tile| tile.id().level() > 0) {
            compare(connection, *log, tile, flaws).await?;
        }
    }
    let mut rows = sqlx::query("SELECT log, level, tile FROM tiles").fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(Broken::of("tiles"))? {
        let check = || {
            let number_of_log: i64 = column(&row, 0)?;
            let of_log = logs.iter().find(|(log, _)| log.0 == number_of_log);
            let (_, edge) = of_log.ok_or("it is of a log that is not there")?;
            let (level, index) = (number(&row, 1)?, number(&row, 2)?);
            let id = u8::try_from(level).ok().and_then(|level| TileId::at_size(level, index, edge.size()));
            // Of the leaves only full tiles are stored.
            let is_stored = id.is_some_and(|id| id.level() > 0 || usize::from(id.width()) == TILE_HASHES);
            expect(is_stored, "the log has no such tile")
        };
        let found = |at| row.try_get::<i64, _>(at).unwrap_or_default();
        flaws.check("tiles", name(found(0), (found(1), found(2))), check());
    }
    Ok(())
}

/// Level and number; for a log that is not the own one, its number before them.
fn name(log: i64, (level, tile): (i64, i64)) -> String {
    if log == OWN_LOG.0 { format!("{level}/{tile}") } else { format!("log {log}: {level}/{tile}") }
}
