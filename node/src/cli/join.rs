//! `lattice join`: makes a node that joins the lattice of a ticket.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use lattice::ticket::{TICKET_BYTES_MAX, Ticket};
use serde::Serialize;

use super::exit::{Failure, usage};
use super::target::Directory;
use super::text::{as_json, named_lattice, visible};
use crate::daemon::{self, Joined};
use crate::home::{Home, Seed};
use crate::settings::typed::{NodeName, Typed};
use crate::settings::{Settings, file};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The line that `lattice invite` printed; `-` reads it from standard input, which keeps it out of the
    /// shell's history
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

/// What was made.
#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    lattice_id: String,
    author: String,
    joined: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let dir = args.directory.path()?;
    let ticket: Ticket = ticket_text(&args.ticket)?.parse().map_err(usage)?;
    Home::expect_none(&dir)?;
    let seed = Seed::random().map_err(|error| Failure::No(format!("no randomness: {error}")))?;
    Home::create(&dir, &seed, &ticket.genesis, Some(&ticket))?;
    file::write_first(&dir, &args.name, &ticket.addresses)
        .map_err(|error| Failure::No(format!("{}: {error}", dir.display())))?;
    let joined = daemon::join(settings(&dir, args.name)?).await;
    let joined = joined.map_err(|error| Failure::No(format!("{error:#}")))?;
    let made = Made {
        lattice_id: ticket.genesis.id().to_string(),
        author: seed.keys().author.id().to_string(),
        joined: joined == Joined::Member,
        dir,
    };
    tell(&made, &ticket.genesis.name, args.json)?;
    end(joined, &made.dir, &ticket.addresses)
}

/// A node that only joins dials and listens nowhere; it knows whom to ask.
fn settings(dir: &Path, name: NodeName) -> Result<Settings, Failure> {
    let typed = Typed { name: Some(name), mdns: Some(false), ..Typed::default() };
    let settings = Settings::resolve(dir.to_owned(), typed, true).map_err(usage)?;
    Ok(Settings { p2p: Vec::new(), http: Vec::new(), ..settings })
}

fn end(joined: Joined, dir: &Path, tried: &[String]) -> Result<(), Failure> {
    let dir = dir.display();
    match joined {
        Joined::Member => Ok(()),
        Joined::Refused(refused) => {
            Err(Failure::No(format!("{refused}; then join with another directory, or delete {dir} first")))
        }
        Joined::Unreachable => Err(Failure::CouldNotTell(format!(
            "the inviting node did not answer yet at {}; `lattice run --dir {dir}` goes on trying",
            visible(&tried.join(", "))
        ))),
    }
}

fn ticket_text(typed: &str) -> Result<String, Failure> {
    if typed != "-" {
        return Ok(typed.to_owned());
    }
    let mut text = String::new();
    // Base64 takes four characters for three bytes; anything longer is no ticket.
    let read = std::io::stdin().take(2 * TICKET_BYTES_MAX as u64).read_to_string(&mut text);
    read.map_err(|error| usage(format!("standard input: {error}")))?;
    Ok(text)
}

fn tell(made: &Made, lattice_name: &str, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    if json {
        writeln!(out, "{}", as_json(made))?;
    } else if made.joined {
        let dir = made.dir.display();
        writeln!(
            out,
            "joined lattice {}; start the node with `lattice run --dir {dir}`",
            named_lattice(lattice_name, &made.lattice_id)
        )?;
    }
    Ok(())
}
