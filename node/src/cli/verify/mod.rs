//! `lattice verify`: judges a proof offline, by a policy and nothing else. No node, no network, no key out of the file.

mod judge;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use lattice::bundle::BUNDLE_BYTES_MAX;

use super::exit::{Failure, conclude};
use super::{policy, text};
use judge::Verdict;

/// What the exit codes mean, for `--help`.
const EXIT_CODES: &str = "\
Exit codes: 0 proven, 1 refuted, 2 wrong usage (no file, no policy, no kind of proof), 3 could not tell (the policy does
not know the log, or its quorum is not reached).";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// A proof bundle, a tlog-proof of one record, or fork evidence
    file: PathBuf,
    /// Whom to believe: a policy (C2SP tlog-policy), from a source that you trust
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let policy = policy::read(&args.policy)?;
    // The longest of the three kinds.
    let bytes = policy::read_at_most(&args.file, BUNDLE_BYTES_MAX)?;
    let verdict = judge::judge(&bytes, &policy)
        .map_err(|unknown| Failure::Usage(format!("{} holds no proof: {unknown}", args.file.display())))?;
    let text = if args.json { format!("{}\n", text::as_json(&told::json(&verdict))) } else { told::words(&verdict) };
    let code = match verdict {
        Verdict::Proven(_) => 0,
        Verdict::Refuted(_) => 1,
        Verdict::Undecided(_) => 3,
    };
    conclude(&text, code)
}
