//! The holder's side of a lease: until when may it serve?
//!
//! A voter that granted a request votes for nobody else for [`Timing::lease_ms`] after the request reached it, which is
//! later than the moment it was sent. So each voter protects the holder for [`Timing::usable_ms`] after the holder *asked*,
//! and what a majority protects is what the k-th greatest of these moments says, k being a majority.

use std::collections::BTreeMap;

use lattice::ids::AuthorId;
use lattice::seat::majority;

use super::timing::{BootMs, Timing};

/// Leases granted to this node in one term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeldLease {
    term: u64,
    voters: Vec<AuthorId>,
    asked: BTreeMap<AuthorId, BootMs>,
}

impl HeldLease {
    /// No lease yet in this term. A new term begins without one, even for the same holder: its voters may be others, and
    /// only a grant of this term says that a voter knows the certificate.
    pub fn none(term: u64, voters: &[AuthorId]) -> Self {
        Self { term, voters: voters.to_vec(), asked: BTreeMap::new() }
    }

    /// The term.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// A voter granted what was asked at this moment. Answers may come in any order, and more than once.
    pub fn granted(&mut self, voter: AuthorId, asked: BootMs) {
        if self.voters.contains(&voter) {
            let latest = self.asked.entry(voter).or_insert(asked);
            *latest = asked.max(*latest);
        }
    }

    /// The end of the lease: it runs while now is before that. `None` before a majority has granted one.
    pub fn end(&self, timing: &Timing) -> Option<BootMs> {
        let mut asked: Vec<_> = self.asked.values().copied().collect();
        asked.sort_unstable_by(|a, b| b.cmp(a));
        let decisive = asked.get(majority(self.voters.len()) - 1)?;
        Some(decisive.after(timing.usable_ms()))
    }

    /// Whether it runs now. Who reads takes the value first and asks this afterwards.
    pub fn runs(&self, now: BootMs, timing: &Timing) -> bool {
        self.end(timing).is_some_and(|end| now < end)
    }

    /// Whether a majority has granted a lease in this term at any time, and so knows its certificate.
    pub fn was_granted(&self) -> bool {
        self.asked.len() >= majority(self.voters.len())
    }
}

#[cfg(test)]
mod tests;
