//! The frontier of a chain: what it says is in does not depend on the order in which it came in.

use std::collections::BTreeSet;

use lattice::clock::Timestamp;
use lattice::commit::{Draft, SignedHeader};
use lattice::frontier::{Chain, Frontier};
use lattice::ids::CommitId;
use lattice::op::Op;
use proptest::prelude::*;

use crate::for_all;
use crate::generate::world;

const LENGTH: usize = 24;

/// The first headers of one honest chain.
fn chain() -> Vec<SignedHeader> {
    let mut prev = CommitId::ZERO;
    (1..=LENGTH as u64)
        .map(|seq| {
            let draft = Draft { lattice: world().genesis.id(), term: 0, seq, prev, time: Timestamp::from_millis(seq) };
            let commit = draft.sign(&world().keys[0].author, vec![Op::delete("k").expect("small")]);
            prev = commit.id();
            commit.signed().clone()
        })
        .collect()
}

fn noted<'a>(headers: impl IntoIterator<Item = &'a SignedHeader>) -> Chain {
    let mut chain = Chain::default();
    headers.into_iter().for_each(|header| chain.note(header));
    chain
}

#[test]
fn a_chain_knows_exactly_what_was_noted_in_any_order_and_however_often() {
    let headers = chain();
    let some = prop::collection::vec(0..LENGTH, 0..40);
    for_all(400, &some.prop_flat_map(|some| (Just(some.clone()), Just(some).prop_shuffle())), |(some, other)| {
        let chain = noted(some.iter().map(|&at| &headers[at]));
        assert_eq!(chain, noted(other.iter().map(|&at| &headers[at])), "another order");
        assert_eq!(Chain::decode(&chain.encode()), Ok(chain.clone()));

        let set: BTreeSet<u64> = some.iter().map(|&at| at as u64 + 1).collect();
        let contiguous = (1..).take_while(|seq| set.contains(seq)).count() as u64;
        assert_eq!(chain.seq(), contiguous);
        assert_eq!(chain.highest(), set.last().copied().unwrap_or(0));
        for seq in 1..=LENGTH as u64 + 1 {
            assert_eq!(chain.covers(seq), set.contains(&seq), "{seq}");
        }
    });
}

#[test]
fn raising_one_chain_to_another_is_as_if_all_of_both_had_been_noted() {
    let headers = chain();
    let some = || prop::collection::vec(0..LENGTH, 0..20);
    let noted = |some: &[usize]| noted(some.iter().map(|&at| &headers[at]));
    for_all(400, &(some(), some()), |(ours, theirs)| {
        let mut raised = noted(&ours);
        raised.raise_to(&noted(&theirs));
        assert_eq!(raised, noted(&[ours, theirs].concat()));
    });
}

/// Two headers for each number; the second of them forks the chain.
fn forked() -> Vec<[SignedHeader; 2]> {
    let fork = |header: &SignedHeader| {
        let header = header.header();
        let draft =
            Draft { lattice: header.lattice, term: header.term, seq: header.seq, prev: header.prev, time: header.time };
        let other = draft.sign(&world().keys[0].author, vec![Op::delete("fork").expect("small")]);
        other.signed().clone()
    };
    chain().iter().map(|header| [header.clone(), fork(header)]).collect()
}

#[test]
fn a_forked_chain_keeps_its_form_and_forgets_nothing() {
    let headers = forked();
    let seen = || prop::collection::vec((0..LENGTH, 0usize..2), 0..20);
    for_all(400, &(seen(), seen()), |(ours, theirs)| {
        let of = |seen: &[(usize, usize)]| noted(seen.iter().map(|&(at, side)| &headers[at][side]));
        let mut raised = of(&ours);
        raised.raise_to(&of(&theirs));
        for chain in [&of(&ours), &raised] {
            assert_eq!(Chain::decode(&chain.encode()).as_ref(), Ok(chain));
        }
        for &(at, _) in ours.iter().chain(&theirs) {
            assert!(raised.covers(at as u64 + 1), "{at}");
        }
    });
}

#[test]
fn looking_at_a_chain_does_not_change_the_digest() {
    // An empty chain used to count: a node that had only looked could never again have the digest of its peers,
    // so damage would have been taken for lag for ever.
    let mut looked = Frontier::default();
    looked.chain_mut(&world().keys[0].author.id(), 0);
    assert_eq!(looked.digest(), Frontier::default().digest());
    looked.chain_mut(&world().keys[0].author.id(), 0).note(&chain()[1]);
    assert_ne!(looked.digest(), Frontier::default().digest());
}
