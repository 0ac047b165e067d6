//! The heartbeat: asks peers for their state, counts, switches the mode, and has the node heal what differs.
//!
//! It carries out what [`crate::tracker`] and [`crate::mode`] decide. What a node knows and does is behind [`Node`].

mod board;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lattice::head::Head;
use lattice::ids::{AuthorId, LatticeId, StateRoot};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use board::{Board, PeerBoard};

use crate::client::{Client, NoAnswer};
use crate::mode::{Change, HTTP_AFTER_MS, SAMPLE_MS, Switch};
use crate::tracker::{self, Ended, Mismatch, Summary, Tracker};

/// How often it is looked whether a beat is due.
const TICK: Duration = Duration::from_millis(100);

/// Beats in a row that bring nothing, after which a node is told of it. One is lost when a peer restarts.
pub const USELESS_BEATS: u32 = 2;

/// The numbers of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Interval and mismatches.
    pub tracker: tracker::Config,
    /// Milliseconds without a lattice peer until HTTP mode.
    pub http_after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tracker: tracker::Config::default(), http_after_ms: HTTP_AFTER_MS }
    }
}

/// A peer to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it answers.
    pub url: String,
    /// Who published the URL; `None` for a URL out of the configuration.
    pub published_by: Option<AuthorId>,
}

/// A node's second road as the heartbeat drives it: the daemon, or a test.
pub trait Node: Send + Sync + 'static {
    /// The lattice.
    fn lattice(&self) -> LatticeId;
    /// What its state amounts to now.
    fn summary(&self) -> Summary;
    /// Peers that proved this lattice, connected now.
    fn lattice_peers(&self) -> u64;
    /// Whom to ask, the most important first; `None` if that can't be told now.
    fn targets(&self) -> BoxFuture<'static, Option<Vec<Target>>>;
    /// Whether to deal with the node that answered at a target.
    ///
    /// # Errors
    ///
    /// [`Unexpected`]: why not.
    fn expect(&self, target: &Target, head: &Head) -> Result<(), Unexpected>;
    /// Brings both states together over HTTP.
    fn heal(self: Arc<Self>, target: Target, peer: Head) -> BoxFuture<'static, Healed>;
    /// Something happened.
    fn tell(&self, event: Event);
}

/// Why a node that answers is not dealt with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// The URL leads to the node that asks.
    #[error("that is this node itself")]
    Itself,
    /// It is none to deal with, in words for people.
    #[error("{0}")]
    Stranger(String),
}

/// How a healing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    /// For the tracker.
    pub ended: Ended,
    /// One word for metrics.
    pub outcome: &'static str,
    /// The words for people.
    pub detail: String,
    /// Our root afterwards.
    pub root: StateRoot,
}

/// The word for a beat that was not answered.
pub const SILENT: &str = "silent";

/// What a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The number of lattice peers changed.
    Peers(u64),
    /// The mode changed.
    Mode(Change),
    /// A beat came back, or did not: `equal`, `differs`, `refused`, [`SILENT`].
    Beat {
        /// The peer.
        url: String,
        /// One word.
        result: &'static str,
        /// From the question to the answer, or until it was given up.
        took: Duration,
    },
    /// [`USELESS_BEATS`] in a row brought nothing. Told once, until [`Event::Useful`].
    Useless {
        /// The peer.
        url: String,
        /// Why the last one did not, for people.
        reason: String,
    },
    /// A beat brought an answer to use again.
    Useful {
        /// The peer.
        url: String,
    },
    /// A URL leads to this node itself. Told once, like the above.
    Itself {
        /// The URL.
        url: String,
    },
    /// A beat found another root.
    Mismatch {
        /// The peer.
        url: String,
        /// How many in a row, and what they mean.
        mismatch: Mismatch,
        /// Our root.
        ours: StateRoot,
        /// The peer's.
        theirs: StateRoot,
    },
    /// A session begins.
    Started {
        /// The peer.
        url: String,
    },
    /// It ended.
    Finished {
        /// The peer.
        url: String,
        /// How.
        healed: Healed,
    },
}

/// What a task brought.
enum Done {
    Targets(Option<Vec<Target>>),
    Answer(Target, Result<Box<Head>, NoAnswer>, Duration),
    Healed(String, Healed),
}

/// For whom a task runs, should it break.
enum Task {
    Targets,
    Beat(String),
    Session(String),
}

/// Beats to one URL that brought nothing.
#[derive(Default)]
struct Useless {
    /// How many in a row.
    beats: u32,
    /// Why the last one did not.
    reason: String,
    /// Whether the node knows.
    is_told: bool,
}

/// The loop's state.
struct Heartbeat<N> {
    node: Arc<N>,
    client: Client,
    tracker: Tracker,
    switch: Switch,
    started: Instant,
    targets: HashMap<String, Target>,
    /// The last heads, by URL: whom a session is with.
    heads: HashMap<String, Head>,
    /// Those whose last beat brought nothing, by URL.
    useless: HashMap<String, Useless>,
    tasks: JoinSet<Done>,
    running: HashMap<Id, Task>,
    lattice_peers: Option<u64>,
}

/// Beats until `stop` fires. The board always shows the last state.
pub async fn run<N: Node>(
    node: Arc<N>,
    client: Client,
    config: Config,
    board: watch::Sender<Board>,
    stop: CancellationToken,
) {
    let mut heartbeat = Heartbeat {
        node,
        client,
        tracker: Tracker::new(config.tracker),
        switch: Switch::new(0, config.http_after_ms),
        started: Instant::now(),
        targets: HashMap::new(),
        heads: HashMap::new(),
        useless: HashMap::new(),
        tasks: JoinSet::new(),
        running: HashMap::new(),
        lattice_peers: None,
    };
    let interval = Duration::from_millis(config.tracker.interval_ms);
    let mut tick = tokio::time::interval(TICK.min(interval));
    let mut sample = tokio::time::interval(Duration::from_millis(SAMPLE_MS));
    let mut look_up = tokio::time::interval(interval);
    for timer in [&mut tick, &mut sample, &mut look_up] {
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            Some(done) = heartbeat.tasks.join_next_with_id() => heartbeat.finished(done),
            _ = look_up.tick() => heartbeat.look_up_targets(),
            _ = sample.tick() => heartbeat.sample(),
            _ = tick.tick() => heartbeat.beat(),
            () = stop.cancelled() => break,
        }
        heartbeat.heal();
        board.send_replace(heartbeat.board());
    }
    heartbeat.tasks.shutdown().await;
}

impl<N: Node> Heartbeat<N> {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn spawn(&mut self, task: Task, future: impl Future<Output = Done> + Send + 'static) {
        let id = self.tasks.spawn(future).id();
        self.running.insert(id, task);
    }

    fn look_up_targets(&mut self) {
        // A look-up that still runs brings the same.
        if !self.running.values().any(|task| matches!(task, Task::Targets)) {
            let targets = self.node.targets();
            self.spawn(Task::Targets, async move { Done::Targets(targets.await) });
        }
    }

    fn sample(&mut self) {
        let lattice_peers = self.node.lattice_peers();
        if self.lattice_peers.replace(lattice_peers) != Some(lattice_peers) {
            self.node.tell(Event::Peers(lattice_peers));
        }
        if let Some(change) = self.switch.sample(self.now_ms(), lattice_peers, self.tracker.len()) {
            self.node.tell(Event::Mode(change));
        }
    }

    fn beat(&mut self) {
        for url in self.tracker.due(self.now_ms(), random()) {
            let Some(target) = self.targets.get(&url).cloned() else {
                self.tracker.silent(&url);
                continue;
            };
            let (client, lattice) = (self.client.clone(), self.node.lattice());
            self.spawn(Task::Beat(url), async move {
                let asked = Instant::now();
                let answer = match client.state(&target.url).await {
                    Ok(view) => match view.verified_head(lattice) {
                        Ok(head) => Ok(Box::new(head)),
                        Err(error) => Err(NoAnswer::Unreadable(error.to_string())),
                    },
                    Err(error) => Err(error),
                };
                Done::Answer(target, answer, asked.elapsed())
            });
        }
    }

    fn heal(&mut self) {
        while let Some(url) = self.tracker.next_session(self.now_ms()) {
            let (Some(target), Some(head)) = (self.targets.get(&url).cloned(), self.heads.get(&url).copied()) else {
                self.tracker.ended(self.now_ms(), &url, Ended::Badly, random());
                continue;
            };
            self.node.tell(Event::Started { url: url.clone() });
            let healing = self.node.clone().heal(target, head);
            self.spawn(Task::Session(url.clone()), async move { Done::Healed(url, healing.await) });
        }
    }

    fn finished(&mut self, done: Result<(Id, Done), JoinError>) {
        match done {
            Ok((id, done)) => {
                self.running.remove(&id);
                match done {
                    Done::Targets(Some(targets)) => self.retarget(targets),
                    Done::Targets(None) => {}
                    Done::Answer(target, answer, took) => self.answered(&target, answer, took),
                    Done::Healed(url, healed) => self.healed(url, healed),
                }
            }
            // A task that panicked is a bug of ours; the peer's place must be freed all the same.
            Err(error) => {
                tracing::error!(%error, "a task of the heartbeat broke");
                match self.running.remove(&error.id()) {
                    Some(Task::Beat(url)) => self.tracker.silent(&url),
                    Some(Task::Session(url)) => self.tracker.ended(self.now_ms(), &url, Ended::Badly, random()),
                    Some(Task::Targets) | None => {}
                }
            }
        }
    }

    fn retarget(&mut self, targets: Vec<Target>) {
        let urls: Vec<_> = targets.iter().map(|target| target.url.clone()).collect();
        self.tracker.expect(self.now_ms(), urls, random());
        let known = |url: &String| self.tracker.peer(url).is_some();
        self.heads.retain(|url, _| known(url));
        self.useless.retain(|url, _| known(url));
        let targets = targets.into_iter().map(|target| (target.url.clone(), target));
        self.targets = targets.filter(|(url, _)| known(url)).collect();
    }

    fn answered(&mut self, target: &Target, answer: Result<Box<Head>, NoAnswer>, took: Duration) {
        let url = target.url.clone();
        let head = match answer {
            Ok(head) => *head,
            Err(error) => {
                self.tracker.silent(&url);
                self.node.tell(Event::Beat { url: url.clone(), result: SILENT, took });
                return self.note_useless(url, error.to_string(), false);
            }
        };
        if let Err(unexpected) = self.node.expect(target, &head) {
            let is_itself = unexpected == Unexpected::Itself;
            if is_itself {
                self.tracker.itself(self.now_ms(), &url)
            } else {
                self.tracker.silent(&url)
            }
            self.node.tell(Event::Beat { url: url.clone(), result: "refused", took });
            return self.note_useless(url, unexpected.to_string(), is_itself);
        }
        if self.useless.remove(&url).is_some_and(|useless| useless.is_told) {
            self.node.tell(Event::Useful { url: url.clone() });
        }
        self.heads.insert(url.clone(), head);
        let (ours, theirs) = (self.node.summary(), Summary { root: head.root, frontier: head.frontier });
        let mismatch = self.tracker.answered(self.now_ms(), &url, &ours, &theirs, self.switch.mode());
        let result = if mismatch.is_some() { "differs" } else { "equal" };
        self.node.tell(Event::Beat { url: url.clone(), result, took });
        if let Some(mismatch) = mismatch {
            self.node.tell(Event::Mismatch { url, mismatch, ours: ours.root, theirs: theirs.root });
        }
    }

    /// A beat brought nothing: the node is told once, not at each of them.
    fn note_useless(&mut self, url: String, reason: String, is_itself: bool) {
        tracing::debug!(url, reason, "a beat brought nothing");
        let useless = self.useless.entry(url.clone()).or_default();
        (useless.beats, useless.reason) = (useless.beats.saturating_add(1), reason.clone());
        if !useless.is_told && (is_itself || useless.beats >= USELESS_BEATS) {
            useless.is_told = true;
            self.node.tell(if is_itself { Event::Itself { url } } else { Event::Useless { url, reason } });
        }
    }

    fn healed(&mut self, url: String, healed: Healed) {
        self.tracker.ended(self.now_ms(), &url, healed.ended, random());
        self.node.tell(Event::Finished { url, healed });
    }

    fn board(&self) -> Board {
        let peers = self.tracker.peers().map(|(url, peer)| PeerBoard {
            url: url.to_owned(),
            author: self.heads.get(url).map(|head| head.author),
            is_published: self.targets.get(url).is_some_and(|target| target.published_by.is_some()),
            count: peer.count,
            kind: peer.kind,
            root: peer.root,
            answered_ms: peer.answered_ms,
            breaker: peer.breaker(self.now_ms()),
            error: self.useless.get(url).map(|useless| useless.reason.clone()),
        });
        Board {
            started: self.started,
            mode: self.switch.mode(),
            since_ms: self.switch.since_ms(),
            reason: self.switch.reason().to_owned(),
            peers: peers.collect(),
        }
    }
}

/// Chance for jitter; without randomness on this machine nodes come in step, nothing worse.
fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests;
