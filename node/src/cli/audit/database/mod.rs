//! A deep audit of a stopped node's files: every row that a hash or a signature binds is read and held against it.
//!
//! Where the node itself, at its start, asks whether the whole agrees, this names the row that does not.
//!
//! # Reading order
//!
//! 1. `flaws`: what is found. `rows`: how columns are read that may hold anything. `packed`: how many rows are read.
//! 2. `schema`: the tables themselves. `state`: entries, commits and authors. `log`: records, tiles and checkpoint. `kept`: what is kept beside them.
//!    `seat`: what is kept of the seat.

mod commits;
mod flaws;
mod kept;
mod log;
mod packed;
mod rows;
mod schema;
mod seat;
mod state;

use std::path::Path;
use std::process::ExitCode;

use lattice::genesis::Genesis;
use lattice::ids::{AuthorId, LatticeId, LogKey, StateRoot};
use lattice::log::policy::Policy;
use lattice::membership::Membership;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use crate::cli::exit::{Failure, conclude, usage};
use crate::cli::text::{as_json, counted, grouped, visible};
use crate::home::{Home, HomeError};
use flaws::{Broken, Flaws};
use state::Stood;

/// Problems that SQLite's own check lists: enough to see what is meant.
const INTEGRITY_LINES_MAX: u32 = 20;

/// KiB of page cache for that check, which looks up each row in each index, all over the file: with 64 MiB it takes half
/// the time that it takes with SQLite's 2 at a million entries.
const INTEGRITY_CACHE_KIB: u32 = 64 * 1024;

/// What the files are held against, and how far that has come.
pub(super) struct Subject {
    /// The founding document beside the database.
    genesis: Genesis,
    /// Its id.
    lattice: LatticeId,
    /// The node's author key, by its seed.
    author: AuthorId,
    /// The key of its log, by its seed.
    log_key: LogKey,
    /// Whose commits count, by the stored changes.
    membership: Membership,
}

impl Subject {
    /// The same for another thread.
    fn copied(&self) -> Self {
        let Self { genesis, lattice, author, log_key, membership } = self;
        let (genesis, membership) = (genesis.clone(), membership.clone());
        Self { genesis, lattice: *lattice, author: *author, log_key: *log_key, membership }
    }
}

/// Audits the directory of a stopped node.
pub(super) async fn run(dir: &Path, policy: Option<&Policy>, json: bool) -> Result<ExitCode, Failure> {
    let home = Home::open(dir).map_err(usage)?;
    let _lock = home.lock().map_err(|error| {
        let advice = if matches!(error, HomeError::InUse(_)) {
            "; or audit it from outside: `lattice audit URL --deep`"
        } else {
            ""
        };
        usage(format!("{error}{advice}"))
    })?;
    let (genesis, keys) = (home.genesis().map_err(usage)?, home.keys().map_err(usage)?);
    let file = home.path("state.db");
    if !file.exists() {
        return Err(usage(format!("{} does not exist: this node has not run yet, or lost it", file.display())));
    }
    let (seen, flaws) = look_through(&file, genesis, (keys.author.id(), keys.log_key()), policy).await;
    let text = if json { format!("{}\n", as_json(&object(&seen, &flaws))) } else { words(&seen, &flaws) };
    conclude(&text, u8::from(!flaws.is_empty()))
}

/// What a database holds, and what is wrong with it in words.
pub(in crate::cli) struct Checked {
    /// Root of its entries, hashed again.
    pub(in crate::cli) root: StateRoot,
    /// Entries, tombstones included.
    pub(in crate::cli) entries: u64,
    /// Records of the node's own log.
    pub(in crate::cli) records: u64,
    /// Everything that does not hold.
    pub(in crate::cli) flaws: Vec<String>,
}

/// Hashes again whatever a database file that nobody writes holds: of the node with these keys.
pub(in crate::cli) async fn check(file: &Path, genesis: Genesis, node: (AuthorId, LogKey)) -> Checked {
    let (seen, flaws) = look_through(file, genesis, node, None).await;
    let flaws = flaws.found().iter().map(ToString::to_string).collect();
    Checked { root: seen.stood.root, entries: seen.stood.entries, records: seen.records, flaws }
}

async fn look_through(
    file: &Path,
    genesis: Genesis,
    (author, log_key): (AuthorId, LogKey),
    policy: Option<&Policy>,
) -> (Seen, Flaws) {
    let membership = Membership::of(&genesis, []);
    let mut subject = Subject { lattice: genesis.id(), genesis, author, log_key, membership };
    let mut flaws = Flaws::default();
    let seen = match audit(file, &mut subject, policy, &mut flaws).await {
        Ok(seen) => seen,
        Err(broken) => {
            flaws.note(broken.table, "all", format!("it can't be read: {}", broken.why));
            Seen::default()
        }
    };
    (seen, flaws)
}

/// How much was read.
#[derive(Debug, Default)]
struct Seen {
    stood: Stood,
    records: u64,
    /// Of the seat's log, if there is one.
    seat_records: Option<u64>,
    /// Tables that no version known here has.
    strange: Vec<String>,
    /// What is kept against other nodes.
    evidence: Vec<String>,
}

/// SQLite's own check runs beside the reading: together they take hardly longer than the slower one.
async fn audit(file: &Path, subject: &mut Subject, policy: Option<&Policy>, flaws: &mut Flaws) -> Result<Seen, Broken> {
    let checking = tokio::spawn(integrity(options(file)));
    let mut read_flaws = Flaws::default();
    let seen = read(file, subject, policy, &mut read_flaws).await;
    let checked = checking.await.map_err(|error| Broken { table: "state.db", why: error.to_string() })?;
    // What is wrong with pages explains what is wrong with the rows in them.
    let broken = checked.map(|found| flaws.extend(found)).err();
    flaws.extend(read_flaws);
    match broken {
        None => seen,
        Some(broken) => Err(broken),
    }
}

/// Reads every table.
async fn read(file: &Path, subject: &mut Subject, policy: Option<&Policy>, flaws: &mut Flaws) -> Result<Seen, Broken> {
    let options = options(file);
    let mut connection = open(&options).await?;
    let strange = kept::strange_tables(&mut connection).await?;
    schema::compare(&mut connection, flaws).await?;
    subject.membership = state::membership(&mut connection, subject, flaws).await?;
    let stood = state::entries(&mut connection, &options, subject, flaws).await?;
    let log = log::log(&mut connection, &options, subject, policy, flaws).await?;
    state::stated(&mut connection, subject, &stood, &log, flaws).await?;
    kept::all(&mut connection, subject, flaws).await?;
    let evidence = kept::evidence(&mut connection).await?;
    seat::all(&mut connection, subject, flaws).await?;
    connection.close().await.map_err(Broken::of("state.db"))?;
    Ok(Seen { stood, records: log.records, seat_records: log.seat_records, strange, evidence })
}

/// Nothing is written, not even what a killed node left in its write-ahead log.
fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).read_only(true).disable_statement_logging()
}

async fn open(options: &SqliteConnectOptions) -> Result<SqliteConnection, Broken> {
    SqliteConnection::connect_with(options).await.map_err(Broken::of("state.db"))
}

/// What SQLite itself finds in pages and indexes.
async fn integrity(options: SqliteConnectOptions) -> Result<Flaws, Broken> {
    let mut connection = open(&options.pragma("cache_size", format!("-{INTEGRITY_CACHE_KIB}"))).await?;
    let mut flaws = Flaws::default();
    let sql = sqlx::AssertSqlSafe(format!("PRAGMA integrity_check({INTEGRITY_LINES_MAX})"));
    for row in sqlx::query(sql).fetch_all(&mut connection).await.map_err(Broken::of("state.db"))? {
        let line: String = row.try_get(0).map_err(Broken::of("state.db"))?;
        if line != "ok" {
            flaws.note("state.db", "pages", line);
        }
    }
    connection.close().await.map_err(Broken::of("state.db"))?;
    Ok(flaws)
}

fn object(seen: &Seen, flaws: &Flaws) -> serde_json::Value {
    json!({
        "verdict": if flaws.is_empty() { "well" } else { "alarm" },
        "entries": seen.stood.entries,
        "commits": seen.stood.commits,
        "records": seen.records,
        "seat_records": seen.seat_records,
        "state_root": seen.stood.root.to_string(),
        "flaws": flaws.found(),
        "more_flaws": flaws.more(),
        "not_looked_at": seen.strange,
        "evidence": seen.evidence,
    })
}

fn words(seen: &Seen, flaws: &Flaws) -> String {
    let Stood { entries, commits, root } = &seen.stood;
    let records = counted(seen.records, "record", "records");
    let (entries, commits) = (counted(*entries, "entry", "entries"), counted(*commits, "commit", "commits"));
    let mut text = format!("read {entries}, {commits} and {records}; state {root}\n");
    if let Some(seat) = seen.seat_records {
        text.push_str(&format!("read {} of the seat's log\n", counted(seat, "record", "records")));
    }
    for table in &seen.strange {
        text.push_str(&format!("not looked at: table {table}\n"));
    }
    for evidence in &seen.evidence {
        text.push_str(&format!("holds evidence: {}\n", visible(evidence)));
    }
    for flaw in flaws.found() {
        text.push_str(&format!("ALARM {flaw}\n"));
    }
    if flaws.more() > 0 {
        text.push_str(&format!("and {} more\n", grouped(flaws.more())));
    }
    if flaws.is_empty() {
        text.push_str("all well\n");
    }
    text
}
