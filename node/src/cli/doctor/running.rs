//! What a running node says of itself, judged; `peers`: of its peers.

mod peers;

use super::finding::Finding;
use crate::api::facts::Peers;
use crate::cli::quarantine;
use crate::cli::text::{counted, grouped, short};
use crate::view::Status;

/// Records of the log that may be unsigned: a busy node signs once a second, a thousand group commits.
const UNSIGNED_MAX: u64 = 10_000;

/// Everything that a node's answers tell.
pub(super) fn judge(status: &Status, peers: &Peers) -> Vec<Finding> {
    let mut findings = vec![readiness(status), writing(status), company(status), agreement(status), log(status)];
    findings.extend(evidence(status));
    findings.extend(seat(status));
    findings.push(cut_away(status));
    findings.extend(peers::judge(status, peers));
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
    let members = counted(others, "other member", "other members");
    let found = match counts.connected {
        0 => format!("none is connected; this lattice has {members}"),
        connected => {
            format!("{} of {connected} connected peers are of this lattice, which has {members}", counts.lattice)
        }
    };
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

fn cut_away(status: &Status) -> Finding {
    match quarantine::warning(&status.quarantine) {
        None => Finding::well("quarantine", "nothing is in it"),
        Some(found) => {
            let cure = "`lattice quarantine resubmit COMMIT` writes one again, `lattice quarantine drop COMMIT` takes it off \
                        the list";
            Finding::note("quarantine", found, cure)
        }
    }
}

#[cfg(test)]
mod tests;
