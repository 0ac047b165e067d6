//! What a majority protects, and for how long.

use proptest::prelude::*;

use super::*;

fn name(n: u8) -> AuthorId {
    AuthorId([n; 32])
}

fn voters(count: u8) -> Vec<AuthorId> {
    (1..=count).map(name).collect()
}

#[test]
fn it_runs_from_the_moment_that_a_majority_was_asked() {
    let timing = Timing::LAN;
    let mut lease = HeldLease::none(1, &voters(3));
    lease.granted(name(1), BootMs(500));
    assert_eq!(lease.end(&timing), None, "one of three");
    lease.granted(name(2), BootMs(200));
    assert_eq!(lease.end(&timing), Some(BootMs(200 + timing.usable_ms())), "the older of the two counts");
    lease.granted(name(3), BootMs(400));
    assert_eq!(lease.end(&timing), Some(BootMs(400 + timing.usable_ms())), "the second greatest of three");
    lease.granted(name(1), BootMs(100));
    lease.granted(name(9), BootMs(900));
    assert_eq!(
        lease.end(&timing),
        Some(BootMs(400 + timing.usable_ms())),
        "a late answer and a stranger change nothing"
    );
    assert!(lease.runs(BootMs(399 + timing.usable_ms()), &timing));
    assert!(!lease.runs(BootMs(400 + timing.usable_ms()), &timing));
}

#[test]
fn the_margin_is_what_two_clocks_may_drift_apart() {
    assert_eq!(Timing::LAN.usable_ms(), 1_470);
    assert_eq!(Timing { drift_per_mille: 0, ..Timing::LAN }.usable_ms(), 1_500);
    assert_eq!(Timing { drift_per_mille: 5_000, ..Timing::LAN }.usable_ms(), 0);
}

proptest! {
    /// Whatever the clocks' rates within the bound: when the holder's lease has run out by its clock, no majority without a
    /// voter that still keeps it could have voted; that is, at the lease's end fewer than a majority of voters are free.
    #[test]
    fn a_majority_keeps_to_the_lease_until_its_holder_stops(
        asked in prop::collection::vec(0..2_000_u64, 5),
        delays in prop::collection::vec(0..3_000_u64, 5),
        voter_rates in prop::collection::vec(990..=1_010_u64, 5),
        holder_rate in 990..=1_010_u64,
    ) {
        let timing = Timing::LAN;
        let mut lease = HeldLease::none(1, &voters(5));
        // True time in microseconds; a clock of rate r shows r/1000 of it.
        let shown = |true_us: u64, rate: u64| true_us * rate / 1_000_000;
        for (n, asked_ms) in (1..).zip(&asked) {
            lease.granted(name(n), BootMs(shown(asked_ms * 1_000, holder_rate)));
        }
        let end = lease.end(&timing).expect("all granted");
        // The last true moment at which the holder's clock is before the end.
        let last_us = (end.0 * 1_000_000).div_ceil(holder_rate) - 1_000;
        let keeps = |n: usize| {
            let granted_us = (asked[n] + delays[n]) * 1_000;
            let until = shown(granted_us, voter_rates[n]) + timing.lease_ms;
            // Not yet granted, or not yet run out.
            granted_us > last_us || shown(last_us, voter_rates[n]) <= until
        };
        let keeping = (0..5).filter(|n| keeps(*n)).count();
        prop_assert!(5 - keeping < majority(5), "{keeping} keep it at {last_us} us");
    }
}
