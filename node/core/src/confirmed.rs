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
    confirmed: Option<Confirmed>,
}

impl Confirmations {
    /// Takes in a verified head, ours or a member's.
    pub fn stated(&mut self, membership: &Membership, head: &Head) {
        if !membership.is_active(&head.author) {
            return;
        }
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
            confirmations.stated(&membership, &head(author, root));
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
}
