//! `lattice policy`: whose logs and cosignatures count, as the running node sees its lattice.

use std::io::Write;
use std::path::Path;

use lattice::log::policy::{POLICY_BYTES_MAX, Policy};

use super::client::{Client, ClientError};
use super::exit::{Failure, usage};
use super::target::Target;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Prints the policy of the node's lattice (C2SP tlog-policy), for `lattice verify` and `lattice audit`
    ///
    /// Whoever relies on it compares it with what other members print: a node that lies about its log can lie about
    /// keys as well.
    Show {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let What::Show { target } = args.what;
    let client = Client::of(&target)?;
    let bytes = client.bytes(client.get("/api/v1/policy")).await?;
    Policy::parse(&bytes)
        .map_err(|error| ClientError::BadAnswer(format!("the node's answer is no policy: {error}")))?;
    Ok(std::io::stdout().write_all(&bytes)?)
}

/// Reads the policy that somebody typed the name of.
///
/// # Errors
///
/// [`Failure::Usage`] if it can't be read or is none.
pub(super) fn read(file: &Path) -> Result<Policy, Failure> {
    let bytes = read_at_most(file, POLICY_BYTES_MAX)?;
    Policy::parse(&bytes).map_err(|error| usage(format!("policy {}: {error}", file.display())))
}

/// Reads a file that has no reason to be longer.
///
/// # Errors
///
/// [`Failure::Usage`] if it can't be read, or is longer.
pub(super) fn read_at_most(file: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    use std::io::Read;

    let failed = |error: std::io::Error| usage(format!("{} can't be read: {error}", file.display()));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err(usage(format!("{} is longer than the {bytes_max} bytes that such a file has", file.display())));
    }
    Ok(bytes)
}
