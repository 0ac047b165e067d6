//! Nonces of signed requests, remembered for as long as a copy of the request would still be fresh.
//!
//! Bounded in all and for each author, so that one member can't fill the table for the others. When it is full,
//! requests are refused until the oldest nonces are forgotten: forgetting early would let copies in.

use std::collections::{BTreeMap, BTreeSet};

use lattice::authorization::{Authorization, FRESH_MS, NONCE_BYTES};
use lattice::ids::AuthorId;

/// Nonces remembered in all: some 10 MiB.
pub const NONCES_MAX: usize = 65_536;

/// Nonces of one author, a quarter of all. Within two minutes that is 136 requests a second, more than a session asks.
pub const NONCES_PER_AUTHOR_MAX: usize = 16_384;

type Nonce = [u8; NONCE_BYTES];

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The same request came before.
    Replayed,
    /// Too many requests by its author, or by all.
    Full,
}

/// The table.
#[derive(Debug, Default)]
pub struct Nonces {
    by_author: BTreeMap<AuthorId, BTreeSet<Nonce>>,
    /// The same by the time at which they may be forgotten.
    until: BTreeSet<(u64, AuthorId, Nonce)>,
}

impl Nonces {
    /// Takes note of a request that is fresh and well signed.
    ///
    /// # Errors
    ///
    /// [`NotTaken`]; nothing was noted then.
    pub fn take(&mut self, now_ms: u64, request: &Authorization) -> Result<(), NotTaken> {
        self.forget(now_ms);
        let of_author = self.by_author.get(&request.author);
        if of_author.is_some_and(|nonces| nonces.contains(&request.nonce)) {
            return Err(NotTaken::Replayed);
        }
        if self.until.len() >= NONCES_MAX || of_author.is_some_and(|nonces| nonces.len() >= NONCES_PER_AUTHOR_MAX) {
            return Err(NotTaken::Full);
        }
        self.by_author.entry(request.author).or_default().insert(request.nonce);
        self.until.insert((request.time_ms.saturating_add(FRESH_MS), request.author, request.nonce));
        Ok(())
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((until_ms, author, nonce)) = self.until.first().copied()
            && until_ms < now_ms
        {
            self.until.pop_first();
            if let Some(nonces) = self.by_author.get_mut(&author) {
                nonces.remove(&nonce);
                if nonces.is_empty() {
                    self.by_author.remove(&author);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lattice::authorization::Asked;
    use lattice::ids::LatticeId;
    use lattice::keys::NodeKeys;

    use super::*;

    fn requests(seed: u8) -> impl Fn(u64, u64) -> Authorization {
        let keys = NodeKeys::from_seed([seed; 32]);
        let asked = Asked { lattice: LatticeId([1; 32]), receiver: AuthorId([2; 32]), method: "GET", path: "/" };
        let first = Authorization::sign(&keys.author, &asked, b"", 0, [0; NONCE_BYTES]);
        move |time_ms, number| {
            // The table judges no signature.
            let mut request = first;
            request.time_ms = time_ms;
            request.nonce[..8].copy_from_slice(&number.to_be_bytes());
            request
        }
    }

    #[test]
    fn a_copy_is_refused_for_as_long_as_it_is_fresh_and_forgotten_after() {
        let (one, other) = (requests(1), requests(2));
        let mut nonces = Nonces::default();
        let request = one(100_000, 1);
        assert_eq!(nonces.take(60_000, &request), Ok(()));
        for now_ms in [60_001, 100_000, 160_000] {
            assert!(request.is_fresh(now_ms));
            assert_eq!(nonces.take(now_ms, &request), Err(NotTaken::Replayed), "{now_ms}");
        }
        assert_eq!(nonces.take(100_000, &other(100_000, 1)), Ok(()), "another author's nonces are its own");
        assert_eq!(nonces.take(160_001, &one(160_001, 2)), Ok(()));
        assert_eq!((nonces.until.len(), nonces.by_author.len()), (1, 1), "what is stale is forgotten");
        assert!(!request.is_fresh(160_001));
    }

    #[test]
    fn one_author_can_not_fill_the_table_and_all_together_not_overfill_it() {
        let mut nonces = Nonces::default();
        let fill = |nonces: &mut Nonces, seed: u8| {
            let request = requests(seed);
            (0..).find_map(|number| nonces.take(0, &request(0, number)).err().map(|error| (number, error)))
        };
        assert_eq!(fill(&mut nonces, 1), Some((NONCES_PER_AUTHOR_MAX as u64, NotTaken::Full)));
        let taken: u64 = (2..=9).filter_map(|seed| fill(&mut nonces, seed)).map(|(taken, _)| taken).sum();
        assert_eq!(taken as usize + NONCES_PER_AUTHOR_MAX, NONCES_MAX);
        assert_eq!(nonces.take(FRESH_MS + 1, &requests(1)(FRESH_MS, 0)), Ok(()), "room again a minute later");
    }
}
