//! Hybrid logical clock: wall time that never runs backwards and orders what happened after what was seen.
//!
//! After Kulkarni et al., "Logical Physical Clocks" (2014), packed into 64 bits: 48 bits of milliseconds since
//! 1970 (until the year 10889) and 16 bits that count within one.

use std::fmt;

/// A point in hybrid time; greater is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The first point within a millisecond since 1970. Milliseconds beyond 48 bits are cut to the last one.
    pub const fn from_millis(millis: u64) -> Self {
        const TOP: u64 = (1 << 48) - 1;
        Self(if millis > TOP { TOP } else { millis } << 16)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// Milliseconds by which this is ahead of `now_ms`; 0 if it is not.
    pub const fn ahead_of(self, now_ms: u64) -> u64 {
        self.millis().saturating_sub(now_ms)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.0 & 0xffff)
    }
}

/// The clock would have to run further ahead of the wall than the lattice allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock is {} behind the newest commit it has seen, more than the {} that the lattice allows: if the \
     clock is wrong, set it (NTP) and try again; if it is right, a commit dated ahead is in the state (perhaps this \
     node's own, from a time when its clock was ahead), and writes work again in {}",
    span(*behind_ms),
    span(*max_drift_ms),
    span(behind_ms.saturating_sub(*max_drift_ms))
)]
pub struct ClockBehind {
    /// Milliseconds between this machine's wall clock and the newest time seen.
    pub behind_ms: u64,
    /// Milliseconds that the genesis allows.
    pub max_drift_ms: u64,
}

/// A time in its two largest units, never less than it is: whoever waits for so long has waited enough.
fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    let (minutes, hours) = (seconds.div_ceil(60), seconds.div_ceil(3_600));
    match (seconds, minutes) {
        (..60, _) => format!("{seconds} s"),
        (..3_600, _) => format!("{} min {} s", seconds / 60, seconds % 60),
        (_, ..1_440) => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// What one node knows of hybrid time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    latest: Timestamp,
}

impl Clock {
    /// A clock that has seen nothing later than `latest`.
    pub const fn resuming_at(latest: Timestamp) -> Self {
        Self { latest }
    }

    /// The latest time given out or seen.
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// A time later than all given out and seen so far, and not before `now_ms`.
    ///
    /// # Errors
    ///
    /// [`ClockBehind`] if that lies more than `max_drift_ms` ahead of `now_ms`: our own writes are judged by the
    /// same rule as everybody's. The clock is then unchanged.
    pub fn tick(&mut self, now_ms: u64, max_drift_ms: u64) -> Result<Timestamp, ClockBehind> {
        let next = Timestamp(self.latest.0.saturating_add(1)).max(Timestamp::from_millis(now_ms));
        let behind_ms = next.ahead_of(now_ms);
        if behind_ms > max_drift_ms {
            return Err(ClockBehind { behind_ms, max_drift_ms });
        }
        self.latest = next;
        Ok(next)
    }

    /// Why [`Clock::tick`] would give no time now, if it would not.
    pub fn refusal(&self, now_ms: u64, max_drift_ms: u64) -> Option<ClockBehind> {
        let mut tried = *self;
        tried.tick(now_ms, max_drift_ms).err()
    }

    /// Takes note of a commit's time, so that what is written next is later. Only for times already judged.
    pub fn observe(&mut self, seen: Timestamp) {
        self.latest = self.latest.max(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_repeats_even_when_the_wall_stands_still_or_jumps_back() {
        let mut clock = Clock::default();
        let mut last = Timestamp(0);
        for now in [1_000, 1_000, 1_000, 999, 500, 1_001] {
            let next = clock.tick(now, 60_000).expect("within drift");
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn what_was_seen_comes_before_what_is_written_next() {
        let mut clock = Clock::default();
        clock.observe(Timestamp::from_millis(5_000));
        assert!(clock.tick(1_000, 60_000).expect("within drift") > Timestamp::from_millis(5_000));
    }

    #[test]
    fn a_clock_too_far_behind_refuses_and_stays_as_it_was() {
        let mut clock = Clock::resuming_at(Timestamp::from_millis(100_000));
        let refused = clock.tick(1_000, 60_000);
        assert_eq!(refused, Err(ClockBehind { behind_ms: 99_000, max_drift_ms: 60_000 }));
        assert_eq!(clock.latest(), Timestamp::from_millis(100_000));
        assert_eq!(clock.refusal(1_000, 60_000).map(Err), Some(refused), "said before anybody tries");
        assert_eq!(clock.refusal(40_001, 60_000), None);
    }

    #[test]
    fn a_refusal_says_both_what_may_be_wrong_and_how_long_it_takes() {
        // Told only to set a clock that was right, an operator had nothing to do for a day.
        let refused = ClockBehind { behind_ms: 86_400_000, max_drift_ms: 60_000 }.to_string();
        for part in ["is 1 d 0 h behind", "the 1 min 0 s that", "set it (NTP)", "writes work again in 23 h 59 min"] {
            assert!(refused.contains(part), "{refused}");
        }
        for (ms, text) in [(1, "1 s"), (59_001, "1 min 0 s"), (3_660_001, "1 h 2 min"), (86_399_000, "1 d 0 h")] {
            assert_eq!(span(ms), text, "{ms}");
        }
    }
}
