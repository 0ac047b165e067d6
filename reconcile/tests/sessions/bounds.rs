//! What decoders and the responder do at their bounds, and with bytes that mean nothing.

use lattice::codec::DecodeError;
use lattice::ids::{KeyHash, StateRoot};
use lattice::op::Op;
use lattice::tree::prefix::Prefix;
use proptest::prelude::*;
use reconcile::limits::{
    COMPARE_LEAVES_MAX, COMPARE_NODES_MAX, FETCH_KEYS_MAX, KEPT_SYMBOLS, LIST_LEAVES_MAX, LIST_PREFIXES_MAX,
    MESSAGE_BYTES_MAX, MESSAGE_BYTES_TARGET, REASON_BYTES_MAX, REFUSALS_MAX, SKETCH_PARTS_MAX, SYMBOLS_MAX,
};
use reconcile::message::{Compared, Flight, Stretch, commit_bytes_at_most};
use reconcile::sketch::Symbol;
use reconcile::view::Scope;
use reconcile::{Intake, Refusal, RefusedFor, Request, Response};

use crate::messages::{commit, leaf, requests, responses};
use crate::node::{Node, Pen};

/// A key hash that sorts by `n`.
fn numbered(n: usize) -> KeyHash {
    let mut key = KeyHash::ZERO;
    key.0[..4].copy_from_slice(&(n as u32).to_be_bytes());
    key
}

#[test]
fn lists_of_requests_are_bounded_exactly() {
    type Make = fn(usize) -> Request;
    let compare: Make = |n| Request::Compare { nodes: vec![(Prefix::ALL, [1; 32]); n] };
    let fetch: Make = |n| Request::Fetch { keys: (0..n).map(numbered).collect() };
    let list: Make = |n| {
        let prefixes = (0..n).map(|i| Prefix::of(&numbered(i), 256)).collect();
        Request::List { scope: Scope::State, prefixes, after: None }
    };
    let short: Make = |n| Request::FetchShort { keys: (0..n).map(|i| (i as u64).to_be_bytes()).collect() };
    let parts: Make = |n| Request::Symbols { parts: vec![Stretch { prefix: Prefix::ALL, from: 0, count: 1 }; n] };
    let symbols: Make = |n| Request::Symbols { parts: vec![Stretch { prefix: Prefix::ALL, from: 0, count: n as u64 }] };
    for (what, make, most) in [
        ("compare", compare, COMPARE_NODES_MAX),
        ("fetch", fetch, FETCH_KEYS_MAX),
        ("list", list, LIST_PREFIXES_MAX),
        ("fetch short", short, FETCH_KEYS_MAX),
        ("parts", parts, SKETCH_PARTS_MAX),
        ("symbols", symbols, SYMBOLS_MAX),
    ] {
        assert_eq!(Request::decode(&make(most).encode()), Ok(make(most)), "{what}");
        for n in [0, most + 1] {
            assert!(Request::decode(&make(n).encode()).is_err(), "{what} of {n}");
        }
    }
    assert!(Request::decode(&Request::Push { commits: vec![] }.encode()).is_err());
}

#[test]
fn an_opening_asks_for_as_many_symbols_as_are_kept_and_no_more() {
    let open = |symbols| match requests().swap_remove(0) {
        (_, Request::Open { summary, .. }) => Request::Open { summary, symbols, estimate: false },
        (name, _) => panic!("{name}"),
    };
    for symbols in [0, 1, KEPT_SYMBOLS as u64] {
        assert_eq!(Request::decode(&open(symbols).encode()), Ok(open(symbols)));
    }
    for symbols in [KEPT_SYMBOLS as u64 + 1, u64::MAX] {
        assert!(Request::decode(&open(symbols).encode()).is_err(), "{symbols}");
    }
}

#[test]
fn symbols_of_all_parts_together_and_the_end_of_each_are_bounded() {
    let most = SYMBOLS_MAX as u64;
    let stretch = |from, count| Stretch { prefix: Prefix::ALL, from, count };
    let decode = |parts: &[Stretch]| Request::decode(&Request::Symbols { parts: parts.to_vec() }.encode());
    for parts in [[stretch(0, most - 1), stretch(0, 1)], [stretch(most - 1, 1), stretch(0, most - 1)]] {
        assert!(decode(&parts).is_ok(), "{parts:?}");
    }
    for parts in [
        [stretch(0, most), stretch(0, 1)],
        [stretch(most, 1), stretch(0, 1)],
        [stretch(u64::MAX, 1), stretch(0, 1)],
        [stretch(u64::MAX, u64::MAX), stretch(0, 1)],
        [stretch(0, u64::MAX), stretch(0, 1)],
        [stretch(0, 1), stretch(1, u64::MAX)],
        [stretch(0, 1), stretch(0, 0)],
    ] {
        assert!(decode(&parts).is_err(), "{parts:?}");
    }
}

#[test]
fn symbols_of_a_response_are_bounded_together() {
    let given = |parts: &[usize]| {
        let parts = parts.iter().map(|n| vec![Symbol::default(); *n]).collect();
        Response::Symbols { root: StateRoot::ZERO, estimator: Box::default(), parts }
    };
    for parts in [[0, 0], [SYMBOLS_MAX, 0], [1, SYMBOLS_MAX - 1]] {
        assert_eq!(Response::decode(&given(&parts).encode()), Ok(given(&parts)), "{parts:?}");
    }
    for parts in [[SYMBOLS_MAX, 1], [SYMBOLS_MAX + 1, 0]] {
        assert!(Response::decode(&given(&parts).encode()).is_err(), "{parts:?}");
    }
    assert!(Response::decode(&given(&vec![0; SKETCH_PARTS_MAX]).encode()).is_ok());
    for parts in [0, SKETCH_PARTS_MAX + 1] {
        assert!(Response::decode(&given(&vec![0; parts]).encode()).is_err(), "{parts} parts");
    }
    assert!(given(&[SYMBOLS_MAX]).encode().len() < MESSAGE_BYTES_MAX);
    let opened = |symbols| match responses().swap_remove(0) {
        (_, Response::Opened { summary, .. }) => {
            let flight = Flight { estimator: None, symbols: vec![Symbol::default(); symbols] };
            Response::Opened { summary, flight: Some(flight) }
        }
        (name, _) => panic!("{name}"),
    };
    assert_eq!(Response::decode(&opened(KEPT_SYMBOLS).encode()), Ok(opened(KEPT_SYMBOLS)));
    assert!(Response::decode(&opened(KEPT_SYMBOLS + 1).encode()).is_err());
}

/// A responder gives what was asked for, or nothing; and the parts that are too many to walk at once are left out.
#[test]
fn a_responder_gives_all_symbols_of_a_part_or_none() {
    let mut node = Node::with(&[Pen::new().put_all(2, (0..100).map(|i| format!("key/{i}")))]);
    let kept = KEPT_SYMBOLS as u64;
    let part = Prefix::of(&KeyHash([0; 32]), 1);
    for (what, prefix, from, count, given) in [
        ("kept", Prefix::ALL, 0, kept, kept),
        ("the last kept", Prefix::ALL, kept - 1, 1, 1),
        ("beyond those kept", Prefix::ALL, kept - 1, 2, 0),
        ("behind those kept", Prefix::ALL, kept, 1, 0),
        ("of a part, as many as are asked for", part, 0, kept + 1, kept + 1),
        ("of a part, from anywhere", part, SYMBOLS_MAX as u64 - 1, 1, 1),
    ] {
        let asked = Request::Symbols { parts: vec![Stretch { prefix, from, count }] };
        let Response::Symbols { root, estimator, parts } = node.answer(asked) else { panic!("{what}") };
        assert_eq!((root, *estimator), (node.root(), *node.view().tree.sketch().estimator()), "{what}");
        assert_eq!(parts.iter().map(|part| part.len() as u64).collect::<Vec<_>>(), [given], "{what}");
    }
    let parts = vec![Stretch { prefix: part, from: 0, count: 1 }; SKETCH_PARTS_MAX];
    let Response::Symbols { parts, .. } = node.answer(Request::Symbols { parts }) else { panic!("another kind") };
    assert_eq!(parts.len(), SKETCH_PARTS_MAX, "few entries are walked often");
}

/// Whatever was asked for: a key that no entry begins with counts as served.
#[test]
fn short_keys_without_an_entry_are_served_with_nothing() {
    let commit = Pen::new().put(2, "k", "1");
    let mut node = Node::with([&commit]);
    let key = Op::delete("k").expect("small").key().hash();
    let mut short = [0; 8];
    short.copy_from_slice(&key.0[..8]);
    let keys = vec![[0; 8], short, [0xff; 8]];
    let response = node.answer(Request::FetchShort { keys });
    assert_eq!(response, Response::Commits { commits: vec![commit], served: 3 });
}

#[test]
fn lists_of_responses_are_bounded_exactly() {
    type Make = fn(usize) -> Response;
    let refusal =
        |_| Refusal { commit: commit().id(), why: RefusedFor::NoRoom, reason: "full".to_owned(), evidence: None };
    let compared: Make = |n| Response::Compared { answers: vec![Compared::Same; n] };
    let leaves: Make = |n| Response::Compared { answers: vec![Compared::Leaves(vec![leaf(1); n])] };
    let listed: Make = |n| Response::Listed { leaves: vec![leaf(1); n], more: false };
    let reason: Make = |n| Response::Refused { reason: "x".repeat(n) };
    for (what, make, most) in [
        ("compared", compared, COMPARE_NODES_MAX),
        ("leaves", leaves, COMPARE_LEAVES_MAX),
        ("listed", listed, LIST_LEAVES_MAX),
    ] {
        assert_eq!(Response::decode(&make(most).encode()), Ok(make(most)), "{what}");
        assert!(Response::decode(&make(most + 1).encode()).is_err(), "{what}");
    }
    let refused = |n: usize| Response::Pushed(Intake { refused: (0..n).map(refusal).collect(), ..Intake::default() });
    assert!(Response::decode(&refused(REFUSALS_MAX).encode()).is_ok());
    assert!(Response::decode(&refused(REFUSALS_MAX + 1).encode()).is_err());
    let cut = Response::decode(&reason(2 * REASON_BYTES_MAX).encode());
    assert_eq!(cut, Ok(reason(REASON_BYTES_MAX)), "a sender cuts its words");
}

#[test]
fn messages_beyond_the_hard_limit_are_refused_by_their_length_alone() {
    let bytes = vec![0; MESSAGE_BYTES_MAX + 1];
    let too_long = DecodeError::TooLong { bytes: bytes.len(), limit: MESSAGE_BYTES_MAX };
    assert_eq!(Request::decode(&bytes), Err(too_long.clone()));
    assert_eq!(Response::decode(&bytes), Err(too_long));
}

#[test]
fn subtrees_of_a_listing_must_be_sorted_and_apart() {
    let at = |n: u8, bits| Prefix::of(&KeyHash([n; 32]), bits);
    for (what, prefixes) in [
        ("twice", vec![at(1, 8), at(1, 8)]),
        ("unsorted", vec![at(2, 8), at(1, 8)]),
        ("within", vec![at(0, 4), at(1, 8)]),
    ] {
        let list = Request::List { scope: Scope::State, prefixes, after: None };
        assert!(Request::decode(&list.encode()).is_err(), "{what}");
    }
}

#[test]
fn the_largest_answers_stay_within_the_hard_limit() {
    let answers = vec![Compared::Leaves(vec![leaf(1); COMPARE_LEAVES_MAX]); COMPARE_NODES_MAX];
    let largest = [
        Response::Compared { answers }.encode().len(),
        Response::Listed { leaves: vec![leaf(1); LIST_LEAVES_MAX], more: true }.encode().len(),
    ];
    assert!(largest.iter().all(|bytes| *bytes < MESSAGE_BYTES_MAX), "{largest:?}");
    let evidence = || Some(Pen::new().write(2, vec![Op::put("k", &[0; 65_536]).expect("small")]));
    let refusal =
        |_| Refusal { commit: commit().id(), why: RefusedFor::BeyondCut, reason: String::new(), evidence: evidence() };
    let intake = Intake { refused: (0..40).map(refusal).collect(), ..Intake::default() };
    let response = reconcile::responder::applied(intake);
    assert!(response.encode().len() < MESSAGE_BYTES_MAX);
    assert!(Response::decode(&response.encode()).is_ok());
}

#[test]
fn a_fetch_is_answered_by_the_bytes_of_one_message() {
    let mut pen = Pen::new();
    let large: Vec<_> =
        (0..20).map(|i| pen.write(2, vec![Op::put(&format!("large/{i}"), &[7; 65_536]).expect("small")])).collect();
    let mut node = Node::with(&large);
    let keys: Vec<_> = large
        .iter()
        .flat_map(|c| c.slots())
        .map(|slot| match slot {
            lattice::commit::OpSlot::Live(op) => op.key().hash(),
            lattice::commit::OpSlot::Dead(_) => KeyHash::ZERO,
        })
        .collect();
    let response = node.answer(Request::Fetch { keys });
    assert!(response.encode().len() <= MESSAGE_BYTES_TARGET);
    assert!(matches!(response, Response::Commits { served: 7, .. }), "as many as fit");
}

#[test]
fn packing_never_takes_a_commit_for_smaller_than_it_is() {
    let mut pen = Pen::new();
    for ops in [1, 2, 24, 300, 1024] {
        let whole = pen.put_all(2, (0..ops).map(|i| format!("key/{i}")));
        for commit in [whole, commit()] {
            let (bound, bytes) = (commit_bytes_at_most(&commit), commit.encode().len());
            assert!(bytes <= bound && bound < bytes + 200 + 24 * ops, "{bytes} bytes, bound {bound}");
        }
    }
}

#[test]
fn no_flipped_bit_gives_a_message_with_another_encoding() {
    let check = |bytes: &[u8], again: &dyn Fn(&[u8]) -> Option<Vec<u8>>| {
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(again(&bad).is_none_or(|encoded| encoded == bad), "bit {bit}");
        }
    };
    for (_, request) in requests() {
        check(&request.encode(), &|bad| Request::decode(bad).ok().map(|r| r.encode()));
    }
    for (_, response) in responses() {
        check(&response.encode(), &|bad| Response::decode(bad).ok().map(|r| r.encode()));
    }
}

proptest! {
    /// An envelope around random bytes reaches the decoders of the bodies, which plain random bytes never do.
    #[test]
    fn random_bodies_never_panic(
        kind in prop_oneof![0..9u64, 15..19u64],
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let body = serde_bytes::Bytes::new(&body);
        let extensions = lattice::codec::Extensions::new();
        let bytes = lattice::codec::encode(&(1u64, kind, body, extensions));
        let request = Request::decode(&bytes).map(|request| request.encode());
        let response = Response::decode(&bytes).map(|response| response.encode());
        prop_assert!(request.is_err() || request.as_ref() == Ok(&bytes));
        prop_assert!(response.is_err() || response.as_ref() == Ok(&bytes));
    }
}
