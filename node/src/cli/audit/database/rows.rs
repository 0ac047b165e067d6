//! Columns that may hold anything: what they should hold, or why they don't.

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row, Type};

/// A column as a value of its type.
pub(super) fn column<'r, T>(row: &'r SqliteRow, at: usize) -> Result<T, String>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get(at).map_err(|error| error.to_string())
}

/// Bytes of a fixed length.
pub(super) fn array<const N: usize>(row: &SqliteRow, at: usize) -> Result<[u8; N], String> {
    let bytes: &[u8] = column(row, at)?;
    bytes.try_into().map_err(|_| format!("column {} has {} bytes instead of {N}", at + 1, bytes.len()))
}

/// A number that is never below zero.
pub(super) fn number(row: &SqliteRow, at: usize) -> Result<u64, String> {
    let number: i64 = column(row, at)?;
    u64::try_from(number).map_err(|_| format!("column {} is below zero", at + 1))
}

/// `Err` with these words unless it holds.
pub(super) fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
