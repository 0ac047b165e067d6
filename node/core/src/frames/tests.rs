//! Each way in which a frame can be bad: what gossip is told, why, and what is handed on all the same.

use super::*;
use lattice::clock::Timestamp;
use lattice::commit::{Draft, OpSlot};
use lattice::genesis::Member;
use lattice::head::ESTIMATOR_BYTES;
use lattice::ids::{CommitId, StateRoot};
use lattice::keys::NodeKeys;
use lattice::limits::FRAME_BYTES_MAX;
use lattice::membership::Change;
use lattice::op::Op;

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n; 32])
}

fn member(n: u8) -> Member {
    let (author, log_key) = (keys(n).author.id(), keys(n).log_key());
    Member { name: n.to_string(), author, log_key, peer_id: vec![n; 38], roles: [].into() }
}

/// A lattice of the admin 0 and the members 1 and 2, where 2 is cut after its first commit and values have at most
/// 100 bytes.
struct World {
    genesis: Genesis,
    lattice: LatticeId,
    membership: Membership,
}

impl World {
    fn new() -> Self {
        let mut genesis = Genesis::founded_by("test", "0", &keys(0), vec![0; 38]);
        genesis.limits.value_bytes = 100;
        let cut = Change::Revoke { author: keys(2).author.id(), last_seq: 1 };
        let membership = Membership::of(&genesis, [Change::Add(member(1)), Change::Add(member(2)), cut]);
        Self { lattice: genesis.id(), genesis, membership }
    }

    fn check(&self, is_lattice: bool, bytes: &[u8]) -> Checked {
        let rules = Rules { genesis: &self.genesis, lattice: self.lattice, membership: &self.membership };
        check(&rules, is_lattice, bytes)
    }

    fn draft(&self, seq: u64) -> Draft {
        let prev = CommitId([u8::from(seq > 1); 32]);
        Draft { lattice: self.lattice, term: 0, seq, prev, time: Timestamp::from_millis(1) }
    }

    /// A commit of author `n` with these operations.
    fn commit(&self, n: u8, seq: u64, ops: Vec<Op>) -> Commit {
        self.draft(seq).sign(&keys(n).author, ops)
    }

    fn head(&self) -> Head {
        let (lattice, author) = (self.lattice, keys(1).author.id());
        let root = StateRoot([1; 32]);
        let estimator = [0; ESTIMATOR_BYTES];
        Head { lattice, author, time_ms: 1, root, entries: 1, frontier: [0; 32], checkpoint_size: 0, estimator }
    }

    /// Two commits of author `n` for one place.
    fn fork(&self, n: u8) -> Equivocation {
        let half = |key| self.commit(n, 1, vec![put(key)]).signed().clone();
        Equivocation::of(&half("a"), &half("b")).expect("one place")
    }
}

fn put(key: &str) -> Op {
    Op::put(key, b"v").expect("small")
}

fn commits(commits: &[Commit]) -> Vec<u8> {
    Frame::Commits(commits.to_vec()).encode()
}

/// What was handed on, in a word.
fn handed_on(content: &Content) -> String {
    match content {
        Content::Commits(commits) => format!("{} commits", commits.len()),
        Content::Head(_) => "head".to_owned(),
        Content::Evidence(_) => "evidence".to_owned(),
        Content::Checkpoint(signed) => format!("checkpoint of {}", signed.checkpoint().size()),
        Content::Fork(_) => "fork".to_owned(),
        Content::Nothing => "nothing".to_owned(),
    }
}

#[track_caller]
fn expect(checked: &Checked, verdict: Verdict, refused: Option<&'static str>, content: &str) {
    assert_eq!((checked.verdict, checked.refused, handed_on(&checked.content).as_str()), (verdict, refused, content));
}

#[test]
fn good_frames_are_forwarded_and_handed_on() {
    let world = World::new();
    let good = [world.commit(1, 1, vec![put("a")]), world.commit(0, 1, vec![put("b")])];
    expect(&world.check(true, &commits(&good)), Verdict::Accept, None, "2 commits");
    let head = Frame::Head(Box::new(world.head().sign(&keys(1).author)));
    expect(&world.check(true, &head.encode()), Verdict::Accept, None, "head");
    let change = Change::Add(member(3)).to_op().expect("small");
    expect(&world.check(true, &commits(&[world.commit(0, 1, vec![change])])), Verdict::Accept, None, "1 commits");
    for author in [1, 2] {
        let fork = Frame::Equivocation(Box::new(world.fork(author)));
        expect(&world.check(true, &fork.encode()), Verdict::Accept, None, "evidence");
    }
}

#[test]
fn a_stranger_s_frames_are_not_even_decoded() {
    let world = World::new();
    let good = commits(&[world.commit(1, 1, vec![put("a")])]);
    for bytes in [good, vec![0xff]] {
        expect(&world.check(false, &bytes), Verdict::Ignore, Some("sender-not-of-lattice"), "nothing");
    }
}

#[test]
fn bytes_that_are_no_frame() {
    let world = World::new();
    let good = commits(&[world.commit(1, 1, vec![put("a")])]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    // The last byte is an empty map of extensions. Here it has a long form, and two fields in the wrong order; the
    // CBOR crate refuses such forms itself.
    let long_form = [&good[..good.len() - 1], &[0xb8, 0x00]].concat();
    let unsorted = [&good[..good.len() - 1], &[0xa2, 0x61, b'b', 0x40, 0x61, b'a', 0x40]].concat();
    let cases = [
        (vec![0; FRAME_BYTES_MAX + 1], Verdict::Reject, "too-long"),
        (vec![], Verdict::Reject, "malformed"),
        (vec![0xff; 10], Verdict::Reject, "malformed"),
        (good[..good.len() - 1].to_vec(), Verdict::Reject, "malformed"),
        (long_form, Verdict::Reject, "malformed"),
        (unsorted, Verdict::Reject, "malformed"),
        (with(1, 2), Verdict::Ignore, "unknown-version"),
        (with(2, 9), Verdict::Reject, "invalid"),
        (commits(&[]), Verdict::Reject, "invalid"),
    ];
    for (bytes, verdict, reason) in cases {
        expect(&world.check(true, &bytes), verdict, Some(reason), "nothing");
    }
    assert_eq!(undecodable(&DecodeError::NotCanonical), "not-canonical", "what a laxer CBOR crate would let through");
}

#[test]
fn commits_that_no_honest_peer_forwards_are_rejected_and_not_handed_on() {
    let world = World::new();
    let elsewhere = Draft { lattice: LatticeId([9; 32]), ..world.draft(1) }.sign(&keys(1).author, vec![put("a")]);
    let forged = {
        let ours = world.commit(1, 1, vec![put("a")]);
        let header = lattice::commit::Header { author: keys(0).author.id(), ..*ours.signed().header() };
        let signed = lattice::commit::SignedHeader::decode(&header.encode(), *ours.signed().signature());
        Commit::from_parts(signed.expect("well-formed"), ours.slots().to_vec())
    };
    let swapped = Commit::from_parts(world.commit(1, 1, vec![put("a")]).signed().clone(), vec![OpSlot::Live(put("b"))]);
    let long = Op::put("k", &[0; 101]).expect("below the format's own bound");
    let add = |n| Change::Add(member(n)).to_op().expect("small");
    let misplaced = Op::put("@member/0", &Change::Add(member(3)).encode()).expect("small");
    let cases = [
        (elsewhere, "other-lattice"),
        (forged, "wrong-signature"),
        (swapped, "wrong-operations"),
        (world.commit(1, 1, vec![long]), "beyond-limit"),
        (world.commit(1, 1, vec![put("a"), put("a")]), "repeated-key"),
        (world.commit(1, 1, vec![add(3)]), "bad-membership-change"),
        (world.commit(0, 1, vec![add(3), put("a")]), "bad-membership-change"),
        (world.commit(0, 1, vec![misplaced]), "bad-membership-change"),
    ];
    for (commit, reason) in cases {
        let good = world.commit(1, 2, vec![put("good")]);
        expect(&world.check(true, &commits(std::slice::from_ref(&commit))), Verdict::Reject, Some(reason), "0 commits");
        for both in [[commit.clone(), good.clone()], [good, commit]] {
            expect(&world.check(true, &commits(&both)), Verdict::Reject, Some(reason), "1 commits");
        }
    }
}

#[test]
fn commits_that_honest_nodes_may_judge_differently_are_handed_on_without_blame() {
    let world = World::new();
    let term = Draft { term: 1, ..world.draft(1) }.sign(&keys(1).author, vec![put("a")]);
    let cases = [
        (world.commit(3, 1, vec![put("a")]), "unknown-author"),
        (world.commit(2, 2, vec![put("a")]), "beyond-cut"),
        (world.commit(1, 1, vec![put("@later/feature")]), "reserved-key"),
        (term, "unknown-term"),
    ];
    for (commit, reason) in cases {
        let good = world.commit(1, 1, vec![put("good")]);
        expect(&world.check(true, &commits(&[commit.clone(), good])), Verdict::Ignore, Some(reason), "2 commits");
    }
}

#[test]
fn a_frame_is_as_bad_as_its_worst_commit() {
    let world = World::new();
    let unknown = world.commit(3, 1, vec![put("a")]);
    let repeated = world.commit(1, 1, vec![put("a"), put("a")]);
    for both in [[unknown.clone(), repeated.clone()], [repeated, unknown]] {
        expect(&world.check(true, &commits(&both)), Verdict::Reject, Some("repeated-key"), "1 commits");
    }
}

#[test]
fn heads_that_are_not_taken() {
    let world = World::new();
    let of = |n: u8, by: u8, lattice| {
        let head = Head { author: keys(n).author.id(), lattice, ..world.head() };
        Frame::Head(Box::new(head.sign(&keys(by).author))).encode()
    };
    let cases = [
        (of(1, 0, world.lattice), Verdict::Reject, "head-not-signed"),
        (of(1, 1, LatticeId([9; 32])), Verdict::Reject, "other-lattice"),
        (of(3, 3, world.lattice), Verdict::Ignore, "head-of-stranger"),
        (of(2, 2, world.lattice), Verdict::Ignore, "head-of-stranger"),
    ];
    for (bytes, verdict, reason) in cases {
        expect(&world.check(true, &bytes), verdict, Some(reason), "nothing");
    }
}

#[test]
fn evidence_that_proves_nothing_here_is_not_kept() {
    let world = World::new();
    let unproven = {
        let mut pair = world.fork(1);
        let wrong = [1; lattice::keys::SIGNATURE_BYTES];
        let second = lattice::commit::SignedHeader::decode(pair.second.header_bytes(), wrong);
        pair.second = second.expect("well-formed");
        pair
    };
    let elsewhere = World { lattice: LatticeId([9; 32]), ..World::new() }.fork(1);
    let cases = [
        (unproven, Verdict::Reject, "evidence-not-proven"),
        (elsewhere, Verdict::Reject, "other-lattice"),
        (world.fork(3), Verdict::Ignore, "evidence-on-stranger"),
    ];
    for (pair, verdict, reason) in cases {
        let bytes = Frame::Equivocation(Box::new(pair)).encode();
        expect(&world.check(true, &bytes), verdict, Some(reason), "nothing");
    }
}

/// Two checkpoints of a log that could fit no evidence proved nothing, and the log could fork unpunished.
#[test]
fn a_checkpoint_too_long_for_evidence_is_not_taken_in() {
    let world = World::new();
    let name = lattice::log::checkpoint::origin(&world.lattice, &keys(1).author.id(), 1);
    let signed = SignedCheckpoint::sign(&name, 5, [1; 32], &keys(1).log);
    let framed = |text: &str| Frame::Checkpoint(Box::new(SignedCheckpoint::parse(text.as_bytes()).expect("one")));
    let good = framed(&signed.to_string()).encode();
    expect(&world.check(true, &good), Verdict::Accept, None, "checkpoint of 5");
    let with_line = |bytes: usize| signed.to_string().replacen("\n\n", &format!("\n{}\n\n", "x".repeat(bytes)), 1);
    for (bytes, reason) in [(20, "checkpoint-not-signed"), (20_000, "checkpoint-too-long")] {
        let frame = framed(&with_line(bytes)).encode();
        expect(&world.check(true, &frame), Verdict::Reject, Some(reason), "nothing");
    }
}
