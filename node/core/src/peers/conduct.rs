//! How a peer behaves: strikes for what no honest peer sends, and the bans that too many of them bring.

use std::collections::BTreeMap;

use super::PeerName;
use crate::blame::{BAN_MS, BANS_MAX, STRIKE_FORGIVEN_MS, STRIKES_MAX};

/// The strikes of one peer: a bucket that leaks one per [`STRIKE_FORGIVEN_MS`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Strikes {
    count: u32,
    /// Until when the past is forgiven already.
    forgiven_to_ms: u64,
}

impl Strikes {
    /// Adds one and tells whether that is too many; if so, they are settled by the ban and start anew.
    pub(super) fn add(&mut self, now_ms: u64) -> bool {
        let forgiven = self.forgiven(now_ms);
        self.count = self.standing(now_ms);
        self.forgiven_to_ms = match self.count {
            0 => now_ms,
            _ => self.forgiven_to_ms + forgiven * STRIKE_FORGIVEN_MS,
        };
        self.count += 1;
        let too_many = self.count >= STRIKES_MAX;
        if too_many {
            *self = Self::default();
        }
        too_many
    }

    /// Those that are not forgiven by now.
    pub(super) fn standing(&self, now_ms: u64) -> u32 {
        self.count.saturating_sub(u32::try_from(self.forgiven(now_ms)).unwrap_or(u32::MAX))
    }

    fn forgiven(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.forgiven_to_ms) / STRIKE_FORGIVEN_MS
    }
}

/// Who is not let in, and until when. At most [`BANS_MAX`]; if there are more, the one that ends first is lifted.
#[derive(Debug, Clone, Default)]
pub(super) struct Bans {
    until_ms: BTreeMap<PeerName, u64>,
}

impl Bans {
    pub(super) fn add(&mut self, now_ms: u64, name: PeerName) {
        self.until_ms.retain(|_, until_ms| now_ms < *until_ms);
        self.until_ms.insert(name, now_ms + BAN_MS);
        if self.until_ms.len() > BANS_MAX {
            let ends_first = self.until_ms.iter().min_by_key(|(_, until_ms)| **until_ms).map(|(name, _)| name.clone());
            ends_first.and_then(|name| self.until_ms.remove(&name));
        }
    }

    pub(super) fn holds(&self, now_ms: u64, name: &PeerName) -> bool {
        self.until_ms.get(name).is_some_and(|until_ms| now_ms < *until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_in_a_row_are_too_many_and_rare_ones_never_are() {
        let mut strikes = Strikes::default();
        let in_a_row: Vec<_> = (0..u64::from(STRIKES_MAX)).map(|n| strikes.add(n)).collect();
        assert_eq!(in_a_row.iter().position(|too_many| *too_many), Some(STRIKES_MAX as usize - 1));

        // An old bug that shows once in two minutes, for weeks.
        let mut strikes = Strikes::default();
        assert!((0..10_000).all(|n| !strikes.add(1_000_000 + n * 2 * STRIKE_FORGIVEN_MS)));
        // Two per minute are one too many per minute.
        let mut strikes = Strikes::default();
        assert!((0..100).any(|n| strikes.add(1_000_000 + n * STRIKE_FORGIVEN_MS / 2)));
    }

    #[test]
    fn bans_are_bounded_and_the_oldest_goes_first() {
        let mut bans = Bans::default();
        let name = |n: u64| PeerName(n.to_be_bytes().into());
        for n in 0..=BANS_MAX as u64 {
            bans.add(n, name(n));
        }
        assert_eq!(bans.until_ms.len(), BANS_MAX);
        assert!(!bans.holds(BANS_MAX as u64, &name(0)) && bans.holds(BANS_MAX as u64, &name(1)));
        bans.add(2 * BAN_MS, name(0));
        assert_eq!(bans.until_ms.len(), 1, "ended ones are forgotten");
    }
}
