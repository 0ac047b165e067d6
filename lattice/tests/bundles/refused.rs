//! Bundles that read well and prove nothing, each for a reason of its own; and those that a policy can't judge.

use lattice::bundle::shown::{Claim, EntryShown, Shown};
use lattice::bundle::{BadBundle, Bundle, NotShown};
use lattice::commit::SignedHeader;
use lattice::ids::LatticeId;
use lattice::log::note::KeyKind;
use lattice::log::policy::{Policy, Refused};
use lattice::log::proof::{NotProven, Proof};
use lattice::log::tree::NotIncluded;
use lattice::op::Op;
use lattice::tree::proof::Refuted;

use super::world::{LATTICE, WITNESSES, World, one_of_each, policy, signed, verifier};

fn put(key: &str) -> Op {
    Op::put(key, b"value").expect("small")
}

/// A world of three commits, the last one of three keys.
fn world() -> World {
    let mut world = World::with_keys(60);
    world.commit(1, vec![put("x"), put("y"), put("z")]);
    world
}

/// Why the entry of `y` is refused once it is changed.
fn entry_changed(change: impl FnOnce(&World, &mut EntryShown)) -> NotShown {
    let world = world();
    let mut shown = world.entry_shown("y");
    change(&world, &mut shown);
    world.bundle(Claim::Entry(Box::new(shown))).verify(&policy(WITNESSES)).expect_err("changed")
}

#[test]
fn an_entry_is_refused_at_the_step_that_does_not_hold() {
    assert_eq!(entry_changed(|_, shown| shown.op_index = 2), NotShown::Operation);
    assert_eq!(entry_changed(|_, shown| shown.op_index = 3), NotShown::Operation);
    assert_eq!(entry_changed(|_, shown| shown.op = put("other")), NotShown::Operation);
    assert_eq!(entry_changed(|_, shown| shown.op_path.truncate(1)), NotShown::Operation);
    assert_eq!(entry_changed(|_, shown| shown.op_path.push([0; 32])), NotShown::Operation);
    assert_eq!(entry_changed(|_, shown| shown.op_path.swap(0, 1)), NotShown::Operation);
    let swapped = entry_changed(|world, shown| shown.signed = world.entry_shown("key/0").signed);
    assert_eq!(swapped, NotShown::Operation, "another commit of three");
    let forged = entry_changed(|_, shown| {
        let mut signature = *shown.signed.signature();
        signature[3] ^= 1;
        shown.signed = SignedHeader::decode(shown.signed.header_bytes(), signature).expect("a header");
    });
    assert_eq!(forged, NotShown::Signature);
    let root = entry_changed(|_, shown| shown.proof.siblings[0][0] ^= 1);
    assert_eq!(root, NotShown::State(Refuted::OtherRoot));
    assert_eq!(entry_changed(|_, shown| shown.proof.page_index ^= 1), NotShown::State(Refuted::OtherRoot));
    assert_eq!(entry_changed(|_, shown| shown.proof.page_len = 33), NotShown::State(Refuted::Shape));
    assert_eq!(entry_changed(|_, shown| shown.proof.entries = 62), NotShown::Entries { record: 63, proof: 62 });
}

#[test]
fn an_overwritten_value_is_not_the_value() {
    let mut world = world();
    let old = world.entry_shown("y");
    world.commit(2, vec![put("y")]);
    let mut shown = world.entry_shown("y");
    (shown.signed, shown.op_index, shown.op, shown.op_path) = (old.signed, old.op_index, old.op, old.op_path);
    let claim = Claim::Entry(Box::new(shown));
    assert_eq!(world.bundle(claim).verify(&policy(1)), Err(NotShown::State(Refuted::OtherRoot)));
}

#[test]
fn a_commit_of_another_lattice_shows_nothing() {
    let mut world = world();
    // The digits that the log's name has; what follows them it can't tell.
    world.lattice = LatticeId({
        let mut id = LATTICE.0;
        id[7] ^= 1;
        id
    });
    let commit = world.commit(3, vec![put("y")]);
    assert_eq!(world.bundle(world.entry("y")).verify(&policy(1)), Err(NotShown::OtherLattice));
    let claim = Claim::Commit(commit.signed().clone());
    assert_eq!(world.bundle(claim).verify(&policy(1)), Err(NotShown::OtherLattice));
}

#[test]
fn only_the_last_record_shows_the_state() {
    let mut world = world();
    world.stated();
    let (index, size) = (world.records.len() as u64 - 2, world.records.len() as u64);
    for claim in [world.entry("y"), world.absence("absent")] {
        let bundle = world.bundle_at(index as usize, claim);
        assert_eq!(bundle.verify(&policy(1)), Err(NotShown::NotLast { index, size }));
    }
}

#[test]
fn an_absence_is_refused_if_the_page_is_not_the_keys_or_lacks_an_entry() {
    let world = world();
    let judged = |claim: Claim| world.bundle(claim).verify(&policy(1));
    let refuted = |why| Err(NotShown::State(why));
    assert_eq!(judged(world.absence("y")), refuted(Refuted::WrongPage), "it is there");
    let with = |change: &dyn Fn(&mut lattice::tree::proof::AbsenceProof)| {
        let Claim::Absence { key, mut proof } = world.absence("absent") else { panic!("an absence") };
        change(&mut proof);
        judged(Claim::Absence { key, proof })
    };
    assert!(with(&|_| ()).is_ok());
    assert_eq!(with(&|proof| drop(proof.page.pop())), refuted(Refuted::OtherRoot));
    assert_eq!(with(&|proof| proof.page.swap(0, 1)), refuted(Refuted::WrongPage));
    assert_eq!(with(&|proof| proof.page[0].version.seq += 1), refuted(Refuted::OtherRoot));
    assert_eq!(with(&|proof| proof.siblings[0][0] ^= 1), refuted(Refuted::OtherRoot));
    assert_eq!(with(&|proof| proof.entries += 1), Err(NotShown::Entries { record: 63, proof: 64 }));
    let Claim::Absence { key: elsewhere, proof } = world.absence("absent") else { panic!("an absence") };
    let other_side = (0..).map(|n| format!("other/{n}")).find(|other| {
        let hash = lattice::op::Key::new(other).expect("a key").hash();
        hash.0[0] >> 7 != elsewhere.hash().0[0] >> 7
    });
    let key = lattice::op::Key::new(&other_side.expect("half of all")).expect("a key");
    assert_eq!(judged(Claim::Absence { key, proof }), refuted(Refuted::WrongPage));
}

#[test]
fn a_commit_was_applied_only_where_a_record_says_so() {
    let mut world = world();
    let commit = world.commit(5, vec![put("w")]);
    world.stated();
    let last = world.records.len() - 1;
    let judged = |index| world.bundle_at(index, Claim::Commit(commit.signed().clone())).verify(&policy(1));
    assert!(judged(last - 1).is_ok());
    assert_eq!(judged(last - 2), Err(NotShown::OtherRecord), "another commit's");
    assert_eq!(judged(last), Err(NotShown::OtherRecord), "of another kind");
    assert_eq!(judged(0), Err(NotShown::OtherRecord), "of another kind");
}

/// The bundle with another proof of its record.
fn with_proof(bundle: &Bundle, change: impl FnOnce(&Proof) -> Proof) -> Bundle {
    Bundle::new(bundle.shown().clone(), &change(bundle.proof())).expect("small")
}

fn at(proof: &Proof, witnesses: &[u8]) -> Proof {
    let head = proof.checkpoint().checkpoint();
    let signed = signed(head.size(), *head.root(), witnesses);
    Proof::new(Vec::new(), proof.index(), proof.path().to_vec(), signed).expect("small")
}

#[test]
fn a_record_that_is_not_in_the_log_shows_nothing() {
    let world = world();
    let last = world.records.len() as u64 - 1;
    let bundle = world.bundle(Claim::Commit(world.entry_shown("y").signed));
    let moved = |index, path: Vec<_>| {
        let moved = with_proof(&bundle, |proof| {
            Proof::new(Vec::new(), index, path, proof.checkpoint().clone()).expect("small")
        });
        moved.verify(&policy(1)).expect_err("moved")
    };
    let path = || bundle.proof().path().to_vec();
    let not_included = |why| NotShown::Log(NotProven::Inclusion(why));
    assert_eq!(moved(last + 1, path()), not_included(NotIncluded::BeyondLog { index: last + 1, size: last + 1 }));
    for moved in [moved(last - 1, path()), moved(last, Vec::new()), moved(last, [path(), path()].concat())] {
        assert!(matches!(moved, NotShown::Log(NotProven::Inclusion(_))), "{moved}");
    }
    let mut another = bundle.shown().clone();
    another.record = world.records[1].clone();
    let another = Bundle::new(another, bundle.proof()).expect("small").verify(&policy(1)).expect_err("another record");
    assert_eq!(another, NotShown::OtherRecord);
}

/// A policy that names the log of one node only, under the name of another.
fn policy_of(key: u8, name: u8) -> Policy {
    let public = *verifier(key, KeyKind::Log).public();
    let log = lattice::log::note::VerifierKey::new(super::world::origin(name), KeyKind::Log, public);
    Policy::of_members(vec![log.expect("a key")], Vec::new(), 0).expect("a policy")
}

#[test]
fn a_policy_that_does_not_reach_as_far_leaves_it_undecided() {
    for (what, bundle) in one_of_each() {
        let unknown = bundle.verify(&policy_of(2, 2)).expect_err(what);
        assert!(matches!(&unknown, NotShown::Log(NotProven::Checkpoint(Refused::UnknownLog(_)))), "{what}: {unknown}");
        assert!(unknown.is_undecided());
        let three = with_proof(&bundle, |proof| at(proof, &[2, 3, 5]));
        assert!(three.verify(&policy(3)).is_ok());
        let few = three.verify(&policy(4)).expect_err(what);
        assert!(matches!(&few, NotShown::Log(NotProven::Checkpoint(Refused::Quorum { .. }))), "{what}: {few}");
        assert!(few.is_undecided());
        let other_key = bundle.verify(&policy_of(2, 1)).expect_err(what);
        assert!(matches!(&other_key, NotShown::Log(NotProven::Checkpoint(Refused::NotSigned(_)))), "{other_key}");
        assert!(!other_key.is_undecided(), "the policy knows the log");
    }
}

#[test]
fn what_is_wrong_in_itself_is_never_undecided() {
    let world = world();
    let mut shown = world.entry_shown("y");
    shown.op_index = 0;
    let wrong = [
        world.bundle(Claim::Entry(Box::new(shown))),
        world.bundle(world.absence("y")),
        with_proof(&world.bundle(world.entry("y")), |proof| {
            let mut path = proof.path().to_vec();
            path[0][0] ^= 1;
            Proof::new(Vec::new(), proof.index(), path, proof.checkpoint().clone()).expect("small")
        }),
    ];
    for bundle in wrong {
        for policy in [policy_of(2, 2), policy(WITNESSES)] {
            let refused = bundle.verify(&policy).expect_err("wrong");
            assert!(!refused.is_undecided(), "{refused}");
        }
    }
}

#[test]
fn what_is_no_bundle_is_refused_in_words() {
    let world = world();
    let text = world.bundle(world.entry("y")).to_string();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from:?}");
        Bundle::parse(text.replacen(from, to, 1).as_bytes()).expect_err("changed")
    };
    assert_eq!(with("proof/v1", "proof/v2"), BadBundle::FirstLine);
    assert_eq!(with("\n", "\r\n"), BadBundle::FirstLine);
    assert_eq!(with("has the value", "is deleted"), BadBundle::Head);
    assert_eq!(with("\"y\"", "\"z\""), BadBundle::Head);
    assert_eq!(with("written 20", "written 19"), BadBundle::Head);
    assert_eq!(with("\n\n", "\nmore\n\n"), BadBundle::Head);
    assert_eq!(with("SHA-256", "SHA-257"), BadBundle::Head);
    let witness = super::world::origin(3);
    assert_eq!(with(&format!("— {witness}"), "— a.stranger"), BadBundle::Head, "no witness that can be spared");
    assert!(matches!(with("\n\n", "\n\n\n"), BadBundle::Proof(_)));
    assert!(matches!(with("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), BadBundle::Proof(_)));
    assert_eq!(Bundle::parse(b"lattice-proof/v1\nhead\n"), Err(BadBundle::Text));
    assert_eq!(Bundle::parse(b"lattice-proof/v1\n\xff\n\n"), Err(BadBundle::Text));
    assert_eq!(Bundle::parse(b""), Err(BadBundle::FirstLine));
    let long = format!("{text}{}", "x".repeat(lattice::bundle::BUNDLE_BYTES_MAX));
    assert_eq!(Bundle::parse(long.as_bytes()), Err(BadBundle::TooLong(long.len())));
    let bare = world.proof(0, &[]);
    let unread = Shown { record: b"no record".to_vec(), claim: world.entry("y") };
    assert!(matches!(Bundle::new(unread, &bare), Err(BadBundle::Shown(_))));
    let name = "x".repeat(256);
    let checkpoint = bare.checkpoint().to_string().replacen(bare.checkpoint().checkpoint().origin(), &name, 1);
    let checkpoint = lattice::log::checkpoint::SignedCheckpoint::parse(checkpoint.as_bytes()).expect("a checkpoint");
    let proof = Proof::new(Vec::new(), 0, bare.path().to_vec(), checkpoint).expect("small");
    let shown = Shown { record: world.records[0].clone(), claim: world.entry("y") };
    assert_eq!(Bundle::new(shown, &proof), Err(BadBundle::Origin));
}
