//! Sessions: when they start, beside which others, and what their ends change.

use super::*;
use lattice::ids::{AuthorId, LatticeId};

const OURS: Ours = Ours { root: StateRoot([1; 32]), frontier: [1; 32] };

fn peer(n: u8) -> PeerName {
    PeerName([n; 4].into())
}

fn head(root: u8, frontier: u8) -> Head {
    Head {
        lattice: LatticeId::ZERO,
        author: AuthorId::ZERO,
        time_ms: 0,
        root: StateRoot([root; 32]),
        entries: 0,
        frontier: [frontier; 32],
        checkpoint_size: 0,
        estimator: [0; lattice::head::ESTIMATOR_BYTES],
    }
}

fn settled(peer: &PeerName) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.ours(OURS.root);
    schedule.joined(peer.clone());
    assert_eq!(schedule.next(0).as_ref(), Some(peer), "on connect");
    schedule.ended(0, peer, Ended::Well, 0);
    schedule
}

#[test]
fn a_root_that_differs_for_a_moment_starts_nothing() {
    let mut schedule = settled(&peer(1));
    schedule.head(REST_MS, &peer(1), &head(2, 2), &OURS);
    assert_eq!(schedule.next(REST_MS + PATIENCE_MS - 1), None);
    schedule.head(REST_MS + PATIENCE_MS - 1, &peer(1), &head(1, 1), &OURS);
    assert_eq!(schedule.next(10 * PATIENCE_MS), None);
}

#[test]
fn a_root_that_stays_different_starts_a_session_and_so_does_a_frontier() {
    for (root, frontier) in [(2, 2), (1, 2)] {
        let mut schedule = settled(&peer(1));
        schedule.head(REST_MS, &peer(1), &head(root, frontier), &OURS);
        assert_eq!(schedule.next(REST_MS + PATIENCE_MS), Some(peer(1)));
        assert_eq!(schedule.next(REST_MS + PATIENCE_MS), None, "one session with one peer");
    }
}

#[test]
fn a_failing_peer_is_asked_less_and_less_and_does_not_hold_up_others() {
    let mut schedule = Schedule::default();
    schedule.joined(peer(1));
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let started = now;
        while schedule.next(now).is_none() {
            now += 50;
        }
        pauses.push(now - started);
        schedule.ended(now, &peer(1), Ended::Badly(None), 0);
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]) && pauses[9] >= BACKOFF_LAST_MS, "{pauses:?}");
    schedule.joined(peer(2));
    assert_eq!(schedule.next(now), Some(peer(2)));
}

#[test]
fn a_slow_peer_holds_up_others_for_a_moment_only() {
    // One session at a time meant that one slow peer kept this node from all others.
    let mut schedule = Schedule::default();
    (1..=5).for_each(|n| schedule.joined(peer(n)));
    let started: Vec<_> = (0..10 * SLOW_MS).filter_map(|now| schedule.next(now).map(|_| now)).collect();
    assert_eq!(started, [0, SLOW_MS, 2 * SLOW_MS], "at most {SESSIONS_MAX}, and not all at once");
    let now = 10 * SLOW_MS;
    schedule.ended(now, &peer(1), Ended::Badly(None), 0);
    assert_eq!(schedule.next(now), Some(peer(4)));
}

#[test]
fn a_peer_has_one_session_though_it_left_and_came_back() {
    let mut schedule = Schedule::default();
    schedule.joined(peer(1));
    assert_eq!(schedule.next(0), Some(peer(1)));
    schedule.left(&peer(1));
    schedule.joined(peer(1));
    assert_eq!(schedule.next(SLOW_MS), None, "the old session still runs");
    schedule.ended(SLOW_MS, &peer(1), Ended::Well, 0);
    assert_eq!(schedule.next(SLOW_MS), Some(peer(1)), "its end says nothing about the new connection");
    schedule.left(&peer(1));
    schedule.ended(SLOW_MS, &peer(1), Ended::Badly(None), 0);
    assert!(schedule.plans.is_empty() && schedule.running.is_empty());
}

#[test]
fn a_nudge_during_a_session_is_not_lost() {
    let mut schedule = Schedule::default();
    schedule.joined(peer(1));
    assert_eq!(schedule.next(0), Some(peer(1)));
    schedule.nudged(peer(1));
    schedule.ended(1, &peer(1), Ended::Well, 0);
    assert_eq!(schedule.next(1), Some(peer(1)), "the session may have looked before the news came");
    schedule.ended(2, &peer(1), Ended::Well, 0);
    assert_eq!(schedule.next(3), None);
}

#[test]
fn a_nudge_for_a_peer_that_is_not_there_is_tried_once() {
    for ended in [Ended::Well, Ended::Busy, Ended::Badly(None)] {
        let mut schedule = Schedule::default();
        schedule.nudged(peer(1));
        assert_eq!(schedule.next(0), Some(peer(1)));
        schedule.ended(1, &peer(1), ended, 0);
        assert!(schedule.plans.is_empty() && schedule.running.is_empty(), "{ended:?}");
    }
    let mut schedule = Schedule::default();
    schedule.nudged(peer(1));
    assert_eq!(schedule.next(0), Some(peer(1)));
    schedule.joined(peer(1));
    schedule.ended(1, &peer(1), Ended::Badly(None), 0);
    assert_eq!(schedule.next(1), Some(peer(1)), "it proved the lattice meanwhile");
}

#[test]
fn a_busy_peer_is_asked_again_soon_however_often() {
    let mut schedule = Schedule::default();
    schedule.joined(peer(1));
    for n in 0..20 {
        assert_eq!(schedule.next(n * BUSY_PAUSE_MS), Some(peer(1)));
        assert_eq!(schedule.ended(n * BUSY_PAUSE_MS, &peer(1), Ended::Busy, 0), None);
        assert_eq!(schedule.next((n + 1) * BUSY_PAUSE_MS - 1), None);
    }
}

/// When a session starts, if a head with one of these roots comes each 300 ms; 2 and 3 were lately ours.
fn starts_at(roots: impl Fn(u64) -> u8) -> Option<u64> {
    let mut schedule = settled(&peer(1));
    [2, 3, 1].into_iter().for_each(|root| schedule.ours(StateRoot([root; 32])));
    (0..20_000).step_by(300).find(|at| {
        schedule.head(REST_MS + at, &peer(1), &head(roots(*at), 0), &OURS);
        schedule.next(REST_MS + at).is_some()
    })
}

#[test]
fn a_peer_that_is_behind_is_given_more_time_than_one_that_is_elsewhere() {
    assert_eq!(starts_at(|_| 9), Some(PATIENCE_MS), "a root we don't know");
    assert_eq!(starts_at(|at| (at / 300 % 100) as u8 + 10), Some(PATIENCE_MS), "one after the other");
    assert_eq!(starts_at(|_| 2), Some(8_100), "stuck at a root that was ours");
    assert_eq!(starts_at(|at| 2 + u8::from(at > 6_000)), Some(6_300 + 8_100), "went on to another root of ours");
    assert_eq!(starts_at(|at| if at % 600 == 0 { 2 } else { 9 }), None, "had all that we had, again and again");
    assert_eq!(starts_at(|at| if at < 6_000 { 2 } else { 9 }), Some(6_000 + PATIENCE_MS), "went elsewhere");
    assert_eq!(starts_at(|_| 1), Some(PATIENCE_MS), "our root, another frontier");
}

/// The alarms of sessions with one peer that end like this, one after the other.
fn alarms(ends: &[Ended]) -> Vec<Option<Alarm>> {
    let mut schedule = Schedule::default();
    schedule.ours(OURS.root);
    schedule.joined(peer(1));
    schedule.head(0, &peer(1), &head(2, 2), &OURS);
    let end = |(n, ended): (usize, &Ended)| {
        let now = (n as u64 + 1) * 2 * BACKOFF_LAST_MS;
        schedule.head(now - PATIENCE_MS, &peer(1), &head(2, 2), &OURS);
        assert_eq!(schedule.next(now), Some(peer(1)));
        schedule.ended(now, &peer(1), *ended, 0)
    };
    ends.iter().enumerate().map(end).collect()
}

#[test]
fn sessions_that_change_neither_root_are_an_alarm_told_once() {
    let roots = |ours: u8, theirs: u8| Roots { ours: StateRoot([ours; 32]), theirs: StateRoot([theirs; 32]) };
    let (lost, refused) = (Ended::Badly(None), Ended::Badly(Some(roots(1, 2))));
    let unexplained = Ended::Unexplained(roots(1, 2));
    let (stuck, strange) = (Some(Alarm::Stuck(roots(1, 2))), Some(Alarm::Unexplained(roots(1, 2))));
    assert_eq!(alarms(&[refused, refused, refused, refused]), [None, None, stuck, None]);
    assert_eq!(alarms(&[lost, lost, lost]), [None, None, stuck], "by the roots that the heads show");
    assert_eq!(alarms(&[unexplained, unexplained, unexplained]), [None, strange, None]);
    assert_eq!(alarms(&[unexplained, lost, unexplained]), [None, None, stuck], "not twice in a row");
    assert_eq!(alarms(&[refused, refused, Ended::Well, refused, refused]), [None; 5]);
    assert_eq!(alarms(&[refused, refused, Ended::Busy, refused]), [None, None, None, stuck], "busy says nothing");
    let changing: Vec<_> = (2..20).map(|n| Ended::Unexplained(roots(1, n))).collect();
    assert!(alarms(&changing).iter().all(Option::is_none), "writes go on");
    assert_eq!(alarms(&[Ended::Badly(Some(roots(1, 1))); 5]), [None; 5], "equal roots");
}

#[test]
fn own_roots_are_remembered_within_a_bound() {
    let mut schedule = Schedule::default();
    for n in 0..2 * RECENT_ROOTS_MAX as u64 {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&n.to_be_bytes());
        schedule.ours(StateRoot(root));
    }
    assert_eq!(schedule.recent.len(), RECENT_ROOTS_MAX);
    assert!(!schedule.knows(&StateRoot([0; 32])));
}

#[test]
fn a_peer_that_asks_is_not_asked_beside_it_but_afterwards() {
    let mut schedule = Schedule::default();
    schedule.joined(peer(1));
    schedule.asked(0, &peer(1));
    schedule.asked(600, &peer(1));
    assert_eq!(schedule.next(600 + ASKED_MS - 1), None, "its session runs");
    assert_eq!(schedule.next(600 + ASKED_MS), Some(peer(1)), "ours tells what its frontier covers");
    schedule.asked(0, &peer(9));
}

#[test]
fn a_peer_that_offers_much_is_asked_even_though_it_asked_lately_but_not_before_a_pause_ends() {
    let mut schedule = Schedule::default();
    schedule.joined(peer(1));
    schedule.asked(0, &peer(1));
    schedule.offered(&peer(1));
    assert_eq!(schedule.next(1), Some(peer(1)));
    assert_eq!(schedule.ended(2, &peer(1), Ended::Badly(None), 0), None);
    schedule.offered(&peer(1));
    assert_eq!(schedule.next(2 + BACKOFF_FIRST_MS - 1), None, "no peer ends a pause");
    assert_eq!(schedule.next(2 + BACKOFF_FIRST_MS), Some(peer(1)));
    assert!(fetches_rather(0, 1_000_000) && !fetches_rather(0, 100) && !fetches_rather(600_000, 1_000_000));
}

#[test]
fn of_two_sessions_that_cross_one_goes_on() {
    let (one, two) = (peer(1), peer(2));
    for (a, b) in [((0, &two), (9, &one)), ((5, &one), (5, &two))] {
        assert!(goes_on(a, b) && !goes_on(b, a), "{a:?} {b:?}");
    }
}
