//! Where a node's root went another way than ours, until when, and which reconcile closed it (pure).
//!
//! While nodes write, their roots differ most of the time and nothing is wrong. A fork is what lasts: a root that stood for
//! a while at the other node and never was ours, or one that the heartbeat over HTTP counted.

use std::collections::{BTreeMap, VecDeque};

use lattice::ids::StateRoot;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::view::{EndedReconcile, ReconcileView};

/// Milliseconds between two heads with the same other root that make a fork: gossip and the reconcile that follows it need
/// two seconds at most, and the rest is for a slow machine. Heads come every five seconds.
pub const LASTING_MS: u64 = 4_000;

/// Forks kept. The oldest go first.
pub const FORKS_MAX: usize = 64;

/// Our own roots that are remembered: some minutes under steady writes. A peer at one older than these shows as a fork.
pub const OWN_ROOTS_MAX: usize = 2_048;

/// Milliseconds between the end of a reconcile and the look that sees equal roots, at most.
const CLOSING_MS: u64 = 15_000;

/// A fork as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fork {
    /// Its number since start.
    pub number: u64,
    /// Author key of the other node, or its URL.
    pub node: String,
    /// What people call it.
    pub name: Option<String>,
    /// Since when roots differ, in milliseconds since 1970.
    pub since_ms: u64,
    /// Our root then.
    pub ours: String,
    /// The other's.
    pub theirs: String,
    /// Until when; none while they differ.
    pub until_ms: Option<u64>,
    /// The session of ours that closed it; none if gossip or a session of the other's did.
    pub closed_by: Option<ReconcileView>,
}

/// What is known of one other node at a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Author key or URL: the lane's name.
    pub node: String,
    /// What people call it.
    pub name: Option<String>,
    /// Names under which sessions are told: its peer id, its URL.
    pub known_as: Vec<String>,
    /// Its root.
    pub root: StateRoot,
    /// When its last head came, in milliseconds on a clock that nobody sets; `None` if it is only asked now and then.
    pub stated_ms: Option<u64>,
    /// Whether the heartbeat counts mismatches with it.
    pub is_counted: bool,
}

#[derive(Debug, Clone)]
struct Apart {
    root: StateRoot,
    ours: StateRoot,
    since_ms: u64,
    /// When the first head with that root came.
    stated_ms: Option<u64>,
}

impl Apart {
    /// Whether the other has said the same again after a while. One that has fallen silent is gone, and no fork.
    fn lasts(&self, other: &Other) -> bool {
        let stated = self.stated_ms.zip(other.stated_ms);
        stated.is_some_and(|(first, last)| last.saturating_sub(first) >= LASTING_MS)
    }
}

/// The forks.
#[derive(Debug, Default)]
pub struct Forks {
    own: VecDeque<StateRoot>,
    apart: BTreeMap<String, Apart>,
    forks: VecDeque<Fork>,
    /// Grows with each change.
    version: u64,
    taken: u64,
}

impl Forks {
    /// Our state has this root now.
    pub fn ours(&mut self, root: StateRoot) {
        if self.own.back() != Some(&root) {
            if self.own.len() == OWN_ROOTS_MAX {
                self.own.pop_front();
            }
            self.own.push_back(root);
        }
    }

    /// Takes in what all others stated by now; `ended` are the sessions that are remembered.
    pub fn look(&mut self, now_ms: u64, others: &[Other], ended: &[EndedReconcile]) {
        let Some(ours) = self.own.back().copied() else { return };
        self.apart.retain(|node, _| others.iter().any(|other| other.node == *node));
        for other in others {
            let is_ours = self.own.contains(&other.root);
            if is_ours && !other.is_counted {
                self.apart.remove(&other.node);
                self.close(now_ms, other, ended);
                continue;
            }
            let begun = Apart { root: other.root, ours, since_ms: now_ms, stated_ms: other.stated_ms };
            let apart = self.apart.entry(other.node.clone()).or_insert_with(|| begun.clone());
            let is_open = self.forks.iter().any(|fork| fork.node == other.node && fork.until_ms.is_none());
            if is_open {
                continue;
            }
            if apart.root != other.root && !other.is_counted {
                // It moves on, and so may we: lag.
                *apart = begun;
            } else if other.is_counted || apart.lasts(other) {
                let apart = apart.clone();
                self.open(other, &apart);
            }
        }
    }

    fn open(&mut self, other: &Other, apart: &Apart) {
        self.taken += 1;
        self.version += 1;
        if self.forks.len() == FORKS_MAX {
            self.forks.pop_front();
        }
        self.forks.push_back(Fork {
            number: self.taken,
            node: other.node.clone(),
            name: other.name.clone(),
            since_ms: apart.since_ms,
            ours: apart.ours.to_string(),
            theirs: apart.root.to_string(),
            until_ms: None,
            closed_by: None,
        });
    }

    fn close(&mut self, now_ms: u64, other: &Other, ended: &[EndedReconcile]) {
        let Some(fork) = self.forks.iter_mut().find(|fork| fork.node == other.node && fork.until_ms.is_none()) else {
            return;
        };
        self.version += 1;
        let fits = |ended: &&EndedReconcile| {
            ended.time_ms >= fork.since_ms && now_ms.saturating_sub(ended.time_ms) <= CLOSING_MS
        };
        let with_it = ended.iter().rev().filter(fits).find(|ended| other.known_as.contains(&ended.reconcile.peer));
        fork.until_ms = Some(with_it.map_or(now_ms, |ended| ended.time_ms));
        fork.closed_by = with_it.map(|ended| ended.reconcile.clone());
    }

    /// Grows with each change of what is shown.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All that are kept, the oldest first.
    pub fn all(&self) -> Vec<Fork> {
        self.forks.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(n: u8) -> StateRoot {
        StateRoot([n; 32])
    }

    /// The other node at a root that it stated then.
    fn at(theirs: u8, stated_ms: u64) -> [Other; 1] {
        let known_as = vec!["http://b:1".to_owned()];
        let root = root(theirs);
        [Other { node: "b".into(), name: None, known_as, root, stated_ms: Some(stated_ms), is_counted: false }]
    }

    /// The same, as the heartbeat sees it.
    fn asked(theirs: u8, is_counted: bool) -> [Other; 1] {
        let [other] = at(theirs, 0);
        [Other { stated_ms: None, is_counted, ..other }]
    }

    fn ended(time_ms: u64, peer: &str) -> EndedReconcile {
        let reconcile = ReconcileView {
            peer: peer.to_owned(),
            outcome: "equal".into(),
            detail: String::new(),
            received: 3,
            sent: 2,
            rounds: 1,
            took_ms: 40,
        };
        EndedReconcile { number: 1, time_ms, reconcile }
    }

    #[test]
    fn a_root_that_is_stated_again_and_never_was_ours_is_a_fork_until_it_is_ours() {
        let mut forks = Forks::default();
        forks.ours(root(1));
        forks.look(1_000, &at(9, 900), &[]);
        forks.look(4_000, &at(9, 3_900), &[]);
        assert!(forks.all().is_empty());
        forks.look(6_000, &at(9, 5_900), &[]);
        assert_eq!((forks.all()[0].since_ms, forks.all()[0].until_ms), (1_000, None));
        forks.ours(root(9));
        let sessions = [ended(7_500, "http://elsewhere:1"), ended(7_000, "http://b:1")];
        forks.look(8_000, &at(9, 7_900), &sessions);
        let fork = &forks.all()[0];
        assert_eq!((fork.until_ms, fork.closed_by.as_ref().map(|by| by.received)), (Some(7_000), Some(3)));
    }

    #[test]
    fn a_node_that_fell_silent_behind_us_or_ahead_is_no_fork() {
        // A killed peer whose connection nobody closed was shown as a fork until it was given up.
        let mut forks = Forks::default();
        forks.ours(root(1));
        for now in 1..15 {
            forks.look(now * 1_000, &at(9, 900), &[]);
        }
        assert!(forks.all().is_empty());
    }

    #[test]
    fn steady_writes_on_both_sides_are_no_fork() {
        let mut forks = Forks::default();
        for n in 0..60_u8 {
            forks.ours(root(n));
            forks.look(u64::from(n) * 1_000, &at(100 + n, u64::from(n) * 1_000), &[]);
        }
        // Nor is a peer that stays at a root of ours, however old.
        forks.look(99_000, &at(3, 99_000), &[]);
        assert!(forks.all().is_empty());
    }

    #[test]
    fn what_the_heartbeat_counts_is_a_fork_at_once() {
        let mut forks = Forks::default();
        forks.ours(root(1));
        forks.look(1_000, &asked(9, true), &[]);
        assert_eq!(forks.all().len(), 1);
        forks.ours(root(9));
        forks.look(2_000, &asked(9, true), &[]);
        assert_eq!(forks.all()[0].until_ms, None, "its count is not back at nought");
        forks.look(3_000, &asked(9, false), &[]);
        let fork = &forks.all()[0];
        assert_eq!((fork.until_ms, &fork.closed_by), (Some(3_000), &None), "gossip brought it");
    }

    #[test]
    fn forks_are_bounded() {
        let mut forks = Forks::default();
        for n in 0..FORKS_MAX as u64 + 9 {
            forks.ours(root(1));
            forks.look(n * 10, &asked(9, true), &[]);
            forks.look(n * 10 + 1, &asked(1, false), &[]);
        }
        let all = forks.all();
        assert_eq!((all.len(), all[0].number), (FORKS_MAX, 10));
    }
}
