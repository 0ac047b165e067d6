//! The tracker as tables: what a row of beats and sessions amounts to.

use super::*;

const A: &str = "http://a:1";
const B: &str = "http://b:1";

const fn summary(root: u8, frontier: u8) -> Summary {
    Summary { root: StateRoot([root; 32]), frontier: [frontier; 32] }
}

const OURS: Summary = summary(1, 1);
const EQUAL: Summary = OURS;
/// Has commits that we lack.
const OTHER: Summary = summary(2, 2);
/// Has seen the same commits and yet has another root.
const DAMAGED: Summary = summary(3, 1);

/// One line of a story.
enum Step {
    /// A peer answers with this; then its count is so much, and whether a session is due.
    Says(&'static str, Summary, u32, bool),
    /// A peer does not answer; its count stays at so much.
    Silent(&'static str, u32),
    /// A session with this peer starts now, or none does.
    Starts(Option<&'static str>),
    /// The session ends so, and the count is so much.
    Ends(&'static str, Ended, u32),
    /// Many beats' time goes by.
    Later,
}
use Step::{Ends, Later, Says, Silent, Starts};

const WELL: Ended = Ended::Well { root: OURS.root, is_fruitful: true };
const FRUITLESS: Ended = Ended::Well { root: OURS.root, is_fruitful: false };

fn tracker() -> Tracker {
    let mut tracker = Tracker::new(Config { interval_ms: 1_000, ..Config::default() });
    tracker.expect(0, [A.to_owned(), B.to_owned()], 5);
    tracker
}

fn tell(name: &str, mode: Mode, steps: &[Step]) {
    let (mut tracker, mut now_ms) = (tracker(), 0);
    for (line, step) in steps.iter().enumerate() {
        let count = |tracker: &Tracker, url: &str| tracker.peer(url).expect("expected").count;
        match step {
            Says(url, theirs, expected, is_due) => {
                let mismatch = tracker.answered(now_ms, url, &OURS, theirs, mode);
                assert_eq!(count(&tracker, url), *expected, "{name}, line {line}");
                assert_eq!(mismatch.map_or(0, |m| m.count), *expected, "{name}, line {line}");
                assert_eq!(mismatch.is_some_and(|m| m.is_due), *is_due, "{name}, line {line}");
            }
            Silent(url, expected) => {
                tracker.silent(url);
                assert_eq!(count(&tracker, url), *expected, "{name}, line {line}");
            }
            Starts(url) => assert_eq!(tracker.next_session(now_ms).as_deref(), *url, "{name}, line {line}"),
            Ends(url, ended, expected) => {
                tracker.ended(now_ms, url, *ended, 7);
                assert_eq!(count(&tracker, url), *expected, "{name}, line {line}");
            }
            Later => now_ms += 1_000 * (2 * BACKOFF_LAST_BEATS),
        }
        // Less than the shortest pause, so that a breaker that opened stays open over the next lines.
        now_ms += 100;
    }
}

#[test]
fn counts_and_sessions() {
    let table: &[(&str, &[Step])] = &[
        (
            "three in a row",
            &[
                Says(A, OTHER, 1, false),
                Starts(None),
                Says(A, OTHER, 2, false),
                Starts(None),
                Says(A, OTHER, 3, true),
                Starts(Some(A)),
                Ends(A, WELL, 0),
                Says(A, EQUAL, 0, false),
            ],
        ),
        (
            "two, then equal, then one",
            &[
                Says(A, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(A, EQUAL, 0, false),
                Says(A, OTHER, 1, false),
                Starts(None),
            ],
        ),
        (
            "mismatch, no answer, mismatch",
            &[
                Says(A, OTHER, 1, false),
                Silent(A, 1),
                Says(A, OTHER, 2, false),
                Silent(A, 2),
                Silent(A, 2),
                Says(A, OTHER, 3, true),
                Starts(Some(A)),
            ],
        ),
        (
            "two peers interleaved",
            &[
                Says(A, OTHER, 1, false),
                Says(B, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(B, EQUAL, 0, false),
                Says(A, OTHER, 3, true),
                Says(B, OTHER, 1, false),
                Starts(Some(A)),
                Ends(A, WELL, 0),
                Says(B, OTHER, 2, false),
                Starts(None),
            ],
        ),
        (
            "one session at a time, the one that waits longest first",
            &[
                Says(B, OTHER, 1, false),
                Says(B, OTHER, 2, false),
                Says(B, OTHER, 3, true),
                Says(A, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(A, OTHER, 3, true),
                Starts(Some(B)),
                Starts(None),
                Ends(B, WELL, 0),
                Starts(Some(A)),
            ],
        ),
        (
            "a failing reconcile keeps the count, backs off, and leaves the other peer alone",
            &[
                Says(A, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(A, OTHER, 3, true),
                Starts(Some(A)),
                Ends(A, Ended::Badly, 3),
                Says(A, OTHER, 4, false),
                Starts(None),
                Says(B, OTHER, 1, false),
                Says(B, OTHER, 2, false),
                Says(B, OTHER, 3, true),
                Starts(Some(B)),
                Ends(B, WELL, 0),
                Later,
                Says(A, OTHER, 5, true),
                Starts(Some(A)),
                Ends(A, WELL, 0),
            ],
        ),
        (
            "a busy peer is asked again at the next beat",
            &[
                Says(A, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(A, OTHER, 3, true),
                Starts(Some(A)),
                Ends(A, Ended::Unfinished { is_fruitful: false }, 3),
                Says(A, OTHER, 4, true),
                Starts(Some(A)),
            ],
        ),
        (
            "healed over another road meanwhile",
            &[
                Says(A, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(A, OTHER, 3, true),
                Says(A, EQUAL, 0, false),
                Starts(None),
            ],
        ),
        (
            "beats during a session count and don't start a second one",
            &[
                Says(A, OTHER, 1, false),
                Says(A, OTHER, 2, false),
                Says(A, OTHER, 3, true),
                Starts(Some(A)),
                Says(A, OTHER, 4, false),
                Starts(None),
                Ends(A, WELL, 0),
                Starts(None),
            ],
        ),
    ];
    for (name, steps) in table {
        tell(name, Mode::P2p, steps);
    }
}

#[test]
fn in_http_mode_each_beat_counts_and_heals_at_once() {
    let steps = [
        Says(A, OTHER, 1, true),
        Starts(Some(A)),
        Ends(A, WELL, 0),
        Says(A, OTHER, 1, true),
        Starts(Some(A)),
        Ends(A, Ended::Badly, 1),
        Says(A, OTHER, 2, false),
        Starts(None),
        Later,
        Says(A, OTHER, 3, true),
        Starts(Some(A)),
    ];
    tell("http mode", Mode::Http, &steps);
}

#[test]
fn a_peer_that_lies_about_its_root_costs_ever_less_and_is_called_a_divergence() {
    // The sessions find equal states each time, whatever the peer says at its beats.
    let steps = [
        Says(A, OTHER, 1, true),
        Starts(Some(A)),
        Ends(A, FRUITLESS, 0),
        Says(A, OTHER, 1, true),
        Starts(Some(A)),
        Ends(A, FRUITLESS, 1),
        Says(A, OTHER, 2, false),
        Starts(None),
        Later,
        Says(A, OTHER, 3, true),
        Starts(Some(A)),
        Ends(A, FRUITLESS, 3),
        Says(A, OTHER, 4, false),
        Says(A, EQUAL, 0, false),
        Says(A, OTHER, 1, true),
    ];
    tell("a liar", Mode::Http, &steps);

    let mut tracker = tracker();
    let kinds = [1, 2, 3].map(|now_ms| {
        let mismatch = tracker.answered(now_ms, A, &OURS, &OTHER, Mode::P2p).expect("another root");
        tracker.ended(now_ms, A, FRUITLESS, 0);
        (mismatch.kind, mismatch.is_contradicted)
    });
    assert_eq!(kinds, [(Kind::Lag, false), (Kind::Lag, false), (Kind::Divergence, true)]);
    let moved_on = Summary { root: StateRoot([9; 32]), ..OURS };
    let mismatch = tracker.answered(4, A, &moved_on, &OTHER, Mode::P2p).expect("another root");
    assert_eq!(mismatch.kind, Kind::Lag, "the sessions say nothing of the state that we have now");
}

#[test]
fn sessions_to_which_gossip_leaves_nothing_speak_against_nobody_while_writes_go_on() {
    // Each beat finds a write that is not here yet. Gossip brings it before the session does, which moves nothing.
    let mut tracker = tracker();
    for write in 1..100u8 {
        let now_ms = u64::from(write) * 100_000;
        let (ours, theirs) = (summary(write, write), summary(write + 1, write + 1));
        let mismatch = tracker.answered(now_ms, A, &ours, &theirs, Mode::Http).expect("another root");
        assert_eq!((mismatch.kind, mismatch.count, mismatch.is_due), (Kind::Lag, 1, true), "{write}: {mismatch:?}");
        assert_eq!(tracker.next_session(now_ms).as_deref(), Some(A));
        tracker.ended(now_ms, A, Ended::Well { root: theirs.root, is_fruitful: false }, 0);
    }
}

#[test]
fn an_answer_that_may_be_older_than_a_session_is_no_word_against_it() {
    let mut tracker = tracker();
    for beat in 1..10u64 {
        let now_ms = beat * 100_000;
        assert!(tracker.due(now_ms, 0).contains(&A.to_owned()));
        tracker.ended(now_ms + 1, A, FRUITLESS, 0);
        let mismatch = tracker.answered(now_ms + 2, A, &OURS, &OTHER, Mode::P2p).expect("another root");
        assert_eq!(mismatch.kind, Kind::Lag, "{beat}");
    }
}

#[test]
fn lag_is_told_from_divergence_by_the_frontiers() {
    let mut tracker = tracker();
    let kinds = [OTHER, DAMAGED, EQUAL].map(|theirs| tracker.answered(0, A, &OURS, &theirs, Mode::P2p).map(|m| m.kind));
    assert_eq!(kinds, [Some(Kind::Lag), Some(Kind::Divergence), None]);
    assert_eq!(tracker.peer(A).expect("expected").kind, None, "forgotten with the equal root");
}

#[test]
fn a_node_that_is_merely_behind_for_a_moment_is_left_alone() {
    // Under steady writes roots differ at most beats; whenever gossip has caught up, the row is broken.
    let mut tracker = tracker();
    for beat in 0..100u64 {
        let theirs = if beat % 3 == 2 { EQUAL } else { OTHER };
        let mismatch = tracker.answered(beat * 1_000, A, &OURS, &theirs, Mode::P2p);
        assert!(mismatch.is_none_or(|m| !m.is_due && m.kind == Kind::Lag), "{beat}: {mismatch:?}");
        assert_eq!(tracker.next_session(beat * 1_000), None);
    }
}

#[test]
fn beats_come_once_an_interval_with_a_tenth_of_jitter_and_never_two_at_once() {
    let mut tracker = tracker();
    let first: Vec<_> = (0..1_000).flat_map(|now_ms| tracker.due(now_ms, now_ms)).collect();
    assert_eq!(first.len(), 2, "each is asked within one interval: {first:?}");
    assert!(tracker.due(60_000, 1).is_empty(), "no second beat before the first is answered");
    tracker.silent(A);
    assert_eq!(tracker.due(60_000, 1), [A]);
    let mut last_ms = 60_000;
    for now_ms in 60_000..120_000 {
        tracker.silent(A);
        if tracker.due(now_ms, now_ms).contains(&A.to_owned()) {
            assert!((900..=1_100).contains(&(now_ms - last_ms)), "{}", now_ms - last_ms);
            last_ms = now_ms;
        }
    }
    assert!(last_ms > 118_000);
}

#[test]
fn the_pause_after_failures_doubles_up_to_a_bound_and_the_breaker_says_so() {
    let mut tracker = tracker();
    let breaker = |tracker: &Tracker, now_ms| tracker.peer(A).expect("expected").breaker(now_ms);
    assert_eq!(breaker(&tracker, 0), Breaker::Closed);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        tracker.ended(0, A, Ended::Badly, 0);
        assert_eq!(breaker(&tracker, 0), Breaker::Open);
        let until_ms = (0..).step_by(1_000).find(|&now_ms| breaker(&tracker, now_ms) != Breaker::Open).expect("ends");
        assert_eq!(breaker(&tracker, until_ms), Breaker::HalfOpen);
        pauses.push(until_ms / 1_000);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 32, 32]);
    tracker.ended(0, A, WELL, 0);
    assert_eq!(breaker(&tracker, 0), Breaker::Closed);
}

#[test]
fn peers_no_longer_named_are_forgotten_and_the_rest_keep_their_counts() {
    let mut tracker = tracker();
    for url in [A, B] {
        tracker.answered(0, url, &OURS, &OTHER, Mode::P2p);
    }
    tracker.expect(0, [B.to_owned()], 0);
    assert_eq!((tracker.len(), tracker.peer(B).map(|peer| peer.count)), (1, Some(1)));
    assert_eq!(tracker.answered(0, A, &OURS, &OTHER, Mode::P2p), None);
    tracker.ended(0, A, Ended::Badly, 0);
    for beat in 0..3 {
        tracker.answered(beat, B, &OURS, &OTHER, Mode::P2p);
    }
    assert_eq!(tracker.next_session(3).as_deref(), Some(B));
    tracker.expect(3, [A.to_owned()], 0);
    for beat in 4..7 {
        tracker.answered(beat, A, &OURS, &OTHER, Mode::P2p);
    }
    assert_eq!(tracker.next_session(7), None, "the session with the forgotten peer still runs");
    tracker.ended(8, B, WELL, 0);
    assert_eq!(tracker.next_session(9).as_deref(), Some(A));
    tracker.expect(0, (0..2 * PEERS_MAX).map(|n| format!("http://{n}")), 0);
    assert_eq!(tracker.len(), PEERS_MAX);
}

#[test]
fn the_alarm_is_raised_once_a_row_when_divergence_lasts() {
    let alarms = |tracker: &mut Tracker, says: &[Summary]| -> Vec<bool> {
        let beat = |theirs: &Summary| tracker.answered(0, A, &OURS, theirs, Mode::P2p).is_some_and(|m| m.is_alarm);
        says.iter().map(beat).collect()
    };
    let mut tracker = tracker();
    let says = [DAMAGED, DAMAGED, DAMAGED, DAMAGED, EQUAL, DAMAGED, DAMAGED, DAMAGED];
    assert_eq!(alarms(&mut tracker, &says), [false, false, true, false, false, false, false, true]);
    alarms(&mut tracker, &[EQUAL]);
    let one_of_many = [OTHER, OTHER, DAMAGED, OTHER, DAMAGED];
    assert_eq!(alarms(&mut tracker, &one_of_many), [false; 5], "a moment between two nodes that write");
    assert_eq!(alarms(&mut tracker, &[DAMAGED]), [true], "it lasts");
}

#[test]
fn a_peer_whose_word_is_not_believed_raises_the_alarm_though_its_frontier_differs() {
    let mut tracker = tracker();
    let mut alarms = 0;
    for beat in 0..40u64 {
        let now_ms = beat * 100_000;
        let mismatch = tracker.answered(now_ms, A, &OURS, &OTHER, Mode::P2p).expect("another root");
        alarms += u32::from(mismatch.is_alarm);
        if tracker.next_session(now_ms).is_some() {
            tracker.ended(now_ms, A, FRUITLESS, 0);
        }
    }
    assert_eq!(alarms, 1);
    assert_eq!(tracker.peer(A).expect("expected").kind, Some(Kind::Divergence));
}

#[test]
fn sessions_that_change_nothing_and_leave_more_to_come_pause_after_some() {
    for nothing in [Ended::Unfinished { is_fruitful: false }, Ended::Overtaken { is_fruitful: false }] {
        let mut tracker = tracker();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            tracker.ended(0, A, nothing, 0);
            pauses.push(tracker.peer(A).expect("expected").breaker(0) == Breaker::Open);
        }
        assert_eq!(pauses, [false, false, false, true, true, true, true], "{nothing:?}");
        tracker.ended(1_000_000, A, Ended::Unfinished { is_fruitful: true }, 0);
        tracker.ended(1_000_000, A, nothing, 0);
        assert_ne!(tracker.peer(A).expect("expected").breaker(1_000_000), Breaker::Open, "{nothing:?}");
    }
}

#[test]
fn a_url_that_leads_to_this_node_itself_is_asked_ever_so_rarely() {
    let mut tracker = tracker();
    tracker.expect(0, [A.to_owned()], 5);
    assert_eq!(tracker.due(1_000, 0), [A]);
    tracker.itself(1_000, A);
    let again_ms = 1_000 + ITSELF_BEATS * 1_000;
    assert_eq!(tracker.due(again_ms - 1, 0), Vec::<String>::new());
    assert_eq!(tracker.due(again_ms, 0), [A]);
}
