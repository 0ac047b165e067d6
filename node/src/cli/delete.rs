//! `lattice delete`: deletes an entry; a tombstone stays.

use reqwest::Method;

use super::client::Client;
use super::conditions::Conditions;
use super::exit::Failure;
use super::put;
use super::target::Target;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key
    key: String,
    #[command(flatten)]
    conditions: Conditions,
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let request = client.write(Method::DELETE, &args.conditions.path(&args.key), None);
    let receipt = client.ask(args.conditions.on(request)).await?;
    // What is deleted has no version that a condition could name.
    put::tell(&receipt, None, &args.key, args.json)
}
