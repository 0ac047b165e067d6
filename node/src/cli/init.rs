//! `lattice init`: founds a lattice and its first node.

use std::io::Write;
use std::path::{Path, PathBuf};

use lattice::genesis::{Genesis, Member};
use lattice::keys::NodeKeys;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use serde::Serialize;

use super::exit::{Failure, usage};
use super::target::Directory;
use super::text::{as_json, named_lattice, table};
use crate::home::{Home, HomeError, Seed};
use crate::settings::file;
use crate::settings::founding::Founding;
use crate::settings::typed::NodeName;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    directory: Directory,
    /// What people call the node
    #[arg(long)]
    name: NodeName,
    /// What people call the lattice [default: the genesis file's name, or "lattice"]
    #[arg(long, value_name = "NAME")]
    lattice: Option<NodeName>,
    /// Founds with more members, other limits or seat prefixes; see `lattice keygen --help`
    #[arg(long, value_name = "FILE.toml")]
    genesis: Option<PathBuf>,
    /// Takes on the founding document that another founder made with this node's key among its members
    #[arg(long, value_name = "genesis.cbor", conflicts_with_all = ["genesis", "lattice"])]
    founded: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Serialize)]
struct Founded {
    dir: PathBuf,
    lattice_id: String,
    author: String,
    peer_id: String,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let dir = args.directory.path()?;
    let waiting = Seed::waiting(&dir)?;
    let seed = waiting.clone().map_or_else(Seed::random, Ok);
    let seed = seed.map_err(|error| Failure::No(format!("no randomness: {error}")))?;
    let keys = seed.keys();
    let (founder, peer_id) = founder(args.name.as_str(), &keys)?;
    let genesis = match &args.founded {
        Some(file) => founded(file, &founder)?,
        None => genesis(args.genesis.as_deref(), args.lattice.as_ref(), founder)?,
    };
    Home::create(&dir, &seed, &genesis, None)?.end_waiting()?;
    file::write_first(&dir, &args.name, &[]).map_err(|error| Failure::No(format!("{}: {error}", dir.display())))?;
    let founded = Founded {
        dir,
        lattice_id: genesis.id().to_string(),
        author: keys.author.id().to_string(),
        peer_id: peer_id.to_string(),
    };
    tell(&founded, &genesis.name, args.json)
}

fn genesis(file: Option<&Path>, name: Option<&NodeName>, founder: Member) -> Result<Genesis, Failure> {
    let founding = file.map(Founding::read).transpose().map_err(usage)?.unwrap_or_default();
    founding.into_genesis(name.map(NodeName::as_str), founder).map_err(usage)
}

/// A founding document that somebody else made, if it names this node as a member.
fn founded(file: &Path, own: &Member) -> Result<Genesis, Failure> {
    let wrong = |why: String| usage(format!("{}: {why}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let genesis = Genesis::decode(&bytes).map_err(|error| wrong(format!("no founding document: {error}")))?;
    if genesis.members.iter().any(|member| member.author == own.author && member.peer_id == own.peer_id) {
        return Ok(genesis);
    }
    Err(wrong(format!(
        "its members do not include this node's key, {}; whoever founds needs what `lattice keygen` printed here",
        own.author
    )))
}

/// The node that founds, as a member.
pub(super) fn founder(name: &str, keys: &NodeKeys) -> Result<(Member, PeerId), Failure> {
    let p2p = Keypair::ed25519_from_bytes(keys.p2p.0).map_err(|error| Failure::No(error.to_string()))?;
    let peer_id = p2p.public().to_peer_id();
    let alone = Genesis::founded_by(name, name, keys, peer_id.to_bytes());
    let founder = alone.members.into_iter().next();
    founder.map(|member| (member, peer_id)).ok_or_else(|| Failure::No("a genesis has its founder".to_owned()))
}

fn tell(founded: &Founded, lattice_name: &str, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    if json {
        return Ok(writeln!(out, "{}", as_json(founded))?);
    }
    let rows = [
        ("lattice", named_lattice(lattice_name, &founded.lattice_id)),
        ("author", founded.author.clone()),
        ("peer id", founded.peer_id.clone()),
        ("directory", founded.dir.display().to_string()),
        ("next", format!("lattice run --dir {}", founded.dir.display())),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    Ok(out.write_all(table(&rows).as_bytes())?)
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::No(error.to_string())
    }
}
