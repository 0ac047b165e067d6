//! `lattice keygen`: a key for somebody who founds a lattice together with others, and how the founding document names them.

use std::io::Write;

use data_encoding::HEXLOWER;
use lattice::genesis::Member;
use libp2p::PeerId;
use serde::Serialize;

use super::exit::Failure;
use super::init::founder;
use super::target::Directory;
use super::text::as_json;
use crate::home::Seed;
use crate::settings::typed::NodeName;

const HELP: &str = "\
A lattice may have several operators, of whom more than half settle terms of the seat when the voters can't. They found it
together:

  each one        lattice keygen --dir DIR --name NAME > NAME.toml
  one of them     puts these texts below each other into founding.toml, with the operators' author keys above them in one line,
                  admins = [\"…\", \"…\"], and runs lattice init --dir DIR --name NAME --genesis founding.toml
  each other one  gets DIR/genesis.cbor from there, and runs lattice init --dir DIR --name NAME --founded genesis.cbor
  all             lattice run --dir DIR --peer ADDRESS-OF-ANOTHER

The key stays in DIR, in founding.key until then. Asked again it says the same.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    #[command(flatten)]
    directory: Directory,
    /// What people call the node
    #[arg(long)]
    name: NodeName,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// A founding member, as the file for `lattice init --genesis` names it.
#[derive(Debug, Serialize)]
struct Founder {
    name: String,
    author: String,
    log_key: String,
    peer_id: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let seed = Seed::waiting_or_new(&args.directory.path()?)?;
    let (member, peer_id) = founder(args.name.as_str(), &seed.keys())?;
    let founder = named(member, peer_id);
    let mut out = std::io::stdout();
    if args.json {
        return Ok(writeln!(out, "{}", as_json(&founder))?);
    }
    let text = |value: &str| toml::Value::from(value).to_string();
    let Founder { name, author, log_key, peer_id } = &founder;
    writeln!(out, "[[members]]")?;
    for (field, value) in [("name", name), ("author", author), ("log_key", log_key), ("peer_id", peer_id)] {
        writeln!(out, "{field} = {}", text(value))?;
    }
    Ok(())
}

fn named(member: Member, peer_id: PeerId) -> Founder {
    Founder {
        name: member.name,
        author: member.author.to_string(),
        log_key: HEXLOWER.encode(member.log_key.as_bytes()),
        peer_id: peer_id.to_string(),
    }
}
