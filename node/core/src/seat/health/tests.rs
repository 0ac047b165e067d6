//! What makes a node suspect, and what does not.

use super::*;

const TIMING: Timing = Timing::LAN;

fn probe() -> Probe {
    Probe { log_size: 10, waiting: 0, is_sound: true, disk_free: Some(u64::MAX), memory_free: None }
}

/// A node that has answered each probe for ten seconds.
fn steady() -> (Monitor, BootMs) {
    let mut monitor = Monitor::new(BootMs(0), &TIMING);
    let mut now = BootMs(0);
    for _ in 0..100 {
        now = now.after(TIMING.probe_ms);
        monitor.answered(now, probe());
        assert!(!monitor.read(now).is_suspect());
    }
    (monitor, now)
}

/// Reads at each probe's time without an answer; how long until that is a suspicion.
fn silent_for(monitor: &mut Monitor, mut now: BootMs) -> u64 {
    let began = now;
    while !monitor.read(now).is_suspect() {
        now = now.after(TIMING.probe_ms);
        assert!(now.since_ms(began) < 60_000, "never");
    }
    now.since_ms(began)
}

#[test]
fn silence_is_noticed_within_a_second_and_one_lost_probe_is_none() {
    let (mut monitor, now) = steady();
    let late = now.after(3 * TIMING.probe_ms);
    assert!(!monitor.read(late).is_suspect());
    monitor.answered(late, probe());
    let took_ms = silent_for(&mut monitor, late);
    assert!((400..=1_000).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn a_node_that_always_answers_unevenly_is_given_more_time() {
    let (mut monitor, mut now) = steady();
    for n in 0..200 {
        now = now.after(if n % 4 == 0 { 1_000 } else { 100 });
        monitor.answered(now, probe());
    }
    assert!(silent_for(&mut monitor, now) > 2_000);
}

#[test]
fn one_bad_reading_never_counts_and_three_in_a_row_do() {
    let bad = [
        (Probe { is_sound: false, ..probe() }, Kind::Integrity),
        (Probe { disk_free: Some(1), ..probe() }, Kind::Disk),
        (Probe { memory_free: Some(1), ..probe() }, Kind::Memory),
    ];
    for (bad, kind) in bad {
        let (mut monitor, now) = steady();
        monitor.answered(now, bad);
        let read: Vec<_> = (0..BAD_IN_ROW).map(|_| monitor.read(now)).collect();
        assert_eq!(read.iter().map(Health::is_suspect).collect::<Vec<_>>(), [false, false, true]);
        let reading = read[2].readings.iter().find(|reading| reading.kind == kind).expect("one of each kind");
        assert_eq!(read[2].first_cause(), reading.wrong);
        monitor.answered(now, probe());
        assert!(!monitor.read(now).is_suspect(), "a good one ends the row");
    }
}

#[test]
fn a_log_that_stands_still_counts_only_while_commits_wait() {
    let (mut monitor, mut now) = steady();
    let stuck = Probe { waiting: 3, ..probe() };
    let mut suspects = 0;
    for _ in 0..100 {
        now = now.after(TIMING.probe_ms);
        monitor.answered(now, stuck);
        suspects += u32::from(monitor.read(now).is_suspect());
    }
    assert!((40..60).contains(&suspects), "after five of ten seconds");
    monitor.answered(now, Probe { log_size: 11, ..stuck });
    assert!(!monitor.read(now).is_suspect());
}

#[test]
fn what_failed_until_the_node_was_found_is_not_held_against_it() {
    let mut monitor = Monitor::new(BootMs(0), &Timing::LAN);
    (0..ERRORS_BAD).for_each(|_| monitor.failed());
    monitor.answered(BootMs(1_000), probe());
    assert!((0..5).all(|_| !monitor.read(BootMs(1_000)).is_suspect()));
}

#[test]
fn errors_count_from_half_on_and_a_lost_connection_at_once_by_its_own_row() {
    let (mut monitor, now) = steady();
    for _ in 0..ERRORS_BAD - 1 {
        monitor.failed();
    }
    assert!((0..5).all(|_| !monitor.read(now).is_suspect()));
    monitor.failed();
    assert!((0..BAD_IN_ROW).any(|_| monitor.read(now).is_suspect()));

    let (mut monitor, now) = steady();
    monitor.connected(now, false);
    let cause = (0..BAD_IN_ROW).find_map(|_| monitor.read(now.after(50)).first_cause());
    assert_eq!(cause.as_deref(), Some("no connection for 50 ms"));
}
