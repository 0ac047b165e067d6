//! `lattice proof`: fetches from a running node what proves a fact to people who trust nobody.

use std::io::Write;
use std::path::PathBuf;

use lattice::bundle::Bundle;
use lattice::ids::CommitId;
use lattice::log::proof::Proof;

use super::client::{Client, ClientError, encoded};
use super::exit::{Failure, usage};
use super::target::Target;
use super::whole;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Proves the value of a key at the node's last checkpoint
    Entry {
        /// The key
        key: String,
        #[command(flatten)]
        how: How,
    },
    /// Proves that a key has no value at the node's last checkpoint
    Absence {
        /// The key
        key: String,
        #[command(flatten)]
        how: How,
    },
    /// Proves that the node applied a commit
    Commit {
        /// The commit, 64 hexadecimal digits
        id: CommitId,
        /// Index of the log record that names it, if that is not one of the newest
        #[arg(long, value_name = "INDEX")]
        record: Option<u64>,
        #[command(flatten)]
        how: How,
    },
    /// Proves that a record is in the node's log (a C2SP tlog-proof)
    Log {
        /// Index of the record, from 0
        index: u64,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, clap::Args)]
struct How {
    /// Writes to this file, which appears once it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (path, is_bundle, how) = match args.what {
        What::Entry { key, how } => (format!("/api/v1/proof/entry?key={}", encoded(&key)), true, how),
        What::Absence { key, how } => (format!("/api/v1/proof/absence?key={}", encoded(&key)), true, how),
        What::Commit { id, record: None, how } => (format!("/api/v1/proof/commit/{id}"), true, how),
        What::Commit { id, record: Some(record), how } => {
            (format!("/api/v1/proof/commit/{id}?record={record}"), true, how)
        }
        What::Log { index, how } => (format!("/api/v1/proof/log/{index}"), false, how),
    };
    if let Some(file) = how.output.as_ref().filter(|file| file.is_dir()) {
        return Err(usage(format!("{} is a directory; name a file", file.display())));
    }
    let client = Client::of(&how.target)?;
    // The node may wait for its next checkpoint.
    let bytes = client.bytes(client.stream(&path)).await?;
    let bad = |why: String| Failure::from(ClientError::BadAnswer(format!("the node's answer is no proof: {why}")));
    if is_bundle {
        Bundle::parse(&bytes).map_err(|error| bad(error.to_string()))?;
    } else {
        Proof::parse(&bytes).map_err(|error| bad(error.to_string()))?;
    }
    match how.output {
        Some(file) => {
            whole::write(&file, &bytes)?;
            eprintln!("wrote {}; check it with `lattice verify {} --policy POLICY`", file.display(), file.display());
            Ok(())
        }
        None => Ok(std::io::stdout().write_all(&bytes)?),
    }
}
