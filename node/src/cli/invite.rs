//! `lattice invite`: prints a ticket, one line, for one node.

use std::io::Write;

use lattice::ticket::Ticket;
use reqwest::Method;

use super::client::Client;
use super::exit::Failure;
use super::target::Target;
use super::text::as_json;
use crate::api::invitations::Invitation;
use crate::net::address::is_loopback;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let invitation: Invitation = client.ask(client.write(Method::POST, "/api/v1/invitations", None)).await?;
    if let Some(warning) = warning(&invitation.ticket) {
        eprintln!("lattice: {warning}");
    }
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", as_json(&invitation))?;
    } else {
        writeln!(out, "{}", invitation.ticket)?;
    }
    Ok(())
}

/// What keeps the ticket from being of use elsewhere.
fn warning(ticket: &str) -> Option<String> {
    let ticket: Ticket = ticket.parse().ok()?;
    let leads_here = |address: &String| address.parse().is_ok_and(|address| is_loopback(&address));
    ticket.addresses.iter().all(leads_here).then(|| {
        format!(
            "this ticket leads to this machine only ({}); for another machine, run the node with --p2p 0.0.0.0:4801 or \
             --external",
            ticket.addresses.join(", ")
        )
    })
}
