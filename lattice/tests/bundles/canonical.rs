//! The extra data of a bundle has one form: all others of the same claim are refused.

use lattice::bundle::BadBundle;
use lattice::bundle::shown::{Claim, Shown};
use lattice::codec::{self, DecodeError};
use lattice::ids::{AuthorId, CommitId, ValueHash};
use lattice::limits::PAGE_ENTRIES_MAX;
use serde_bytes::{ByteArray, ByteBuf};

use super::world::{World, one_of_each};

type Outer = (u64, u64, ByteBuf, ByteBuf);
type Row = (String, u64, u64, u64, u64, CommitId, u64, Option<ValueHash>);
type Absence = (String, u64, Vec<AuthorId>, Vec<Row>, Vec<ByteArray<32>>);

/// The extra data of a proof that a key is absent, in its parts.
fn absence() -> (Outer, Absence) {
    let world = World::with_keys(60);
    let shown = Shown { record: world.records[20].clone(), claim: world.absence("absent") };
    let outer: Outer = codec::decode(&shown.encode(), 1 << 20).expect("the documented form");
    let inner: Absence = codec::decode(&outer.3, 1 << 20).expect("the documented form");
    assert_eq!(Shown::decode(&again(&outer, &inner)), Ok(shown));
    (outer, inner)
}

fn again(outer: &Outer, inner: &Absence) -> Vec<u8> {
    codec::encode(&(outer.0, outer.1, &outer.2, ByteBuf::from(codec::encode(inner))))
}

#[test]
fn a_page_is_written_in_one_form() {
    let (outer, truth) = absence();
    assert!(truth.2.len() > 2, "several authors: {}", truth.2.len());
    let refused = |change: &dyn Fn(&mut Absence)| {
        let mut inner = truth.clone();
        change(&mut inner);
        Shown::decode(&again(&outer, &inner)).expect_err("another form")
    };
    let not_canonical = BadBundle::Shown(DecodeError::NotCanonical);
    let swap = |place: u64| if place < 2 { 1 - place } else { place };
    let reordered = |inner: &mut Absence| {
        inner.2.swap(0, 1);
        inner.3.iter_mut().for_each(|row| row.2 = swap(row.2));
    };
    assert_eq!(refused(&reordered), not_canonical, "authors in another order");
    assert_eq!(refused(&|inner| inner.2.push(AuthorId([0xff; 32]))), not_canonical, "an author of no entry");
    let twice = |inner: &mut Absence| {
        let last = inner.2[inner.2.len() - 1];
        inner.2.push(last);
    };
    assert_eq!(refused(&twice), not_canonical, "an author twice");
    assert!(matches!(refused(&|inner| inner.3[0].2 = 5), BadBundle::Shown(DecodeError::Invalid(_))), "no such author");
    let crowd = |inner: &mut Absence| inner.3 = vec![inner.3[0].clone(); PAGE_ENTRIES_MAX + 1];
    assert!(matches!(refused(&crowd), BadBundle::Shown(DecodeError::Invalid(_))), "33 entries");
    assert!(matches!(refused(&|inner| inner.0.clear()), BadBundle::Shown(DecodeError::Invalid(_))), "no key");
    assert!(matches!(refused(&|inner| inner.3[0].0 = "\0".into()), BadBundle::Shown(DecodeError::Invalid(_))));
    assert!(matches!(refused(&|inner| inner.3[0].6 = 1 << 32), BadBundle::Shown(DecodeError::Malformed(_))));
}

#[test]
fn versions_and_kinds_of_later_programs_are_refused() {
    let (outer, inner) = absence();
    let (mut version, mut kind) = (outer.clone(), outer);
    version.0 = 2;
    kind.1 = 3;
    let unknown = DecodeError::UnknownVersion { found: 2, known: 1 };
    assert_eq!(Shown::decode(&again(&version, &inner)), Err(BadBundle::Shown(unknown)));
    assert!(matches!(Shown::decode(&again(&kind, &inner)), Err(BadBundle::Shown(DecodeError::Invalid(_)))));
}

#[test]
fn a_claim_is_read_as_its_own_kind_only() {
    for (what, bundle) in one_of_each() {
        let bytes = bundle.shown().encode();
        let outer: Outer = codec::decode(&bytes, 1 << 20).expect("the documented form");
        let kind = match bundle.shown().claim {
            Claim::Entry(_) => 0,
            Claim::Absence { .. } => 1,
            Claim::Commit(_) => 2,
        };
        assert_eq!(outer.1, kind, "{what}");
        for other in (0..3).filter(|other| *other != kind) {
            let bytes = codec::encode(&(outer.0, other, &outer.2, &outer.3));
            assert!(Shown::decode(&bytes).is_err(), "{what} as {other}");
        }
        let long = [bytes.as_slice(), &[0]].concat();
        assert!(Shown::decode(&long).is_err(), "{what}");
    }
}
