//! `lattice delete`: deletes an entry; a tombstone stays.

use reqwest::Method;

use super::client::{Client, entry_path};
use super::exit::Failure;
use super::put;
use super::target::Target;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key
    key: String,
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let receipt = client.ask(client.write(Method::DELETE, &entry_path(&args.key), None)).await?;
    put::tell(&receipt, &args.key, args.json)
}
