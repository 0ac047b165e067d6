//! Table logs: what the logs are called, and whose key signs.

use lattice::log::checkpoint::{origin, seat_origin};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::Subject;
use super::super::flaws::{Broken, Flaws};
use super::super::rows::{array, column, expect};
use crate::store::{OWN_LOG, SEAT_LOG};

/// The logs that there are.
pub(super) struct Names {
    /// The name of the own one.
    pub(super) own: String,
    /// Whether the table has it.
    pub(super) has_own: bool,
    /// Whether there is one of the seat.
    pub(super) has_seat: bool,
}

/// Reads the table.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    subject: &Subject,
    flaws: &mut Flaws,
) -> Result<Names, Broken> {
    let first = origin(&subject.lattice, &subject.author, 1).to_string();
    let mut names = Names { own: first.clone(), has_own: false, has_seat: false };
    let rows = sqlx::query("SELECT id, origin, key FROM logs").fetch_all(connection).await;
    for row in rows.map_err(Broken::of("logs"))? {
        let id: i64 = row.try_get(0).map_err(Broken::of("logs"))?;
        let holds = if id == SEAT_LOG.0 {
            names.has_seat = true;
            seat(&row, subject)
        } else if id == OWN_LOG.0 {
            names.has_own = true;
            own(&row, subject, &first).map(|name| names.own = name)
        } else {
            Err("the node's own log is number 1 and the seat's number 2: there are no others".to_owned())
        };
        flaws.check("logs", id, holds);
    }
    Ok(names)
}

fn own(row: &SqliteRow, subject: &Subject, first: &str) -> Result<String, String> {
    expect(array(row, 2)? == subject.log_key.0, "column key is not the key that node.key gives")?;
    let name: String = column(row, 1)?;
    let opening = name.strip_prefix(first).map(|rest| rest.strip_prefix('/').unwrap_or(rest));
    let is_own = opening.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    expect(is_own, "column origin is not a name of this node's log")?;
    Ok(name)
}

fn seat(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    expect(array(row, 2)? == subject.log_key.0, "column key is not the key that node.key gives")?;
    let seat = subject.genesis.seat().ok_or("genesis.cbor names no seat, and there is a log of one")?;
    let name = seat_origin(&subject.lattice, seat);
    expect(column::<&str>(row, 1)? == name.as_str(), &format!("column origin is not {name}, the seat's name"))
}
