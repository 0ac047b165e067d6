//! `lattice doctor`: looks at a node from all sides, and says what is wrong and what to do.
//!
//! `finding`: what a look gives. `directory`: its files. `running`: its answers.

mod directory;
mod finding;
mod running;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::exit::{Failure, usage};
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
        if !dir.is_dir() {
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
        findings.extend(ask(&target).await?);
    }
    let code = code(&findings);
    let text = if args.json { format!("{}\n", as_json(&object(&findings))) } else { Finding::lines(&findings) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(code))
}

async fn ask(target: &Target) -> Result<Vec<Finding>, Failure> {
    let client = match Client::of(target) {
        Ok(client) => client,
        Err(Failure::CouldNotTell(why)) => return Ok(vec![silent(why)]),
        Err(error) => return Err(error),
    };
    let status = client.ask(client.get("/api/v1/status")).await;
    let peers = client.ask(client.get("/api/v1/peers")).await;
    Ok(match (status, peers) {
        (Ok(status), Ok(peers)) => running::judge(&status, &peers),
        (Err(error), _) | (_, Err(error)) => vec![silent(error.to_string())],
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
