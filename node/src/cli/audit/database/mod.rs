//! A deep audit of a stopped node's files: every row that a hash or a signature binds is read and held against it.
//!
//! Where the node itself, at its start, asks whether the whole agrees, this names the row that does not.
//!
//! # Reading order
//!
//! 1. `flaws`: what is found. `rows`: how columns are read that may hold anything.
//! 2. `state`: entries, commits and authors. `log`: records, tiles and checkpoint. `kept`: what is kept beside them.

mod commits;
mod flaws;
mod kept;
mod log;
mod rows;
mod state;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use lattice::genesis::Genesis;
use lattice::ids::{AuthorId, LatticeId, LogKey};
use lattice::log::policy::Policy;
use lattice::membership::Membership;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use crate::cli::exit::{Failure, usage};
use crate::cli::text::{as_json, counted, grouped};
use crate::home::{Home, HomeError};
use flaws::{Broken, Flaws};
use state::Stood;

/// Problems that SQLite's own check lists: enough to see what is meant.
const INTEGRITY_LINES_MAX: u32 = 20;

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
    let membership = Membership::of(&genesis, []);
    let (author, log_key) = (keys.author.id(), keys.log_key());
    let mut subject = Subject { lattice: genesis.id(), genesis, author, log_key, membership };
    let mut flaws = Flaws::default();
    let seen = match audit(&file, &mut subject, policy, &mut flaws).await {
        Ok(seen) => seen,
        Err(broken) => {
            flaws.note(broken.table, "all", format!("it can't be read: {}", broken.why));
            Seen::default()
        }
    };
    let text = if json { format!("{}\n", as_json(&object(&seen, &flaws))) } else { words(&seen, &flaws) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(u8::from(!flaws.is_empty())))
}

/// How much was read.
#[derive(Debug, Default)]
struct Seen {
    stood: Stood,
    records: u64,
    /// Tables that no version known here has.
    strange: Vec<String>,
}

async fn audit(file: &Path, subject: &mut Subject, policy: Option<&Policy>, flaws: &mut Flaws) -> Result<Seen, Broken> {
    let mut connection = open(file).await?;
    integrity(&mut connection, flaws).await?;
    let strange = kept::strange_tables(&mut connection).await?;
    kept::migrations(&mut connection, flaws).await?;
    subject.membership = state::membership(&mut connection, subject, flaws).await?;
    let mut second = open(file).await?;
    let stood = state::entries(&mut connection, &mut second, subject, flaws).await?;
    let log = log::log(&mut connection, &mut second, subject, policy, flaws).await?;
    state::stated(&mut connection, subject, &stood, &log, flaws).await?;
    kept::all(&mut connection, subject, flaws).await?;
    second.close().await.map_err(Broken::of("state.db"))?;
    connection.close().await.map_err(Broken::of("state.db"))?;
    Ok(Seen { stood, records: log.records, strange })
}

/// Nothing is written, not even what a killed node left in its write-ahead log.
async fn open(file: &Path) -> Result<SqliteConnection, Broken> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).disable_statement_logging();
    SqliteConnection::connect_with(&options).await.map_err(Broken::of("state.db"))
}

/// What SQLite itself finds in pages and indexes.
async fn integrity(connection: &mut SqliteConnection, flaws: &mut Flaws) -> Result<(), Broken> {
    let sql = sqlx::AssertSqlSafe(format!("PRAGMA integrity_check({INTEGRITY_LINES_MAX})"));
    for row in sqlx::query(sql).fetch_all(connection).await.map_err(Broken::of("state.db"))? {
        let line: String = row.try_get(0).map_err(Broken::of("state.db"))?;
        if line != "ok" {
            flaws.note("state.db", "pages", line);
        }
    }
    Ok(())
}

fn object(seen: &Seen, flaws: &Flaws) -> serde_json::Value {
    json!({
        "verdict": if flaws.is_empty() { "well" } else { "alarm" },
        "entries": seen.stood.entries,
        "commits": seen.stood.commits,
        "records": seen.records,
        "state_root": seen.stood.root.to_string(),
        "flaws": flaws.found(),
        "more_flaws": flaws.more(),
        "not_looked_at": seen.strange,
    })
}

fn words(seen: &Seen, flaws: &Flaws) -> String {
    let Stood { entries, commits, root } = &seen.stood;
    let records = counted(seen.records, "record", "records");
    let (entries, commits) = (counted(*entries, "entry", "entries"), counted(*commits, "commit", "commits"));
    let mut text = format!("read {entries}, {commits} and {records}; state {root}\n");
    for table in &seen.strange {
        text.push_str(&format!("not looked at: table {table}\n"));
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
