//! Healing over HTTP: a session; where that does not help, the peer's whole state, and one more session to push.

use std::time::{Duration, Instant};

use http_fallback::client::{NoAnswer, full_path};
use http_fallback::heartbeat::{Healed, Target};
use http_fallback::tracker::{Ended, PEERS_MAX};
use lattice::commit::{Commit, OpSlot};
use lattice::head::Head;
use lattice::ids::{AuthorId, StateRoot};
use lattice::record::Event;
use lattice::transfer::{Cursor, Part};
use node_core::schedule::Roots;
use reconcile::message::{Refusal, RefusedFor};
use reconcile::outcome::{Outcome, Stats};
use reconcile::sketch::Estimator;

use super::{Fallback, lock};
use crate::sync::progress::Progress;
use crate::sync::road::{HttpRoad, Road, begun_in_time};
use crate::sync::session::{Report, Session};
use crate::writer::job::Job;

/// Time for one healing, and for the message that is under way then. A peer that answers ever so slowly must not keep the
/// others waiting. What moved stays, and if anything did, the next beat goes on where this one ended.
const HEAL_TIME: Duration = Duration::from_secs(60);

/// Commits of a whole state that go through the one way in together, and their bytes: one transaction.
const BATCH_COMMITS: usize = 1024;
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// How a whole state came.
#[derive(Default)]
struct Pulled {
    entries: u64,
    /// Commits that changed our state.
    applied: u64,
    refused: u64,
    /// The peer's root at the end of its stream; `None` if our time was up before.
    root: Option<StateRoot>,
}

/// Why a whole state did not come, or not in.
#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error(transparent)]
    Peer(#[from] NoAnswer),
    #[error("the peer sent a commit that does not count: {0}")]
    Invalid(String),
    #[error("this node can't take it in: {0}")]
    Ours(String),
}

impl Fallback {
    /// Brings both states together, within bounds of time.
    pub(super) async fn heal_within_time(&self, target: Target, peer: Head) -> Healed {
        let (client, identity) = (self.client.clone(), self.sync.identity.clone());
        let road = HttpRoad { client, identity, url: target.url, receiver: peer.author };
        let until = Instant::now() + HEAL_TIME;
        let report = self.session(&road, Some(Estimator::decode(&peer.estimator)), until).await;
        if !wants_all(&report.outcome) {
            return self.healed(&road, report, &Pulled::default()).await;
        }
        let (outcome, detail) = (report.outcome.word(), report.detail());
        tracing::info!(url = road.url, outcome, detail, "asking for the whole state");
        let pulled = match self.pull(&road, peer.entries, until).await {
            Ok(pulled) => pulled,
            Err(error) => {
                tracing::warn!(url = road.url, %error, "the whole state did not come");
                return self.healed(&road, report, &Pulled::default()).await;
            }
        };
        let again = self.session(&road, None, until).await;
        let healed = self.healed(&road, again, &pulled).await;
        if healed.ended == Ended::Badly && pulled.root == Some(healed.root) {
            // Nothing was left to push, so it does not matter that the peer takes no sessions.
            let is_fruitful = pulled.applied > 0;
            return Healed { ended: Ended::Well { root: healed.root, is_fruitful }, outcome: "full", ..healed };
        }
        healed
    }

    async fn session(&self, road: &HttpRoad, estimator: Option<Estimator>, until: Instant) -> Report {
        let road = Road::Http(road.clone());
        Session { sync: self.sync.clone(), road, estimator, until: Some(until) }.run().await
    }

    async fn healed(&self, road: &HttpRoad, report: Report, pulled: &Pulled) -> Healed {
        let applied_here = report.stats.applied_here + pulled.applied;
        let stats = Stats { applied_here, ..report.stats };
        let ended = if report.is_cut && stats.has_changed_anything() {
            Ended::Unfinished { is_fruitful: true }
        } else {
            Ended::of(&report.outcome, &stats)
        };
        let (outcome, detail) = (report.outcome.word(), report.detail());
        if let Outcome::Unexplained { ours, theirs, first } = report.outcome {
            let why = "roots differ and nothing explains it";
            self.sync.alarm(&road.url, Roots { ours, theirs }, Some(first), why);
        }
        self.sync.settle(Some(road.receiver), report).await;
        Healed { ended, outcome, detail, root: self.sync.writer.published().root }
    }

    /// Takes a peer's whole state of some `expected` entries through the one way in, from where an earlier stream was cut.
    async fn pull(&self, road: &HttpRoad, expected: u64, until: Instant) -> Result<Pulled, PullError> {
        let after = self.cursor(&road.receiver);
        let credentials = road.sign("GET", &full_path(after), b"")?;
        let mut stream = begun_in_time(self.client.full(&road.url, &credentials, after)).await?;
        let epoch = match stream.next_part().await? {
            Some(Part::Header { lattice, after, .. }) if lattice == self.sync.identity.lattice => after.epoch,
            _ => return Err(NoAnswer::Unreadable("the state is of another lattice".to_owned()).into()),
        };
        let mut pulled = Pulled::default();
        let mut progress = Progress::new(road.url.clone());
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(part) = stream.next_part().await? {
            let (row, commit) = match part {
                Part::Commit { row, commit } => (row, commit),
                Part::End { root, .. } => {
                    pulled.root = Some(root);
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
                progress.show(pulled.entries, expected);
                self.remember(road.receiver, Some(Cursor { epoch, row }));
                if Instant::now() >= until {
                    break;
                }
            }
        }
        self.take(batch, &mut pulled).await?;
        if pulled.root.is_some() {
            // All came. Should it be asked for again, then because something got lost here: from the beginning.
            self.remember(road.receiver, None);
        }
        let Pulled { entries, applied, refused, root } = pulled;
        tracing::info!(url = road.url, entries, applied, refused, is_whole = root.is_some(), "the peer's state came");
        if applied > 0 {
            let event = Event::Reconciled { peer: road.receiver, outcome: "full".into(), received: entries, sent: 0 };
            self.sync.writer.send(Job::Note { event }).await;
        }
        Ok(pulled)
    }

    async fn take(&self, commits: Vec<Commit>, pulled: &mut Pulled) -> Result<(), PullError> {
        if commits.is_empty() {
            return Ok(());
        }
        pulled.entries += commits.iter().map(standing_ops).sum::<u64>();
        let sync = &self.sync;
        let intake = crate::intake::take(&sync.identity, &sync.writer, &sync.reader, commits).await;
        let intake = intake.map_err(PullError::Ours)?;
        pulled.applied += intake.applied;
        pulled.refused += intake.refused.len() as u64;
        let fatal = intake.refused.into_iter().find_map(|Refusal { why, reason, .. }| match why {
            RefusedFor::Invalid => Some(PullError::Invalid(reason)),
            RefusedFor::NoRoom => Some(PullError::Ours(reason)),
            RefusedFor::BeyondCut | RefusedFor::NotAdmitted => None,
        });
        fatal.map_or(Ok(()), Err)
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

/// Whether the whole state may bring what the session did not. What one side refused, it would refuse again; a message that
/// got lost comes through next time; and who broke the protocol is not asked for more.
fn wants_all(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unexplained { .. } | Outcome::Declined { .. } => true,
        Outcome::Equal { .. }
        | Outcome::Explained { .. }
        | Outcome::Refused { .. }
        | Outcome::PeerFault(_)
        | Outcome::Busy
        | Outcome::Lost { .. }
        | Outcome::OurFault { .. } => false,
    }
}
