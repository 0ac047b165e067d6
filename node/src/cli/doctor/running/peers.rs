//! What a running node says of its peers, judged: whose clock is off, who is silent, and who can't be reached.

use std::collections::BTreeMap;

use super::super::finding::Finding;
use crate::api::facts::Peers;
use crate::cli::text::{counted, short_peer};
use crate::view::{HttpPeer, Peer, Status, Unanswered};

/// Milliseconds by which a peer's clock may differ before it is said: a head is up to a second on its way under load.
const SKEW_NOTED_MS: i64 = 5_000;

/// Milliseconds from which on commits of the one ahead wait at the others: `max_drift` of the genesis by default.
const SKEW_WRONG_MS: i64 = 60_000;

/// Milliseconds after which a connected lattice peer should have said its head again: six of the usual intervals.
const HEAD_STALE_MS: u64 = 30_000;

/// Everything that is known of the others. Many that can't be reached are one finding: it is one trouble, most often.
pub(super) fn judge(status: &Status, peers: &Peers) -> Vec<Finding> {
    let mirrors = mirrors(status);
    let mut findings = clocks(&peers.peers);
    findings.extend(peers.peers.iter().filter_map(stranger));
    findings.extend(peers.peers.iter().filter_map(|peer| silent(peer, &mirrors)));
    findings.extend(unreached(&peers.peers));
    findings.extend(unanswered(status, &peers.unanswered, &mirrors));
    findings.extend(urls(status, &mirrors));
    findings
}

/// Authors of the seat's mirrors but this node: hidden ones, which serve no API and say no state.
fn mirrors(status: &Status) -> Vec<&str> {
    let mirrors = status.seat.shadow.iter().chain(&status.seat.spares).map(String::as_str);
    mirrors.filter(|author| *author != status.author).collect()
}

/// How far their clocks are from this node's; nothing of a node that nobody is connected to, which is said elsewhere.
fn clocks(peers: &[Peer]) -> Vec<Finding> {
    let peers: Vec<_> = peers.iter().filter(|peer| peer.connected).collect();
    let known: Vec<_> = peers.iter().filter_map(|peer| Some((*peer, peer.clock_ahead_ms?))).collect();
    let far = known.iter().filter(|(_, ahead)| ahead.abs() >= SKEW_NOTED_MS);
    let far: Vec<_> = far
        .map(|(peer, ahead)| {
            let name = name(peer);
            let word = if *ahead > 0 { "ahead of" } else { "behind" };
            let found = format!("{name} is {:.1} s {word} this node", ahead.abs() as f64 / 1000.0);
            let cure = "set both clocks by NTP: commits of a clock too far ahead wait, and the later clock wins keys";
            if ahead.abs() >= SKEW_WRONG_MS {
                Finding::wrong("clock", found, cure)
            } else {
                Finding::note("clock", found, cure)
            }
        })
        .collect();
    match (far.is_empty(), known.len()) {
        (false, _) => far,
        (true, 0) if peers.is_empty() => Vec::new(),
        (true, 0) => {
            vec![Finding::note("clock", "no peer has told its own yet", "it is compared once one has")]
        }
        (true, count) => vec![Finding::well(
            "clock",
            format!("within {} s of {}", SKEW_NOTED_MS / 1000, counted(count as u64, "peer", "peers")),
        )],
    }
}

fn stranger(peer: &Peer) -> Option<Finding> {
    let why = peer.refusal.as_deref()?;
    let cure = "it is of another lattice, or is no member (any more); see the log of both nodes";
    Some(Finding::note("peers", format!("{} did not prove this lattice: {why}", name(peer)), cure))
}

fn silent(peer: &Peer, mirrors: &[&str]) -> Option<Finding> {
    let age_ms = peer.head_age_ms.filter(|age_ms| peer.lattice && peer.refusal.is_none() && *age_ms > HEAD_STALE_MS)?;
    let is_hidden = peer.author.as_deref().is_some_and(|author| mirrors.contains(&author));
    let found = format!("{} is connected and has not said its state for {} s", name(peer), age_ms / 1000);
    (!is_hidden).then(|| Finding::note("peers", found, "it may hang: see its log"))
}

/// Configured peers and members that are not there.
fn unreached(peers: &[Peer]) -> Option<Finding> {
    let missing = peers.iter().filter(|peer| !peer.connected && (peer.configured || peer.author.is_some()));
    let missing = missing.filter(|peer| peer.refusal.is_none()).filter_map(|peer| {
        let at = peer.address.as_deref().unwrap_or("no known address");
        Some((format!("{} at {at}", name(peer)), peer.error.as_deref()?))
    });
    let (count, words) = by_reason(missing);
    let found = format!("{} can't be reached: {words}", counted(count, "peer", "peers"));
    let cure = "check that it runs, its --p2p address, and the firewalls between; it is dialled again by itself";
    (count > 0).then(|| Finding::wrong("peers", found, cure))
}

/// Configured addresses of which nobody knows whose they are: as many as there are hidden mirrors may be theirs.
fn unanswered(status: &Status, addresses: &[Unanswered], mirrors: &[&str]) -> Option<Finding> {
    let why = |at: &Unanswered| at.error.clone().unwrap_or_else(|| "no answer".to_owned());
    let (count, words) = by_reason(addresses.iter().map(|at| (at.address.clone(), why(at))));
    if count > 0 && addresses.len() <= mirrors.len() && status.peers.lattice > 0 {
        let found = format!("nobody answers at {words}, as at a hidden mirror of the seat");
        return Some(Finding::note(
            "peers",
            found,
            "nothing: a mirror that comes to hold the seat listens there again",
        ));
    }
    let cure = "check that the address is right and that a node runs there; take it out of lattice.toml if it is gone";
    (count > 0).then(|| Finding::wrong("peers", format!("nobody answers at {words}"), cure))
}

/// URLs that give no answer. A hidden mirror's does not; whose it is, is known once somebody has answered there.
fn urls(status: &Status, mirrors: &[&str]) -> Vec<Finding> {
    let is_mirror = |peer: &HttpPeer| peer.author.as_deref().is_some_and(|author| mirrors.contains(&author));
    let quiet: Vec<_> = status.http_peers.iter().filter(|peer| peer.error.is_some()).collect();
    let known = quiet.iter().filter(|peer| is_mirror(peer)).count();
    let unknown = quiet.iter().filter(|peer| peer.author.is_none()).count();
    // Of more URLs than there are mirrors, one at least is another's.
    let are_theirs = known + unknown <= mirrors.len();
    let is_hidden =
        |peer: &HttpPeer| status.peers.lattice > 0 && (is_mirror(peer) || peer.author.is_none() && are_theirs);
    let (hidden, gone): (Vec<&HttpPeer>, Vec<_>) = quiet.into_iter().partition(|peer| is_hidden(peer));
    let listed = |peers: &[&HttpPeer]| {
        by_reason(peers.iter().map(|peer| (peer.url.clone(), peer.error.clone().unwrap_or_default()))).1
    };
    let hidden = (!hidden.is_empty()).then(|| {
        let found = format!("no answer at {}, as from a hidden mirror of the seat", listed(&hidden));
        Finding::note("http peers", found, "nothing; `lattice seat status` at the holder says how its mirrors get on")
    });
    let gone = (!gone.is_empty()).then(|| {
        let cure = "check the URL, that the node runs, and that no firewall is between";
        Finding::wrong("http peers", format!("no answer at {}", listed(&gone)), cure)
    });
    hidden.into_iter().chain(gone).collect()
}

/// How many there are, and who, each reason said once.
fn by_reason<W: Into<String>>(whom: impl Iterator<Item = (String, W)>) -> (u64, String) {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    whom.for_each(|(who, why)| reasons.entry(why.into()).or_default().push(who));
    let words: Vec<_> = reasons.iter().map(|(why, whom)| format!("{} ({why})", whom.join(", "))).collect();
    (reasons.values().map(|whom| whom.len() as u64).sum(), words.join("; "))
}

fn name(peer: &Peer) -> String {
    peer.name.clone().unwrap_or_else(|| short_peer(&peer.peer_id))
}
