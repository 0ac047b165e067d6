//! One reconcile session that this node starts: carries out the initiator's effects.

use std::time::Instant;

use lattice::commit::Commit;
use lattice::ids::KeyHash;
use node_core::apply::EntryRow;
use reconcile::initiator::{Config, Effect, Event, Initiator};
use reconcile::message::Response;
use reconcile::outcome::{Outcome, Rest, Stats};
use reconcile::sketch::Estimator;
use reconcile::view::View;
use tokio::sync::oneshot;

use super::Sync;
use super::progress::Progress;
use super::road::Road;
use crate::store::read::Reader;
use crate::view::ReconcileView;
use crate::writer::Published;
use crate::writer::job::Job;

/// A session about to run.
pub struct Session {
    /// What it works with.
    pub sync: Sync,
    /// The way to the peer.
    pub road: Road,
    /// The estimator in the peer's last head, to size the first flight.
    pub estimator: Option<Estimator>,
    /// When to end at the latest; what moved by then stays.
    pub until: Option<Instant>,
}

/// How a session ended.
pub struct Report {
    /// With whom: a peer id or a URL.
    pub peer: String,
    /// How.
    pub outcome: Outcome,
    /// What it cost and moved.
    pub stats: Stats,
    /// Milliseconds from start to end.
    pub took_ms: u64,
    /// Whether its time was up.
    pub is_cut: bool,
}

impl Report {
    /// The ending in words.
    pub fn detail(&self) -> String {
        match &self.outcome {
            Outcome::Equal { root, .. } => format!("both have root {}", root.short()),
            Outcome::Explained { rest: Rest::NewWrites, .. } => "writes went on meanwhile".to_owned(),
            Outcome::Explained { rest: Rest::Waiting { ours, theirs }, .. } => {
                format!("commits wait for their author or time: {ours} here, {theirs} there")
            }
            Outcome::Explained { rest: Rest::Budget, .. } => "much moved, another session goes on".to_owned(),
            Outcome::Refused { by_us, by_peer, .. } => {
                let first = by_us.iter().chain(by_peer).map(|refusal| refusal.reason.as_str()).next();
                format!("{} refused here, {} there: {}", by_us.len(), by_peer.len(), first.unwrap_or("?"))
            }
            Outcome::Unexplained { ours, theirs, .. } => {
                format!("roots {} here and {} there, and nothing to move", ours.short(), theirs.short())
            }
            Outcome::PeerFault(fault) => fault.to_string(),
            Outcome::Busy => "the peer has too many sessions".to_owned(),
            Outcome::Declined { reason } | Outcome::Lost { reason } | Outcome::OurFault { reason } => reason.clone(),
        }
    }

    /// As clients are shown it.
    pub fn view(&self) -> ReconcileView {
        ReconcileView {
            peer: self.peer.clone(),
            outcome: self.outcome.word().to_owned(),
            detail: self.detail(),
            received: self.stats.entries_received,
            sent: self.stats.entries_sent,
            rounds: self.stats.rounds,
            took_ms: self.took_ms,
        }
    }
}

/// The published state as a session sees it.
pub fn view_of(published: &Published) -> View<EntryRow> {
    View { tree: published.tree.clone(), members: published.members.clone(), frontier: published.frontier_digest }
}

/// The commits that hold our entries at `keys`, as far as `max_bytes` reach, and how many keys that serves. A key
/// without an entry counts as served.
pub async fn load(
    published: &Published,
    reader: &Reader,
    keys: &[KeyHash],
    max_bytes: usize,
) -> Result<(Vec<Commit>, usize), String> {
    let (places, rows): (Vec<usize>, Vec<EntryRow>) = keys
        .iter()
        .enumerate()
        .filter_map(|(place, key)| published.tree.get(key).map(|leaf| (place, leaf.tag)))
        .unzip();
    let (commits, served) = reader.commits_of(&rows, max_bytes).await.map_err(|error| error.to_string())?;
    Ok((commits, places.get(served).copied().unwrap_or(keys.len())))
}

impl Session {
    /// Runs to the end.
    pub async fn run(self) -> Report {
        let started = Instant::now();
        let view = view_of(&self.sync.writer.published());
        let foretold = self.estimator.map(|theirs| theirs.difference(view.tree.sketch().estimator()));
        let mut machine = Initiator::new(view, Config { foretold, ..Config::default() });
        let mut event = Event::Start;
        let mut progress = Progress::new(self.road.shown());
        let is_late = || self.until.is_some_and(|until| Instant::now() >= until);
        let mut is_cut = false;
        let outcome = loop {
            if is_late() {
                is_cut = true;
                break Outcome::Lost { reason: "the session's time is up; what moved stays".to_owned() };
            }
            // Reading many symbols takes tens of milliseconds; other tasks go on meanwhile.
            let is_long = matches!(event, Event::Received(Response::Symbols { .. }));
            let effect =
                if is_long { tokio::task::block_in_place(|| machine.step(event)) } else { machine.step(event) };
            if let Effect::Finish(outcome) = effect {
                break outcome;
            }
            event = self.carry_out(effect).await;
            let stats = machine.stats();
            progress.show(stats.entries_received + stats.entries_sent, machine.expected());
        };
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Report { peer: self.road.shown(), outcome, stats: machine.stats(), took_ms, is_cut }
    }

    async fn carry_out(&self, effect: Effect) -> Event<EntryRow> {
        let sync = &self.sync;
        match effect {
            Effect::Send(request) => match self.road.ask(sync, &request).await {
                Ok(response) => Event::Received(response),
                Err(reason) => Event::SendFailed(reason),
            },
            Effect::Load { keys, max_bytes } => {
                match load(&sync.writer.published(), &sync.reader, &keys, max_bytes).await {
                    Ok((commits, served)) => Event::Loaded { commits, served },
                    Err(reason) => Event::Failed(reason),
                }
            }
            Effect::Apply { commits, meanwhile } => {
                let taken = crate::intake::take(&sync.identity, &sync.writer, &sync.reader, commits);
                let asked = async {
                    match &meanwhile {
                        Some(request) => Some(self.road.ask(sync, request).await),
                        None => None,
                    }
                };
                match tokio::join!(taken, asked) {
                    (Ok(intake), answer) => Event::Applied { intake, view: view_of(&sync.writer.published()), answer },
                    (Err(reason), _) => Event::Failed(reason),
                }
            }
            Effect::RaiseFrontier { root, chains } => {
                let (reply, done) = oneshot::channel();
                sync.writer.send(Job::Raise { root, chains, reply }).await;
                match done.await {
                    Ok(_) => Event::Raised { view: view_of(&sync.writer.published()) },
                    Err(_) => Event::Failed("this node is stopping".to_owned()),
                }
            }
            Effect::Finish(_) => Event::Failed("the session is over".to_owned()),
        }
    }
}
