//! What a node keeps of the seat beside its log: commits on their way into the state, those cut off, and its vote.

use lattice::commit::{Commit, OpSlot};
use lattice::keys::is_signed_by;
use node_core::seat::voter::Ballot;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::Subject;
use super::flaws::{Broken, Flaws};
use super::kept::each;
use super::rows::{array, column, expect, number};
use crate::writer::seat::BALLOT_DOMAIN;

/// All of it.
pub(super) async fn all(connection: &mut SqliteConnection, subject: &Subject, flaws: &mut Flaws) -> Result<(), Broken> {
    // A client's name for a write is in no signature; what else there is of it is that it is a name.
    let sql = "SELECT seq, term, id, bytes FROM staged";
    each(connection, "staged", sql, flaws, |row| commit(row, subject)).await?;
    let sql = "SELECT seq, term, id, bytes FROM deposed";
    each(connection, "deposed", sql, flaws, |row| commit(row, subject)).await?;
    each(connection, "ballot", "SELECT id, ballot, signature FROM ballot", flaws, |row| ballot(row, subject)).await
}

/// Columns seq, term, id, bytes.
fn commit(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    let commit = Commit::decode(column(row, 3)?).map_err(|error| format!("column bytes: {error}"))?;
    let header = *commit.signed().header();
    expect(array(row, 2)? == commit.id().0, "column id is not the id of the commit in column bytes")?;
    expect(number(row, 1)? == header.term, "column term is not the term of the commit in column bytes")?;
    expect(number(row, 0)? == header.seq, "column seq is not the number of the commit in column bytes")?;
    expect(header.term > 0, "the commit is none of the seat")?;
    let is_whole = commit.slots().iter().all(|slot| matches!(slot, OpSlot::Live(_)));
    expect(is_whole, "the commit lacks operations, and it has never been in a state")?;
    let verified = commit.verify_for(&subject.genesis, subject.lattice);
    verified.map(drop).map_err(|error| format!("column bytes: {error}"))
}

/// Columns id, ballot, signature.
fn ballot(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    expect(column::<i64>(row, 0)? == 1, "column id is not 1")?;
    let bytes: &[u8] = column(row, 1)?;
    let signed = is_signed_by(&subject.author, BALLOT_DOMAIN, bytes, &array(row, 2)?);
    expect(signed, "ballot or signature are not this node's: nobody knows what it promised")?;
    let ballot = Ballot::from_stored(bytes).map_err(|error| format!("column ballot: {error}"))?;
    expect(ballot.body.lattice == subject.lattice, "column ballot is of another lattice")
}
