//! `lattice status`: what a node says of itself, as a short block.

use std::io::Write;

use super::client::Client;
use super::exit::Failure;
use super::target::Target;
use super::text::{as_json, grouped, short, short_peer, span, table, visible};
use crate::view::Status;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let status: Status = client.ask(client.get("/api/v1/status")).await?;
    let text = if args.json {
        format!("{}\n", as_json(&status))
    } else {
        block(&status)
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn block(status: &Status) -> String {
    let readiness = match &status.not_ready_reason {
        None if status.ready => "ready".to_owned(),
        reason => format!(
            "not ready: {}",
            visible(reason.as_deref().unwrap_or("no reason given"))
        ),
    };
    let peers = status.peers;
    let mut rows = vec![
        ("node", format!("{} ({readiness})", visible(&status.name))),
        (
            "lattice",
            format!(
                "{} {}",
                visible(&status.lattice_name),
                visible(&status.lattice_id)
            ),
        ),
        ("root", visible(&status.state_root)),
        ("entries", grouped(status.entries)),
        (
            "peers",
            format!(
                "configured {}, connected {}, lattice {}, mesh {}, in sync {}",
                peers.configured, peers.connected, peers.lattice, peers.mesh, peers.in_sync
            ),
        ),
        ("members", grouped(status.members)),
        ("mode", visible(&status.mode)),
        ("log", format!("{} records", grouped(status.log_size))),
        ("own commits", grouped(status.seq)),
        ("author", visible(&status.author)),
        ("peer id", visible(&status.peer_id)),
        (
            "running",
            format!(
                "for {}, version {}",
                span(status.uptime_seconds),
                visible(&status.version)
            ),
        ),
    ];
    rows.extend(
        status
            .addresses
            .iter()
            .map(|address| ("listens on", visible(address))),
    );
    rows.extend(troubles(status));
    table(
        &rows
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect::<Vec<_>>(),
    )
}

/// Rows that a healthy node does not have, and the last reconcile.
fn troubles(status: &Status) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(last) = &status.last_reconcile {
        let figures = format!(
            "{} with {}: {} received, {} sent, {} rounds, {} ms; {}",
            last.outcome,
            short_peer(&last.peer),
            grouped(last.received),
            grouped(last.sent),
            last.rounds,
            grouped(last.took_ms),
            last.detail
        );
        rows.push(("reconcile", visible(&figures)));
    }
    if let Some(refusal) = &status.write_refusal {
        rows.push(("writes", format!("refused: {}", visible(refusal))));
    }
    if status.waiting > 0 {
        rows.push((
            "waiting",
            format!(
                "{} commits, for their author or their time",
                grouped(status.waiting)
            ),
        ));
    }
    if status.divergences > 0 {
        let text = format!(
            "{} times a peer's root differed at equal frontiers",
            grouped(status.divergences)
        );
        rows.push(("DIVERGENCE", text));
    }
    rows.extend(status.equivocations.iter().map(|evidence| {
        let [one, other] = &evidence.commits;
        let place = format!(
            "author {} signed two commits {}",
            short(&evidence.author),
            evidence.seq
        );
        (
            "EQUIVOCATION",
            format!("{place}: {} and {}", short(one), short(other)),
        )
    }));
    rows.extend(
        status
            .refusals
            .iter()
            .map(|(reason, count)| ("refused", visible(&format!("{count} × {reason}")))),
    );
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{EquivocationView, PeerCounts};

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
            mode: "p2p".into(),
            ready: true,
            not_ready_reason: None,
            write_refusal: None,
            uptime_seconds: 61,
            peers: PeerCounts {
                configured: 1,
                connected: 2,
                lattice: 3,
                mesh: 4,
                in_sync: 5,
            },
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
        assert!(
            text.contains("peers        configured 1, connected 2, lattice 3, mesh 4, in sync 5\n"),
            "{text}"
        );
        assert!(text.starts_with("node         one (ready)\n"), "{text}");
        assert!(
            !text.contains("EQUIVOCATION") && !text.contains("refused"),
            "{text}"
        );
    }

    #[test]
    fn trouble_is_shown() {
        let evidence = EquivocationView {
            author: "dd".repeat(32),
            term: 0,
            seq: 9,
            commits: ["1".into(), "2".into()],
        };
        let sick = Status {
            ready: false,
            not_ready_reason: Some("syncing\u{1b}[0m".into()),
            write_refusal: Some("disk full".into()),
            equivocations: vec![evidence],
            divergences: 2,
            ..healthy()
        };
        let text = block(&sick);
        for part in [
            "not ready: syncing\\u{1b}",
            "refused: disk full",
            "signed two commits 9",
            "2 times a peer's root",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
