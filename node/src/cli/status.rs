//! `lattice status`: what a node says of itself, as a short block.

mod warning;

use std::io::Write;

use warning::Warning;

use super::client::{Client, ClientError};
use super::exit::Failure;
use super::seat::mirroring;
use super::target::Target;
use super::text::{as_json, counted, grouped, named_lattice, short, short_peer, span, table, visible};
use crate::api::facts::Wellbeing;
use crate::clock::now_ms;
use crate::view::{EquivocationView, HttpPeer, PeerCounts, ReconcileView, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON
    #[arg(long)]
    json: bool,
    /// Says only whether the node serves right answers now, or mirrors the seat's holder: 0 yes, 1 no
    #[arg(long, conflicts_with = "json")]
    ready: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if args.ready {
        return Ok(writeln!(std::io::stdout(), "{}", ready(&args.target).await?)?);
    }
    let client = Client::of(&args.target)?;
    let status: Status = client.ask(client.get("/api/v1/status")).await?;
    let text = if args.json { format!("{}\n", as_json(&status)) } else { block(&status) };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Why the node is well; a failure says why not.
async fn ready(target: &Target) -> Result<String, Failure> {
    let client = Client::of(target)?;
    let silent = match client.ask::<Wellbeing>(client.get("/ready")).await {
        Ok(Wellbeing { status }) => return Ok(status),
        Err(ClientError::Refused { detail, .. }) => return Err(Failure::No(detail)),
        Err(silent) => silent,
    };
    // A mirror of the seat serves no API; its admin socket tells how it gets on.
    let Some(directory) = target.directory() else { return Err(silent.into()) };
    match mirroring(directory).await? {
        Some(well) => well.map_err(Failure::No),
        None => Err(silent.into()),
    }
}

type Line = (&'static str, String);

fn block(status: &Status) -> String {
    let lines = facts(status).into_iter().chain(troubles(status));
    table(&lines.map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>())
}

/// What every node has to say.
fn facts(status: &Status) -> Vec<Line> {
    let running = format!("for {}, version {}", span(status.uptime_seconds), visible(&status.version));
    let mut lines = vec![
        ("node", format!("{} ({})", visible(&status.name), readiness(status))),
        ("lattice", named_lattice(&status.lattice_name, &status.lattice_id)),
        ("root", visible(&status.state_root)),
        ("entries", grouped(status.entries)),
        ("peers", peers(&status.peers)),
        ("members", grouped(status.members)),
        ("mode", mode(status)),
        ("log", log(status)),
        ("confirmed", confirmed(status)),
        ("seat", seat(status)),
        ("own commits", grouped(status.seq)),
        ("author", visible(&status.author)),
        ("peer id", visible(&status.peer_id)),
        ("running", running),
    ];
    lines.extend(status.addresses.iter().map(|address| ("listens on", visible(address))));
    lines.extend(status.http_peers.iter().map(|peer| ("http peer", http_peer(peer))));
    lines.extend(status.last_reconcile.as_ref().map(|last| ("reconcile", reconcile(last))));
    lines
}

/// How long the log is, and what is signed of it.
fn log(status: &Status) -> String {
    let records = counted(status.log_size, "record", "records");
    let checkpoint = &status.checkpoint;
    let by = counted(checkpoint.cosignatures, "other node", "other nodes");
    // The name of a log opened anew has a third part.
    let anew = if checkpoint.origin.matches('/').count() > 1 {
        format!(
            "; {}, since this node's database was older than what it had signed: auditors need the new policy beside the \
             old one",
            Warning::OpenedAnew.words()
        )
    } else {
        String::new()
    };
    match &checkpoint.withheld {
        Some(why) => {
            let (size, withheld) = (grouped(checkpoint.size), Warning::Withheld.words());
            visible(&format!("{records}, checkpoint of {size}; {withheld}: {why}"))
        }
        None if checkpoint.size == 0 => format!("{records}, not signed yet{anew}"),
        None => format!("{records}, checkpoint of {} cosigned by {by}{anew}", grouped(checkpoint.size)),
    }
}

/// The root that more than half of the members stated.
fn confirmed(status: &Status) -> String {
    match &status.confirmed_root {
        Some(root) if root.root == status.state_root => {
            format!("this root, stated by {} of {} members", root.by.len(), status.members)
        }
        Some(root) => {
            let (entries, by) = (counted(root.entries, "entry", "entries"), root.by.len());
            visible(&format!("root {} of {entries}, stated by {by} of {} members", short(&root.root), status.members))
        }
        None => "no root yet that more than half of the members stated".to_owned(),
    }
}

/// Who holds the seat, and what would be lost now.
fn seat(status: &Status) -> String {
    let seat = &status.seat;
    let (Some(name), Some(holder)) = (&seat.seat, &seat.holder) else { return "none".to_owned() };
    let mut parts = vec![format!("{name}, term {}, held by {}", seat.term, short(holder))];
    match &seat.shadow {
        Some(shadow) => parts.push(format!("shadow {}", short(shadow))),
        None => parts.push("no shadow".to_owned()),
    }
    parts.push(format!("here {}", seat.role));
    parts.extend(seat.takeover.clone().filter(|_| seat.is_takeover_possible == Some(true)));
    visible(&parts.join(", "))
}

/// Which road, since when and why.
fn mode(status: &Status) -> String {
    let seconds = now_ms().saturating_sub(status.mode_since_ms) / 1000;
    visible(&format!("{} for {}: {}", status.mode, span(seconds), status.mode_reason))
}

/// One peer of the second road: what it says, or why it says nothing.
fn http_peer(peer: &HttpPeer) -> String {
    let mut parts = vec![peer.url.clone()];
    match (&peer.state_root, peer.answer_age_ms) {
        (Some(root), Some(age_ms)) => parts.push(format!("root {} {} s ago", short(root), age_ms / 1000)),
        _ => parts.push("no answer yet".to_owned()),
    }
    if let Some(kind) = &peer.kind {
        parts.push(format!("{kind}, {} in a row", peer.divergence_count));
    }
    if peer.breaker != "closed" {
        parts.push(format!("{} {}", Warning::Breaker.words(), peer.breaker));
    }
    parts.extend(peer.error.clone());
    visible(&parts.join(", "))
}

fn readiness(status: &Status) -> String {
    match &status.not_ready_reason {
        None if status.ready => "ready".to_owned(),
        reason => format!("{}: {}", Warning::NotReady.words(), visible(reason.as_deref().unwrap_or("no reason given"))),
    }
}

/// The five numbers, each with its name: they are never mixed up.
fn peers(counts: &PeerCounts) -> String {
    let PeerCounts { configured, connected, lattice, mesh, in_sync } = counts;
    format!("configured {configured}, connected {connected}, lattice {lattice}, mesh {mesh}, in sync {in_sync}")
}

fn reconcile(last: &ReconcileView) -> String {
    let (received, sent, took_ms) = (grouped(last.received), grouped(last.sent), grouped(last.took_ms));
    let figures =
        format!("{received} received, {sent} sent, {}, {took_ms} ms", counted(last.rounds, "round", "rounds"));
    visible(&format!("{} with {}: {figures}; {}", last.outcome, short_peer(&last.peer), last.detail))
}

/// What a healthy node does not have.
fn troubles(status: &Status) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(refusal) = &status.write_refusal {
        lines.push((Warning::Writes.words(), format!("refused: {}", visible(refusal))));
    }
    if status.waiting > 0 {
        let count = counted(status.waiting, "commit", "commits");
        lines.push((Warning::Waiting.words(), format!("{count}, for an author or a time to come")));
    }
    if status.divergences > 0 {
        let count = counted(status.divergences, "time", "times");
        let text = format!("{count} a peer's root differed at equal frontiers, or an entry here was damaged");
        lines.push((Warning::Divergence.words(), text));
    }
    if let (Some(why), Some(false)) = (&status.seat.takeover, status.seat.is_takeover_possible) {
        lines.push((Warning::Takeover.words(), visible(why)));
    }
    let quarantine = super::quarantine::warning(&status.quarantine);
    lines.extend(quarantine.map(|words| (Warning::Quarantine.words(), words)));
    lines.extend(status.equivocations.iter().map(|evidence| (Warning::Equivocation.words(), equivocation(evidence))));
    let forked = |log: &String| {
        (Warning::Fork.words(), visible(&format!("log {log} has two histories; the evidence is at /api/v1/forks")))
    };
    lines.extend(status.forks.iter().map(forked));
    let refused =
        |(reason, count): (&String, &u64)| (Warning::Refused.words(), visible(&format!("{count} × {reason}")));
    lines.extend(status.refusals.iter().map(refused));
    lines
}

fn equivocation(evidence: &EquivocationView) -> String {
    let EquivocationView { author, seq, commits: [one, other], .. } = evidence;
    format!("author {} signed two commits {seq}: {} and {}", short(author), short(one), short(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat::quarantine::QuarantineView;
    use crate::view::CheckpointView;

    fn healthy() -> Status {
        Status {
            name: "one".into(),
            version: "0.1.0".into(),
            lattice_id: "aa".repeat(32),
            lattice_name: "fruit".into(),
            author: "bb".repeat(32),
            peer_id: "12D3KooWsomething".into(),
            state_root: "cc".repeat(32),
            entries: 1234,
            log_size: 56,
            checkpoint: CheckpointView {
                origin: "aa/bb".into(),
                size: 55,
                log_root: Some("root".into()),
                cosignatures: 2,
                withheld: None,
            },
            confirmed_root: None,
            seat: crate::seat::status::SeatStatus::default(),
            quarantine: QuarantineView::default(),
            forks: vec![],
            mode: "p2p".into(),
            mode_since_ms: 0,
            mode_reason: "the node started".into(),
            http_peers: vec![],
            ready: true,
            not_ready_reason: None,
            write_refusal: None,
            uptime_seconds: 61,
            peers: PeerCounts { configured: 1, connected: 2, lattice: 3, mesh: 4, in_sync: 5 },
            members: 3,
            seq: 7,
            waiting: 0,
            equivocations: vec![],
            divergences: 0,
            last_reconcile: None,
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            refusals: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn the_five_peer_numbers_are_named() {
        let text = block(&healthy());
        assert!(text.contains("peers        configured 1, connected 2, lattice 3, mesh 4, in sync 5\n"), "{text}");
        assert!(text.starts_with("node         one (ready)\n"), "{text}");
        assert!(text.contains("56 records, checkpoint of 55 cosigned by 2 other nodes\n"), "{text}");
        assert!(!text.contains("EQUIVOCATION") && !text.contains("refused"), "{text}");
    }

    #[test]
    fn trouble_is_shown() {
        let evidence = EquivocationView { author: "dd".repeat(32), term: 0, seq: 9, commits: ["1".into(), "2".into()] };
        let sick = Status {
            ready: false,
            not_ready_reason: Some("syncing\u{1b}[0m".into()),
            write_refusal: Some("disk full".into()),
            equivocations: vec![evidence],
            divergences: 2,
            forks: vec!["aa/bb".into()],
            quarantine: QuarantineView { entries: 1, staged_commits: 2 },
            checkpoint: CheckpointView { withheld: Some("not yet".into()), ..healthy().checkpoint },
            ..healthy()
        };
        let text = block(&sick);
        for warning in
            [Warning::NotReady, Warning::Divergence, Warning::Equivocation, Warning::Fork, Warning::Quarantine]
        {
            assert!(text.contains(warning.words()), "{warning:?}: {text}");
        }
        for part in [
            "not ready: syncing\\u{1b}",
            "refused: disk full",
            "signed two commits 9",
            "2 times a peer's root",
            "log aa/bb has two",
            "1 entry that a cut took out of the state, 2 commits that were only staged; see `lattice quarantine list`",
            "of 55; withheld: not yet",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
