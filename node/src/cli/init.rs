//! `lattice init`: founds a lattice and its first node.

use std::io::Write;
use std::path::PathBuf;

use lattice::genesis::{Genesis, Member};

use super::exit::{Failure, usage};
use super::target::Directory;
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
    /// Founds with more members, other limits or seat prefixes
    #[arg(long, value_name = "FILE.toml")]
    genesis: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: Args) -> Result<(), Failure> {
    Ok(())
}
