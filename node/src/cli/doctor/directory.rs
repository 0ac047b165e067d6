//! What a node's files tell, whether it runs or not.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::finding::Finding;
use crate::cli::audit::database::check;
use crate::cli::text::{counted, grouped};
use crate::home::{ABSTAINING, CATCHING_UP, DOUBTFUL, FRESH, Home, HomeError, SEEDING};
use crate::settings::typed::Typed;
use crate::settings::{Settings, file};

/// Bytes that must be free: a write-ahead log grows to 64 MiB before it is copied back, and copies take as much again.
const FREE_BYTES_MIN: u64 = 128 * 1024 * 1024;

/// Files that only the owner may read.
const SECRETS: [&str; 5] = ["node.key", "api.token", "read.token", "admin.token", "ticket"];

/// Marks beside the database, what they mean, and what to do.
const MARKS: [(&str, &str, &str); 5] = [
    (
        CATCHING_UP,
        "the database was lost or is an older one, and no peer has brought this node up to date yet",
        "let it run until it is connected; if no other node is left, stop it, remove `catching-up` and `doubtful`, start it",
    ),
    (
        DOUBTFUL,
        "the directory was copied or restored, and too few other members have said what this node signed",
        "let it run until it is connected; if no other node is left, stop it, remove `doubtful`, start it",
    ),
    (
        ABSTAINING,
        "this node may have forgotten what it voted for: it neither votes nor goes on with a term that it held",
        "the next term ends that; a holder with a majority begins one by itself, else operators do (`lattice seat settle`)",
    ),
    (
        "ticket",
        "this node was not let in yet",
        "it asks the node that printed its ticket for as long as it runs: see that this one runs",
    ),
    (
        SEEDING,
        "the copy of the seat's holder here is being made anew, and could not take over",
        "let it run until `lattice seat status` there says how far it is behind the holder",
    ),
];

/// What the files of a directory tell, and whether a node runs on it.
pub(super) async fn look(dir: &Path, skips_rows: bool) -> (Vec<Finding>, bool) {
    let home = match Home::open(dir) {
        Ok(home) => home,
        Err(error) => {
            let wrong = || Finding::wrong("key", error.to_string(), "name the directory of a node");
            return (vec![closed(&error).unwrap_or_else(wrong)], false);
        }
    };
    // Who may not read the key sees neither the lock nor the database as they are.
    if let Some(closed) = home.read("node.key").err().as_ref().and_then(closed) {
        return (vec![closed], false);
    }
    let running = match home.lock() {
        Ok(_) => Ok(false),
        Err(HomeError::InUse(_)) => Ok(true),
        Err(error) => Err(error),
    };
    let is_running = matches!(running, Ok(true));
    let mut findings = keys(&home);
    findings.extend(tokens(&home));
    findings.push(settings(&home));
    findings.push(writable(&home, is_running));
    findings.extend(open_to_all(dir));
    findings.push(process(&home, &running));
    findings.extend(disk(dir));
    findings.extend(
        MARKS
            .into_iter()
            .filter(|(file, ..)| home.path(file).exists())
            .map(|(file, found, cure)| Finding::note("marks", format!("{file}: {found}"), cure)),
    );
    findings.extend(database(&home, is_running, skips_rows).await);
    (findings, is_running)
}

/// What this user may not look at: whatever else would be said of it is not so.
fn closed(error: &HomeError) -> Option<Finding> {
    let HomeError::Io { path, error } = error else { return None };
    let cure = "run it as the node's user, or name the URL of its API; nothing else in the directory was looked at";
    let unknown = || Finding::unknown("directory", format!("{}: {error}", path.display()), cure);
    (error.kind() == ErrorKind::PermissionDenied).then(unknown)
}

fn keys(home: &Home) -> Vec<Finding> {
    let readable = home.keys().map(|keys| format!("author {}", keys.author.id()));
    let key = match readable {
        Ok(found) => Finding::well("key", found),
        Err(error) => Finding::wrong("key", error.to_string(), "without its key the node is nobody"),
    };
    let genesis = match home.genesis() {
        Ok(genesis) => Finding::well("genesis", format!("lattice {} ({})", genesis.name, genesis.id())),
        Err(error) => {
            Finding::wrong("genesis", error.to_string(), "copy genesis.cbor from any other node of the lattice")
        }
    };
    let exposed = SECRETS.into_iter().filter_map(|file| {
        let path = home.path(file);
        let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        let found = format!("{} may be read by others (mode {mode:o})", path.display());
        (mode & 0o077 != 0).then(|| Finding::wrong("permissions", found, format!("chmod 600 {}", path.display())))
    });
    let exposed: Vec<_> = exposed.collect();
    let secrets =
        if exposed.is_empty() { vec![Finding::well("permissions", "secrets are for the owner only")] } else { exposed };
    [vec![key, genesis], secrets].concat()
}

/// Tokens that the node refuses to start with. Who else may read them is said of all secrets at once.
fn tokens(home: &Home) -> Vec<Finding> {
    // One that is not there would be made.
    let api = home.path("api.token").exists().then(|| home.token().map(drop));
    let read = [api, Some(home.read_token().map(drop))].into_iter().flatten().filter_map(Result::err);
    let cure =
        "the node does not start with it: put the right one back, or remove it; the next start makes a new api.token";
    read.filter(|error| matches!(error, HomeError::Damaged { .. }))
        .map(|error| Finding::wrong("token", error.to_string(), cure))
        .collect()
}

fn settings(home: &Home) -> Finding {
    let typed = file::read(home.dir()).map_err(|error| error.to_string());
    let has_token = home.path("api.token").exists();
    let resolved = typed.and_then(|typed: Typed| {
        Settings::resolve(home.dir().to_owned(), typed, has_token).map_err(|error| error.to_string())
    });
    match resolved {
        Ok(_) => Finding::well("settings", "lattice.toml says what can be meant"),
        Err(why) => {
            Finding::wrong("settings", why, "correct lattice.toml; the node starts with it, or takes it on by SIGHUP")
        }
    }
}

/// A file is made: modes, owners, mounts and quotas are all asked at once.
fn writable(home: &Home, is_running: bool) -> Finding {
    let probe = "doctor.probe";
    let written = home.write(probe, 0o600, b"").and_then(|()| home.remove(probe));
    match written {
        Ok(()) => Finding::well("directory", format!("{} can be written", home.dir().display())),
        Err(error) if is_running => {
            Finding::note("directory", error.to_string(), "as this user; the node may run as another")
        }
        Err(error) => {
            Finding::wrong("directory", error.to_string(), "the node needs to write there, as the user that runs it")
        }
    }
}

/// Whoever writes there can put another database or other settings in the place of the node's.
fn open_to_all(dir: &Path) -> Option<Finding> {
    let mode = fs::metadata(dir).ok()?.permissions().mode() & 0o777;
    let found = format!("others can write in {} (mode {mode:o})", dir.display());
    (mode & 0o002 != 0).then(|| Finding::note("permissions", found, format!("chmod 700 {}", dir.display())))
}

fn process(home: &Home, running: &Result<bool, HomeError>) -> Finding {
    match (running, home.path("run.json").exists()) {
        (Err(error), _) => Finding::unknown(
            "process",
            format!("whether a node runs on it is not known: {error}"),
            "run it as the node's user; the file must belong to that one",
        ),
        (Ok(true), true) => Finding::well("process", "a node runs on it"),
        (Ok(true), false) => Finding::note(
            "process",
            "a node runs on it and serves no API here",
            "a mirror of the seat serves none; `lattice seat status` asks it",
        ),
        (Ok(false), true) => Finding::note(
            "process",
            "no node runs on it; the last one ended without saying so",
            "see its log for why; the next start repairs what it left",
        ),
        (Ok(false), false) => {
            Finding::note("process", "no node runs on it", format!("lattice run --dir {}", home.dir().display()))
        }
    }
}

fn disk(dir: &Path) -> Option<Finding> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let mib = grouped(free / (1024 * 1024));
    let found = format!("{mib} MiB free on the file system of {}", dir.display());
    Some(if free < FREE_BYTES_MIN {
        Finding::wrong("disk", found, "free space: writes are refused when none is left")
    } else {
        Finding::well("disk", found)
    })
}

async fn database(home: &Home, is_running: bool, skips_rows: bool) -> Vec<Finding> {
    let file = home.path("state.db");
    if !file.exists() {
        let lost = !home.path(FRESH).exists();
        let cure = "start the node: the state comes back from the others";
        return vec![if lost {
            Finding::wrong("database", "state.db is gone", cure)
        } else {
            Finding::note("database", "there is none yet", cure)
        }];
    }
    let schema = match schema(&file).await {
        Ok(finding) => finding,
        Err(error) => {
            let cure = "keep a copy of the directory, remove state.db, state.db-wal and state.db-shm, and start: the state comes \
                        back from the other nodes; or `lattice restore` a backup";
            return vec![Finding::wrong("database", format!("{} can't be read: {error}", file.display()), cure)];
        }
    };
    let (Ok(genesis), Ok(keys)) = (home.genesis(), home.keys()) else { return vec![schema] };
    if is_running {
        return vec![schema, Finding::well("rows", "the running node looks at each of them itself; see divergence")];
    }
    if skips_rows {
        return vec![schema, Finding::note("rows", "not looked at", "leave --quick out")];
    }
    let checked = check(&file, genesis, (keys.author.id(), keys.log_key())).await;
    let rows = match checked.flaws.first() {
        None => Finding::well(
            "rows",
            format!(
                "{} entries and {} records give what was signed, root {}",
                grouped(checked.entries),
                grouped(checked.records),
                checked.root
            ),
        ),
        Some(first) => {
            let count = counted(checked.flaws.len() as u64, "flaw", "flaws");
            let cure = format!(
                "`lattice audit --db {0} --deep` lists all; then keep a copy, remove state.db, state.db-wal and state.db-shm, and \
                 start: the state comes back from the other nodes; or `lattice restore` a backup. Check the disk",
                home.dir().display()
            );
            Finding::wrong("rows", format!("{count}: {first}"), cure)
        }
    };
    vec![schema, rows]
}

/// Which migrations the database has, against those that this program knows.
async fn schema(file: &Path) -> Result<Finding, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let rows = sqlx::query("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version");
    let found: Vec<i64> = rows.fetch_all(&mut connection).await?.iter().map(|row| row.get(0)).collect();
    connection.close().await?;
    let known: Vec<i64> = sqlx::migrate!().iter().map(|migration| migration.version).collect();
    let newest = |versions: &[i64]| versions.last().copied().unwrap_or(0);
    let (has, knows) = (newest(&found), newest(&known));
    Ok(if found.iter().any(|version| !known.contains(version)) {
        let found = format!("written by a newer version of lattice: form {has}, known here {knows}");
        Finding::wrong("database", found, "run that version or a later one")
    } else if has < knows {
        let found = format!("of an older version: form {has} of {knows}");
        Finding::note("database", found, "the next start brings it up to date; take a backup first")
    } else {
        Finding::well("database", format!("form {has}"))
    })
}

#[cfg(test)]
mod tests;
