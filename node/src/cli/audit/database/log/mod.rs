//! The logs of a node, its own and the seat's: their records hashed, and the tiles that are derived from them.
//!
//! # Reading order
//!
//! `name`: what they are called. `own`: the records up to the checkpoint. `signed`: that checkpoint. `seat`: the copy of
//! the seat's records. `tiles`: the hashes of both.

mod name;
mod own;
mod seat;
mod signed;
mod tiles;

use lattice::ids::StateRoot;
use lattice::log::policy::Policy;
use lattice::merkle::{Digest, leaf_hash};
use lattice::record::Record;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::Subject;
use super::flaws::{Broken, Flaws};
use super::packed::{Bytes, Packed, Rows};
use crate::store::{OWN_LOG, SEAT_LOG};
use crate::terminal::records_bar;
use own::OwnLog;
use seat::SeatLog;
pub(super) use signed::lines;

/// What the logs amount to.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// Records of the own log.
    pub(super) records: u64,
    /// Records of the seat's log, if the node has one.
    pub(super) seat_records: Option<u64>,
    /// State and entries that the last record of the own log tells of.
    pub(super) last: Option<(StateRoot, u64)>,
}

/// A row of table records, hashed.
struct RecordRow {
    log: u64,
    position: u64,
    last_entry: u64,
    record: Result<Record, String>,
    leaf: Digest,
}

impl Packed for RecordRow {
    const TABLE: &'static str = "records";
    const NUMBERS: &'static [&'static str] = &["log", "position", "last_entry"];
    const BYTES: &'static [Bytes] = &[Bytes::Blob("record")];

    fn of(_row: i64, numbers: &[u64], bytes: &[Option<&[u8]>]) -> Result<Self, String> {
        let (&[log, position, last_entry], &[bytes]) = (numbers, bytes) else {
            return Err("not the columns of a record".to_owned());
        };
        let bytes = bytes.ok_or("column record is null")?;
        let record = Record::decode(bytes).map_err(|error| error.to_string());
        Ok(Self { log, position, last_entry, record, leaf: leaf_hash(bytes) })
    }
}

/// Reads both logs at once, in the order in which their records were written: then each one's positions follow each other,
/// and a record that a transaction wrote to both stands behind itself.
pub(super) async fn log(
    connection: &mut SqliteConnection,
    options: &SqliteConnectOptions,
    subject: &Subject,
    policy: Option<&Policy>,
    flaws: &mut Flaws,
) -> Result<Logged, Broken> {
    let names = name::read(connection, subject, flaws).await?;
    let (has_rows, checkpoint) = signed::checkpoint(connection, subject, &names.own, policy, flaws).await?;
    let total = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM records").fetch_one(&mut *connection).await;
    let bar = records_bar("reading records");
    bar.set_length(total.map_err(Broken::of("records"))?.unsigned_abs());
    let mut own = OwnLog::of(&names.own, checkpoint);
    let mut seat = names.has_seat.then(|| SeatLog::of(subject));
    let mut rows: Rows<RecordRow> = Rows::of(options).await?;
    while let Some(row) = rows.next().await? {
        let (log, full) = match (row, &mut seat) {
            (Ok(row), seat) if row.log == OWN_LOG.0.unsigned_abs() => {
                seat.iter_mut().for_each(|seat| seat.beside(&row));
                (OWN_LOG, own.take(row, connection, flaws).await?)
            }
            (Ok(row), Some(seat)) if row.log == SEAT_LOG.0.unsigned_abs() => (SEAT_LOG, seat.take(row, flaws)),
            (Ok(row), _) => {
                flaws.note("records", format_args!("{}/{}", row.log, row.position), "it is of a log that is not there");
                continue;
            }
            (Err((row, what)), _) => {
                flaws.note("records", format_args!("rowid {row}"), what);
                continue;
            }
        };
        for tile in &full {
            tiles::compare(connection, log, tile, flaws).await?;
        }
        if !full.is_empty() {
            bar.set_position(own.size() + seat.as_ref().map_or(0, SeatLog::size));
        }
    }
    bar.finish_and_clear();
    own.finish(&names, has_rows, flaws);
    let sizes = [(OWN_LOG, own.edge()), (SEAT_LOG, seat.as_ref().map(SeatLog::edge).unwrap_or_default())];
    tiles::growing_and_spare(connection, &sizes, flaws).await?;
    Ok(Logged { records: own.size(), seat_records: seat.map(|seat| seat.size()), last: own.last() })
}
