//! `lattice audit`: follows nodes from outside, or looks through a stopped node's files, and believes neither.
//!
//! # Reading order
//!
//! 1. [`finding`]: what can be found, and when it is an alarm. [`growth`], [`story`]: the judgements, pure.
//! 2. [`known`]: what is remembered. [`fetch`], [`look`]: one look at all nodes. [`hearsay`]: what they hold of others.
//!    [`forks`]: evidence against logs. [`standstill`]: whether a log goes on with its state. [`follow`]: one look after the
//!    other, its [`course`], and all [`said`] in words.
//! 3. [`deep`]: every record and every entry of a node, and how far it came. [`database`]: every row of a stopped one.
//! 4. [`notify`], [`gauges`]: whom it is told.

mod course;
pub(super) mod database;
mod deep;
mod fetch;
mod finding;
mod follow;
mod forks;
mod gauges;
mod growth;
mod hearsay;
mod known;
mod look;
mod notify;
mod said;
mod standstill;
mod story;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit::{Failure, usage};
use super::policy;
use crate::api::auth::ApiToken;
use fetch::Fetch;
use finding::{Suspicions, Waits};
use follow::{Follow, Pace};
use known::Known;
use look::Auditor;
use notify::Listeners;

/// What is looked at, for `--help`.
const HELP: &str = "\
At each look every node is asked for its checkpoint and its head, and for what it holds of others: evidence of forks, and
the checkpoints that it knows of. An alarm is one word and a sentence:
  fork         two checkpoints of one log contradict each other; a file that proves it is written, and it is never over
  rollback     the log is shorter than it was           other-log    another log stands where one was
  no-proof     growth is not shown                      wrong-proof  a proof given for it is wrong
  signature    a signature does not hold                unknown-log  the policy does not name the log
  quorum       too few cosignatures, for --grace        withheld     more was signed than is shown, for --grace
  stale        the head is older than --max-age or dated ahead, or the state changes and the log does not, for --max-age
  silent       no answer, for --max-age
  divergence   equal frontiers and different roots      apart        different roots that stay, for --max-age
  other-node   a node shows the log of another          unreadable   an answer is not what it should be
  records      (--deep) records don't give the root     state        (--deep) entries don't give what the log says
  tiles        (--deep) tiles are not the records'      unsaved      --state can't be written: a trouble of the auditor

--deep reads every record and, with --token-file, every entry with its commit, once of each node: at the start, or when it
first answers. Cut short (Ctrl-C, SIGKILL, a node that went away), the next run with the same --state goes on behind the
records that were hashed, and says at which; entries are read from the first again, and what was read to the end is read
anew by the next --deep. How far it came is written down each second: the tree's edge there, the checkpoint that the log
signed over it, and the proof that the one begins with the other. The next run checks signature and proof (a file that was
damaged or altered is refused), and that the checkpoint of now begins with the one of then (one that contradicts it is a
fork). What --state is trusted for: that the records below the edge were read and in order, and which tiles were not. Whoever
can write the file can have records skipped, so keep it where no node can; a run without it trusts nothing. Bytes that are
altered on a node behind the auditor's back, with the tree left as it is, are found by the next reading from the first on.

With --db it reads a stopped node's directory: every row that a hash or a signature binds. What nothing binds,
and no audit can find:
  rows of witnessed, forks, equivocations, quarantine, invitations, answers, staged, deposed and ballot that are gone, and
  of chains of which no commit is stored (other nodes may still tell of them);
  invitations.secret_hash and created_ms, answers.name, request_hash, of_seat, term and seq, forks.found_ms, the ids of quarantine and answers,
  quarantine.is_dismissed, run times in _sqlx_migrations; number and time in answers whose commit is gone; `first` and `prev` of runs in chains
  whose commit is no longer stored; records behind the last checkpoint beyond what their neighbours say;
  commits.first_entry and span, records.last_entry, as far as the entries that they spoke of are gone; staged.name, the
  client's name for a write, which no signature has; of the seat's log, behind its last full tile: records that this node
  copied while it was being seeded, beyond what their neighbours say, and the time of those with which a holder began.
SQLite's own integrity_check runs over the file as well. Evidence that the node holds against others is said, and no flaw.

A webhook and a program get each alarm when it begins and again when it is over, as JSON: \"event\" is alarm or over. An alarm
about a node that does not answer now is not over.

Exit codes: 0 all well, 1 an alarm (while following: one at least, at any time), 2 wrong usage (also a --state file that is
damaged or in use), 3 could not tell (a node did not answer, while following never; records or entries could not be read to
the end; or --state could not be written at last).";

#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// Nodes to audit: http://HOST:PORT or https://HOST
    #[arg(value_name = "URL", required_unless_present = "db", conflicts_with = "db")]
    urls: Vec<String>,
    /// Whom to believe: a policy (C2SP tlog-policy), from a source that you trust
    #[arg(long, value_name = "FILE", required_unless_present = "db")]
    policy: Option<PathBuf>,
    /// Looks once and ends
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// Remembers here, between runs, which checkpoints were seen and how far --deep came; evidence is written beside it.
    /// One auditor at a time
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Seconds for which cosignatures may be missing, and for which heads may contradict each other
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    grace: u64,
    /// Seconds for which a node may be silent, its head old, or states apart
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    max_age: u64,
    /// Reads every record, and with --token-file every entry, and hashes all of it again
    #[arg(long)]
    deep: bool,
    /// File with the nodes' read token (read.token), to read their whole state with --deep
    #[arg(long, value_name = "FILE", requires = "deep", conflicts_with = "db")]
    token_file: Option<PathBuf>,
    /// Audits the directory of a stopped node instead; needs --deep
    #[arg(long, value_name = "DIR", requires = "deep")]
    db: Option<PathBuf>,
    /// Prints JSON: one object with --once and --db, else one a line
    #[arg(long)]
    json: bool,
    /// Sends each alarm there as JSON (POST) when it begins, and again when it is over
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    webhook: Option<String>,
    /// Shows figures to Prometheus at http://IP:PORT/metrics
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["db", "once"])]
    metrics: Option<SocketAddr>,
    /// Runs this program when an alarm begins and when it is over, with JSON on its standard input; all that follows are
    /// its arguments
    #[arg(long, value_names = ["PROGRAM", "ARGUMENT"], num_args = 1.., allow_hyphen_values = true, conflicts_with = "db")]
    on_alarm: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if let Some(dir) = &args.db {
        let policy = args.policy.as_deref().map(policy::read).transpose()?;
        return database::run(dir, policy.as_ref(), args.json).await;
    }
    let policy = args.policy.as_deref().ok_or_else(|| usage("--policy FILE is missing"))?;
    let policy = policy::read(policy)?;
    for url in args.urls.iter().chain(&args.webhook) {
        expect_url(url)?;
    }
    expect_different(&args.urls)?;
    let token = args.token_file.as_deref().map(token).transpose()?;
    if args.state.is_none() && !args.json {
        eprintln!("nothing is remembered after this run: name a file with --state");
    }
    let auditor = Auditor {
        known: Known::load(args.state, &policy)?,
        urls: args.urls,
        policy,
        fetch: Fetch::new().map_err(Failure::CouldNotTell)?,
        waits: Waits { grace_ms: args.grace * 1000, max_age_ms: args.max_age * 1000 },
        suspicions: Suspicions::default(),
        agreed: BTreeSet::new(),
    };
    let pace = if args.once { Pace::Once } else { Pace::Every { seconds: args.every } };
    let listeners = Listeners { webhook: args.webhook, program: args.on_alarm };
    Follow { auditor, pace, deep: args.deep.then_some(token), json: args.json }.run(listeners, args.metrics).await
}

fn expect_url(url: &str) -> Result<(), Failure> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(()),
        Some(_) | None => Err(usage(format!("{url:?} is no URL that can be asked: write http://HOST:PORT"))),
    }
}

/// A node that is named twice would be held against itself.
fn expect_different(urls: &[String]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    let mut same = urls.iter().filter(|url| {
        let plain = reqwest::Url::parse(url).map_or_else(|_| (*url).clone(), String::from);
        !seen.insert(plain.trim_end_matches('/').to_owned())
    });
    same.next().map_or(Ok(()), |url| Err(usage(format!("{url} is named twice; name each node once"))))
}

fn token(file: &std::path::Path) -> Result<ApiToken, Failure> {
    let bytes = policy::read_at_most(file, 4096)?;
    let bad = |why: String| usage(format!("token file {}: {why}", file.display()));
    let text = String::from_utf8(bytes).map_err(|_| bad("not text".to_owned()))?;
    ApiToken::from_text(&text).map_err(|error| bad(error.to_string()))
}
