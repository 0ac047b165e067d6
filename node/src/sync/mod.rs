//! Keeping in step with peers: heads out and in, sessions started when the schedule says so.
//!
//! The schedule is [`node_core::schedule`]; [`session`] carries out the initiator's effects over a [`road`], [`serve`]
//! answers the sessions of others. `crossing` ends one of two that cross, `progress` is what is shown of a long one.
//! [`resuming`] asks after a start where our own chain ends.

pub mod session;
pub mod road;
pub mod serve;
pub mod crossing;
pub(crate) mod progress;
pub mod resuming;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lattice::fault::Fault;
use lattice::frame::Frame;
use lattice::head::{Head, SignedHead};
use lattice::ids::{AuthorId, StateRoot};
use lattice::membership::Membership;
use lattice::record::Event;
use lattice::tree::prefix::Prefix;
use libp2p::PeerId;
use node_core::peers::PeerName;
use node_core::schedule::{Alarm, Ended, Ours, Roots, Schedule};
use reconcile::outcome::Outcome;
use reconcile::sketch::Estimator;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::clock::{now_ms, steady_ms};
use crate::counters::Counters;
use crate::journal::Journal;
use crate::metrics::measured::seconds;
use crate::net::swarm::name;
use crate::net::{Command, NetHandle};
use crate::store::read::Reader;
use crate::writer::job::Job;
use crate::writer::{Identity, Published, WriterHandle};
use crossing::{Crossing, Note};
use road::Road;
use serve::Turns;
use session::{Report, Session};

/// Heads waiting for the sync task. Beyond it they are lost, and the next ones tell the same.
pub const HEADS_MAX: usize = 256;

/// A head goes out this soon after a change, and at the latest after [`HEAD_INTERVAL`].
const HEAD_PAUSE: Duration = Duration::from_millis(300);
const HEAD_INTERVAL: Duration = Duration::from_secs(5);

/// Peers of which it is remembered what the last alarm was about. Beyond it all are forgotten, and told once more.
const ALARMED_MAX: usize = 256;

/// How often the schedule is asked.
const TICK: Duration = Duration::from_millis(100);

/// What the sync task works with.
#[derive(Clone)]
pub struct Sync {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// The state.
    pub writer: WriterHandle,
    /// Commits for peers.
    pub reader: Reader,
    /// The road.
    pub net: NetHandle,
    /// Where endings are counted.
    pub counters: Arc<Counters>,
    /// What is answered about logs.
    pub audit: Audit,
    /// Where alarms are written down.
    pub journal: Arc<Journal>,
    /// The roots of each peer's last alarm.
    pub alarmed: Arc<Mutex<HashMap<String, (StateRoot, StateRoot)>>>,
    /// Who is being answered, over whichever road.
    pub turns: Arc<Turns>,
    /// Who asks us, and whom we ask, over libp2p.
    pub crossing: Arc<Crossing>,
    /// Whether this node mirrors the seat's holder: then it takes nothing from anybody else.
    pub hidden: watch::Receiver<bool>,
}

impl Sync {
    /// Works until `stop` fires.
    pub async fn run(
        self,
        mut heads: mpsc::Receiver<Head>,
        mut nudges: mpsc::Receiver<PeerId>,
        mut notes: mpsc::Receiver<Note>,
        stop: CancellationToken,
    ) {
        let mut schedule = Schedule::default();
        let mut present = BTreeSet::new();
        let (mut states, mut network) = (self.writer.watch(), self.net.watch());
        let mut sessions: JoinSet<(PeerId, Report)> = JoinSet::new();
        let mut running: HashMap<tokio::task::Id, PeerId> = HashMap::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        schedule.ours(self.writer.published().root);
        loop {
            tokio::select! {
                Ok(()) = states.changed() => schedule.ours(states.borrow_and_update().root),
                Ok(()) = network.changed() => self.presence(&mut schedule, &mut present),
                Some(head) = heads.recv() => self.on_head(&mut schedule, head).await,
                Some(peer) = nudges.recv() => schedule.nudged(name(&peer)),
                Some(note) = notes.recv() => match note {
                    Note::Asked(peer) => schedule.asked(steady_ms(), &name(&peer)),
                    Note::Offered(peer) => schedule.offered(&name(&peer)),
                },
                Some(ended) = sessions.join_next_with_id() => match ended {
                    Ok((id, (peer, report))) => {
                        running.remove(&id);
                        self.crossing.end(&peer);
                        self.ended(&mut schedule, peer, report).await;
                    }
                    // A session that panicked is a bug of ours; its place in the schedule must be freed all the same.
                    Err(error) => if let Some(peer) = running.remove(&error.id()) {
                        self.crossing.end(&peer);
                        tracing::error!(%peer, %error, "a reconcile session broke");
                        schedule.ended(steady_ms(), &name(&peer), Ended::Badly(None), 0);
                    },
                },
                _ = tick.tick() => if !*self.hidden.borrow() {
                    while let Some(peer) = schedule.next(steady_ms()).and_then(|peer| PeerId::from_bytes(&peer.0).ok()) {
                        self.crossing.begin(peer);
                        let estimator = self.estimator_of(&peer);
                        let session = Session { sync: self.clone(), road: Road::P2p(peer), estimator, until: None };
                        let session = sessions.spawn(async move { (peer, session.run().await) });
                        running.insert(session.id(), peer);
                    }
                },
                () = stop.cancelled() => break,
            }
        }
        sessions.shutdown().await;
    }

    /// What the peer's last head tells about how much it differs.
    fn estimator_of(&self, peer: &PeerId) -> Option<Estimator> {
        let book = self.net.view().book;
        let head = book.peers().find(|(known, _)| **known == name(peer)).and_then(|(_, peer)| peer.head);
        head.map(|(head, _)| Estimator::decode(&head.estimator))
    }

    fn presence(&self, schedule: &mut Schedule, present: &mut BTreeSet<PeerName>) {
        let book = self.net.view().book;
        // A mirror of the seat answers nobody: asked for what is missing here, it would be asked for ever. One that gossips does
        // not know that it is one: it lost its database, and a founder has nobody then whom it could ask.
        let published = self.writer.published();
        let term = published.membership.seats().current();
        let is_hidden =
            |author: &AuthorId| term.is_some_and(|term| term.certificate.body.mirrors().any(|mirror| mirror == author));
        let answers =
            |name: &&PeerName| book.author(name).is_some_and(|author| !is_hidden(&author) || book.is_subscribed(name));
        let now: BTreeSet<_> = book.peers().map(|(name, _)| name).filter(answers).cloned().collect();
        for peer in now.difference(present) {
            tracing::info!(peer = %shown(peer), "peer proved the lattice");
            schedule.joined(peer.clone());
        }
        for peer in present.difference(&now) {
            tracing::info!(peer = %shown(peer), "lattice peer gone");
            schedule.left(peer);
        }
        *present = now;
    }

    async fn on_head(&self, schedule: &mut Schedule, head: Head) {
        let ours = self.writer.published();
        let known = schedule.knows(&head.root);
        if let Some(member) = ours.membership.member(&head.author) {
            let summary = Ours { root: ours.root, frontier: ours.frontier_digest };
            schedule.head(steady_ms(), &PeerName::from(member.peer_id.as_slice()), &head, &summary);
        }
        self.stated(&ours.membership, &head);
        self.net.command(Command::Head { head, known }).await;
    }

    fn stated(&self, membership: &Membership, head: &Head) {
        let mut confirmations = self.audit.service.inner.confirmations.lock().unwrap_or_else(PoisonError::into_inner);
        confirmations.stated(membership, head, now_ms());
    }

    async fn ended(&self, schedule: &mut Schedule, peer: PeerId, report: Report) {
        let random = u64::from(report.took_ms as u32);
        if let Some(alarm) = schedule.ended(steady_ms(), &name(&peer), Ended::of(&report.outcome), random) {
            self.tell(&report, alarm);
        }
        if report.outcome.is_in_step() {
            self.net.command(Command::Synced(peer)).await;
        }
        if report.outcome.fault() == Some(Fault::Sender) {
            self.net.command(Command::Strike(peer)).await;
        }
        let author = self.net.view().book.author(&name(&peer));
        self.settle(author, report).await;
    }

    /// What every session leaves behind, over whichever road it went: figures, and a record if it changed something.
    pub(crate) async fn settle(&self, author: Option<AuthorId>, report: Report) {
        if matches!(report.outcome, Outcome::Equal { frontier_raised: false, .. })
            && self.writer.published().is_catching_up
        {
            self.writer.send(Job::CaughtUp).await;
        }
        if report.outcome.is_in_step() {
            self.alarmed.lock().unwrap_or_else(PoisonError::into_inner).remove(&report.peer);
        }
        self.counters.reconciled(report.outcome.word(), report.view());
        self.counters.measured.reconcile.observe(seconds(report.took_ms));
        let has_changed = report.stats.has_changed_anything();
        tracing::info!(peer = %report.peer, outcome = report.outcome.word(), stats = ?report.stats, detail = report.detail(), "reconcile ended");
        let Some(peer) = author.filter(|_| has_changed) else { return };
        let outcome = report.outcome.word().to_owned();
        let (received, sent) = (report.stats.entries_received, report.stats.entries_sent);
        self.writer.send(Job::Note { event: Event::Reconciled { peer, outcome, received, sent } }).await;
    }

    fn tell(&self, report: &Report, alarm: Alarm) {
        let first = if let Outcome::Unexplained { first, .. } = &report.outcome { Some(*first) } else { None };
        let (roots, why) = match alarm {
            Alarm::Unexplained(roots) => (roots, "roots differ and nothing explains it".to_owned()),
            Alarm::Stuck(roots) => (roots, format!("no reconcile brings the roots together: {}", report.detail())),
        };
        self.alarm(&report.peer, roots, first, &why);
    }

    /// Says that two roots differ where they should not: a figure, a line in the process's log, and an event. `first` is
    /// the first page that differs, if that was found.
    pub(crate) fn alarm(&self, peer: &str, Roots { ours, theirs }: Roots, first: Option<Prefix>, why: &str) {
        // The same two roots again are the same alarm: sessions go on trying for as long as it lasts.
        let mut alarmed = self.alarmed.lock().unwrap_or_else(PoisonError::into_inner);
        if alarmed.insert(peer.to_owned(), (ours, theirs)) == Some((ours, theirs)) {
            return;
        }
        if alarmed.len() > ALARMED_MAX {
            alarmed.clear();
        }
        drop(alarmed);
        self.counters.diverged();
        let first = first.map_or_else(|| "unknown".to_owned(), |first| first.to_string());
        tracing::error!(peer, %ours, %theirs, first, "divergence: {why}");
        let fields = [
            ("peer", peer.to_owned()),
            ("ours", ours.to_string()),
            ("theirs", theirs.to_string()),
            ("first", first),
            ("why", why.to_owned()),
        ];
        self.journal.write("alarm", format!("alarm {peer} {ours} {theirs}"), fields);
    }

    /// Tells others our head: soon after a change, and now and then in any case.
    pub async fn tell_heads(self, stop: CancellationToken) {
        let mut states = self.writer.watch();
        loop {
            let published = states.borrow_and_update().clone();
            let signed = signed_head(&self.identity, &published);
            self.stated(&published.membership, signed.head());
            let frame = Frame::Head(Box::new(signed));
            self.net.command(Command::Publish(frame.encode())).await;
            let change = async {
                tokio::time::sleep(HEAD_PAUSE).await;
                // An error means that the writer is gone; `stop` ends the loop then.
                let _ = states.changed().await;
            };
            tokio::select! {
                _ = tokio::time::timeout(HEAD_INTERVAL, change) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Tells the swarm who is a member, whenever that changes.
    pub async fn tell_membership(self, stop: CancellationToken) {
        let mut states = self.writer.watch();
        let mut told = self.writer.published().membership.clone();
        self.net.command(Command::Membership(told.clone())).await;
        loop {
            tokio::select! {
                Ok(()) = states.changed() => {}
                () = stop.cancelled() => return,
            }
            let now = states.borrow_and_update().membership.clone();
            if !Arc::ptr_eq(&now, &told) {
                told = now;
                self.net.command(Command::Membership(told.clone())).await;
            }
        }
    }
}

/// What this node says of its state now.
pub(crate) fn signed_head(identity: &Identity, published: &Published) -> SignedHead {
    let head = Head {
        lattice: identity.lattice,
        author: identity.keys.author.id(),
        time_ms: now_ms(),
        root: published.root,
        entries: published.tree.len(),
        frontier: published.frontier_digest,
        checkpoint_size: published.checkpoint_size(),
        estimator: published.tree.sketch().estimator().encode(),
    };
    head.sign(&identity.keys.author)
}

fn shown(peer: &PeerName) -> String {
    PeerId::from_bytes(&peer.0).map_or_else(|_| "?".to_owned(), |peer| peer.to_string())
}
