//! The clock that leases are measured on, and every interval of a seat in one place.

/// Milliseconds since the machine started, suspend included (CLOCK_BOOTTIME). Never shown to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootMs(pub u64);

impl BootMs {
    /// The moment `ms` later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from now until this moment, 0 once it is there.
    pub const fn remaining_ms(self, now: Self) -> u64 {
        self.0.saturating_sub(now.0)
    }

    /// Milliseconds that have passed since `earlier`, 0 if it is yet to come.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The intervals of a seat. All nodes of a seat are configured alike: a voter's lease must not be shorter than its holder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How long a voter keeps to a lease, from the moment it granted it.
    pub lease_ms: u64,
    /// Between two renewals.
    pub renew_ms: u64,
    /// Most by which the rate of one clock strays from the true one, per mille. Quartz strays by 0.1; a guest's clock
    /// that is being slewed by 0.5; 10 leaves room.
    pub drift_per_mille: u64,
    /// Between two probes of the other side of holder and shadow.
    pub probe_ms: u64,
    /// Between two rounds of questions to voters.
    pub ask_ms: u64,
    /// Longest stay of a candidate in its candidacy before it goes back to watching.
    pub stand_ms: u64,
    /// How long an incumbent that let go waits for the higher term, until it renews again.
    pub yield_ms: u64,
    /// How long a drain may take, until it is given up and writes go on.
    pub drain_ms: u64,
    /// How long a shadow may be away until a spare is named in its place.
    pub shadow_gone_ms: u64,
    /// Least time between two unplanned takeovers by one node, unless the lease was released.
    pub cool_down_ms: u64,
}

impl Timing {
    /// For nodes within 50 ms of each other. The lease, a probe's silence and a round of votes stay under 3 s together.
    pub const LAN: Self = Self {
        lease_ms: 1_500,
        renew_ms: 300,
        drift_per_mille: 10,
        probe_ms: 100,
        ask_ms: 200,
        stand_ms: 5_000,
        yield_ms: 3_000,
        drain_ms: 2_000,
        shadow_gone_ms: 10_000,
        cool_down_ms: 30_000,
    };

    /// For nodes far apart, or on networks that lose packets for seconds.
    pub const WAN: Self = Self {
        lease_ms: 10_000,
        renew_ms: 2_000,
        drift_per_mille: 10,
        probe_ms: 1_000,
        ask_ms: 1_000,
        stand_ms: 30_000,
        yield_ms: 20_000,
        drain_ms: 10_000,
        shadow_gone_ms: 60_000,
        cool_down_ms: 120_000,
    };

    /// How much of a lease its holder may use, on its own clock: with that clock slow by the drift and the voter's fast,
    /// `lease_ms` have passed at the voter when the holder has seen `lease_ms · (1 − drift) / (1 + drift)`. The same bound
    /// serves a voter that restarted and rests for `lease_ms`: it granted nothing after the moment it started.
    pub const fn usable_ms(&self) -> u64 {
        let drift = if self.drift_per_mille > 1_000 { 1_000 } else { self.drift_per_mille };
        self.lease_ms.saturating_mul(1_000 - drift) / (1_000 + drift)
    }

    /// How long another node may take for a vote, a lease or an inquiry: a disk and a round trip, and on a network that
    /// stalls a whole renewal; what comes later has been asked for again.
    pub const fn answer_ms(&self) -> u64 {
        max(self.renew_ms, 1_000)
    }

    /// How long a probe's answer is waited for. Silence is judged by the answers that come, so a late one is worth having.
    pub const fn probe_answer_ms(&self) -> u64 {
        max(self.lease_ms, 2_000)
    }

    /// How long a holder may keep a mirror waiting for something to send.
    pub const fn fetch_wait_ms(&self) -> u64 {
        500
    }

    /// How long an answer to a mirror may take, the holder's wait included: a megabyte on a slow link, or a lost packet of a
    /// network that stalls. Nothing finds out by it that a holder is dead, so it may be long; were it too short, the same
    /// would be fetched for ever. Two leases, but a fast network asks again the sooner.
    pub const fn fetch_ms(&self) -> u64 {
        2 * self.lease_ms - self.fetch_wait_ms()
    }

    /// How long a fetch may take until others are asked whether the seat has moved: a holder that is alive answers within
    /// its wait, a hiccup lasts shorter than a lease, and both again for the road.
    pub const fn fetch_silent_ms(&self) -> u64 {
        2 * self.fetch_wait_ms() + self.lease_ms
    }

    /// Silence of a shadow after which writes at `shadow` are refused rather than kept waiting. What a holder may lose
    /// of its voters it may lose of its shadow.
    pub const fn shadow_silent_ms(&self) -> u64 {
        self.lease_ms
    }

    /// How long a write may wait for a holder, a lease and the shadow. A takeover takes less: one lease that has to run out,
    /// a suspicion within it, and a candidacy.
    pub const fn write_ms(&self) -> u64 {
        max(3 * self.lease_ms, 10_000)
    }

    /// How long an order may take whose end is another term: a drain, two candidacies (the first may turn out to be
    /// outdated), and the wait of one that let go.
    pub const fn moved_ms(&self) -> u64 {
        self.drain_ms + 2 * self.stand_ms + self.yield_ms
    }
}

const fn max(one: u64, other: u64) -> u64 {
    if one > other { one } else { other }
}

impl Default for Timing {
    fn default() -> Self {
        Self::LAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat::health::BAD_IN_ROW;

    #[test]
    fn the_intervals_of_each_preset_go_together() {
        for (name, at) in [("lan", Timing::LAN), ("wan", Timing::WAN)] {
            let relations = [
                ("a lease outlives two renewals that are lost", 3 * at.renew_ms < at.usable_ms()),
                ("a holder may use almost all of it, and never all", at.usable_ms() > at.lease_ms * 9 / 10),
                ("and less than a voter keeps to it", at.usable_ms() < at.lease_ms),
                (
                    "a silent node is suspected while its lease still runs",
                    u64::from(BAD_IN_ROW) * at.probe_ms < at.lease_ms,
                ),
                ("voters are asked again before their lease has run out", at.ask_ms < at.lease_ms),
                ("a candidacy outlives voters that rest", at.stand_ms > at.lease_ms + 2 * at.ask_ms),
                ("whoever lets go waits for longer than a lease", at.yield_ms > at.lease_ms),
                ("a shadow that starts again is not replaced", at.shadow_gone_ms > at.stand_ms),
                ("a drain ends before the shadow counts as gone", at.drain_ms < at.shadow_gone_ms),
                ("takeovers that follow each other are seldom", at.cool_down_ms > at.stand_ms + at.lease_ms),
                ("an answer for a lease is waited for until it is asked for again", at.answer_ms() >= at.renew_ms),
                ("and not until the lease has run out", at.answer_ms() < at.usable_ms()),
                ("a probe that is late by less than a lease still counts", at.probe_answer_ms() >= at.lease_ms),
                ("a mirror is answered often enough to be heard", 2 * at.fetch_wait_ms() < at.shadow_silent_ms()),
                ("news are asked for while a fetch still goes on", at.fetch_silent_ms() <= at.fetch_ms()),
                ("a fetch outlives a hiccup that a lease outlives", at.fetch_ms() > at.lease_ms + at.fetch_wait_ms()),
                (
                    "a mirror that fetches does not count as gone",
                    at.fetch_ms() < at.shadow_gone_ms && at.shadow_silent_ms() < at.shadow_gone_ms,
                ),
                (
                    "a write outlives a takeover",
                    at.write_ms() > 2 * at.lease_ms + u64::from(BAD_IN_ROW) * at.probe_ms + at.answer_ms(),
                ),
                (
                    "an order is waited for until it has ended by itself",
                    at.moved_ms() > at.drain_ms + at.stand_ms + at.yield_ms,
                ),
            ];
            for (relation, holds) in relations {
                assert!(holds, "{name}: {relation}: {at:?}");
            }
        }
    }

    #[test]
    fn what_follows_from_a_preset_is_what_a_fast_network_had_and_a_slow_one_needs() {
        // Constants that ignored the preset: under `wan` writes ended before a takeover did, a shadow that lost a packet
        // counted as gone, and an answer that came within a lease was thrown away.
        let all = |at: Timing| {
            let waits = [at.answer_ms(), at.probe_answer_ms(), at.fetch_wait_ms(), at.fetch_silent_ms(), at.fetch_ms()];
            (waits, [at.shadow_silent_ms(), at.write_ms(), at.moved_ms()])
        };
        assert_eq!(all(Timing::LAN), ([1_000, 2_000, 500, 2_500, 2_500], [1_500, 10_000, 15_000]));
        assert_eq!(all(Timing::WAN), ([2_000, 10_000, 500, 11_000, 19_500], [10_000, 30_000, 90_000]));
    }

    #[test]
    fn the_preset_for_slow_networks_is_more_patient_in_all() {
        let all = |at: Timing| {
            let Timing { lease_ms, renew_ms, drift_per_mille: _, probe_ms, ask_ms, .. } = at;
            let Timing { stand_ms, yield_ms, drain_ms, shadow_gone_ms, cool_down_ms, .. } = at;
            [lease_ms, renew_ms, probe_ms, ask_ms, stand_ms, yield_ms, drain_ms, shadow_gone_ms, cool_down_ms]
        };
        assert!(all(Timing::LAN).into_iter().zip(all(Timing::WAN)).all(|(lan, wan)| lan < wan));
    }
}
