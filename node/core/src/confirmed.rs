//! The state root that a quorum of members vouches for: found in their signed heads, each at a moment of its own.
//!
//! Under steady writes no two heads need agree at one instant. So it is remembered who has stated a root within a while;
//! once more than half of the members have, it is confirmed, and stays so until a later one is.

use std::collections::{BTreeMap, BTreeSet};

use lattice::head::Head;
use lattice::ids::{AuthorId, StateRoot};
use lattice::membership::Membership;

/// Roots that are remembered: a minute of a node whose state changes with every head. The oldest go first.
const ROOTS_MAX: usize = 256;

/// How far the clock of a member may be ahead of ours: as far as commits may be by default.
const AHEAD_MAX_MS: u64 = lattice::limits::MAX_DRIFT_MS_DEFAULT;

/// A root that more than half of the members stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The root.
    pub root: StateRoot,
    /// Entries under it.
    pub entries: u64,
    /// When the last of them stated it, in milliseconds since 1970 by its clock.
    pub time_ms: u64,
    /// Who stated it.
    pub by: BTreeSet<AuthorId>,
}

#[derive(Debug)]
struct Stated {
    entries: u64,
    arrival: u64,
    by: BTreeSet<AuthorId>,
}

/// What was stated lately.
#[derive(Debug, Default)]
pub struct Confirmations {
    roots: BTreeMap<StateRoot, Stated>,
    arrivals: u64,
    /// Time of each author's newest head.
    newest_ms: BTreeMap<AuthorId, u64>,
    confirmed: Option<Confirmed>,
}

impl Confirmations {
    /// Takes in a verified head, ours or a member's. One that is not newer than the author's last says nothing: anybody may
    /// show old heads again, and with enough of them an old state would be confirmed anew. Nor does one that is ahead of
    /// `now_ms` by more than a clock may be: after it nothing of its author would count.
    pub fn stated(&mut self, membership: &Membership, head: &Head, now_ms: u64) {
        let newest = self.newest_ms.get(&head.author);
        let is_new = newest.is_none_or(|newest| *newest < head.time_ms);
        if !membership.is_active(&head.author) || !is_new || head.time_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
            return;
        }
        self.newest_ms.insert(head.author, head.time_ms);
        if self.roots.len() >= ROOTS_MAX && !self.roots.contains_key(&head.root) {
            let oldest = self.roots.iter().min_by_key(|(_, stated)| stated.arrival).map(|(root, _)| *root);
            oldest.and_then(|root| self.roots.remove(&root));
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        let new = Stated { entries: head.entries, arrival, by: BTreeSet::new() };
        let stated = self.roots.entry(head.root).or_insert(new);
        stated.by.insert(head.author);
        let members = membership.members().filter(|member| membership.is_active(&member.author)).count();
        if stated.by.len() * 2 <= members {
            return;
        }
        // A root that came up before the one confirmed last is an earlier state, or a late head.
        let (root, entries, by, since) = (head.root, stated.entries, stated.by.clone(), stated.arrival);
        let is_later = match &self.confirmed {
            Some(last) if last.root != root => self.roots.get(&last.root).is_none_or(|last| last.arrival < since),
            Some(_) | None => true,
        };
        if is_later {
            self.confirmed = Some(Confirmed { root, entries, time_ms: head.time_ms, by });
        }
    }

    /// The root confirmed last.
    pub fn last(&self) -> Option<&Confirmed> {
        self.confirmed.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use lattice::genesis::{Genesis, Member};
    use lattice::head::ESTIMATOR_BYTES;
    use lattice::keys::NodeKeys;
    use lattice::membership::Change;

    use super::*;

    fn keys(n: u8) -> NodeKeys {
        NodeKeys::from_seed([n; 32])
    }

    /// Three members.
    fn membership() -> Membership {
        let genesis = Genesis::founded_by("test", "0", &keys(0), vec![0; 38]);
        let add = |n: u8| {
            let (author, log_key) = (keys(n).author.id(), keys(n).log_key());
            Change::Add(Member { name: n.to_string(), author, log_key, peer_id: vec![n; 38], roles: [].into() })
        };
        Membership::of(&genesis, [add(1), add(2)])
    }

    fn head(author: u8, root: u8) -> Head {
        Head {
            lattice: lattice::ids::LatticeId::ZERO,
            author: keys(author).author.id(),
            time_ms: u64::from(root) * 10 + u64::from(author),
            root: StateRoot([root; 32]),
            entries: u64::from(root),
            frontier: [0; 32],
            checkpoint_size: 0,
            estimator: [0; ESTIMATOR_BYTES],
        }
    }

    #[test]
    fn two_of_three_confirm_and_a_late_head_takes_nothing_back() {
        let (membership, mut confirmations) = (membership(), Confirmations::default());
        let mut after = |author, root| {
            confirmations.stated(&membership, &head(author, root), 10_000);
            confirmations.last().map(|last| (last.root.0[0], last.by.len()))
        };
        assert_eq!(after(0, 1), None);
        assert_eq!(after(0, 2), None, "each moved on by itself");
        assert_eq!(after(1, 1), Some((1, 2)), "but both had been there");
        assert_eq!(after(1, 2), Some((2, 2)));
        assert_eq!(after(2, 1), Some((2, 2)), "a head that comes late");
        assert_eq!(after(2, 2), Some((2, 3)));
        assert_eq!(after(9, 3), Some((2, 3)), "a stranger");
        assert_eq!(after(0, 3), Some((2, 3)), "one of three");
        for root in 4..=255 {
            after(0, root);
        }
        assert_eq!(after(1, 255), Some((255, 2)));
    }

    /// Old heads, shown again once the root confirmed last was forgotten, took the confirmed root back.
    #[test]
    fn heads_shown_again_or_from_the_future_confirm_nothing() {
        let (membership, mut confirmations) = (membership(), Confirmations::default());
        let old: Vec<Head> = [(0, 1), (1, 1)].map(|(author, root)| head(author, root)).into();
        let confirmed = |confirmations: &Confirmations| confirmations.last().map(|last| last.root.0[0]);
        old.iter().for_each(|head| confirmations.stated(&membership, head, 10_000));
        for author in [0, 1] {
            confirmations.stated(&membership, &head(author, 2), 10_000);
        }
        assert_eq!(confirmed(&confirmations), Some(2));
        // A third member alone has all other roots forgotten.
        for at in 0..2 * ROOTS_MAX as u64 {
            let mut root = [9; 32];
            root[..8].copy_from_slice(&at.to_be_bytes());
            let head = Head { root: StateRoot(root), time_ms: 1_000 + at, ..head(2, 9) };
            confirmations.stated(&membership, &head, 10_000);
        }
        old.iter().for_each(|head| confirmations.stated(&membership, head, 10_000));
        assert_eq!(confirmed(&confirmations), Some(2));
        for author in [0, 1] {
            let ahead = Head { time_ms: 10_001 + AHEAD_MAX_MS, ..head(author, 4) };
            confirmations.stated(&membership, &ahead, 10_000);
            assert_eq!(confirmed(&confirmations), Some(2));
            confirmations.stated(&membership, &Head { time_ms: 9_000, ..head(author, 3) }, 10_000);
        }
        assert_eq!(confirmed(&confirmations), Some(3), "their next heads count");
    }
}
