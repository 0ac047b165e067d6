//! `lattice join`: makes a node that joins the lattice of a ticket.

use std::io::Write;

use lattice::ticket::Ticket;

use super::exit::{Failure, usage};
use super::target::Directory;
use crate::daemon;
use crate::settings::file;
use crate::settings::typed::NodeName;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The line that `lattice invite` printed; `-` reads it from standard input, which keeps it out of the shell's history
    ticket: String,
    #[command(flatten)]
    directory: Directory,
    /// What people call the node
    #[arg(long)]
    name: NodeName,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    Ok(())
}
