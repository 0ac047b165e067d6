//! Whose word settles a term, what of a term counts, and that order is nothing.

use super::*;
use crate::clock::Timestamp;
use crate::commit::{Draft, VerifiedCommit};
use crate::genesis::{Genesis, Member};
use crate::ids::{AuthorId, CommitId, LatticeId};
use crate::keys::NodeKeys;
use crate::membership::{Change, Membership, NotAdmitted};
use crate::op::Op;

/// Nodes 0 to 4 are members, the first three of them operators.
struct World {
    genesis: Genesis,
    lattice: LatticeId,
}

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n + 40; 32])
}

fn author(n: u8) -> AuthorId {
    keys(n).author.id()
}

fn authors(of: &[u8]) -> Vec<AuthorId> {
    let mut authors: Vec<_> = of.iter().copied().map(author).collect();
    authors.sort_unstable();
    authors
}

fn world() -> World {
    let member = |n: u8| Member {
        name: format!("node {n}"),
        author: author(n),
        log_key: keys(n).log_key(),
        peer_id: vec![n; 38],
        roles: [].into(),
    };
    let mut genesis = Genesis::founded_by("test", "node 0", &keys(0), vec![0; 38]);
    genesis.admins = (0..3).map(author).collect();
    genesis.members = (0..5).map(member).collect();
    genesis.members.sort_by_key(|member| member.author);
    World { lattice: genesis.id(), genesis }
}

/// A body for tests of other files.
pub(super) fn first_body() -> Body {
    world().first()
}

impl World {
    /// Term 1: 0 holds, 1 is the shadow, 2 a spare; 0, 1 and 2 vote.
    fn first(&self) -> Body {
        Body {
            lattice: self.lattice,
            seat: "green".to_owned(),
            term: 1,
            holder: author(0),
            shadow: Some(author(1)),
            spares: vec![author(2)],
            voters: authors(&[0, 1, 2]),
            electors: Vec::new(),
            follows: None,
            cut: 0,
            log_size: 0,
            log_root: [0; 32],
            time_ms: 5,
            reason: "created".to_owned(),
        }
    }

    /// The term after `before`: its shadow takes over, and what the holder wrote up to `cut` counts.
    fn takeover(&self, before: &Body, cut: u64) -> Body {
        Body {
            term: before.term + 1,
            holder: before.shadow.expect("a shadow"),
            shadow: before.spares.first().copied().or(Some(before.holder)),
            spares: Vec::new(),
            electors: before.voters.clone(),
            follows: Some(before.hash()),
            cut,
            ..before.clone()
        }
    }

    fn check(&self, certificate: &Certificate) -> Result<(), NotWarranted> {
        certificate.verify(&self.genesis, self.lattice)
    }

    fn membership(&self, certificates: &[Certificate]) -> Membership {
        let changes = certificates.iter().map(|certificate| Change::Certify(Box::new(certificate.clone())));
        Membership::of(&self.genesis, changes)
    }

    fn commit(&self, by: u8, term: u64, seq: u64, key: &str) -> VerifiedCommit {
        let prev = CommitId([u8::from(seq > 1); 32]);
        let draft = Draft { lattice: self.lattice, term, seq, prev, time: Timestamp::from_millis(seq) };
        draft.sign(&keys(by).author, vec![Op::put(key, b"v").expect("small")]).verify(&self.genesis).expect("signed")
    }

    fn judge(&self, by: &[Certificate], commit: &VerifiedCommit) -> Result<(), NotAdmitted> {
        self.membership(by).admit(&self.genesis, self.lattice, commit)
    }
}

fn voted(body: &Body, by: &[u8]) -> Certificate {
    let votes = by.iter().map(|n| (author(*n), body.vote(&keys(*n).author))).collect();
    Certificate { body: body.clone(), warrant: Warrant::Votes(votes) }
}

fn approved(body: &Body, by: &[u8]) -> Certificate {
    let approvals = by.iter().map(|n| Approvals::by(body, &keys(*n), 7)).reduce(|a, b| a.joined(&b)).expect("one");
    Certificate { body: body.clone(), warrant: Warrant::Operators(approvals) }
}

#[test]
fn a_certificate_reads_back_and_any_byte_changed_spoils_it() {
    let world = world();
    let first = world.first();
    for certificate in [approved(&first, &[0, 1]), voted(&world.takeover(&first, 3), &[1, 2])] {
        assert_eq!(world.check(&certificate), Ok(()));
        let bytes = certificate.encode();
        assert_eq!(Certificate::decode(&bytes), Ok(certificate.clone()));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let accepted = Certificate::decode(&flipped).is_ok_and(|certificate| world.check(&certificate).is_ok());
            // The time of an operator's cosignature is signed as well: nothing is free.
            assert!(!accepted, "byte {at} of {}", bytes.len());
        }
    }
}

#[test]
fn a_term_is_settled_by_a_majority_of_its_electors_and_of_new_voters() {
    let world = world();
    let first = world.first();
    let body = world.takeover(&first, 3);
    assert_eq!(world.check(&voted(&body, &[1])), Err(NotWarranted::NoMajority { votes: 1, of: 3 }));
    assert_eq!(world.check(&voted(&body, &[1, 3])), Err(NotWarranted::NoVoter(author(3))));
    assert_eq!(world.check(&voted(&first, &[0, 1, 2])), Err(NotWarranted::FirstByVotes));
    let mut forged = voted(&body, &[1, 2]);
    let Warrant::Votes(votes) = &mut forged.warrant else { panic!("votes") };
    votes.insert(author(0), body.vote(&keys(3).author));
    assert_eq!(world.check(&forged), Err(NotWarranted::BadVote(author(0))));

    let moved = Body { voters: authors(&[0, 3, 4]), ..body };
    assert_eq!(world.check(&voted(&moved, &[0, 1])), Err(NotWarranted::NoMajority { votes: 1, of: 3 }));
    assert_eq!(world.check(&voted(&moved, &[0, 1, 3])), Ok(()));
}

#[test]
fn operators_settle_a_term_by_more_than_half() {
    let world = world();
    let first = world.first();
    let too_few = Err(NotWarranted::TooFewOperators { approvals: 1, of: 3 });
    assert_eq!(world.check(&approved(&first, &[0])), too_few);
    assert_eq!(world.check(&approved(&first, &[0, 3])), too_few, "a member is no operator");
    assert_eq!(world.check(&approved(&first, &[0, 2])), Ok(()));
    let other = Body { seat: "blue".to_owned(), ..first.clone() };
    assert_eq!(world.check(&approved(&other, &[0, 1])), Err(NotWarranted::NoSuchSeat("blue".to_owned())));
    let foreign = Body { lattice: LatticeId([9; 32]), ..first };
    assert_eq!(world.check(&approved(&foreign, &[0, 1])), Err(NotWarranted::OtherLattice));
}

#[test]
fn bodies_keep_their_rules() {
    let world = world();
    type Break = fn(&mut Body);
    let breaks: [(&str, Break); 13] = [
        ("term 0", |b| b.term = 0),
        ("the holder as its own shadow", |b| b.shadow = Some(b.holder)),
        ("the shadow as a spare", |b| b.spares = b.shadow.into_iter().collect()),
        ("spares without a shadow", |b| b.shadow = None),
        ("two voters", |b| b.voters.truncate(2)),
        ("voters out of order", |b| b.voters.reverse()),
        ("a first term that cuts", |b| b.cut = 1),
        ("electors before the first", |b| b.electors = b.voters.clone()),
        ("a reason of two lines", |b| b.reason = "a\nb".to_owned()),
        ("a reason of 257 bytes", |b| b.reason = "r".repeat(257)),
        ("nine spares", |b| b.spares = authors(&[2, 3, 4, 5, 6, 7, 8, 9, 10])),
        ("sixteen voters", |b| b.voters = authors(&(0..16).collect::<Vec<_>>())),
        ("sixteen electors", |b| {
            (b.term, b.follows, b.electors) = (2, Some(b.hash()), authors(&(0..16).collect::<Vec<_>>()));
        }),
    ];
    for (what, breaks) in breaks {
        let mut body = world.first();
        breaks(&mut body);
        assert!(Body::decode(&body.encode()).is_err(), "{what}");
    }
    let spares = authors(&[2, 3, 4, 5, 6, 7, 8, 9]);
    let all = authors(&(0..15).collect::<Vec<_>>());
    let first = world.first();
    let largest = Body {
        term: 2,
        follows: Some(first.hash()),
        electors: all.clone(),
        voters: all,
        spares,
        reason: "r".repeat(256),
        ..first.clone()
    };
    for body in [first, largest] {
        assert_eq!(Body::decode(&body.encode()), Ok(body));
    }
}

#[test]
fn only_the_holder_of_a_term_writes_the_seat_and_only_up_to_the_cut() {
    let world = world();
    let first = approved(&world.first(), &[0, 1]);
    let second = voted(&world.takeover(&first.body, 3), &[1, 2]);
    let of_first = |seq| world.commit(0, 1, seq, "green/x");
    let one = std::slice::from_ref(&first);
    let both = [first.clone(), second.clone()];

    assert_eq!(world.judge(&[], &of_first(1)), Err(NotAdmitted::UnknownTerm { term: 1 }));
    assert_eq!(world.judge(one, &of_first(4)), Ok(()));
    assert_eq!(world.judge(&both, &of_first(3)), Ok(()));
    let beyond = NotAdmitted::BeyondCut { author: author(0), term: 1, last_seq: 3, seq: 4 };
    assert_eq!(world.judge(&both, &of_first(4)), Err(beyond));
    assert_eq!(world.judge(&both, &world.commit(1, 2, 1, "green/x")), Ok(()));
    let stranger = world.judge(&both, &world.commit(0, 2, 1, "green/x"));
    assert_eq!(stranger, Err(NotAdmitted::BeyondCut { author: author(0), term: 2, last_seq: 0, seq: 1 }));
    let outside = world.judge(one, &world.commit(0, 1, 1, "greens/x"));
    assert_eq!(outside, Err(NotAdmitted::OutsideSeat { term: 1, key: "greens/x".to_owned() }));
    let ordinary = world.judge(one, &world.commit(0, 0, 1, "green/x"));
    assert_eq!(ordinary, Err(NotAdmitted::Reserved { prefix: "green/".to_owned() }));

    let (alone, after) = (world.membership(one), world.membership(&both));
    assert_eq!(after.lowered_since(&alone, &[author(0)]), [(author(0), 1, 3)]);
    let cut = Change::Certify(Box::new(second));
    assert!(after.is_cut_by(&cut, &author(0), 1) && !after.is_cut_by(&cut, &author(1), 2));
    assert!(after.is_cut_by(&cut, &author(0), 2), "it settles the term for another");
}

#[test]
fn terms_are_a_function_of_the_set_of_certificates() {
    let world = world();
    let first = approved(&world.first(), &[0, 1]);
    let second = voted(&world.takeover(&first.body, 3), &[1, 2]);
    let third = voted(&world.takeover(&second.body, 5), &[0, 2]);
    // The operators settle term 2 as well, but whoever voted for term 3 went on from the voters' second.
    let beside = approved(&Body { holder: author(2), spares: vec![], ..world.takeover(&first.body, 1) }, &[1, 2]);
    let unrooted = voted(&Body { electors: authors(&[2, 3, 4]), ..world.takeover(&first.body, 0) }, &[2, 3, 4]);
    let two = world.membership(&[first.clone(), second.clone(), beside.clone()]);
    assert_eq!(two.seats().current().map(|term| &term.certificate), Some(&beside), "operators before voters");
    let mut all = vec![first, second.clone(), third, beside, unrooted];
    let expected = world.membership(&all);
    assert_eq!(expected.seats().terms().map(|term| term.certificate.body.term).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(expected.seats().term(2).map(|term| &term.certificate), Some(&second));
    assert_eq!(expected.last_seq_in(&author(2), 2), Some(0));
    assert_eq!(expected.last_seq_in(&author(0), 1), Some(3));
    for _ in 0..all.len() {
        all.rotate_left(1);
        assert_eq!(world.membership(&all), expected);
        let mut one_by_one = Membership::of(&world.genesis, []);
        all.iter().for_each(|certificate| one_by_one.join(Change::Certify(Box::new(certificate.clone()))));
        assert_eq!(one_by_one, expected);
    }
}

#[test]
fn a_certificate_that_comes_to_light_late_cuts_nothing() {
    // The holder stood for term 2 and lost votes on the way; its shadow took term 3 over, from term 1 on. Then the missing
    // vote for term 2 came.
    let world = world();
    let first = approved(&world.first(), &[0, 1]);
    let third = voted(&Body { term: 3, ..world.takeover(&first.body, 7) }, &[1, 2]);
    let late =
        voted(&Body { holder: author(0), shadow: None, spares: vec![], ..world.takeover(&first.body, 4) }, &[0, 1]);
    let membership = world.membership(&[first, third, late]);
    assert_eq!(membership.last_seq_in(&author(0), 1), Some(7));
    assert_eq!(membership.last_seq_in(&author(0), 2), Some(0), "it never came to anything");
}

#[test]
fn a_certificate_is_carried_by_any_member_at_its_own_key_even_one_that_is_cut() {
    let world = world();
    let certificate = approved(&world.first(), &[0, 1]);
    let op = certificate.to_op().expect("small");
    assert!(op.key().as_str().starts_with("@seat/green/0000000000000000001/"), "{}", op.key().as_str());
    let carry = |by: u8, ops: Vec<Op>, membership: &Membership| {
        let draft =
            Draft { lattice: world.lattice, term: 0, seq: 1, prev: CommitId::ZERO, time: Timestamp::from_millis(1) };
        let commit = draft.sign(&keys(by).author, ops).verify(&world.genesis).expect("signed");
        membership.admit(&world.genesis, world.lattice, &commit)
    };
    let founders = Membership::of(&world.genesis, []);
    assert_eq!(carry(4, vec![op.clone()], &founders), Ok(()));
    let cut = Membership::of(&world.genesis, [Change::Revoke { author: author(4), last_seq: 0 }]);
    assert_eq!(carry(4, vec![op.clone()], &cut), Ok(()));
    let elsewhere = Op::put("@seat/green/1", op.value().expect("a value")).expect("small");
    assert!(matches!(carry(4, vec![elsewhere], &founders), Err(NotAdmitted::BadChange(_))));
    let unwarranted = approved(&world.first(), &[0]).to_op().expect("small");
    assert!(matches!(carry(4, vec![unwarranted], &founders), Err(NotAdmitted::BadCertificate(_))));
}
