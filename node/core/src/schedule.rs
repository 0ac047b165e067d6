//! When to reconcile with whom: on connect, and when a peer's root stays strange for too long.
//!
//! Gossip brings most writes within milliseconds, so a root that differs is nothing for a moment. One that stays
//! unknown longer than [`PATIENCE_MS`] means that something was missed, here or there.

use std::collections::{BTreeMap, VecDeque};

use lattice::head::Head;
use lattice::ids::StateRoot;

use crate::peers::PeerName;

/// Milliseconds for which a peer's root may differ before a reconcile starts.
pub const PATIENCE_MS: u64 = 1_500;

/// Milliseconds between two sessions with a peer with whom the last one ended well. Under steady writes roots
/// differ at most heads; this bounds what asking costs.
pub const REST_MS: u64 = 3_000;

/// First and longest pause after a session that failed.
pub const BACKOFF_FIRST_MS: u64 = 1_000;
/// See [`BACKOFF_FIRST_MS`].
pub const BACKOFF_LAST_MS: u64 = 60_000;

/// Own roots remembered, to tell a peer that is a moment behind from one that is elsewhere.
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
    /// Anything else.
    Badly,
}

#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    fresh: bool,
    differs_since_ms: Option<u64>,
    not_before_ms: u64,
    failures: u32,
    running: bool,
}

/// Decides which session this node starts next; one at a time.
#[derive(Debug, Default)]
pub struct Schedule {
    plans: BTreeMap<PeerName, Plan>,
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
        self.plans.insert(peer, Plan { fresh: true, ..Plan::default() });
    }

    /// A peer is no longer connected.
    pub fn left(&mut self, peer: &PeerName) {
        self.plans.remove(peer);
    }

    /// A lattice peer's head came.
    pub fn head(&mut self, now_ms: u64, peer: &PeerName, head: &Head, ours: &Ours) {
        let Some(plan) = self.plans.get_mut(peer) else {
            return;
        };
        let same = head.root == ours.root && head.frontier == ours.frontier;
        if same {
            plan.differs_since_ms = None;
            plan.failures = 0;
        } else {
            plan.differs_since_ms.get_or_insert(now_ms);
        }
    }

    /// The peer to reconcile with now, if any and if no session runs. It counts as started.
    pub fn next(&mut self, now_ms: u64) -> Option<PeerName> {
        if self.plans.values().any(|plan| plan.running) {
            return None;
        }
        let due = |plan: &Plan| {
            let strange = plan.differs_since_ms.is_some_and(|since| now_ms >= since + PATIENCE_MS);
            now_ms >= plan.not_before_ms && (plan.fresh || strange)
        };
        // The one that waits longest first; fresh ones before all.
        let (peer, plan) = self
            .plans
            .iter_mut()
            .filter(|(_, plan)| due(plan))
            .min_by_key(|(_, plan)| (!plan.fresh, plan.differs_since_ms))?;
        plan.running = true;
        Some(peer.clone())
    }

    /// A session that this node started ended.
    pub fn ended(&mut self, now_ms: u64, peer: &PeerName, ended: Ended, random: u64) {
        let Some(plan) = self.plans.get_mut(peer) else {
            return;
        };
        plan.running = false;
        match ended {
            Ended::Well => {
                let not_before_ms = now_ms + REST_MS;
                *plan = Plan { not_before_ms, ..Plan::default() };
            }
            Ended::Badly => {
                let pause = BACKOFF_FIRST_MS.saturating_mul(1 << plan.failures.min(16)).min(BACKOFF_LAST_MS);
                plan.failures += 1;
                plan.not_before_ms = now_ms + pause + random % (pause / 4 + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lattice::ids::{AuthorId, LatticeId};

    const OURS: Ours = Ours { root: StateRoot([1; 32]), frontier: [1; 32] };

    fn peer(n: u8) -> PeerName {
        PeerName([n; 4].into())
    }

    fn head(root: u8, frontier: u8) -> Head {
        Head {
            lattice: LatticeId::ZERO,
            author: AuthorId::ZERO,
            time_ms: 0,
            root: StateRoot([root; 32]),
            entries: 0,
            frontier: [frontier; 32],
            checkpoint_size: 0,
        }
    }

    fn settled(peer: &PeerName) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.joined(peer.clone());
        assert_eq!(schedule.next(0).as_ref(), Some(peer), "on connect");
        schedule.ended(0, peer, Ended::Well, 0);
        schedule
    }

    #[test]
    fn a_root_that_differs_for_a_moment_starts_nothing() {
        let mut schedule = settled(&peer(1));
        schedule.head(REST_MS, &peer(1), &head(2, 2), &OURS);
        assert_eq!(schedule.next(REST_MS + PATIENCE_MS - 1), None);
        schedule.head(REST_MS + PATIENCE_MS - 1, &peer(1), &head(1, 1), &OURS);
        assert_eq!(schedule.next(10 * PATIENCE_MS), None);
    }

    #[test]
    fn a_root_that_stays_different_starts_a_session_and_so_does_a_frontier() {
        for (root, frontier) in [(2, 2), (1, 2)] {
            let mut schedule = settled(&peer(1));
            schedule.head(REST_MS, &peer(1), &head(root, frontier), &OURS);
            assert_eq!(schedule.next(REST_MS + PATIENCE_MS), Some(peer(1)));
            assert_eq!(schedule.next(REST_MS + PATIENCE_MS), None, "one session at a time");
        }
    }

    #[test]
    fn a_failing_peer_is_asked_less_and_less_and_does_not_hold_up_others() {
        let mut schedule = Schedule::default();
        schedule.joined(peer(1));
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let started = now;
            while schedule.next(now).is_none() {
                now += 50;
            }
            pauses.push(now - started);
            schedule.ended(now, &peer(1), Ended::Badly, 0);
        }
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]) && pauses[9] >= BACKOFF_LAST_MS, "{pauses:?}");
        schedule.joined(peer(2));
        assert_eq!(schedule.next(now), Some(peer(2)));
    }

    #[test]
    fn a_peer_that_left_during_its_session_blocks_nothing() {
        let mut schedule = Schedule::default();
        schedule.joined(peer(1));
        schedule.joined(peer(2));
        let first = schedule.next(0).expect("two are due");
        schedule.left(&first);
        assert!(schedule.next(0).is_some());
    }

    #[test]
    fn own_roots_are_remembered_within_a_bound() {
        let mut schedule = Schedule::default();
        for n in 0..2 * RECENT_ROOTS_MAX as u64 {
            let mut root = [0; 32];
            root[..8].copy_from_slice(&n.to_be_bytes());
            schedule.ours(StateRoot(root));
        }
        assert_eq!(schedule.recent.len(), RECENT_ROOTS_MAX);
        assert!(!schedule.knows(&StateRoot([0; 32])));
    }
}
