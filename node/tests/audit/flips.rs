//! Bytes flipped in a database, one at a time, and an audit after each.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::program::{Ended, ended, lattice};

/// Columns of a table that something binds, and a row of it.
pub(crate) type Columns = (&'static str, &'static str, &'static [&'static str]);

/// Audits the directory of a stopped node.
pub(crate) async fn audit(dir: &Path, policy: &str) -> Ended {
    let dir = dir.to_str().expect("text");
    ended(lattice(&["audit", "--db", dir, "--deep", "--json", "--policy", policy]), b"").await
}

/// Opens the database of a stopped node.
pub(crate) async fn database(dir: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("state.db"));
    SqliteConnection::connect_with(&options).await.expect("a database")
}

/// Flips a byte in each of the columns in turn: what no audit found, as lines.
pub(crate) async fn missed(dir: &Path, policy: &str, columns: impl Iterator<Item = Columns>) -> Vec<String> {
    let audited = audit(dir, policy).await;
    assert_eq!((audited.code, &audited.json()["flaws"]), (0, &serde_json::json!([])), "{audited:?}");
    let (file, whole) = (dir.join("state.db"), dir.join("whole.db"));
    std::fs::copy(&file, &whole).expect("copied");
    let mut missed = Vec::new();
    for (table, row, column) in
        columns.flat_map(|(table, row, names)| names.iter().map(move |name| (table, row, *name)))
    {
        let mut connection = database(dir).await;
        let sql = format!("SELECT {column}, typeof({column}) FROM {table} WHERE {row} LIMIT 1");
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
        let values = flipped(&found.unwrap_or_else(|error| panic!("{table} {row}: {error}")));
        connection.close().await.expect("closed");
        for value in values {
            let mut connection = database(dir).await;
            let shown = format!("{table}.{column} where {row}: {value:?}");
            let one = format!("UPDATE {table} SET {column} = ? WHERE {row}");
            let updated = update(&mut connection, one, value).await;
            connection.close().await.expect("closed");
            // A number that another row has is no flip that SQLite can store.
            if updated.is_err() {
                continue;
            }
            let audited = audit(dir, policy).await;
            let says = audited.json()["flaws"].to_string();
            if audited.code != 1 || !says.contains(&format!("\"table\":\"{table}\"")) {
                missed.push(format!("{shown}: {}", says.chars().take(500).collect::<String>()));
            }
            for file in ["state.db-wal", "state.db-shm"] {
                let _ = std::fs::remove_file(dir.join(file));
            }
            std::fs::copy(&whole, &file).expect("restored");
        }
    }
    missed
}

/// Values of a column with one byte flipped: in the middle of text and bytes; of a number, one of the lower half that makes
/// no other row's key, and the lowest one.
fn flipped(row: &sqlx::sqlite::SqliteRow) -> Vec<Flipped> {
    match row.get::<&str, _>(1) {
        "integer" => {
            let number: i64 = row.get(0);
            vec![Flipped::Number(number ^ (1 << 32)), Flipped::Number(number ^ 1)]
        }
        "text" => {
            let mut bytes = row.get::<String, _>(0).into_bytes();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            vec![Flipped::Text(String::from_utf8(bytes).expect("ASCII"))]
        }
        "blob" => {
            let bytes: Vec<u8> = row.get(0);
            let places = [0, bytes.len() / 2, bytes.len() - 1];
            let flip = |at: usize| {
                Flipped::Bytes(bytes.iter().enumerate().map(|(i, b)| if i == at { b ^ 1 } else { *b }).collect())
            };
            places.map(flip).into()
        }
        other => panic!("a column holds {other}"),
    }
}

#[derive(Debug, Clone)]
enum Flipped {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

async fn update(database: &mut SqliteConnection, sql: String, value: Flipped) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = match value {
        Flipped::Number(number) => query.bind(number),
        Flipped::Text(text) => query.bind(text),
        Flipped::Bytes(bytes) => query.bind(bytes),
    };
    query.execute(database).await.map(|done| done.rows_affected())
}
