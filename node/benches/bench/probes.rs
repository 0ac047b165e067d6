//! What this machine can do at best right now: signatures, rows, transactions, round trips.

use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::row;
use crate::world::{World, median};

/// Bounds for the other sections.
pub(crate) struct Probes {
    /// `verify_strict` per second on one core.
    pub(crate) verifies: f64,
    /// Rows per second into a small table: see [`rows`].
    pub(crate) rows: f64,
    /// Seconds of one transaction of one row with `synchronous=FULL`.
    pub(crate) transaction: f64,
}

/// Runs all probes.
pub(crate) async fn measure() -> anyhow::Result<Probes> {
    let probes = Probes { verifies: verifies(), rows: rows(61_440).await?, transaction: transaction().await? };
    row("probe: verify_strict, one core", probes.verifies, "1/s", probes.verifies);
    row("probe: sqlite multi-row insert", probes.rows, "rows/s", probes.rows);
    row("probe: one FULL transaction, p50", probes.transaction * 1e6, "us", probes.transaction * 1e6);
    let trip = round_trip().await?;
    row("probe: loopback round trip, p50", trip * 1e6, "us", trip * 1e6);
    Ok(probes)
}

fn verifies() -> f64 {
    let world = World::new(1);
    let commits = world.commits(0, 1, 2000, 1);
    let started = Instant::now();
    assert!(commits.iter().all(|commit| commit.signed().is_signed()));
    commits.len() as f64 / started.elapsed().as_secs_f64()
}

/// An empty database with one table, set up as a node sets up its own.
pub(crate) async fn database(dir: &std::path::Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("probe.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "16384")
        .pragma("cache_size", "-32768");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query("CREATE TABLE t (id INTEGER PRIMARY KEY, key TEXT NOT NULL, a BLOB, b INTEGER, c INTEGER)")
        .execute(&mut connection)
        .await?;
    sqlx::query("CREATE UNIQUE INDEX t_key ON t (key)").execute(&mut connection).await?;
    Ok(connection)
}

/// Rows per second through sqlx, 32 a statement, 1024 a transaction, as wide as an entry and its commit and in random
/// order, until the table holds `rows` of them.
pub(crate) async fn rows(rows: u64) -> anyhow::Result<f64> {
    const TRANSACTION_ROWS: u64 = 1024;
    let transactions = rows / TRANSACTION_ROWS;
    let dir = tempfile::tempdir()?;
    let mut connection = database(dir.path()).await?;
    let started = Instant::now();
    let mut id = 0i64;
    for _ in 0..transactions {
        let mut transaction = connection.begin().await?;
        insert_rows(&mut transaction, &mut id, TRANSACTION_ROWS).await?;
        transaction.commit().await?;
    }
    Ok((transactions * TRANSACTION_ROWS) as f64 / started.elapsed().as_secs_f64())
}

/// Inserts so many rows behind number `id`, 32 a statement.
pub(crate) async fn insert_rows(connection: &mut SqliteConnection, id: &mut i64, rows: u64) -> anyhow::Result<()> {
    const ROWS: u64 = 32;
    let places = vec!["(?,?,?,?,?)"; ROWS as usize].join(",");
    let sql = format!("INSERT INTO t (id, key, a, b, c) VALUES {places}");
    for _ in 0..rows / ROWS {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
        for _ in 0..ROWS {
            *id += 1;
            let key = format!("{:016x}", (*id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            query = query.bind(*id).bind(key).bind(vec![7u8; 250]).bind(*id).bind(0i64);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn transaction() -> anyhow::Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut connection = database(dir.path()).await?;
    let mut took = Vec::new();
    for id in 0..200i64 {
        let started = Instant::now();
        let mut transaction = connection.begin().await?;
        sqlx::query("INSERT INTO t (id, key, a, b, c) VALUES (?, ?, ?, 0, 0)")
            .bind(id)
            .bind(id.to_string())
            .bind(vec![7u8; 250])
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        took.push(started.elapsed());
    }
    Ok(median(&mut took).as_secs_f64())
}

async fn round_trip() -> anyhow::Result<f64> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; 256];
        while stream.read_exact(&mut bytes).await.is_ok() {
            stream.write_all(&bytes).await?;
        }
        std::io::Result::Ok(())
    });
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut bytes = [0; 256];
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..1000 {
        let started = Instant::now();
        stream.write_all(&bytes).await?;
        stream.read_exact(&mut bytes).await?;
        took.push(started.elapsed());
    }
    drop(stream);
    echo.await??;
    Ok(median(&mut took).as_secs_f64())
}
