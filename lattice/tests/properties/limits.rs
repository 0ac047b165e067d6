//! Whatever verifies can be decoded, and so can all that is left of it: by the node that wrote it and by every other.

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, OpSlot, VerifyError};
use lattice::frame::{Frame, pack_commits};
use lattice::genesis::Genesis;
use lattice::ids::CommitId;
use lattice::limits::{COMMIT_BYTES_MAX, COMMIT_OPS_MAX, FRAME_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use lattice::membership::MEMBER_PREFIX;
use lattice::op::Op;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::for_all;
use crate::generate::world;

/// One operation's size: bytes of its value, none for a delete; and what its key is padded to.
#[derive(Debug, Clone, Copy)]
struct Size {
    key: usize,
    value: Option<usize>,
    changes_members: bool,
}

/// Tiny ones, those around where a length takes a byte more, and the largest.
fn size() -> impl Strategy<Value = Size> {
    let value = prop_oneof![
        2 => Just(None),
        8 => (0usize..40).prop_map(Some),
        8 => (200usize..300).prop_map(Some),
        1 => (65_000..=VALUE_BYTES_MAX).prop_map(Some),
    ];
    let key = prop_oneof![8 => Just(0), 1 => 20usize..30, 1 => 250usize..260, 1 => Just(KEY_BYTES_MAX)];
    (key, value, prop::bool::weighted(0.05)).prop_map(|(key, value, changes_members)| Size {
        key,
        value,
        changes_members,
    })
}

fn op(index: usize, size: Size) -> Op {
    let prefix = if size.changes_members { MEMBER_PREFIX } else { "" };
    let key = format!("{:k<width$}", format!("{prefix}{index}"), width = size.key);
    match size.value {
        Some(bytes) => Op::put(&key, &vec![7; bytes]).expect("within bounds"),
        None => Op::delete(&key).expect("within bounds"),
    }
}

fn signed(genesis: &Genesis, ops: Vec<Op>) -> Commit {
    // The longest header that there can be.
    let long = i64::MAX as u64;
    let draft = Draft { lattice: genesis.id(), term: long, seq: long, prev: CommitId([1; 32]), time: Timestamp(long) };
    draft.sign(&world().keys[0].author, ops)
}

/// `commit` with each operation dead whose turn in `kept` is false.
fn part(commit: &Commit, kept: &[bool]) -> Commit {
    let kept = kept.iter().cycle();
    let slots = commit.slots().iter().zip(kept).map(|(slot, kept)| match kept {
        true => slot.clone(),
        false => OpSlot::Dead(slot.hash()),
    });
    Commit::from_parts(commit.signed().clone(), slots.collect())
}

/// What holds of everything that verifies.
fn can_be_sent(commit: &Commit, genesis: &Genesis) {
    let bytes = commit.encode();
    assert!(bytes.len() <= commit.counted_bytes(), "{} bytes counted as {}", bytes.len(), commit.counted_bytes());
    let decoded = Commit::decode(&bytes).expect("what verifies can be decoded");
    assert_eq!(&decoded, commit);
    decoded.verify(genesis).expect("what verified verifies again");
    let [frame] = &pack_commits(&[bytes])[..] else { panic!("one frame") };
    assert!(frame.len() <= FRAME_BYTES_MAX && Frame::decode(frame).is_ok());
}

/// Sizes repeated up to `count`, then cut off where they would pass `limit`: many cases end just below it.
fn cut_to_fit(sizes: &[Size], count: usize, limit: usize) -> Vec<Op> {
    let ops = sizes.iter().cycle().take(count).enumerate().map(|(index, size)| op(index, *size));
    let mut room = limit.saturating_sub(300);
    ops.take_while(|op| {
        let counted = (op.key().as_str().len() + op.value().map_or(0, <[u8]>::len) + 10).max(32) + 8;
        let fits = counted <= room;
        room = room.saturating_sub(counted);
        fits
    })
    .collect()
}

#[test]
fn what_verifies_can_be_sent_whole_and_in_every_part() {
    // 1024 puts of 250 bytes passed the limit when only keys and values counted, and no peer could decode them.
    let genesis = &world().genesis;
    let limits = prop_oneof![3 => Just(COMMIT_BYTES_MAX), 1 => 2048..COMMIT_BYTES_MAX];
    let cases = (vec(size(), 1..40), 1..=COMMIT_OPS_MAX, limits, any::<bool>(), vec(any::<bool>(), 1..9));
    let accepted = std::cell::Cell::new(0);
    for_all(200, &cases, |(sizes, count, limit, is_cut, kept)| {
        let mut genesis = genesis.clone();
        genesis.limits.commit_bytes = limit as u64;
        let ops = match is_cut {
            true => cut_to_fit(&sizes, count, limit),
            false => sizes.iter().cycle().take(count).enumerate().map(|(index, size)| op(index, *size)).collect(),
        };
        if ops.is_empty() {
            return;
        }
        let whole = signed(&genesis, ops);
        match whole.clone().verify(&genesis) {
            Ok(_) => accepted.set(accepted.get() + 1),
            Err(VerifyError::BeyondLimit { .. }) => return,
            Err(other) => panic!("{other}"),
        }
        can_be_sent(&whole, &genesis);
        let some = part(&whole, &kept);
        can_be_sent(&some, &genesis);
        // What dies later dies of a part.
        can_be_sent(&part(&some, &[true, false, true, true]), &genesis);
        can_be_sent(&part(&some, &[false]), &genesis);
        assert!(some.counted_bytes() <= whole.counted_bytes());
    });
    assert!(accepted.get() > 50, "only {} of 200 were within the limits", accepted.get());
}

#[test]
fn one_byte_decides_whether_a_commit_is_within_the_limits() {
    let mut genesis = world().genesis.clone();
    let put = |index: usize, bytes: usize| Op::put(&format!("{index:04}"), &vec![7; bytes]).expect("small");
    for (count, value, limit) in [
        (COMMIT_OPS_MAX, 200, COMMIT_BYTES_MAX),
        (COMMIT_OPS_MAX, 0, COMMIT_BYTES_MAX / 4),
        (4, 65_500, COMMIT_BYTES_MAX),
        (1, 0, 1024),
    ] {
        genesis.limits.commit_bytes = limit as u64;
        let with_last = |bytes: usize| {
            let last = put(count - 1, bytes);
            signed(&genesis, (0..count - 1).map(|index| put(index, value)).chain([last]).collect())
        };
        // 100 bytes are past the length of a hash: from there on each byte counts.
        let room = limit - with_last(100).counted_bytes();
        let largest = with_last(100 + room);
        assert_eq!(largest.counted_bytes(), limit);
        assert!(largest.clone().verify(&genesis).is_ok(), "{count} operations");
        can_be_sent(&largest, &genesis);
        can_be_sent(&part(&largest, &[false]), &genesis);
        let refused = with_last(101 + room).verify(&genesis);
        let (found, limit) = (limit as u64 + 1, limit as u64);
        assert!(
            matches!(refused, Err(VerifyError::BeyondLimit { found: f, limit: l, .. }) if (f, l) == (found, limit)),
            "{refused:?}"
        );
    }
}

#[test]
fn membership_changes_count_towards_the_most_that_decodes_and_not_towards_a_genesis_limit() {
    let mut genesis = world().genesis.clone();
    genesis.limits.commit_bytes = 1024;
    let changes = |count: usize| {
        let change = Size { key: 72, value: Some(30_000), changes_members: true };
        signed(&genesis, (0..count).map(|index| op(index, change)).collect())
    };
    let most = changes(8);
    assert!(most.clone().verify(&genesis).is_ok());
    can_be_sent(&most, &genesis);
    assert!(matches!(changes(9).verify(&genesis), Err(VerifyError::BeyondLimit { .. })));
    // Of hashes alone nobody can tell what they stand for: 30 count more than the genesis's 1024 bytes.
    let tiny = Size { key: 0, value: Some(1), changes_members: true };
    let many = signed(&genesis, (0..30).map(|index| op(index, tiny)).collect());
    for kept in [&[true][..], &[false], &[true, false, false]] {
        can_be_sent(&part(&many, kept), &genesis);
    }
}
