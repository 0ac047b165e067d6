//! The join: any order, any repetition, any batching of the same operations gives the same root.

use lattice::commit::VerifiedCommit;
use lattice::entry::{Version, wins};
use lattice::ids::{AuthorId, CommitId};
use lattice::op::Key;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::for_all;
use crate::generate::{history, in_part, world};
use crate::state::State;

#[test]
fn any_order_repetition_and_batching_gives_the_same_root() {
    let deliveries = (history(), any::<Index>(), prop::collection::vec((any::<Index>(), 1usize..4), 0..12));
    for_all(500, &deliveries, |(history, rotation, repeats)| {
        let expected = State::of(&history);
        // Everything once, rotated, and then some of it again, in batches of one to three.
        let mut order: Vec<_> = (0..history.len()).rev().collect();
        order.rotate_left(rotation.index(history.len()));
        order.extend(repeats.iter().map(|(again, _)| again.index(history.len())));
        let sizes = repeats.iter().map(|(_, size)| *size).chain(std::iter::repeat(2));
        let mut state = State::default();
        let mut rest = order.as_slice();
        for size in sizes {
            let (batch, later) = rest.split_at(size.min(rest.len()));
            state.join(&State::of(batch.iter().map(|&at| &history[at])));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(state.root(), expected.root());
        assert_eq!(state.entries, expected.entries);
    });
}

#[test]
fn every_permutation_of_a_short_history_gives_the_same_root() {
    let shuffled = history().prop_flat_map(|history| (Just(history.clone()), Just(history).prop_shuffle()));
    for_all(500, &shuffled, |(history, shuffled)| {
        assert_eq!(State::of(&history).root(), State::of(&shuffled).root());
    });
}

#[test]
fn commits_in_part_add_up_to_the_whole() {
    for_all(200, &(history(), any::<u8>()), |(history, mask)| {
        let halves: Vec<_> =
            history.iter().flat_map(|commit| [in_part(commit, !mask), in_part(commit, mask)]).collect();
        assert_eq!(State::of(&halves).root(), State::of(&history).root());
    });
}

#[test]
fn states_join_commutatively_associatively_and_idempotently() {
    let join = |a: &State, b: &State| {
        let mut joined = a.clone();
        joined.join(b);
        joined
    };
    for_all(200, &(history(), history(), history()), |(a, b, c)| {
        let (a, b, c) = (State::of(&a), State::of(&b), State::of(&c));
        assert_eq!(join(&a, &b).root(), join(&b, &a).root(), "commutative");
        assert_eq!(join(&join(&a, &b), &c).root(), join(&a, &join(&b, &c)).root(), "associative");
        assert_eq!(join(&a, &a).root(), a.root(), "idempotent");
    });
}

/// All operations on `key`, greatest first, by the order that the design gives in words.
fn ranked<'a>(history: &'a [VerifiedCommit], key: &Key) -> Vec<(&'a VerifiedCommit, u32, bool)> {
    let mut ops: Vec<_> = history
        .iter()
        .flat_map(|commit| commit.live_ops().map(move |(index, op)| (commit, index, op)))
        .filter(|(_, _, op)| op.key() == key)
        .map(|(commit, index, op)| (commit, index, op.value().is_none()))
        .collect();
    let is_seat = key.as_str().starts_with("green/");
    ops.sort_by_key(|(commit, index, _)| {
        let header = commit.header();
        let ordinary = (header.time, header.author);
        let seat = (header.term, header.seq);
        (
            if is_seat { (seat.0, seat.1) } else { (ordinary.0.0, 0) },
            if is_seat { AuthorId::ZERO } else { ordinary.1 },
            commit.id(),
            *index,
        )
    });
    ops.reverse();
    ops
}

#[test]
fn the_greatest_operation_stands_and_a_tombstone_never_resurrects() {
    for_all(300, &history(), |history| {
        let mut state = State::of(&history);
        for (key, entry) in state.entries.clone() {
            let (commit, index, is_delete) = ranked(&history, &key)[0];
            assert_eq!((entry.version.commit, entry.version.op_index), (commit.id(), index), "{key}");
            assert_eq!(entry.value.is_none(), is_delete, "{key}");
        }
        // Whatever comes late again, whole or in part, a deleted key stays deleted.
        let root = state.root();
        for commit in history.iter().rev() {
            state.apply(commit);
            state.apply(&in_part(commit, 0b0101_0101));
        }
        assert_eq!(state.root(), root);
    });
}

fn version() -> impl Strategy<Value = Version> {
    let few = || 0u64..2;
    (few(), 0u8..2, few(), few(), 0u8..3, 0u32..2).prop_map(|(time, author, term, seq, commit, op_index)| Version {
        time: lattice::clock::Timestamp(time),
        author: AuthorId([author; 32]),
        term,
        seq,
        commit: CommitId([commit; 32]),
        op_index,
    })
}

#[test]
fn of_two_operations_exactly_one_wins_and_no_three_go_in_a_circle() {
    let genesis = &world().genesis;
    let keys = ["plain", "green/seat"].map(|key| Key::new(key).expect("small"));
    for_all(600, &(version(), version(), version()), |(a, b, c)| {
        for key in &keys {
            let over = |x: &Version, y: &Version| wins(genesis, key, x, y);
            assert!(!over(&a, &a), "nothing wins over itself");
            assert!(!(over(&a, &b) && over(&b, &a)), "both win");
            if (a.commit, a.op_index) != (b.commit, b.op_index) {
                assert!(over(&a, &b) || over(&b, &a), "a tie without a winner");
            }
            if over(&a, &b) && over(&b, &c) {
                assert!(over(&a, &c), "a circle");
            }
        }
    });
}
