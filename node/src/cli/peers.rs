//! `lattice peers`: each peer as a row.

use std::io::Write;

use super::client::Client;
use super::exit::Failure;
use super::target::Target;
use super::text::{as_json, excerpt, short, short_peer, span, table, visible};
use crate::api::facts::Peers;
use crate::view::{Peer, Unanswered};

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
    let answer: Peers = client.ask(client.get("/api/v1/peers")).await?;
    let text = match (args.json, answer.peers.is_empty() && answer.unanswered.is_empty()) {
        (true, _) => format!("{}\n", as_json(&answer)),
        (false, true) => "no peers: none is configured, and none has connected\n".to_owned(),
        (false, false) => rows(&answer),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn rows(answer: &Peers) -> String {
    let head = ["PEER", "NAME", "STATE", "MESH", "SYNC", "ROOT", "RTT", "HEARD", "ADDRESS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(answer.peers.iter().map(row));
    rows.extend(answer.unanswered.iter().map(unanswered));
    table(&rows)
}

fn row(peer: &Peer) -> Vec<String> {
    let yes = |holds: bool| if holds { "yes" } else { "no" }.to_owned();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        short_peer(&peer.peer_id),
        or_dash(peer.name.as_deref().map(|name| excerpt(name, 24))),
        state(peer),
        yes(peer.mesh),
        yes(peer.in_sync),
        or_dash(peer.state_root.as_deref().map(|root| match peer.same_root {
            Some(true) => "equal".to_owned(),
            Some(false) | None => short(root),
        })),
        or_dash(peer.rtt_ms.map(|rtt| format!("{rtt:.1} ms"))),
        or_dash(peer.head_age_ms.map(|age| format!("{:.1} s ago", age as f64 / 1000.0))),
        place(peer.address.as_deref(), peer.error.as_deref(), peer.next_dial_ms),
    ]
}

/// A configured address, which is no peer yet: nothing else is known of it.
fn unanswered(unanswered: &Unanswered) -> Vec<String> {
    let Unanswered { address, error, next_dial_ms } = unanswered;
    let state = if next_dial_ms.is_some() { "no answer" } else { "dialling" };
    let unknown = || "-".to_owned();
    let place = place(Some(address), error.as_deref(), *next_dial_ms);
    vec![unknown(), unknown(), state.to_owned(), unknown(), unknown(), unknown(), unknown(), unknown(), place]
}

/// An address, and if nobody is connected there, why and when it is tried next.
fn place(address: Option<&str>, error: Option<&str>, next_dial_ms: Option<u64>) -> String {
    let address = visible(address.unwrap_or("-"));
    let next = next_dial_ms.map(|ms| format!("next try in {}", span(ms.div_ceil(1000))));
    let rest: Vec<String> = error.map(visible).into_iter().chain(next).collect();
    if rest.is_empty() { address } else { format!("{address} ({})", rest.join("; ")) }
}

fn state(peer: &Peer) -> String {
    match (&peer.refusal, peer.lattice, peer.connected) {
        (Some(refusal), _, _) => format!("refused: {}", excerpt(refusal, 40)),
        (None, true, _) => "lattice".to_owned(),
        (None, false, true) => "connected".to_owned(),
        (None, false, false) => "away".to_owned(),
    }
}
