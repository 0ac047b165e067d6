//! `lattice invite`: prints a ticket, one line, for one node.

use std::io::Write;

use reqwest::Method;

use super::client::Client;
use super::exit::Failure;
use super::target::Target;
use super::text::as_json;
use crate::api::invitations::Invitation;

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
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", as_json(&invitation))?;
    } else {
        writeln!(out, "{}", invitation.ticket)?;
    }
    Ok(())
}
