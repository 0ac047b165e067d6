//! `lattice doctor`: looks at a node from all sides, and says what is wrong and what to do.
//!
//! `finding`: what a look gives. `directory`: its files. `running`: its answers.

mod directory;
mod finding;
mod running;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::client::{Client, ClientError};
use super::exit::{Failure, usage};
use super::seat::mirroring;
use super::target::Target;
use super::text::as_json;
use finding::{Finding, Level, code};

const HELP: &str = "\
DIR is looked at whether its node runs or not: key, genesis, permissions, settings, lock, free disk, marks of an older or
lost database, form of the database; of a stopped node also every row, hashed again (--quick leaves that out). A running
node, in DIR or at URL, is asked what it says of itself and of its peers: readiness, writes, divergence, its log and who
cosigns it, forks, the seat and its shadow, clocks, and who can't be reached.

Each finding is one of: ok, note (works, and somebody should know), ? (could not be looked at), WRONG; with -> what to do.

Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage, 3 something could not be looked at and nothing else is wrong.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The node's directory, or the URL of its API (http://HOST:PORT)
    #[arg(value_name = "DIR|URL")]
    node: String,
    /// File with the node's API token, which some nodes ask of their readers [default: api.token in the directory]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Does not hash the rows of a stopped node again
    #[arg(long)]
    quick: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let is_url = args.node.contains("://");
    let mut findings = Vec::new();
    let target = if is_url {
        if !args.node.starts_with("http://") {
            let why =
                "is not a URL that can be asked: write http://HOST:PORT (for TLS, put a proxy or a tunnel before it)";
            return Err(usage(format!("{} {why}", args.node)));
        }
        Some(Target::at(args.node.clone()))
    } else {
        let dir = PathBuf::from(&args.node);
        // What this user may not look at is said as a finding.
        let is_closed = dir.metadata().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        if !dir.is_dir() && !is_closed {
            return Err(usage(format!(
                "{} is no directory; name that of a node, or the URL of its API",
                dir.display()
            )));
        }
        let (found, is_running) = directory::look(&dir, args.quick).await;
        findings = found;
        is_running.then(|| Target::in_directory(Path::new(&dir)))
    };
    if let Some(target) = target {
        findings.extend(match ask(&target.with_token_file(args.token_file.clone())).await {
            // Nobody typed it wrong: it is the token in the directory.
            Err(Failure::Usage(why)) if !is_url && args.token_file.is_none() => {
                vec![Finding::unknown("answers", why, "the node is asked with that token; restore it")]
            }
            asked => asked?,
        });
    }
    let code = code(&findings);
    let text = if args.json { format!("{}\n", as_json(&object(&findings))) } else { Finding::lines(&findings) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(code))
}

async fn ask(target: &Target) -> Result<Vec<Finding>, Failure> {
    let client = match Client::of(target) {
        Ok(client) => client,
        Err(Failure::CouldNotTell(why)) => return Ok(vec![mirror(target).await.unwrap_or_else(|| silent(why))]),
        Err(error) => return Err(error),
    };
    let status = client.ask(client.get("/api/v1/status")).await;
    let peers = client.ask(client.get("/api/v1/peers")).await;
    Ok(match (status, peers) {
        (Ok(status), Ok(peers)) => running::judge(&status, &peers),
        (Err(error), _) | (_, Err(error)) => vec![mirror(target).await.unwrap_or_else(|| unanswered(error))],
    })
}

fn unanswered(error: ClientError) -> Finding {
    if let ClientError::Refused { status: 401, detail, .. } = error {
        return Finding::unknown("answers", detail, "give --token-file FILE, a file with that token");
    }
    silent(error.to_string())
}

/// A mirror of the seat serves no API; its admin socket tells how it gets on.
async fn mirror(target: &Target) -> Option<Finding> {
    let well = mirroring(target.directory()?).await.ok().flatten()?;
    Some(match well {
        Ok(words) => Finding::well("mirror", words),
        Err(why) => {
            Finding::wrong("mirror", why, "`lattice seat status` there, and at the holder, say what it waits for")
        }
    })
}

fn silent(why: String) -> Finding {
    Finding::unknown("answers", why, "a node that is still starting answers soon; else look at its log")
}

fn object(findings: &[Finding]) -> serde_json::Value {
    let verdict = match code(findings) {
        0 => "well",
        1 => "wrong",
        _ => "unknown",
    };
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    json!({ "verdict": verdict, "wrong": count(Level::Wrong), "notes": count(Level::Note), "findings": findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_asks_for_a_token_is_not_taken_for_one_that_is_starting() {
        let refused = |status| ClientError::Refused { status, detail: "no".to_owned(), retry_after_seconds: None };
        let cure = |error| unanswered(error).cure.expect("what to do");
        assert!(cure(refused(401)).contains("--token-file"));
        assert!(!cure(refused(503)).contains("--token-file"));
    }
}
