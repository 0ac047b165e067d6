//! `lattice seat`: orders to the node of a directory, by its admin socket.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use node_core::seat::timing::Timing;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::exit::{Failure, usage};
use super::quarantine;
use super::target::Directory;
use super::text;
use crate::api::problem::ProblemView;
use crate::seat::admin::SOCKET;
use crate::seat::quarantine::QuarantineView;
use crate::seat::settling::Approved;
use crate::seat::status::SeatStatus;
use crate::view::SeatTermView;

/// Longest time for an order: a switchover waits for its end, which takes its time on slow networks.
const TIMEOUT: Duration = Duration::from_secs(120);

const _: () = assert!(Timing::WAN.moved_ms() < TIMEOUT.as_secs() * 1_000, "the node says first that it takes too long");

const NO_SEAT: &str = "no seat yet; an operator creates it with `lattice seat create`";

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

/// Nodes are named by their author keys, or by their names where only one member has it.
#[derive(Debug, Subcommand)]
enum Order {
    /// Shows who holds the seat, and what would be lost if the holder died now
    Status,
    /// Founds the seat: names holder, shadow, spares and voters; for an operator
    Create(Settlement),
    /// Settles the next term over the voters' heads, the old holder being off; for operators
    Settle {
        #[command(flatten)]
        settlement: Settlement,
        /// The last number in the old holder's chain that counts; by default the last that this node knows of
        #[arg(long)]
        cut: Option<u64>,
        /// The number of the term; by default above all that the voters that answer are bound to
        #[arg(long)]
        term: Option<u64>,
        #[command(flatten)]
        extent: Deposing,
    },
    /// Adds this operator's signature to that of others
    Approve {
        /// A file that `create`, `settle` or `approve` wrote
        file: PathBuf,
        /// Only writes the signed note here; without it the term is settled if enough have signed
        #[arg(short, long)]
        output: Option<PathBuf>,
        #[command(flatten)]
        extent: Deposing,
    },
    /// Writes a term into the state that enough operators have signed
    Promote {
        /// A file with an operator's signature; repeatable
        #[arg(long = "approve", required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        extent: Deposing,
    },
    /// Hands the seat to the shadow; for the holder
    Switchover,
    /// Lets nobody take over for a while, or until it restarts; for the shadow, whose pause is the one that counts
    Pause {
        /// Minutes
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Ends a pause
    Resume,
    /// Names another shadow and other spares; for the holder
    Mirrors {
        /// The shadow
        #[arg(long)]
        shadow: String,
        /// A spare; repeatable, in the order in which they follow
        #[arg(long = "spare")]
        spares: Vec<String>,
    },
    /// Goes on without a shadow: a takeover could lose writes then; for the holder
    Degrade,
    /// Lists all terms, and who settled each
    History {
        /// Checks each certificate against the one before, and says which does not hold
        #[arg(long)]
        verify: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Settlement {
    /// Who holds it
    #[arg(long)]
    holder: String,
    /// Who stands by
    #[arg(long)]
    shadow: Option<String>,
    /// A further mirror; repeatable, in the order in which they follow
    #[arg(long = "spare")]
    spares: Vec<String>,
    /// Who votes, at least three: names separated by commas
    #[arg(long, value_delimiter = ',')]
    voters: Vec<String>,
    /// Why, in one line
    #[arg(long)]
    reason: Option<String>,
    /// Only writes the signed note here, for other operators to approve and one to promote; without it the term is settled if
    /// enough have signed
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, clap::Args)]
struct Deposing {
    /// Settles the term even while a node holds the seat; what that one acknowledged and the cut does not know of is cut
    #[arg(long)]
    depose: bool,
}

/// Silence of the holder after which its mirror is not well: a takeover, which has ended by then.
const HOLDER_SILENT_MS: u64 = 30_000;

/// The admin socket of a node's directory.
pub(super) struct Admin {
    http: reqwest::Client,
    path: PathBuf,
}

impl Admin {
    pub(super) fn of(directory: &Directory) -> Result<Self, Failure> {
        let path = directory.path()?.join(SOCKET);
        if !path.exists() {
            let why = format!("{} is not there: is the node running, and is this its directory?", path.display());
            return Err(Failure::CouldNotTell(why));
        }
        let http = reqwest::Client::builder().unix_socket(path.clone()).no_proxy().tls_certs_only([]).timeout(TIMEOUT);
        let http =
            http.build().map_err(|error| Failure::CouldNotTell(format!("can't make an HTTP client: {error}")))?;
        Ok(Self { http, path })
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, Failure> {
        let request = self.http.request(method, format!("http://admin{path}"));
        let request = if let Some(body) = body {
            request.body(body.to_string()).header("content-type", "application/json")
        } else {
            request
        };
        let lost = |error: reqwest::Error| {
            let cause = crate::net::address::cause(&error);
            Failure::CouldNotTell(format!("{}: {cause}", self.path.display()))
        };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(lost)?;
        if !status.is_success() {
            let detail = serde_json::from_slice::<ProblemView>(&bytes).map(|problem| problem.detail);
            let words = detail.unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned());
            let is_mistyped = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
            return Err(if is_mistyped { Failure::Usage(words) } else { Failure::No(words) });
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::CouldNotTell(format!("the node's answer: {error}")))
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }
}

/// How a mirror gets on, which serves no API: in words, or why it is not well. `None` if the node mirrors nothing.
pub(super) async fn mirroring(directory: &Directory) -> Result<Option<Result<String, String>>, Failure> {
    let seat = Admin::of(directory)?.get::<SeatStatus>("/seat").await?;
    let role = seat.role;
    if !matches!(role.as_str(), "shadow" | "spare") {
        return Ok(None);
    }
    let following = seat.lag.first().filter(|lag| !lag.is_seeding && lag.silent_ms < HOLDER_SILENT_MS);
    Ok(Some(match following {
        Some(lag) => Ok(format!("{role}, {} records behind the holder", lag.records)),
        None => Err(format!("{role} does not follow the holder yet")),
    }))
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let admin = Admin::of(&args.directory)?;
    let json = args.json;
    let nothing = || json!({});
    match args.order {
        Order::Status => {
            let status = admin.get::<SeatStatus>("/seat").await?;
            let quarantine = admin.get::<QuarantineView>("/quarantine/size").await?;
            tell(&status, json, |status| {
                let warning = quarantine::warning(&quarantine).map(|words| format!("quarantine {words}"));
                status_lines(status).into_iter().chain(warning).collect()
            })?;
        }
        Order::Create(settlement) => {
            settle(&admin, "/seat/create", settlement, (None, None), Deposing::default(), json).await?;
        }
        Order::Settle { settlement, cut, term, extent } => {
            settle(&admin, "/seat/settle", settlement, (cut, term), extent, json).await?;
        }
        Order::Approve { file, output, extent } => {
            let notes = json!({ "notes": [read(&file)?], "only_signs": output.is_some(), "deposes": extent.depose });
            let approved: Approved = admin.post("/seat/approve", notes).await?;
            tell_approved(&approved, output.as_deref(), json)?;
        }
        Order::Promote { files, extent } => {
            let notes = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
            let notes = json!({ "notes": notes, "deposes": extent.depose });
            let approved: Approved = admin.post("/seat/promote", notes).await?;
            tell_approved(&approved, None, json)?;
            if !approved.is_settled {
                return Ok(ExitCode::from(1));
            }
        }
        Order::Switchover => tell(&admin.post::<SeatStatus>("/seat/switchover", nothing()).await?, json, status_lines)?,
        Order::Pause { minutes } => {
            let paused = admin.post::<SeatStatus>("/seat/pause", json!({ "seconds": minutes.saturating_mul(60) }));
            tell(&paused.await?, json, |status| vec![paused_line(status, minutes)])?;
        }
        Order::Resume => tell(&admin.post::<SeatStatus>("/seat/resume", nothing()).await?, json, status_lines)?,
        Order::Mirrors { shadow, spares } => {
            let typed = json!({ "shadow": shadow, "spares": spares });
            tell(&admin.post::<SeatStatus>("/seat/mirrors", typed).await?, json, status_lines)?;
        }
        Order::Degrade => tell(&admin.post::<SeatStatus>("/seat/degrade", nothing()).await?, json, status_lines)?,
        Order::History { verify } => {
            let history: Vec<SeatTermView> = admin.get("/seat/history").await?;
            tell(&history, json, |history| match history.as_slice() {
                [] => vec![NO_SEAT.to_owned()],
                history => history.iter().map(|term| term_line(term, verify)).collect(),
            })?;
            if verify && history.iter().any(|term| !term.holds) {
                return Ok(ExitCode::from(1));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn settle(
    admin: &Admin,
    path: &str,
    typed: Settlement,
    (cut, term): (Option<u64>, Option<u64>),
    extent: Deposing,
    json: bool,
) -> Result<(), Failure> {
    let Settlement { holder, shadow, spares, voters, reason, output } = typed;
    let body = json!({ "holder": holder, "shadow": shadow, "spares": spares, "voters": voters, "cut": cut, "term": term,
        "reason": reason, "only_signs": output.is_some(), "deposes": extent.depose });
    let approved: Approved = admin.post(path, body).await?;
    tell_approved(&approved, output.as_deref(), json)
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| usage(format!("{}: {error}", file.display())))
}

fn tell_approved(approved: &Approved, output: Option<&Path>, json: bool) -> Result<(), Failure> {
    if let Some(output) = output {
        std::fs::write(output, &approved.note).map_err(|error| usage(format!("{}: {error}", output.display())))?;
    }
    tell(approved, json, |approved| {
        let Approved { note, approvals, needed, is_settled } = approved;
        let mut lines = vec![match is_settled {
            true => format!("settled: {approvals} of {needed} operators that are needed signed"),
            false if approvals < needed => format!(
                "{approvals} of {needed} operators that are needed signed; let others `lattice seat approve` it"
            ),
            false => format!(
                "{approvals} of {needed} operators that are needed signed; `lattice seat promote --approve FILE` settles it"
            ),
        }];
        if output.is_none() && !is_settled {
            lines.push(note.trim_end().to_owned());
        }
        lines
    })
}

pub(super) fn tell<T: serde::Serialize>(
    facts: &T,
    json: bool,
    lines: impl FnOnce(&T) -> Vec<String>,
) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    if json {
        return Ok(writeln!(out, "{}", text::as_json(facts))?);
    }
    for line in lines(facts) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn paused_line(status: &SeatStatus, minutes: u64) -> String {
    let shadow = status.shadow.as_ref().map(|shadow| status.names.get(shadow).unwrap_or(shadow));
    match (status.role.as_str(), shadow) {
        ("holder", Some(shadow)) => format!(
            "paused for {minutes} minutes: this holder changes its mirrors by order alone; {shadow} may still take over, unless it \
             is paused there"
        ),
        _ => format!("paused for {minutes} minutes; it ends by itself"),
    }
}

fn status_lines(status: &SeatStatus) -> Vec<String> {
    let Some(seat) = &status.seat else {
        return vec![NO_SEAT.to_owned()];
    };
    let none = || "none".to_owned();
    let named = |author: &String| match status.names.get(author) {
        Some(name) => format!("{name} {author}"),
        None => author.clone(),
    };
    let spares: Vec<_> = status.spares.iter().map(named).collect();
    let mut lines = vec![
        format!("seat      {seat}, term {}", status.term),
        // What was so when the term began may be so no more.
        format!("last change: {}", status.reason),
        format!("holder    {}", status.holder.as_ref().map_or_else(none, named)),
        format!("shadow    {}", status.shadow.as_ref().map_or_else(none, named)),
        format!("spares    {}", if spares.is_empty() { none() } else { spares.join(", ") }),
        format!("here      {}, {}", status.role, status.doing),
        format!("log       {} records, {} commits staged", status.log_size, status.staged),
    ];
    if status.paused_ms > 0 {
        lines.push(format!("paused    this node takes nothing over for another {} s", status.paused_ms.div_ceil(1000)));
    }
    for lag in &status.lag {
        let seeding = if lag.is_seeding { ", being seeded" } else { "" };
        lines.push(format!(
            "mirror    {}: {} records and {} bytes behind, level {} ms ago, heard {} ms ago{seeding}",
            status.names.get(&lag.mirror).map_or(&lag.mirror[..8.min(lag.mirror.len())], String::as_str),
            lag.records,
            lag.bytes,
            lag.behind_ms,
            lag.silent_ms
        ));
    }
    lines.extend(status.takeover.iter().map(|takeover| format!("if it dies {takeover}")));
    lines.extend(status.last_alarm.iter().map(|alarm| {
        let ago = crate::clock::now_ms().saturating_sub(alarm.time_ms) / 1000;
        format!("alarm     {ago} s ago: {}", alarm.what)
    }));
    lines
}

fn term_line(term: &SeatTermView, verify: bool) -> String {
    let held = match (verify, term.holds) {
        (false, _) => "",
        (true, true) => " [holds]",
        (true, false) => " [DOES NOT HOLD]",
    };
    let shadow = term.shadow.as_deref().map_or("none", |shadow| &shadow[..8.min(shadow.len())]);
    format!(
        "term {} holder {} shadow {shadow} cut {} by {} ({} signatures): {}{held}",
        term.term,
        &term.holder[..8.min(term.holder.len())],
        term.cut,
        term.warrant,
        term.signatures,
        term.reason
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_the_term_changed_is_not_said_as_if_it_were_so_now() {
        let reason = "no lease runs, and the holder is suspected";
        let status = SeatStatus { seat: Some("green".into()), term: 2, reason: reason.into(), ..SeatStatus::default() };
        let lines = status_lines(&status);
        assert_eq!(lines[..2], ["seat      green, term 2".to_owned(), format!("last change: {reason}")]);
    }
}
