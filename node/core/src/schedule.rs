//! When to reconcile with whom: on connect, and when a peer's root stays strange for too long.
//!
//! Gossip brings most writes within milliseconds, so a root that differs is nothing for a moment. One that stays
//! unknown longer than [`PATIENCE_MS`] means that something was missed here. One that was lately ours means that the
//! peer is behind: it sees a root it does not know and starts a session itself, so we do only if it stays there for
//! longer than [`PATIENCE_BEHIND_MS`].

mod alarm;

use std::collections::{BTreeMap, VecDeque};

use lattice::head::Head;
use lattice::ids::StateRoot;
use reconcile::outcome::Outcome;

use crate::peers::PeerName;
use alarm::Fruitless;
pub use alarm::{Alarm, Roots, STUCK_SESSIONS, UNEXPLAINED_SESSIONS};

/// Milliseconds for which a peer's root may be one we don't know before a reconcile starts.
pub const PATIENCE_MS: u64 = 1_500;

/// Milliseconds for which a peer may stay at one root that was lately ours before a reconcile starts: our next head
/// (5 s), its own patience, and a moment for its session.
pub const PATIENCE_BEHIND_MS: u64 = 8_000;

/// Milliseconds between two sessions with a peer with whom the last one ended well. Under steady writes roots
/// differ at most heads; this bounds what asking costs.
pub const REST_MS: u64 = 3_000;

/// First and longest pause after a session that failed.
pub const BACKOFF_FIRST_MS: u64 = 1_000;
/// See [`BACKOFF_FIRST_MS`].
pub const BACKOFF_LAST_MS: u64 = 60_000;

/// Milliseconds until a peer that had no room for a session is asked again. It is no fault, so it does not grow.
pub const BUSY_PAUSE_MS: u64 = 500;

/// Sessions that run at once, each with another peer; when that many are slow, the rest waits.
pub const SESSIONS_MAX: usize = 3;

/// Milliseconds after which a session is slow, and another may start beside it. Sessions started together would
/// fetch the same commits from each peer.
pub const SLOW_MS: u64 = 2_000;

/// Milliseconds after a peer's last request during which its own session counts as running. It moves both ways, so one of
/// ours beside it would move everything twice.
pub const ASKED_MS: u64 = 1_000;

/// Entries below which a peer's session is as good as ours (a guess: a few messages full).
const FETCHED_MIN: u64 = 10_000;

/// Own roots remembered, to tell a peer that is a moment behind from one that is elsewhere; the oldest goes first.
pub const RECENT_ROOTS_MAX: usize = 1024;

/// What our own state amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ours {
    /// State root.
    pub root: StateRoot,
    /// Frontier digest.
    pub frontier: [u8; 32],
}

/// How a session ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Equal roots, or a rest explained by later writes.
    Well,
    /// The peer had no room for it.
    Busy,
    /// The roots differ and nothing explains it.
    Unexplained(Roots),
    /// Anything else, with the roots that the session saw at its end, if it came so far.
    Badly(Option<Roots>),
}

impl Ended {
    /// What the schedule makes of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        let roots = |ours: &StateRoot, theirs: &StateRoot| Roots { ours: *ours, theirs: *theirs };
        match outcome {
            Outcome::Equal { .. } | Outcome::Explained { .. } => Self::Well,
            Outcome::Busy => Self::Busy,
            Outcome::Unexplained { ours, theirs, .. } => Self::Unexplained(roots(ours, theirs)),
            Outcome::Refused { ours, theirs, .. } => Self::Badly(Some(roots(ours, theirs))),
            Outcome::PeerFault(_) | Outcome::Declined { .. } | Outcome::Lost { .. } | Outcome::OurFault { .. } => {
                Self::Badly(None)
            }
        }
    }
}

/// How a peer's last head differs from our state.
#[derive(Debug, Clone, Copy)]
struct Difference {
    root: StateRoot,
    is_behind: bool,
    since_ms: u64,
}

impl Difference {
    /// The difference that a head shows, counted from its first sign. A peer that went on to another root of ours is
    /// catching up, and one that had such a root missed nothing until then, so both start the count again.
    fn after(before: Option<Self>, now_ms: u64, root: StateRoot, is_behind: bool) -> Self {
        let lasts = |before: &Self| before.is_behind == is_behind && (!is_behind || before.root == root);
        let since_ms = before.filter(lasts).map_or(now_ms, |before| before.since_ms);
        Self { root, is_behind, since_ms }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.since_ms + if self.is_behind { PATIENCE_BEHIND_MS } else { PATIENCE_MS }
    }
}

/// What is planned with one peer.
#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    /// Whether the peer is there as one of the lattice, or only somebody's nudge.
    is_present: bool,
    is_fresh: bool,
    differs: Option<Difference>,
    not_before_ms: u64,
    /// Until then the peer's session counts as running.
    asked_until_ms: u64,
    failures: u32,
    fruitless: Fruitless,
    /// Whether the session that runs with this peer was started by this plan, and not by one before it.
    is_in_session: bool,
}

impl Plan {
    fn is_due(&self, now_ms: u64) -> bool {
        let is_free = now_ms >= self.not_before_ms.max(self.asked_until_ms);
        is_free && (self.is_fresh || self.differs.is_some_and(|differs| differs.is_due(now_ms)))
    }

    fn back_off(&mut self, now_ms: u64, random: u64) {
        let pause_ms = BACKOFF_FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_LAST_MS);
        self.failures += 1;
        self.pause(now_ms, pause_ms, random);
    }

    /// Up to a quarter of jitter, so that nodes don't ask in step.
    fn pause(&mut self, now_ms: u64, pause_ms: u64, random: u64) {
        self.not_before_ms = now_ms + pause_ms + random % (pause_ms / 4 + 1);
    }
}

/// Decides which sessions this node starts.
#[derive(Debug, Default)]
pub struct Schedule {
    plans: BTreeMap<PeerName, Plan>,
    /// Sessions that run, by start; also those with peers that left.
    running: BTreeMap<PeerName, u64>,
    recent: VecDeque<StateRoot>,
}

impl Schedule {
    /// Our state changed.
    pub fn ours(&mut self, root: StateRoot) {
        if self.recent.back() != Some(&root) {
            self.recent.push_back(root);
            if self.recent.len() > RECENT_ROOTS_MAX {
                self.recent.pop_front();
            }
        }
    }

    /// Whether this root is or was lately ours.
    pub fn knows(&self, root: &StateRoot) -> bool {
        self.recent.contains(root)
    }

    /// A peer proved the lattice: reconcile with it as soon as possible.
    pub fn joined(&mut self, peer: PeerName) {
        self.plans.insert(peer, Plan { is_present: true, is_fresh: true, ..Plan::default() });
    }

    /// There is news at a peer: reconcile with it as soon as possible. One that is not there as one of the lattice
    /// is tried once: a new node hears from its inviter alone that the inviter is a member.
    pub fn nudged(&mut self, peer: PeerName) {
        let plan = self.plans.entry(peer).or_default();
        *plan = Plan { is_present: plan.is_present, is_fresh: true, ..Plan::default() };
    }

    /// The peer asked us something in a session of its own.
    pub fn asked(&mut self, now_ms: u64, peer: &PeerName) {
        if let Some(plan) = self.plans.get_mut(peer) {
            plan.asked_until_ms = now_ms + ASKED_MS;
        }
    }

    /// The peer has much that we lack: reconcile with it as soon as the pauses allow.
    pub fn offered(&mut self, peer: &PeerName) {
        if let Some(plan) = self.plans.get_mut(peer) {
            plan.is_fresh = true;
            plan.asked_until_ms = 0;
        }
    }

    /// A peer is no longer connected.
    pub fn left(&mut self, peer: &PeerName) {
        self.plans.remove(peer);
    }

    /// A lattice peer's head came.
    pub fn head(&mut self, now_ms: u64, peer: &PeerName, head: &Head, ours: &Ours) {
        let is_behind = head.root != ours.root && self.knows(&head.root);
        let Some(plan) = self.plans.get_mut(peer) else { return };
        if head.root == ours.root && head.frontier == ours.frontier {
            plan.differs = None;
            plan.failures = 0;
            plan.fruitless = Fruitless::default();
        } else {
            plan.differs = Some(Difference::after(plan.differs, now_ms, head.root, is_behind));
        }
    }

    /// A peer to reconcile with now, if any and if there is room. It counts as started; ask until there is none.
    pub fn next(&mut self, now_ms: u64) -> Option<PeerName> {
        let all_slow = self.running.values().all(|started_ms| now_ms >= started_ms + SLOW_MS);
        if !all_slow || self.running.len() >= SESSIONS_MAX {
            return None;
        }
        // The one that waits longest first; fresh ones before all.
        let due = self.plans.iter_mut().filter(|(peer, plan)| !self.running.contains_key(peer) && plan.is_due(now_ms));
        let (peer, plan) =
            due.min_by_key(|(_, plan)| (!plan.is_fresh, plan.differs.map(|differs| differs.since_ms)))?;
        plan.is_in_session = true;
        self.running.insert(peer.clone(), now_ms);
        Some(peer.clone())
    }

    /// A session that this node started ended. If the peer left and came back meanwhile, or there is other news at
    /// it, the session says nothing about what is planned since.
    pub fn ended(&mut self, now_ms: u64, peer: &PeerName, ended: Ended, random: u64) -> Option<Alarm> {
        self.running.remove(peer);
        let plan = self.plans.get_mut(peer).filter(|plan| plan.is_in_session)?;
        if !plan.is_present {
            self.plans.remove(peer);
            return None;
        }
        plan.is_in_session = false;
        let shown =
            self.recent.back().zip(plan.differs).map(|(ours, theirs)| Roots { ours: *ours, theirs: theirs.root });
        match ended {
            Ended::Well => {
                *plan = Plan { is_present: true, not_before_ms: now_ms + REST_MS, ..Plan::default() };
                None
            }
            Ended::Busy => {
                plan.pause(now_ms, BUSY_PAUSE_MS, random);
                None
            }
            Ended::Unexplained(roots) => {
                plan.back_off(now_ms, random);
                plan.fruitless.count(Some(roots), true)
            }
            Ended::Badly(roots) => {
                plan.back_off(now_ms, random);
                plan.fruitless.count(roots.or(shown), false)
            }
        }
    }
}

/// One end of two sessions that cross: its number of entries and its name.
pub type End<'a> = (u64, &'a PeerName);

/// Whether, of two sessions of the same two peers, ours goes on and theirs is told to come later. The one that has less
/// goes on, since fetching is what a session does best; both ends come to the same answer.
pub fn goes_on(ours: End<'_>, theirs: End<'_>) -> bool {
    ours < theirs
}

/// Whether, of a peer with `theirs` entries that asks a node with `ours`, it is better that the node asks the peer: what
/// is fetched is applied while the next is on its way, and what is pushed is not.
pub fn fetches_rather(ours: u64, theirs: u64) -> bool {
    theirs >= FETCHED_MIN && theirs / 4 >= ours
}

#[cfg(test)]
mod tests;
