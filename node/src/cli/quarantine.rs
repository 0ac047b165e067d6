//! `lattice quarantine`: what cuts took away at a node, shown, written again, dismissed.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::exit::Failure;
use super::seat::{Admin, tell};
use super::target::Directory;
use super::text::{as_json, counted, excerpt, visible};
use crate::seat::quarantine::{
    ListedView, Now, OperationView, QuarantinePage, QuarantineView, QuarantinedView, Resubmitted, is_id_prefix,
};

/// Keys that a line of the list names; `show` names all.
const LINE_KEYS_MAX: usize = 4;

/// Characters of a key or value that a line shows; `--json` has them whole.
const KEY_CHARS_MAX: usize = 80;
const VALUE_CHARS_MAX: usize = 400;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    directory: Directory,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Lists what cuts took away here: what was in the state, and what was only staged; each with the oldest first
    List,
    /// Shows one of them with its values, and what stands at its keys now
    Show(Named),
    /// Writes one of them again, the seat's keys at whoever holds it now, and takes it off the list here
    Resubmit {
        #[command(flatten)]
        named: Named,
        /// Also over what was written since
        #[arg(long)]
        overwrite: bool,
    },
    /// Takes one of them off the list; what was only staged is gone then
    Drop(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The commit, or the first digits of it, eight at least
    #[arg(value_parser = id_prefix)]
    commit: String,
}

fn id_prefix(typed: &str) -> Result<String, String> {
    if is_id_prefix(typed) { Ok(typed.to_owned()) } else { Err("8 to 64 hexadecimal digits".to_owned()) }
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let admin = Admin::of(&args.directory)?;
    let json = args.json;
    match args.order {
        Order::List => list(&admin, json).await?,
        Order::Show(Named { commit }) => {
            let found: QuarantinedView = admin.get(&format!("/quarantine/{commit}")).await?;
            tell(&found, json, |found| {
                let head = visible(&format!(
                    "{} by {}, at {} ms",
                    line(&found.listed),
                    found.listed.author,
                    found.listed.time_ms
                ));
                std::iter::once(head).chain(found.operations.iter().map(operation_line)).collect()
            })?;
        }
        Order::Resubmit { named: Named { commit }, overwrite } => {
            let order = json!({ "overwrite": overwrite });
            let again: Resubmitted = admin.post(&format!("/quarantine/{commit}/resubmit"), order).await?;
            tell(&again, json, |again| match &again.commits[..] {
                [] => vec!["everything that it wrote stands there already".to_owned()],
                commits => vec![visible(&format!("written again as {}", commits.join(" ")))],
            })?;
        }
        Order::Drop(Named { commit }) => {
            let dropped: String = admin.post(&format!("/quarantine/{commit}/drop"), json!({})).await?;
            tell(&dropped, json, |dropped| vec![visible(&format!("dropped {dropped}"))])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Page by page: nobody knows how much a cut took away.
async fn list(admin: &Admin, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let (mut after, mut separator) = (String::new(), "");
    if json {
        write!(out, "[")?;
    }
    loop {
        let page: QuarantinePage = admin.get(&format!("/quarantine{after}")).await?;
        for commit in &page.commits {
            if json {
                write!(out, "{separator}{}", as_json(commit))?;
            } else {
                writeln!(out, "{}", line(commit))?;
            }
            separator = ",\n";
        }
        let Some(next) = page.next else { break };
        after = format!("?after={next}");
    }
    if json {
        writeln!(out, "]")?;
    }
    Ok(())
}

fn line(one: &ListedView) -> String {
    let kind = if one.was_in_state { "was in the state" } else { "was only staged" };
    let keys = one.keys.iter().take(LINE_KEYS_MAX).map(|key| excerpt(key, KEY_CHARS_MAX)).collect::<Vec<_>>().join(" ");
    let more = one.keys.len().saturating_sub(LINE_KEYS_MAX) as u64;
    let more = if more > 0 { format!(" and {} more", counted(more, "key", "keys")) } else { String::new() };
    format!("{} {kind}, term {} number {}: {keys}{more}", visible(&one.commit), one.term, one.seq)
}

fn operation_line(op: &OperationView) -> String {
    let key = excerpt(&op.key, KEY_CHARS_MAX);
    let what = match (&op.value, &op.value_base64) {
        (Some(text), _) => format!("put {key} = {}", excerpt(text, VALUE_CHARS_MAX)),
        (None, Some(encoded)) => format!("put {key} = (base64 {})", excerpt(encoded, VALUE_CHARS_MAX)),
        (None, None) => format!("delete {key}"),
    };
    let now = match op.now {
        Now::Same => "the same",
        Now::Absent => "nothing",
        Now::Older => "another value, from before",
        Now::Newer => "another value, written since",
        Now::Deleted => "nothing: deleted since",
    };
    format!("  {what}\n    there now: {now}")
}

/// What `status` says of a quarantine that is not empty.
pub(super) fn warning(size: &QuarantineView) -> Option<String> {
    let QuarantineView { entries, staged_commits } = *size;
    let kinds = [
        (
            entries,
            counted(entries, "entry that a cut took out of the state", "entries that a cut took out of the state"),
        ),
        (staged_commits, counted(staged_commits, "commit that was only staged", "commits that were only staged")),
    ];
    let kinds: Vec<_> = kinds.into_iter().filter(|(number, _)| *number > 0).map(|(_, words)| words).collect();
    (!kinds.is_empty()).then(|| format!("{}; see `lattice quarantine list`", kinds.join(", ")))
}
