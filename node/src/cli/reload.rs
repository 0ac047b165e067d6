//! `lattice reload` and `lattice log`: orders to the node of a directory that change how it runs, not what it holds.

use std::io::Write;

use serde_json::json;

use super::exit::{Failure, usage};
use super::seat::Admin;
use super::target::Directory;
use super::text::{as_json, visible};
use crate::daemon::{LogView, ReloadView};
use crate::settings::log::LogFilter;

/// What changes without a new start, for `--help`.
const RELOADABLE: &str = "\
Taken on at once: log, peers, external, relays, nodes, http_url, checkpoint_ms, seat_no_shadow, on_seat_change. All others
need a new start; the answer says which and why. A file that can't be meant changes nothing. SIGHUP to the process does the same.

Exit codes: 0 all of it is in force, 1 something needs a new start or the file is bad, 2 wrong usage, 3 the node did not
answer.";

#[derive(Debug, clap::Args)]
#[command(after_help = RELOADABLE)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    directory: Directory,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// What is to be logged from now on until the next reload or start, such as "info,node::sync=debug"; without it, says
    /// what is logged now
    #[arg(value_name = "FILTER")]
    filter: Option<LogFilter>,
    #[command(flatten)]
    directory: Directory,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ReloadArgs) -> Result<(), Failure> {
    let view: ReloadView = Admin::of(&args.directory)?.post("/reload", json!({})).await?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", as_json(&view))?;
    } else {
        let taken = if view.taken.is_empty() { "nothing new".to_owned() } else { view.taken.join(" ") };
        writeln!(out, "taken on: {taken}")?;
    }
    match view.refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::No(visible(&view.refused.join("; ")))),
    }
}

pub(super) async fn run_log(args: LogArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.directory)?;
    let view: LogView = match &args.filter {
        None => admin.get("/log").await?,
        Some(filter) => {
            admin
                .post("/log", serde_json::to_value(LogView { filter: filter.as_str().to_owned() }).map_err(usage)?)
                .await?
        }
    };
    let text = if args.json { as_json(&view) } else { visible(&view.filter) };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
