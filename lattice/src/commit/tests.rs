//! What a commit refuses, one story each.

use super::*;
use crate::keys::NodeKeys;
use crate::membership::MEMBER_PREFIX;

fn world() -> (NodeKeys, Genesis) {
    let keys = NodeKeys::from_seed([1; 32]);
    let genesis = Genesis::founded_by("test", "one", &keys, vec![1; 38]);
    (keys, genesis)
}

fn draft(genesis: &Genesis) -> Draft {
    Draft { lattice: genesis.id(), term: 0, seq: 1, prev: CommitId::ZERO, time: Timestamp::from_millis(1) }
}

fn ops(n: usize) -> Vec<Op> {
    (0..n).map(|i| Op::put(&format!("key/{i}"), &[i as u8; 20]).expect("small")).collect()
}

#[test]
fn a_commit_round_trips_whole_and_in_part() {
    let (keys, genesis) = world();
    let whole = draft(&genesis).sign(&keys.author, ops(5));
    assert_eq!(Commit::decode(&whole.encode()), Ok(whole.clone()));
    assert!(whole.clone().verify(&genesis).expect("ours").is_whole());

    let mut part = whole.clone();
    part.slots[1] = OpSlot::Dead(part.slots[1].hash());
    part.slots[4] = OpSlot::Dead(part.slots[4].hash());
    let part = Commit::decode(&part.encode()).expect("well-formed").verify(&genesis).expect("still signed");
    assert_eq!(part.id(), whole.id());
    assert!(!part.is_whole());
    assert_eq!(part.live_ops().map(|(index, _)| index).collect::<Vec<_>>(), [0, 2, 3]);
}

#[test]
fn inner_hashes_do_not_pass_for_dead_operations() {
    // Two inner hashes of four operations lead to the same root; only the header's count tells them apart.
    let (keys, genesis) = world();
    let whole = draft(&genesis).sign(&keys.author, ops(4));
    let hashes: Vec<_> = whole.slots().iter().map(|slot| slot.hash().0).collect();
    let inner = [0, 2].map(|at| OpSlot::Dead(OpHash(merkle::node_hash(&hashes[at], &hashes[at + 1]))));
    let forged = Commit::from_parts(whole.signed().clone(), inner.into());
    assert_eq!(forged.verify(&genesis), Err(VerifyError::WrongOps { id: whole.id() }));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (keys, genesis) = world();
    let bytes = draft(&genesis).sign(&keys.author, ops(2)).encode();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let accepted = Commit::decode(&bad).is_ok_and(|commit| commit.verify(&genesis).is_ok());
        assert!(!accepted, "bit {bit} flipped and still accepted");
    }
}

#[test]
fn another_lattice_is_named_in_the_refusal() {
    let (keys, genesis) = world();
    let other = Genesis::founded_by("other", "one", &keys, vec![1; 38]);
    let commit = draft(&other).sign(&keys.author, ops(1));
    let refused = commit.verify(&genesis);
    assert_eq!(refused, Err(VerifyError::OtherLattice { found: other.id(), ours: genesis.id() }));
}

#[test]
fn limits_of_the_genesis_are_judged() {
    let (keys, mut genesis) = world();
    genesis.limits.commit_ops = 3;
    genesis.limits.value_bytes = 19;
    let too_many = draft(&genesis).sign(&keys.author, ops(4)).verify(&genesis);
    assert!(matches!(too_many, Err(VerifyError::BeyondLimit { found: 4, limit: 3, .. })), "{too_many:?}");
    let too_long = draft(&genesis).sign(&keys.author, ops(1)).verify(&genesis);
    assert!(matches!(too_long, Err(VerifyError::BeyondLimit { found: 20, limit: 19, .. })), "{too_long:?}");
}

#[test]
fn narrow_limits_leave_room_for_membership_changes() {
    // A genesis with 64-byte keys could never have added a member: the key of a change has 72.
    let (keys, mut genesis) = world();
    (genesis.limits.key_bytes, genesis.limits.value_bytes) = (1, 0);
    let change = Op::put(&format!("{MEMBER_PREFIX}{}", "0".repeat(64)), &[0; 300]).expect("small");
    let commit = draft(&genesis).sign(&keys.author, vec![change]);
    assert!(commit.verify(&genesis).is_ok());
    assert!(draft(&genesis).sign(&keys.author, ops(1)).verify(&genesis).is_err());
}

#[test]
fn a_key_twice_in_one_commit_is_refused() {
    let (keys, genesis) = world();
    let twice = vec![Op::put("k", b"1").expect("small"), Op::delete("k").expect("small")];
    let refused = draft(&genesis).sign(&keys.author, twice).verify(&genesis);
    assert_eq!(refused, Err(VerifyError::RepeatedKey("k".into())));
}

#[test]
fn headers_outside_the_rules_do_not_decode() {
    let (keys, genesis) = world();
    type Break = fn(&mut Header);
    let breaks: [(&str, Break); 4] = [
        ("seq 0", |h| h.seq = 0),
        ("first with a commit before", |h| h.prev = CommitId([1; 32])),
        ("no operations", |h| h.op_count = 0),
        ("time beyond 2^63", |h| h.time = Timestamp(1 << 63)),
    ];
    for (what, breaks) in breaks {
        let mut header = *draft(&genesis).sign(&keys.author, ops(1)).signed().header();
        breaks(&mut header);
        assert!(Header::decode(&header.encode()).is_err(), "{what}");
    }
}
