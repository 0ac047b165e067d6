//! What a running node says of itself and of its peers, judged.

use super::finding::Finding;
use crate::api::facts::Peers;
use crate::cli::text::{counted, grouped, short, short_peer};
use crate::view::{Peer, Status};

/// Records of the log that may be unsigned: a busy node signs once a second, a thousand group commits.
const UNSIGNED_MAX: u64 = 10_000;

/// Milliseconds by which a peer's clock may differ before it is said: a head is up to a second on its way under load.
const SKEW_NOTED_MS: i64 = 5_000;

/// Milliseconds from which on commits of the one ahead wait at the others: `max_drift` of the genesis by default.
const SKEW_WRONG_MS: i64 = 60_000;

/// Milliseconds after which a connected lattice peer should have said its head again: six of the usual intervals.
const HEAD_STALE_MS: u64 = 30_000;

/// Everything that a node's answers tell.
pub(super) fn judge(status: &Status, peers: &Peers) -> Vec<Finding> {
    let mut findings = vec![readiness(status), writing(status), company(status), agreement(status), log(status)];
    findings.extend(evidence(status));
    findings.extend(seat(status));
    findings.extend(clocks(&peers.peers));
    findings.extend(peers.peers.iter().filter_map(unreached));
    findings.extend(peers.unanswered.iter().map(|at| {
        let why = at.error.as_deref().unwrap_or("no answer");
        let cure =
            "check that the address is right and that a node runs there; take it out of lattice.toml if it is gone";
        Finding::wrong("peers", format!("nobody answers at {}: {why}", at.address), cure)
    }));
    findings.extend(status.http_peers.iter().filter_map(|peer| {
        let why = peer.error.as_deref()?;
        let cure = "check the URL, that the node runs, and that no firewall is between";
        Some(Finding::wrong("http peers", format!("{}: {why}", peer.url), cure))
    }));
    findings
}

fn readiness(status: &Status) -> Finding {
    match &status.not_ready_reason {
        None => Finding::well("ready", format!("{} serves right answers", status.name)),
        Some(why) => Finding::wrong("ready", why.clone(), "if that does not pass within a minute, see what follows"),
    }
}

fn writing(status: &Status) -> Finding {
    match &status.write_refusal {
        None => Finding::well("writes", "taken"),
        Some(why) => Finding::wrong("writes", why.clone(), "until then the node serves reads only"),
    }
}

fn company(status: &Status) -> Finding {
    let (counts, others) = (status.peers, status.members.saturating_sub(1));
    let found = format!(
        "{} of {} connected peers are of this lattice, which has {} other members",
        counts.lattice, counts.connected, others
    );
    let cure = "`lattice peers` says why each is not there; nodes need one address of another that still answers (`peers` in \
                lattice.toml), or URLs (`nodes`) where libp2p does not pass";
    match (status.mode.as_str(), counts.lattice, others) {
        ("http", _, _) => Finding::wrong("peers", format!("{found}; over HTTP: {}", status.mode_reason), cure),
        (_, 0, 1..) => Finding::wrong("peers", found, cure),
        _ => Finding::well("peers", found),
    }
}

fn agreement(status: &Status) -> Finding {
    let unexplained = status.last_reconcile.as_ref().filter(|last| last.outcome == "unexplained");
    match (status.divergences, unexplained) {
        (0, None) => Finding::well("divergence", "none since the start"),
        (count, last) => {
            let rest =
                last.map_or(String::new(), |last| format!("; the last session left {} unexplained", last.detail));
            let found = format!("{} since the start{rest}", counted(count, "divergence", "divergences"));
            let cure = "damage, a bug or a lie: `lattice audit --db DIR --deep` on the stopped node shows whether it is this \
                        disk; /api/v1/events names the peer";
            Finding::wrong("divergence", found, cure)
        }
    }
}

fn log(status: &Status) -> Finding {
    let checkpoint = &status.checkpoint;
    let unsigned = status.log_size.saturating_sub(checkpoint.size);
    if let Some(why) = &checkpoint.withheld {
        return Finding::note("log", why.clone(), "start or reach more of the other members");
    }
    if unsigned > UNSIGNED_MAX {
        let found = format!("{} records are not signed", grouped(unsigned));
        return Finding::wrong("log", found, "look into the node's log for why; auditors see nothing newer");
    }
    if checkpoint.cosignatures == 0 && status.members > 1 && checkpoint.size > 0 {
        let found = "nobody has cosigned the last checkpoint";
        return Finding::note("log", found, "auditors take it for nothing; see whether other nodes are connected");
    }
    Finding::well("log", format!("{} records, {} signed", grouped(status.log_size), grouped(checkpoint.size)))
}

fn evidence(status: &Status) -> Vec<Finding> {
    let forked = status.equivocations.iter().map(|pair| {
        let found = format!("author {} signed two commits as number {}", short(&pair.author), pair.seq);
        let own = pair.author == status.author;
        let cure = if own {
            "that is this node: a copy of it runs elsewhere, or an old copy was put back by hand; stop the other, and \
             restore by `lattice restore`"
        } else {
            "its key is used twice or was stolen; an admin may cut the author"
        };
        Finding::wrong("forks", found, cure)
    });
    let logs = status.forks.iter().map(|log| {
        let cure = "`/api/v1/forks` gives the proof; whose log it is has signed two histories";
        Finding::wrong("forks", format!("log {log} contradicts itself"), cure)
    });
    let found: Vec<_> = forked.chain(logs).collect();
    if found.is_empty() { vec![Finding::well("forks", "nobody was caught with two histories")] } else { found }
}

fn seat(status: &Status) -> Option<Finding> {
    let seat = &status.seat;
    let name = seat.seat.as_ref()?;
    let found = format!("{name}, term {}, here {}", seat.term, seat.role);
    Some(match (&seat.shadow, seat.is_takeover_possible) {
        (None, _) => Finding::wrong(
            "seat",
            format!("{found}, without a shadow: nobody takes over if the holder dies"),
            "bring a spare back, or name a shadow at the holder: `lattice seat mirrors --shadow NAME`",
        ),
        (Some(_), Some(false)) => {
            let why = seat.takeover.clone().unwrap_or_default();
            Finding::wrong("seat", format!("{found}; {why}"), "see that the shadow runs and is connected to the holder")
        }
        (Some(_), Some(true) | None) => Finding::well("seat", found),
    })
}

fn clocks(peers: &[Peer]) -> Vec<Finding> {
    let known: Vec<_> = peers.iter().filter_map(|peer| Some((peer, peer.clock_ahead_ms?))).collect();
    let far = known.iter().filter(|(_, ahead)| ahead.abs() >= SKEW_NOTED_MS);
    let far: Vec<_> = far
        .map(|(peer, ahead)| {
            let name = peer.name.clone().unwrap_or_else(|| short_peer(&peer.peer_id));
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
        (true, 0) => {
            vec![Finding::note("clock", "no peer to compare it with", "it is compared once peers are connected")]
        }
        (true, count) => vec![Finding::well(
            "clock",
            format!("within {} s of {}", SKEW_NOTED_MS / 1000, counted(count as u64, "peer", "peers")),
        )],
    }
}

/// Why a configured peer or a member is not there, or is silent.
fn unreached(peer: &Peer) -> Option<Finding> {
    let name = peer.name.clone().unwrap_or_else(|| short_peer(&peer.peer_id));
    if let Some(why) = &peer.refusal {
        let cure = "it is of another lattice, or is no member (any more); see the log of both nodes";
        return Some(Finding::note("peers", format!("{name} did not prove this lattice: {why}"), cure));
    }
    if peer.lattice && peer.head_age_ms.is_some_and(|age| age > HEAD_STALE_MS) {
        let found =
            format!("{name} is connected and has not said its state for {} s", peer.head_age_ms.unwrap_or(0) / 1000);
        return Some(Finding::note(
            "peers",
            found,
            "it may be a mirror of the seat, which says nothing, or it hangs: see its log",
        ));
    }
    let why = peer.error.as_deref().filter(|_| !peer.connected && (peer.configured || peer.author.is_some()))?;
    let at = peer.address.as_deref().unwrap_or("no known address");
    let cure = "check that it runs, its --p2p address, and the firewalls between; it is dialled again by itself";
    Some(Finding::wrong("peers", format!("{name} can't be reached at {at}: {why}"), cure))
}

#[cfg(test)]
mod tests;
