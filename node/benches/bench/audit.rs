//! What auditors cost: the log's share of an ingest, proofs from a state of a million entries and records, and an audit
//! of all of it.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use lattice::bundle::Bundle;
use lattice::ids::CommitId;
use lattice::log::edge::Edge;
use lattice::log::policy::Policy;
use lattice::op::Key;
use lattice::record::{Event, Record};
use lattice::tree::empty_root;
use node::store::OWN_LOG;
use node::store::log::append_record;
use node_core::apply::EntryRow;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use crate::probes::{Probes, database, insert_rows};
use crate::row;
use crate::world::{World, median};

const RECORDS: u64 = 1_000_000;
const ENTRIES: u64 = 1_000_000;

/// Proofs of each kind.
const PROOFS: u64 = 500;

/// Entries in one transaction of an ingest under load.
const TRANSACTION_ROWS: u64 = 1024;

/// Measures all of it.
pub(crate) async fn measure(_probes: &Probes) -> anyhow::Result<()> {
    for (name, commits) in [("log and tiles, share of an ingest of 1 op", 512), ("of 64 ops", 16)] {
        row(name, 100.0 * log_share(commits).await?, "%", 10.0);
    }
    let dir = tempfile::tempdir()?;
    let world = World::new(1);
    crate::large::fill(&world, dir.path(), ENTRIES).await?;
    let node_records = lengthen(dir.path()).await?;
    proofs(&world, dir.path()).await?;
    deep(dir.path(), node_records).await
}

/// The share of a transaction's time that its log record takes: transactions with and without one take turns.
async fn log_share(commits: usize) -> anyhow::Result<f64> {
    const TURNS: u64 = 150;
    let dir = tempfile::tempdir()?;
    let mut connection = database(dir.path()).await?;
    for table in [
        "CREATE TABLE records (log INTEGER NOT NULL, position INTEGER NOT NULL, record BLOB NOT NULL, \
         last_entry INTEGER NOT NULL, PRIMARY KEY (log, position))",
        "CREATE INDEX records_by_entry ON records (log, last_entry)",
        "CREATE TABLE tiles (log INTEGER NOT NULL, level INTEGER NOT NULL, tile INTEGER NOT NULL, hashes BLOB NOT NULL)",
        "CREATE UNIQUE INDEX tiles_by_place ON tiles (log, level, tile)",
    ] {
        sqlx::query(table).execute(&mut connection).await?;
    }
    let (mut edge, mut id) = (Edge::default(), 0);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for turn in 0..2 * TURNS {
        let started = Instant::now();
        let mut transaction = connection.begin().await?;
        insert_rows(&mut transaction, &mut id, TRANSACTION_ROWS).await?;
        if turn % 2 == 0 {
            let mut next = edge.clone();
            let record = record(turn, commits).encode();
            append_record(&mut transaction, OWN_LOG, &mut next, record, EntryRow(turn as i64)).await?;
            edge = next;
        }
        transaction.commit().await?;
        if turn % 2 == 0 { &mut with } else { &mut without }.push(started.elapsed());
    }
    let (with, without) = (median(&mut with).as_secs_f64(), median(&mut without).as_secs_f64());
    Ok(((with - without) / with).max(0.0))
}

fn record(n: u64, commits: usize) -> Record {
    let commits = (0..commits).map(|i| CommitId(Sha256::digest([n.to_be_bytes(), i.to_be_bytes()].concat()).into()));
    let event = Event::Applied { commits: commits.collect() };
    Record { time_ms: n, before: empty_root(), after: empty_root(), entries: n, event }
}

/// Appends records to the log of a stopped node until it has a million; gives how many it has.
async fn lengthen(dir: &Path) -> anyhow::Result<u64> {
    let options = SqliteConnectOptions::new().filename(dir.join("state.db"));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let last = sqlx::query("SELECT position + 1, record, last_entry FROM records ORDER BY position DESC LIMIT 1");
    let last = last.fetch_one(&mut connection).await?;
    let (mut size, last_entry) = (last.get::<i64, _>(0) as u64, last.get::<i64, _>(2));
    let last = Record::decode(last.get(1))?;
    let fill = Record { before: last.after, event: Event::Stated, ..last };
    let short = append_time(&mut connection, size, &fill).await?;
    while size < RECORDS {
        let mut transaction = connection.begin().await?;
        for _ in 0..10_000.min(RECORDS - size) {
            let bytes = Record { time_ms: fill.time_ms + size, ..fill.clone() }.encode();
            // The tiles are left out: the next start hashes all records again.
            sqlx::query("INSERT INTO records (log, position, record, last_entry) VALUES (1, ?, ?, ?)")
                .bind(size as i64)
                .bind(bytes)
                .bind(last_entry)
                .execute(&mut *transaction)
                .await?;
            size += 1;
        }
        transaction.commit().await?;
    }
    let long = append_time(&mut connection, size, &fill).await?;
    row("append to a log of 1M records, beside 4k", long * 1e6, "us", short * 1e6);
    connection.close().await?;
    Ok(size)
}

/// Seconds for one record appended to a log of `size`, in a transaction of many that is undone.
async fn append_time(connection: &mut SqliteConnection, size: u64, record: &Record) -> anyhow::Result<f64> {
    const APPENDS: u64 = 5_000;
    let width = |level: u32| (size >> (8 * level)) as usize % 256;
    // Hashes of any value: time does not depend on them.
    let mut edge = Edge::restore(size, (0..8).map(|level| vec![[7; 32]; width(level)]))?;
    let mut transaction = connection.begin().await?;
    let started = Instant::now();
    for n in 0..APPENDS {
        let bytes = Record { time_ms: n, ..record.clone() }.encode();
        append_record(&mut transaction, OWN_LOG, &mut edge, bytes, EntryRow(n as i64)).await?;
    }
    let took = started.elapsed().as_secs_f64() / APPENDS as f64;
    transaction.rollback().await?;
    Ok(took)
}

/// Proofs of a node with a million entries and records.
async fn proofs(world: &World, dir: &Path) -> anyhow::Result<()> {
    let node = world.start(0, dir, &[]).await?;
    let mut states = node.service.states();
    states.wait_for(|state| state.checkpoint_size() >= RECORDS && state.checkpoint_size() == state.log_size).await?;
    let (mut made, mut checked, mut longest) = (Vec::new(), Vec::new(), 0);
    let (mut made_absent, mut longest_absent) = (Vec::new(), 0);
    let policy = Policy::of_members(vec![world.log_key(0)], vec![], 0)?;
    for n in 0..PROOFS {
        let key = Key::new(&format!("bench/{}", n * 7919 % ENTRIES))?;
        let started = Instant::now();
        let bundle = node.service.prove_entry(&key).await?.to_string();
        made.push(started.elapsed());
        longest = longest.max(bundle.len() - 200 * 4 / 3);
        let started = Instant::now();
        Bundle::parse(bundle.as_bytes())?.verify(&policy)?;
        checked.push(started.elapsed());
        let started = Instant::now();
        let absent = node.service.prove_absence(&Key::new(&format!("absent/{n}"))?).await?.to_string();
        made_absent.push(started.elapsed());
        longest_absent = longest_absent.max(absent.len());
    }
    let ms = |took: &mut Vec<Duration>| median(took).as_secs_f64() * 1e3;
    row("bundle of an entry at 1M entries, made, p50", ms(&mut made), "ms", 2.0);
    row("bundle of an absence, made, p50", ms(&mut made_absent), "ms", 2.0);
    row("bundle of an entry, checked, p50", ms(&mut checked), "ms", 1.0);
    row("bundle of an entry without its value, longest", longest as f64, "B", 4096.0);
    row("bundle of an absence, longest", longest_absent as f64, "B", 8192.0);
    node.stop().await;
    Ok(())
}

/// An audit of the stopped node's files, beside a scan that reads the same rows and hashes them.
async fn deep(dir: &Path, records: u64) -> anyhow::Result<()> {
    let bound = scan(dir, records).await?;
    let started = Instant::now();
    let lattice = env!("CARGO_BIN_EXE_lattice");
    let audit = std::process::Command::new(lattice).args(["audit", "--deep", "--db"]).arg(dir).output()?;
    anyhow::ensure!(audit.status.success(), "the audit said {}", String::from_utf8_lossy(&audit.stdout));
    let rate = (ENTRIES + records) as f64 / started.elapsed().as_secs_f64();
    row("audit of 1M entries and 1M records", rate, "rows/s", bound);
    Ok(())
}

/// Rows a second that SQLite gives and SHA-256 hashes.
async fn scan(dir: &Path, records: u64) -> anyhow::Result<f64> {
    let options = SqliteConnectOptions::new().filename(dir.join("state.db")).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let started = Instant::now();
    for sql in [
        "SELECT e.key, e.value, c.header FROM entries e JOIN commits c ON c.id = e.commit_id ORDER BY e.id",
        "SELECT '', record, x'' FROM records ORDER BY position",
    ] {
        let mut rows = sqlx::query(sql).fetch(&mut connection);
        while let Some(row) = rows.try_next().await? {
            let value: Option<&[u8]> = row.get(1);
            std::hint::black_box(Sha256::digest(row.get::<&str, _>(0)));
            std::hint::black_box(Sha256::digest(value.unwrap_or_default()));
            std::hint::black_box(Sha256::digest(row.get::<&[u8], _>(2)));
        }
    }
    Ok((ENTRIES + records) as f64 / started.elapsed().as_secs_f64())
}
