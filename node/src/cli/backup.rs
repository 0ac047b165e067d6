//! `lattice backup`: copies a node's directory while it runs, and hashes the copy again before it calls it one.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use lattice::keys::NodeKeys;

use super::audit::database::check;
use super::exit::{Failure, usage};
use super::text::{as_json, grouped};
use super::whole;
use crate::backup::{self, DATABASE, FORM, MANIFEST, Manifest};
use crate::clock::now_ms;
use crate::durable;
use crate::home::Home;
use crate::settings::file::FILE_NAME;

const HELP: &str = "\
The backup is a directory: state.db as of one moment, genesis.cbor, lattice.toml, node.key (unless --without-key) and
backup.json with a hash of each. Whoever has node.key is the node: keep the backup as secret as the directory. The node goes
on meanwhile. Every entry, commit and record of the copy is hashed again and held against the stored root and the log;
a copy that fails is left as OUT.unfinished to be looked at, and is no backup.

It is made on the node's own machine, of its directory, and not through the API: it holds the node's key, and that passes no
network unless you carry it there. For a container: `docker exec NODE lattice backup /data -o /data/backup`.

Put it back with `lattice restore`; do not copy its files into a directory by hand.

Exit codes: 0 a backup that holds, 1 the database does not hold, 2 wrong usage, 3 it could not be read or written.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The node's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Directory to make for the backup
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Leaves node.key out: the backup can then be restored to a directory that still has it, or under a new key
    #[arg(long)]
    without_key: bool,
    /// Prints JSON: what backup.json says
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if args.dir.to_str().is_some_and(|dir| dir.starts_with("http://") || dir.starts_with("https://")) {
        return Err(usage(
            "a backup holds the node's key, which no API gives away: run this on the node's own machine, with its directory \
             (by ssh, or `docker exec`)",
        ));
    }
    let home = Home::open(&args.dir).map_err(usage)?;
    let keys = home.keys().map_err(usage)?;
    if args.output.exists() {
        return Err(usage(format!("{} exists already; name a directory that does not", args.output.display())));
    }
    if !home.path(DATABASE).exists() {
        return Err(usage(format!(
            "{} does not exist: this node has not run yet, or lost it",
            home.path(DATABASE).display()
        )));
    }
    // It appears under its name once it is whole and checked.
    let mut unfinished = args.output.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(|error| cannot_write(&unfinished, &error))?;
    let manifest = fill(&home, &keys, &unfinished, args.without_key).await?;
    durable::rename(&unfinished, &args.output).map_err(|error| cannot_write(&args.output, &error))?;
    let text = if args.json { format!("{}\n", as_json(&manifest)) } else { words(&manifest, &args) };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

async fn fill(home: &Home, keys: &NodeKeys, out: &Path, without_key: bool) -> Result<Manifest, Failure> {
    let database = out.join(DATABASE);
    let taken_ms = now_ms();
    backup::snapshot(&home.path(DATABASE), &database)
        .await
        .map_err(|error| Failure::CouldNotTell(format!("the database can't be copied: {error}")))?;
    let genesis = home.genesis().map_err(usage)?;
    let lattice_id = genesis.id().to_string();
    let checked = check(&database, genesis, (keys.author.id(), keys.log_key())).await;
    if let Some(first) = checked.flaws.first() {
        return Err(Failure::No(format!(
            "the database does not hold, in {} places: {first}; `lattice audit --db {} --deep` on the stopped node lists \
             them",
            checked.flaws.len(),
            home.dir().display()
        )));
    }
    let mut names = vec!["genesis.cbor"];
    names.extend((!without_key).then_some("node.key"));
    names.extend(home.path(FILE_NAME).exists().then_some(FILE_NAME));
    for name in &names {
        let to = out.join(name);
        backup::copy(&home.path(name), &to, 0o600).map_err(|error| cannot_write(&to, &error))?;
    }
    let mut files = BTreeMap::new();
    for name in names.into_iter().chain([DATABASE]) {
        let hash = backup::hash_of(&out.join(name)).map_err(|error| cannot_write(&out.join(name), &error))?;
        files.insert(name.to_owned(), hash);
    }
    let manifest = Manifest {
        form: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_ms,
        lattice_id,
        author: keys.author.id().to_string(),
        log_key: HEXLOWER.encode(&keys.log_key().0),
        state_root: checked.root.to_string(),
        entries: checked.entries,
        log_size: checked.records,
        files,
    };
    whole::write(&out.join(MANIFEST), format!("{}\n", as_json(&manifest)).as_bytes())?;
    Ok(manifest)
}

pub(super) fn cannot_write(file: &Path, error: &std::io::Error) -> Failure {
    Failure::CouldNotTell(format!("{}: {error}", file.display()))
}

fn words(manifest: &Manifest, args: &Args) -> String {
    let Manifest { entries, log_size, state_root, files, .. } = manifest;
    let key =
        if files.contains_key("node.key") { "with the node's key: keep it secret" } else { "without the node's key" };
    format!(
        "backed up {} entries and {} records, root {state_root}, to {} ({key}); every one was hashed again\n",
        grouped(*entries),
        grouped(*log_size),
        args.output.display()
    )
}
