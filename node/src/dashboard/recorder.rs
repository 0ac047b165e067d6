//! The task that looks at the node once a second and remembers what the dashboard shows of the past.
//!
//! It also writes into the journal what nobody else tells: members that come and go, refusals, sessions over libp2p.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_fallback::heartbeat::PeerBoard;
use http_fallback::tracker::Kind;
use lattice::ids::AuthorId;
use lattice::membership::Membership;
use libp2p::PeerId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::forks::{Fork, Forks, Other};
use super::history::{History, Look, Sample};
use super::lanes::{Lane, Lanes, Seen};
use super::shown::Now;
use crate::clock::{now_ms, steady_ms};
use crate::journal::HAPPENINGS_MAX;
use crate::service::Service;

/// Time between two looks: what a person sees as at once.
const LOOK: Duration = Duration::from_secs(1);

/// Looks between two events about refusals: one reason a busy stranger can give must not push all else out of the journal.
const REFUSAL_LOOKS: u32 = 10;

/// Milliseconds after which a head says nothing any more: six times the interval at which they come.
const HEAD_STALE_MS: u64 = 30_000;

/// Mismatches in a row with a node that is reached over HTTP alone, from which on it is shown as a fork. One is what a write
/// that is on its way looks like.
const COUNTED_FROM: u32 = 2;

/// What is remembered, and the moments at which it grows.
#[derive(Debug)]
pub struct Recorder {
    recorded: Mutex<Recorded>,
    /// The last [`Now`] as JSON; empty before the first, and while nobody reads.
    ticks: watch::Sender<Arc<str>>,
}

#[derive(Debug)]
struct Recorded {
    history: History,
    lanes: Lanes,
    forks: Forks,
}

impl Default for Recorder {
    fn default() -> Self {
        let (time_ms, steady_ms) = (now_ms(), steady_ms());
        let look = Look { time_ms, steady_ms, paced: crate::writer::pace::Paced::default(), peers: 0, divergences: 0 };
        let history = History::beginning(look);
        let recorded = Recorded { history, lanes: Lanes::default(), forks: Forks::default() };
        Self { recorded: Mutex::new(recorded), ticks: watch::channel("".into()).0 }
    }
}

impl Recorder {
    /// Changes with each look.
    pub fn ticks(&self) -> watch::Receiver<Arc<str>> {
        self.ticks.subscribe()
    }

    /// Samples behind number `after`.
    pub fn samples(&self, after: u64) -> Vec<Sample> {
        self.lock().history.behind(after)
    }

    /// Lanes with what changed behind number `after`, and the number of the last change.
    pub fn lanes(&self, after: u64) -> (Vec<Lane>, u64) {
        let recorded = self.lock();
        (recorded.lanes.behind(after), recorded.lanes.last())
    }

    /// All forks, unless they are those of this version; and their version.
    pub fn forks(&self, seen: Option<u64>) -> (Option<Vec<Fork>>, u64) {
        let recorded = self.lock();
        let version = recorded.forks.version();
        ((seen != Some(version)).then(|| recorded.forks.all()), version)
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        // Figures of the past: a panic elsewhere leaves them whole.
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was told last, to tell only what is new.
struct Told {
    membership: Arc<Membership>,
    refusals: BTreeMap<&'static str, u64>,
    reconcile: u64,
    happening: u64,
    mismatches: u64,
    looks: u32,
}

/// Looks until `stop` fires.
pub async fn record(service: Service, stop: CancellationToken) {
    let recorder = service.inner.dashboard.clone();
    let mut states = service.states();
    let mut told = Told {
        membership: states.borrow().membership.clone(),
        refusals: BTreeMap::new(),
        reconcile: 0,
        happening: 0,
        mismatches: 0,
        looks: 0,
    };
    recorder.lock().forks.ours(states.borrow_and_update().root);
    let mut due = tokio::time::interval(LOOK);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Ok(()) = states.changed() => recorder.lock().forks.ours(states.borrow_and_update().root),
            _ = due.tick() => look(&service, &recorder, &mut told),
            () = stop.cancelled() => return,
        }
    }
}

fn look(service: &Service, recorder: &Recorder, told: &mut Told) {
    told.tell(service);
    let (now, steady) = (now_ms(), steady_ms());
    let published = service.inner.writer.published();
    let others = others(service, &published.membership);
    let own = service.inner.identity.keys.author.id();
    let ended = service.inner.counters.reconciles_behind(0);
    let mut recorded = recorder.lock();
    recorded.lanes.take(
        now,
        Seen {
            node: own.to_string(),
            name: Some(service.inner.name.clone()),
            is_own: true,
            root: published.root,
            entries: Some(published.tree.len()),
        },
    );
    for (other, entries) in &others {
        let Other { node, name, root, .. } = other.clone();
        recorded.lanes.take(now, Seen { node, name, is_own: false, root, entries: *entries });
    }
    let others: Vec<_> = others.into_iter().map(|(other, _)| other).collect();
    recorded.forks.look(now, &others, &ended);
    if recorded.history.is_due(steady) {
        let (pace, divergences) = (service.inner.writer.pace(), told.mismatches + service.inner.counters.divergences());
        let look =
            Look { time_ms: now, steady_ms: steady, paced: pace.sums(), peers: service.counts().lattice, divergences };
        recorded.history.take(look, pace.take_slowest_micros());
    }
    drop(recorded);
    if recorder.ticks.receiver_count() > 0 {
        recorder.ticks.send_replace(json(&Now::of(service)));
    }
}

/// Plain text and numbers always serialize.
fn json(now: &Now) -> Arc<str> {
    serde_json::to_string(now).unwrap_or_default().into()
}

/// What others stated last, over either road, and entries under it: those that are connected, and those that answer over HTTP.
fn others(service: &Service, membership: &Membership) -> Vec<(Other, Option<u64>)> {
    let book = service.inner.net.view().book;
    let term = membership.seats().current().map(|term| &term.certificate.body);
    // Hidden, so it states nothing; what it stated before is long past.
    let is_mirror = |author: &AuthorId| term.is_some_and(|body| body.mirrors().any(|mirror| mirror == author));
    let is_old = |at: u64| steady_ms().saturating_sub(at) > HEAD_STALE_MS;
    let mut others = Vec::new();
    for (name, peer) in book.peers() {
        let (Some(author), Some((head, at))) = (book.author(name), &peer.head) else { continue };
        if is_mirror(&author) || is_old(*at) {
            continue;
        }
        let peer_id = PeerId::from_bytes(&name.0).map(|id| id.to_string());
        let other = Other {
            node: author.to_string(),
            name: membership.member(&author).map(|member| member.name.clone()),
            known_as: peer_id.into_iter().collect(),
            root: head.root,
            stated_ms: Some(*at),
            is_counted: false,
        };
        others.push((other, Some(head.entries)));
    }
    for peer in &service.inner.board.borrow().peers {
        beaten(&mut others, peer, membership);
    }
    others
}

/// Adds what the heartbeat knows of a node.
fn beaten(others: &mut Vec<(Other, Option<u64>)>, peer: &PeerBoard, membership: &Membership) {
    let Some(root) = peer.root.filter(|_| peer.error.is_none()) else { return };
    let node = peer.author.map_or_else(|| peer.url.clone(), |author| author.to_string());
    let is_divergence = peer.count > 0 && peer.kind == Some(Kind::Divergence);
    if let Some((other, _)) = others.iter_mut().find(|(other, _)| other.node == node) {
        other.known_as.push(peer.url.clone());
        other.is_counted |= is_divergence;
        return;
    }
    let name = peer.author.and_then(|author| membership.member(&author)).map(|member| member.name.clone());
    let known_as = vec![peer.url.clone()];
    let is_counted = is_divergence || peer.count >= COUNTED_FROM;
    others.push((Other { node, name, known_as, root, stated_ms: None, is_counted }, None));
}

impl Told {
    fn tell(&mut self, service: &Service) {
        self.tell_members(service);
        self.tell_sessions(service);
        if self.looks.is_multiple_of(REFUSAL_LOOKS) {
            self.tell_refusals(service);
        }
        self.looks = self.looks.wrapping_add(1);
        // What the heartbeat found, for the samples: counted where it is told, so that both say the same.
        let new = service.happenings(self.happening, HAPPENINGS_MAX);
        self.mismatches += new.iter().filter(|happening| happening.kind == "divergence").count() as u64;
        self.happening = new.last().map_or(self.happening, |last| last.number);
    }

    fn tell_members(&mut self, service: &Service) {
        let now = service.inner.writer.published().membership.clone();
        if Arc::ptr_eq(&now, &self.membership) {
            return;
        }
        let before = std::mem::replace(&mut self.membership, now.clone());
        for member in now.members() {
            let (was, is) = (before.is_active(&member.author), now.is_active(&member.author));
            let step = match (was, is) {
                (false, true) => "joined",
                (true, false) => "left",
                (true, true) | (false, false) => continue,
            };
            // Who was never cut may write whatever number comes.
            let cut = now.last_seq(&member.author).filter(|_| !is);
            let fields = [
                ("name", member.name.clone()),
                ("author", member.author.to_string()),
                ("step", step.to_owned()),
                ("cut", cut.map(|cut| cut.to_string()).unwrap_or_default()),
            ];
            service.inner.journal.write("membership", format!("member {} {step}", member.name), fields);
        }
    }

    fn tell_refusals(&mut self, service: &Service) {
        let now = service.inner.counters.refusals();
        for (reason, count) in &now {
            let new = count - self.refusals.get(reason).copied().unwrap_or_default();
            if new > 0 {
                let fields = [("why", (*reason).to_owned()), ("count", new.to_string())];
                service.inner.journal.write("refusal", format!("refused {new}: {reason}"), fields);
            }
        }
        self.refusals = now;
    }

    /// Sessions over libp2p that moved something or failed; those over HTTP are told by the heartbeat.
    fn tell_sessions(&mut self, service: &Service) {
        for ended in service.inner.counters.reconciles_behind(self.reconcile) {
            self.reconcile = ended.number;
            let session = ended.reconcile;
            if session.peer.contains("://") {
                continue;
            }
            let (received, sent, took) = (session.received, session.sent, session.took_ms);
            let text = format!("reconcile {}: {received} received, {sent} sent, {took} ms", session.outcome);
            let fields = [
                ("peer", session.peer),
                ("outcome", session.outcome),
                ("detail", session.detail),
                ("received", received.to_string()),
                ("sent", sent.to_string()),
                ("took_ms", took.to_string()),
            ];
            service.inner.journal.write("reconcile", text, fields);
        }
    }
}
