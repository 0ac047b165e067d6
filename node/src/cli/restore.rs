//! `lattice restore`: puts a backup back so that the node never signs a number twice, or makes a new node of its state.

use std::io::Write;
use std::path::{Path, PathBuf};

use lattice::genesis::Genesis;
use lattice::ids::{AuthorId, LogKey};
use lattice::ticket::Ticket;
use serde::Serialize;

use super::audit::database::check;
use super::backup::cannot_write;
use super::exit::{Failure, usage};
use super::target::Directory;
use super::text::{as_json, grouped};
use crate::backup::{self, DATABASE, MANIFEST, Manifest, NoBackup};
use crate::durable;
use crate::home::{Home, HomeError, Seed};
use crate::settings::file::{self, FILE_NAME};
use crate::settings::typed::NodeName;
use crate::store::open::shed_identity;

const HELP: &str = "\
Every file is held against backup.json, and every entry, commit and record is hashed again, before anything is written.

The node may have signed more after the backup was taken. So a restored node, once it runs, writes nothing until at least
half of the other members have told it what they hold of its commits, and goes on behind the last of them; its log goes on
under a new name that names the old one; it neither votes on the seat nor goes on with a term that it held until the next
term, which the seat's holder begins by itself. All that needs nothing of you; `lattice status` says how far it is. If no other node is left, its own message says what to do.

With --ticket the state goes to a new node with a key of its own instead, which joins by that ticket: for when the old key is
lost or was seen by others, or the old node still runs. What it writes is another author's.

Exit codes: 0 restored, 1 the backup does not hold or the directory is taken, 2 wrong usage, 3 it could not be read or
written.";

/// The file with the seed of a node's keys.
const KEY: &str = "node.key";

#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The directory that `lattice backup` made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    #[command(flatten)]
    directory: Directory,
    /// Replaces the database of this node that stands in the directory; it is kept as state.db.replaced
    #[arg(long, conflicts_with = "ticket")]
    replace: bool,
    /// Takes a new key, and joins by this line of `lattice invite`
    #[arg(long, value_name = "TICKET", requires = "name")]
    ticket: Option<String>,
    /// What people call the new node
    #[arg(long, requires = "ticket")]
    name: Option<NodeName>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Serialize)]
struct Restored {
    dir: PathBuf,
    author: String,
    /// Whether that is another one than the backup's.
    new_key: bool,
    state_root: String,
    entries: u64,
    taken_ms: u64,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let dir = args.directory.path()?;
    expect_backup(&args.backup)?;
    let manifest = backup::read(&args.backup)?;
    expect_whole(&args.backup, &manifest).await?;
    let author = match (&args.ticket, args.name) {
        (Some(ticket), Some(name)) => under_new_key(&args.backup, &dir, ticket, &name, &manifest).await?,
        (Some(_), None) | (None, _) => {
            in_place(&args.backup, &dir, args.replace, &manifest)?;
            manifest.author.clone()
        }
    };
    let Manifest { state_root, entries, taken_ms, .. } = manifest;
    let restored = Restored { new_key: args.ticket.is_some(), dir, author, state_root, entries, taken_ms };
    let text = if args.json { format!("{}\n", as_json(&restored)) } else { words(&restored) };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Another directory is named easily, such as the node's own.
fn expect_backup(from: &Path) -> Result<(), Failure> {
    if from.is_dir() && matches!(from.join(MANIFEST).try_exists(), Ok(false)) {
        return Err(usage(format!("{} was not made by `lattice backup`: it holds no {MANIFEST}", from.display())));
    }
    Ok(())
}

/// Hashes everything in the backup again.
async fn expect_whole(from: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let genesis = genesis(from)?;
    let bad = |what: &str| Failure::No(format!("backup.json gives no {what}; use another backup"));
    let author = bytes(&manifest.author).map(AuthorId).ok_or_else(|| bad("author"))?;
    let log_key = bytes(&manifest.log_key).map(LogKey).ok_or_else(|| bad("log key"))?;
    if genesis.id().to_string() != manifest.lattice_id {
        return Err(bad("lattice that its genesis.cbor is of"));
    }
    let checked = check(&from.join(DATABASE), genesis, (author, log_key)).await;
    match checked.flaws.first() {
        Some(first) => Err(Failure::No(format!("the backup does not hold: {first}; use another one"))),
        None if checked.root.to_string() != manifest.state_root => Err(bad("root that its entries have")),
        None => Ok(()),
    }
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn genesis(from: &Path) -> Result<Genesis, Failure> {
    let file = from.join("genesis.cbor");
    let bytes = std::fs::read(&file).map_err(|error| cannot_write(&file, &error))?;
    Genesis::decode(&bytes).map_err(|error| Failure::No(format!("{}: {error}", file.display())))
}

/// Puts the node back under its key: marks first, the database last, so that no crash leaves one without the other.
fn in_place(from: &Path, dir: &Path, replace: bool, manifest: &Manifest) -> Result<(), Failure> {
    match Home::open(dir) {
        Ok(home) => expect_same_node(&home, replace, manifest)?,
        Err(HomeError::Absent(_) | HomeError::Keyless { .. }) if from.join(KEY).exists() => {
            std::fs::create_dir_all(dir).map_err(|error| cannot_write(dir, &error))?;
        }
        Err(error @ (HomeError::Absent(_) | HomeError::Keyless { .. })) => {
            return Err(usage(format!(
                "{error}; the backup holds no {KEY}, so restore it to a directory that does, or take a new key with --ticket"
            )));
        }
        Err(error) => return Err(error.into()),
    }
    Home::mark_restored(dir)?;
    for name in ["genesis.cbor", FILE_NAME, KEY] {
        let (from, to) = (from.join(name), dir.join(name));
        if from.exists() && !to.exists() {
            let mode = if name == KEY { 0o600 } else { 0o644 };
            backup::copy(&from, &to, mode).map_err(|error| cannot_write(&to, &error))?;
        }
    }
    let home = Home::open(dir)?;
    let _lock = home.lock()?;
    set_aside(&home)?;
    let stands = home.path(DATABASE);
    backup::copy(&from.join(DATABASE), &stands, 0o644).map_err(|error| cannot_write(&stands, &error))
}

/// Keeps the database under another name, with what SQLite has not moved into it yet; the index of that is made anew by
/// whoever opens it.
fn set_aside(home: &Home) -> Result<(), Failure> {
    let kept = format!("{DATABASE}.replaced");
    for name in [DATABASE, &kept] {
        home.remove(&format!("{name}-shm"))?;
    }
    // What an earlier restore kept goes as a whole: the rest of one database must not be taken for that of another. If there
    // is no database, an earlier try came so far, and what is kept is the one to keep.
    if home.path(DATABASE).exists() {
        home.remove(&format!("{kept}-wal"))?;
    }
    for end in ["", "-wal"] {
        let (old, kept) = (home.path(&format!("{DATABASE}{end}")), home.path(&format!("{kept}{end}")));
        if old.metadata().is_ok_and(|file| file.len() > 0) {
            durable::rename(&old, &kept).map_err(|error| cannot_write(&kept, &error))?;
        }
    }
    Ok(home.remove(&format!("{DATABASE}-wal"))?)
}

fn expect_same_node(home: &Home, replace: bool, manifest: &Manifest) -> Result<(), Failure> {
    let _lock = home.lock()?;
    let dir = home.dir().display();
    if home.keys().map_err(usage)?.author.id().to_string() != manifest.author {
        return Err(Failure::No(format!(
            "{dir} holds another node than the one that was backed up; choose another --dir"
        )));
    }
    if home.path(DATABASE).exists() && !replace {
        return Err(Failure::No(format!(
            "{dir} holds a database already; --replace puts the backup in its place, and keeps it as {DATABASE}.replaced"
        )));
    }
    Ok(())
}

/// Makes a new node with the state of the backup; gives its author.
async fn under_new_key(
    from: &Path,
    dir: &Path,
    ticket: &str,
    name: &NodeName,
    manifest: &Manifest,
) -> Result<String, Failure> {
    let ticket: Ticket = ticket.parse().map_err(usage)?;
    if ticket.genesis.id().to_string() != manifest.lattice_id {
        return Err(usage("the ticket is for another lattice than the backup"));
    }
    Home::expect_none(dir)?;
    let seed = Seed::random().map_err(|error| Failure::No(format!("no randomness: {error}")))?;
    std::fs::create_dir_all(dir).map_err(|error| cannot_write(dir, &error))?;
    let database = dir.join("state.db.new");
    backup::copy(&from.join(DATABASE), &database, 0o644).map_err(|error| cannot_write(&database, &error))?;
    shed_identity(&database).await.map_err(|error| Failure::CouldNotTell(error.to_string()))?;
    Home::create(dir, &seed, &ticket.genesis, Some(&ticket))?;
    file::write_first(dir, name, &ticket.addresses).map_err(|error| cannot_write(dir, &error))?;
    durable::rename(&database, &dir.join(DATABASE)).map_err(|error| cannot_write(&database, &error))?;
    Ok(seed.keys().author.id().to_string())
}

fn words(restored: &Restored) -> String {
    let Restored { dir, author, new_key, state_root, entries, .. } = restored;
    let dir = dir.display();
    let what = if *new_key {
        format!(
            "this is a new node with a fresh key, author {author}; it becomes a member when the node that printed the ticket lets \
             it in: lattice run --dir {dir}"
        )
    } else {
        format!(
            "it keeps its key, and writes nothing until at least half of the other members have said what they hold of its \
             commits; its log goes on under a new name (auditors need the new policy beside the old one): lattice run --dir {dir}"
        )
    };
    format!("restored {} entries, root {state_root}, to {dir}\n{what}\n", grouped(*entries))
}

impl From<NoBackup> for Failure {
    fn from(error: NoBackup) -> Self {
        match error {
            NoBackup::Unreadable { .. } => Self::CouldNotTell(error.to_string()),
            NoBackup::BadManifest(_) | NoBackup::OtherForm(..) => Self::Usage(error.to_string()),
            NoBackup::Changed(_) => Self::No(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lattice::keys::NodeKeys;

    use super::*;

    fn made(dir: &Path) -> Home {
        let genesis = Genesis::founded_by("test", "one", &NodeKeys::from_seed([7; 32]), vec![1; 38]);
        Home::create(dir, &Seed::random().expect("randomness"), &genesis, None).expect("an empty directory")
    }

    #[test]
    fn a_database_is_set_aside_with_its_own_rest_and_no_other() {
        // The rest of a database that was replaced before stood beside the next one, for SQLite to put into it.
        let dir = tempfile::tempdir().expect("a directory");
        let home = made(dir.path());
        let write = |files: &[(&str, &str)]| {
            for (file, text) in files {
                fs::write(home.path(file), text).expect("ours");
            }
        };
        let left = || {
            let files =
                fs::read_dir(dir.path()).expect("a directory").filter_map(Result::ok).map(|file| file.file_name());
            let mut files: Vec<_> = files.filter_map(|file| file.into_string().ok()).collect();
            files.retain(|file| file.starts_with(DATABASE));
            files.sort();
            files
        };
        write(&[("state.db", "1"), ("state.db-wal", "rest of 1"), ("state.db-shm", "index")]);
        set_aside(&home).expect("ours");
        assert_eq!(left(), ["state.db.replaced", "state.db.replaced-wal"]);
        // Tried again after a crash, it keeps what it kept.
        set_aside(&home).expect("ours");
        assert_eq!(left(), ["state.db.replaced", "state.db.replaced-wal"]);
        write(&[
            ("state.db", "2"),
            ("state.db-wal", ""),
            ("state.db-shm", "index"),
            ("state.db.replaced-shm", "index"),
        ]);
        set_aside(&home).expect("ours");
        assert_eq!(left(), ["state.db.replaced"]);
        assert_eq!(fs::read(home.path("state.db.replaced")).expect("kept"), b"2");
    }
}
