//! Healing over HTTP: a session; where that does not help, the peer's whole state, and one more session to push.

use std::time::Duration;

use http_fallback::client::{NoAnswer, full_path};
use http_fallback::heartbeat::{Healed, Target};
use http_fallback::tracker::{Ended, PEERS_MAX};
use lattice::commit::{Commit, OpSlot};
use lattice::head::Head;
use lattice::ids::{AuthorId, StateRoot};
use lattice::record::Event;
use lattice::transfer::{Cursor, Part};
use reconcile::message::RefusedFor;
use reconcile::outcome::{Outcome, Rest};
use reconcile::sketch::Estimator;

use super::{Fallback, lock};
use crate::sync::road::{HttpRoad, Road};
use crate::sync::session::{Report, Session};
use crate::writer::job::Job;

/// Time for one healing. A peer that answers ever so slowly must not keep the others waiting; what moved stays.
const HEAL_TIMEOUT: Duration = Duration::from_secs(600);

/// Commits of a whole state that go through the one way in together, and their bytes: one transaction.
const BATCH_COMMITS: usize = 1024;
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// How a whole state came.
#[derive(Default)]
struct Pulled {
    entries: u64,
    refused: u64,
    /// The peer's root at the end of its stream.
    root: StateRoot,
}

impl Fallback {
    /// Brings both states together, within bounds of time.
    pub(super) async fn heal_within_time(&self, target: Target, peer: Head) -> Healed {
        let (client, identity) = (self.client.clone(), self.sync.identity.clone());
        let road = HttpRoad { client, identity, url: target.url, receiver: peer.author };
        match tokio::time::timeout(HEAL_TIMEOUT, self.heal_over(&road, &peer)).await {
            Ok(healed) => healed,
            Err(_elapsed) => Healed {
                ended: Ended::Badly,
                outcome: "too-slow",
                detail: "the peer takes too long; what moved stays".to_owned(),
                root: self.sync.writer.published().root,
            },
        }
    }

    async fn heal_over(&self, road: &HttpRoad, peer: &Head) -> Healed {
        let report = self.session(road, Some(Estimator::decode(&peer.estimator))).await;
        if !wants_all(&report.outcome) {
            return self.healed(road, report, 0).await;
        }
        tracing::info!(
            url = road.url,
            outcome = report.outcome.word(),
            detail = report.detail(),
            "asking for the whole state"
        );
        let pulled = match self.pull(road).await {
            Ok(pulled) => pulled,
            Err(error) => {
                tracing::warn!(url = road.url, %error, "the whole state did not come");
                return self.healed(road, report, 0).await;
            }
        };
        let again = self.session(road, None).await;
        let healed = self.healed(road, again, pulled.entries).await;
        if healed.ended == Ended::Badly && healed.root == pulled.root {
            // Nothing was left to push, so it does not matter that the peer takes no sessions.
            return Healed { ended: Ended::Well { moved: true }, outcome: "full", ..healed };
        }
        healed
    }

    async fn session(&self, road: &HttpRoad, estimator: Option<Estimator>) -> Report {
        Session { sync: self.sync.clone(), road: Road::Http(road.clone()), estimator }.run().await
    }

    async fn healed(&self, road: &HttpRoad, report: Report, pulled: u64) -> Healed {
        let moved = pulled + report.stats.entries_received + report.stats.entries_sent > 0;
        let (ended, outcome, detail) = (ended_as(&report.outcome, moved), report.outcome.word(), report.detail());
        if matches!(report.outcome, Outcome::Unexplained { .. }) {
            self.sync.counters.diverged();
            tracing::error!(url = road.url, detail, "divergence: roots differ and nothing explains it");
        }
        self.sync.settle(Some(road.receiver), report).await;
        Healed { ended, outcome, detail, root: self.sync.writer.published().root }
    }

    /// Takes a peer's whole state through the one way in, from where an earlier stream was cut.
    async fn pull(&self, road: &HttpRoad) -> Result<Pulled, NoAnswer> {
        let after = self.cursor(&road.receiver);
        let credentials = road.sign("GET", &full_path(after), b"")?;
        let mut stream = self.client.full(&road.url, &credentials, after).await?;
        let epoch = match stream.next_part().await? {
            Some(Part::Header { lattice, after, .. }) if lattice == self.sync.identity.lattice => after.epoch,
            _ => return Err(NoAnswer::Unreadable("the state is of another lattice".to_owned())),
        };
        let mut pulled = Pulled::default();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(part) = stream.next_part().await? {
            let (row, commit) = match part {
                Part::Commit { row, commit } => (row, commit),
                Part::End { root, .. } => {
                    pulled.root = root;
                    continue;
                }
                // The stream's order allows one header, and it came.
                Part::Header { .. } => continue,
            };
            bytes += commit.counted_bytes();
            batch.push(*commit);
            if batch.len() >= BATCH_COMMITS || bytes >= BATCH_BYTES {
                self.take(std::mem::take(&mut batch), &mut pulled).await?;
                bytes = 0;
                self.remember(road.receiver, Some(Cursor { epoch, row }));
            }
        }
        self.take(batch, &mut pulled).await?;
        // All came. Should it be asked for again, then because something got lost here: from the beginning.
        self.remember(road.receiver, None);
        let Pulled { entries, refused, .. } = pulled;
        tracing::info!(url = road.url, entries, refused, "the whole state came");
        let event = Event::Reconciled { peer: road.receiver, outcome: "full".into(), received: entries, sent: 0 };
        self.sync.writer.send(Job::Note { event }).await;
        Ok(pulled)
    }

    async fn take(&self, commits: Vec<Commit>, pulled: &mut Pulled) -> Result<(), NoAnswer> {
        if commits.is_empty() {
            return Ok(());
        }
        pulled.entries += commits.iter().map(standing_ops).sum::<u64>();
        let sync = &self.sync;
        let intake = crate::intake::take(&sync.identity, &sync.writer, &sync.reader, commits).await;
        let intake = intake.map_err(NoAnswer::Lost)?;
        pulled.refused += intake.refused.len() as u64;
        match intake.refused.iter().find(|refusal| matches!(refusal.why, RefusedFor::Invalid | RefusedFor::NoRoom)) {
            Some(refusal) => Err(NoAnswer::Unreadable(refusal.reason.clone())),
            None => Ok(()),
        }
    }

    fn cursor(&self, peer: &AuthorId) -> Option<Cursor> {
        lock(&self.cursors).get(peer).copied()
    }

    fn remember(&self, peer: AuthorId, cursor: Option<Cursor>) {
        let mut cursors = lock(&self.cursors);
        match cursor {
            Some(cursor) if cursors.len() < PEERS_MAX || cursors.contains_key(&peer) => {
                cursors.insert(peer, cursor);
            }
            // No room: a cut stream begins anew, nothing worse.
            Some(_) => {}
            None => {
                cursors.remove(&peer);
            }
        }
    }
}

/// Operations of a commit that are there, not by hash alone.
fn standing_ops(commit: &Commit) -> u64 {
    commit.slots().iter().filter(|slot| matches!(slot, OpSlot::Live(_))).count() as u64
}

/// Whether the whole state may bring what the session did not. What one side refused, it would refuse again.
fn wants_all(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unexplained { .. } | Outcome::PeerFault(_) | Outcome::Declined { .. } | Outcome::Lost { .. } => true,
        Outcome::Equal { .. }
        | Outcome::Explained { .. }
        | Outcome::Refused { .. }
        | Outcome::Busy
        | Outcome::OurFault { .. } => false,
    }
}

/// What the tracker makes of an outcome.
fn ended_as(outcome: &Outcome, moved: bool) -> Ended {
    match outcome {
        Outcome::Equal { .. } => Ended::Well { moved },
        Outcome::Explained { rest: Rest::NewWrites, .. } => Ended::Well { moved: true },
        Outcome::Explained { rest: Rest::Waiting { .. } | Rest::Budget, .. } | Outcome::Busy => Ended::Unfinished,
        Outcome::Refused { .. }
        | Outcome::Unexplained { .. }
        | Outcome::PeerFault(_)
        | Outcome::Declined { .. }
        | Outcome::Lost { .. }
        | Outcome::OurFault { .. } => Ended::Badly,
    }
}
