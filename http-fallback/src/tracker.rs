//! What the heartbeat makes of what peers say: mismatches counted per peer, and when to reconcile with whom.
//!
//! A pure state machine. A root that differs from ours raises the peer's count, an equal one resets it, no answer
//! leaves it. At the third mismatch in a row, or in HTTP mode at the first, the peer is due for a reconcile. Success
//! resets the count; failure keeps it and backs off, each peer for itself. One session runs at a time.
//!
//! ```
//! use http_fallback::mode::Mode;
//! use http_fallback::tracker::{Config, Ended, Summary, Tracker};
//! use lattice::ids::StateRoot;
//!
//! let summary = |n: u8| Summary { root: StateRoot([n; 32]), frontier: [n; 32] };
//! let mut tracker = Tracker::new(Config::default());
//! tracker.expect(0, ["http://peer:4800".to_owned()], 7);
//! for beat in 1..=3 {
//!     let now_ms = beat * 20_000;
//!     let url = tracker.due(now_ms, 7).pop().expect("each ten seconds or so");
//!     tracker.answered(now_ms, &url, &summary(1), &summary(2), Mode::P2p).expect("a mismatch");
//! }
//! assert_eq!(tracker.next_session(60_000).as_deref(), Some("http://peer:4800"));
//! tracker.ended(60_100, "http://peer:4800", Ended::Well { root: StateRoot([2; 32]), is_fruitful: true }, 7);
//! assert_eq!(tracker.peer("http://peer:4800").map(|peer| peer.count), Some(0));
//! ```

use std::collections::BTreeMap;

use lattice::ids::StateRoot;
use reconcile::outcome::{Outcome, Rest, Stats};

use crate::mode::Mode;

/// Milliseconds between two beats to one peer, unless configured.
pub const INTERVAL_MS: u64 = 10_000;

/// Hundredths of the interval by which a beat comes earlier or later, unless configured: nodes that started together
/// soon don't beat together.
pub const JITTER_PERCENT: u64 = 10;

/// Mismatches in a row after which a node reconciles, unless configured. A write on its way explains one or two.
pub const MISMATCHES: u32 = 3;

/// First and longest pause after failed sessions, in beats: with the defaults ten seconds and five minutes.
pub const BACKOFF_FIRST_BEATS: u64 = 1;
/// See [`BACKOFF_FIRST_BEATS`].
pub const BACKOFF_LAST_BEATS: u64 = 32;

/// Sessions in a row that move nothing and end at one and the same root, though the peer says in between that its root is
/// another, until its word is no longer believed. A state never comes back to a root that it has left, so two are proof;
/// at different roots they are none, for under writes gossip may bring everything before the session does.
pub const FRUITLESS_SESSIONS: u32 = 2;

/// Sessions in a row after which more was to come and nothing had changed, until there is a pause before the next.
pub const UNFINISHED_SESSIONS: u32 = 3;

/// Peers that are asked. Further ones are left out; those asked carry the state on (a guess).
pub const PEERS_MAX: usize = 64;

/// Beats between two questions to a URL that leads to this node itself: there is nothing to learn, but it may lead
/// elsewhere one day.
pub const ITSELF_BEATS: u64 = 10;

/// The numbers of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Milliseconds between two beats to one peer, on average.
    pub interval_ms: u64,
    /// By how many hundredths of the interval a beat may come earlier or later; chance decides.
    pub jitter_percent: u64,
    /// Mismatches in a row after which to reconcile.
    pub mismatches: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval_ms: INTERVAL_MS, jitter_percent: JITTER_PERCENT, mismatches: MISMATCHES }
    }
}

/// What a state amounts to: ours, or a peer's as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// State root.
    pub root: StateRoot,
    /// Frontier digest.
    pub frontier: [u8; 32],
}

/// What a mismatch means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The frontiers are equal and the roots are not, or sessions find the peer at our root again and again: damage, a
    /// bug or a lie. An alarm.
    Divergence,
    /// One side has commits that the other lacks. A figure.
    Lag,
}

impl Kind {
    /// One word for events, metrics and status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Divergence => "divergence",
            Self::Lag => "lag",
        }
    }
}

/// A beat that found another root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// Mismatches in a row, this one included.
    pub count: u32,
    /// What it means.
    pub kind: Kind,
    /// Whether the peer is due for a reconcile now.
    pub is_due: bool,
    /// Whether it is the one of its row to raise the alarm at: divergence, for as many beats as make a peer due.
    pub is_alarm: bool,
    /// Whether sessions find the peer at our root, which is what makes it a divergence though the frontiers may differ.
    pub is_contradicted: bool,
}

/// How a session ended, as far as the tracker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Equal roots.
    Well {
        /// The root.
        root: StateRoot,
        /// Whether it changed either state.
        is_fruitful: bool,
    },
    /// A rest explained by writes that went on meanwhile.
    Overtaken {
        /// Whether it changed either state.
        is_fruitful: bool,
    },
    /// Neither side is at fault and more is to come: the peer was busy, or much moved and more is left.
    Unfinished {
        /// Whether it changed either state.
        is_fruitful: bool,
    },
    /// Anything else.
    Badly,
}

impl Ended {
    /// What the tracker makes of an outcome.
    pub fn of(outcome: &Outcome, stats: &Stats) -> Self {
        let is_fruitful = stats.has_changed_anything();
        match outcome {
            Outcome::Equal { root, .. } => Self::Well { root: *root, is_fruitful },
            Outcome::Explained { rest: Rest::NewWrites, .. } => Self::Overtaken { is_fruitful },
            Outcome::Explained { rest: Rest::Waiting { .. } | Rest::Budget, .. } | Outcome::Busy => {
                Self::Unfinished { is_fruitful }
            }
            Outcome::Refused { .. }
            | Outcome::Unexplained { .. }
            | Outcome::PeerFault(_)
            | Outcome::Declined { .. }
            | Outcome::Lost { .. }
            | Outcome::OurFault { .. } => Self::Badly,
        }
    }
}

/// Whether sessions with a peer are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// They are.
    Closed,
    /// Not now: the last ones failed.
    Open,
    /// The next one shows whether they succeed again.
    HalfOpen,
}

impl Breaker {
    /// All states, for figures.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// One word for metrics and status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// What is known of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peer {
    /// Mismatches in a row.
    pub count: u32,
    /// What the last one meant; `None` after an equal root.
    pub kind: Option<Kind>,
    /// Its root when it last answered.
    pub root: Option<StateRoot>,
    /// When it last answered.
    pub answered_ms: Option<u64>,
    next_beat_ms: u64,
    /// Set while a beat is on its way.
    is_asked: bool,
    /// Since when a session with it is due.
    due_since_ms: Option<u64>,
    failures: u32,
    not_before_ms: u64,
    /// Where the last session that ended well found both; `None` after an equal root.
    met: Option<Met>,
    fruitless: u32,
    unfinished: u32,
    /// Whether the alarm was raised in this row of mismatches.
    is_alarmed: bool,
}

/// A root at which a session found both, and what the peer has said since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Met {
    root: StateRoot,
    /// Whether the peer has said another root since, while ours was still this one.
    is_left: bool,
    /// Whether a beat was on its way then: its answer may be older than the session.
    is_answer_old: bool,
}

impl Met {
    /// The peer said another root. Gives whether ours is still the one at which both were.
    fn note_other(&mut self, ours: StateRoot) -> bool {
        let is_here = self.root == ours;
        self.is_left |= is_here && !self.is_answer_old;
        self.is_answer_old = false;
        is_here
    }
}

impl Peer {
    /// Whether sessions with it are started now.
    pub fn breaker(&self, now_ms: u64) -> Breaker {
        match self.failures {
            0 => Breaker::Closed,
            _ if now_ms < self.not_before_ms => Breaker::Open,
            _ => Breaker::HalfOpen,
        }
    }
}

/// All peers of a node's heartbeat, by URL.
#[derive(Debug, Default)]
pub struct Tracker {
    config: Config,
    peers: BTreeMap<String, Peer>,
    /// The peer of the session that runs, even if it is no longer expected.
    running: Option<String>,
}

impl Tracker {
    /// A tracker that knows nobody.
    pub fn new(config: Config) -> Self {
        Self { config, peers: BTreeMap::new(), running: None }
    }

    /// Who is to be asked from now on, the first [`PEERS_MAX`] of them: new ones are asked within a beat, those that
    /// are no longer named are forgotten.
    pub fn expect(&mut self, now_ms: u64, urls: impl IntoIterator<Item = String>, random: u64) {
        let mut known = std::mem::take(&mut self.peers);
        for (index, url) in (0..).zip(urls.into_iter().take(PEERS_MAX)) {
            let first_beat_ms = now_ms + nth(random, index) % self.config.interval_ms.max(1);
            let new = Peer { next_beat_ms: first_beat_ms, ..Peer::default() };
            let peer = known.remove(&url).unwrap_or(new);
            self.peers.insert(url, peer);
        }
    }

    /// The peers to ask now. Each counts as asked until [`Self::answered`] or [`Self::silent`].
    pub fn due(&mut self, now_ms: u64, random: u64) -> Vec<String> {
        let interval_ms = self.config.interval_ms;
        let most_ms = interval_ms * self.config.jitter_percent.min(100) / 100;
        let due = self.peers.iter_mut().filter(|(_, peer)| !peer.is_asked && now_ms >= peer.next_beat_ms);
        let mark = |(index, (url, peer)): (u64, (&String, &mut Peer))| {
            peer.is_asked = true;
            let jitter_ms = nth(random, index) % (2 * most_ms + 1);
            peer.next_beat_ms = now_ms + interval_ms - most_ms + jitter_ms;
            url.clone()
        };
        (0..).zip(due).map(mark).collect()
    }

    /// A peer answered a beat. `None` if the roots are equal, or nobody asked.
    pub fn answered(
        &mut self,
        now_ms: u64,
        url: &str,
        ours: &Summary,
        theirs: &Summary,
        mode: Mode,
    ) -> Option<Mismatch> {
        let mismatches = self.config.mismatches;
        let is_in_session = self.running.as_deref() == Some(url);
        let peer = self.peers.get_mut(url)?;
        peer.is_asked = false;
        (peer.root, peer.answered_ms) = (Some(theirs.root), Some(now_ms));
        if ours.root == theirs.root {
            peer.start_over();
            (peer.kind, peer.met, peer.fruitless, peer.unfinished) = (None, None, 0, 0);
            return None;
        }
        let is_where_met = peer.met.as_mut().is_some_and(|met| met.note_other(ours.root));
        let is_contradicted = is_where_met && peer.fruitless >= FRUITLESS_SESSIONS;
        let kind = if ours.frontier == theirs.frontier || is_contradicted { Kind::Divergence } else { Kind::Lag };
        let is_lasting = kind == Kind::Divergence && (peer.kind == Some(kind) || mismatches < 2);
        (peer.count, peer.kind) = (peer.count.saturating_add(1), Some(kind));
        let is_alarm = is_lasting && peer.count >= mismatches && !peer.is_alarmed;
        peer.is_alarmed |= is_alarm;
        let may_start = !is_in_session && peer.breaker(now_ms) != Breaker::Open;
        let is_due = may_start && (mode == Mode::Http || peer.count >= mismatches);
        if is_due {
            peer.due_since_ms.get_or_insert(now_ms);
        }
        Some(Mismatch { count: peer.count, kind, is_due, is_alarm, is_contradicted })
    }

    /// A peer gave no answer, or none that says anything of this lattice. That proves nothing, so the count stays.
    pub fn silent(&mut self, url: &str) {
        if let Some(peer) = self.peers.get_mut(url) {
            peer.is_asked = false;
            if let Some(met) = &mut peer.met {
                met.is_answer_old = false;
            }
        }
    }

    /// That peer is this node itself.
    pub fn itself(&mut self, now_ms: u64, url: &str) {
        self.silent(url);
        if let Some(peer) = self.peers.get_mut(url) {
            peer.next_beat_ms = now_ms + ITSELF_BEATS * self.config.interval_ms;
        }
    }

    /// A peer to reconcile with now: the one that is due for longest, and only if no session runs. It counts as
    /// started until [`Self::ended`].
    pub fn next_session(&mut self, now_ms: u64) -> Option<String> {
        if self.running.is_some() {
            return None;
        }
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.due_since_ms.is_some() && now_ms >= peer.not_before_ms);
        let (url, peer) = due.min_by_key(|(_, peer)| peer.due_since_ms)?;
        peer.due_since_ms = None;
        self.running = Some(url.clone());
        self.running.clone()
    }

    /// A session ended.
    pub fn ended(&mut self, now_ms: u64, url: &str, ended: Ended, random: u64) {
        let interval_ms = self.config.interval_ms;
        self.running.take_if(|running| running == url);
        let Some(peer) = self.peers.get_mut(url) else { return };
        match ended {
            Ended::Well { root, is_fruitful } => {
                peer.note_met(root, is_fruitful);
                if peer.fruitless < FRUITLESS_SESSIONS {
                    peer.start_over();
                } else {
                    peer.back_off(now_ms, interval_ms, random);
                }
            }
            Ended::Overtaken { is_fruitful } => {
                peer.start_over();
                peer.note_unfinished(now_ms, interval_ms, is_fruitful, random);
            }
            Ended::Unfinished { is_fruitful } => peer.note_unfinished(now_ms, interval_ms, is_fruitful, random),
            Ended::Badly => peer.back_off(now_ms, interval_ms, random),
        }
    }

    /// One peer.
    pub fn peer(&self, url: &str) -> Option<&Peer> {
        self.peers.get(url)
    }

    /// All peers, by URL.
    pub fn peers(&self) -> impl Iterator<Item = (&str, &Peer)> {
        self.peers.iter().map(|(url, peer)| (url.as_str(), peer))
    }

    /// Number of peers.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nobody is asked.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }
}

impl Peer {
    /// The row of mismatches is over.
    fn start_over(&mut self) {
        (self.count, self.is_alarmed, self.failures, self.due_since_ms) = (0, false, 0, None);
    }

    /// A session found both at this root. That it moved nothing speaks against the peer only if both were here before,
    /// and the peer said since that it was not.
    fn note_met(&mut self, root: StateRoot, is_fruitful: bool) {
        let before = self.met.filter(|met| met.root == root);
        self.fruitless = match before {
            _ if is_fruitful => 0,
            Some(met) => self.fruitless.saturating_add(u32::from(met.is_left)),
            None => 1,
        };
        self.met = Some(Met { root, is_left: false, is_answer_old: self.is_asked });
    }

    /// A session left something to the next. Of those that change nothing only some follow each other at once.
    fn note_unfinished(&mut self, now_ms: u64, interval_ms: u64, is_fruitful: bool, random: u64) {
        self.unfinished = if is_fruitful { 0 } else { self.unfinished.saturating_add(1) };
        if self.unfinished > UNFINISHED_SESSIONS {
            self.failures = self.failures.max(self.unfinished - UNFINISHED_SESSIONS - 1);
            self.back_off(now_ms, interval_ms, random);
        }
    }

    /// Doubles the pause, and adds up to a quarter of it so that nodes don't come in step.
    fn back_off(&mut self, now_ms: u64, interval_ms: u64, random: u64) {
        let beats = BACKOFF_FIRST_BEATS.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_LAST_BEATS);
        let pause_ms = interval_ms.saturating_mul(beats);
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = now_ms + pause_ms + random % (pause_ms / 4 + 1);
        self.due_since_ms = None;
    }
}

/// The `index`th number of a sequence that begins at `random`: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn nth(random: u64, index: u64) -> u64 {
    let mut z = random.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
