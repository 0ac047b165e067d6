//! Who is in, who is out, and what no commit may say about it.

use super::*;
use crate::address::url_key;
use crate::clock::Timestamp;
use crate::commit::{Commit, Draft, OpSlot};
use crate::ids::{CommitId, LogKey};
use crate::keys::NodeKeys;

/// Three admins, two plain members (numbers 3 and 4); number 5 and beyond are strangers.
struct World {
    genesis: Genesis,
    lattice: LatticeId,
}

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n + 1; 32])
}

fn author(n: u8) -> AuthorId {
    keys(n).author.id()
}

fn member(n: u8) -> Member {
    let keys = keys(n);
    Member {
        name: format!("node {n}"),
        author: keys.author.id(),
        log_key: keys.log_key(),
        peer_id: vec![n; 38],
        roles: [].into(),
    }
}

fn world() -> World {
    let mut genesis = Genesis::founded_by("test", "node 0", &keys(0), vec![0; 38]);
    genesis.admins = (0..3).map(author).collect();
    genesis.members = (0..5).map(member).collect();
    genesis.members.sort_by_key(|member| member.author);
    World { lattice: genesis.id(), genesis }
}

impl World {
    fn founders(&self) -> Membership {
        Membership::of(&self.genesis, [])
    }

    fn after(&self, changes: &[Change]) -> Membership {
        Membership::of(&self.genesis, changes.iter().cloned())
    }

    fn signed(&self, by: u8, seq: u64, term: u64, ops: Vec<Op>) -> Commit {
        let draft = Draft {
            lattice: self.lattice,
            term,
            seq,
            prev: CommitId([u8::from(seq > 1); 32]),
            time: Timestamp::from_millis(seq),
        };
        draft.sign(&keys(by).author, ops)
    }

    fn commit(&self, by: u8, seq: u64, ops: Vec<Op>) -> VerifiedCommit {
        let commit = self.signed(by, seq, 0, ops);
        commit.verify(&self.genesis).expect("well-formed and signed")
    }

    /// How `membership` judges a commit of these operations.
    fn judge(&self, membership: &Membership, by: u8, seq: u64, ops: Vec<Op>) -> Result<(), NotAdmitted> {
        membership.admit(&self.genesis, self.lattice, &self.commit(by, seq, ops))
    }

    /// How the founders judge a change by this author.
    fn judge_change(&self, by: u8, change: &Change) -> Result<(), NotAdmitted> {
        self.judge(&self.founders(), by, 1, vec![op(change)])
    }

    fn fall(&self, admin: u8, last_seq: u64, approved_by: &[u8]) -> Change {
        let approve = |by: &u8| {
            let signature = Change::approve_fall(&keys(*by).author, self.lattice, author(admin), last_seq);
            (author(*by), signature)
        };
        Change::Fall { admin: author(admin), last_seq, approvals: approved_by.iter().map(approve).collect() }
    }
}

fn op(change: &Change) -> Op {
    change.to_op().expect("within a change's bound")
}

fn put(key: &str) -> Op {
    Op::put(key, b"v").expect("small")
}

fn revoke(n: u8, last_seq: u64) -> Change {
    Change::Revoke { author: author(n), last_seq }
}

fn assert_bad_change(judged: Result<(), NotAdmitted>, what: &str) {
    match judged {
        Err(refused @ NotAdmitted::BadChange(_)) => assert_eq!(refused.fault(), Fault::Sender, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// All orders of `items`, by Heap's algorithm.
fn permutations<T: Clone>(items: &mut Vec<T>, n: usize, visit: &mut impl FnMut(&[T])) {
    if n <= 1 {
        return visit(items);
    }
    for i in 0..n {
        permutations(items, n - 1, visit);
        items.swap(if n.is_multiple_of(2) { i } else { 0 }, n - 1);
    }
}

#[test]
fn the_membership_is_the_same_in_any_order_and_however_often() {
    let world = world();
    let mut renamed = member(5);
    renamed.name = "another name".into();
    let mut changes = vec![
        Change::Add(member(5)),
        Change::Add(renamed),
        revoke(5, 7),
        revoke(5, 3),
        revoke(3, 9),
        world.fall(1, 4, &[0, 2]),
    ];
    let expected = world.after(&changes);
    let count = changes.len();
    permutations(&mut changes, count, &mut |order| {
        assert_eq!(world.after(order), expected, "{order:?}");
        assert_eq!(world.after(&[order, order].concat()), expected, "twice");
    });
}

#[test]
fn the_lowest_cut_wins_and_a_cut_author_never_returns() {
    let world = world();
    let again = [revoke(3, 9), revoke(3, 4), revoke(3, 6), Change::Add(member(3))];
    let membership = world.after(&again);
    assert_eq!(membership.last_seq(&author(3)), Some(4));
    assert!(!membership.is_active(&author(3)));
    assert!(membership.member(&author(3)).is_some(), "still known, by name");
    assert_eq!(world.judge(&membership, 3, 4, vec![put("k")]), Ok(()));
    let refused = world.judge(&membership, 3, 5, vec![put("k")]);
    let beyond = NotAdmitted::BeyondCut { author: author(3), term: 0, last_seq: 4, seq: 5 };
    assert_eq!(refused, Err(beyond.clone()));
    assert_eq!(beyond.fault(), Fault::Nobody, "who sent it may not know of the cut yet");
}

#[test]
fn a_cut_that_comes_before_the_addition_holds() {
    let world = world();
    let membership = world.after(&[revoke(5, 0), Change::Add(member(5))]);
    assert_eq!(membership.last_seq(&author(5)), Some(0));
    assert!(world.judge(&membership, 5, 1, vec![put("k")]).is_err());
}

#[test]
fn a_stranger_may_write_once_it_was_added() {
    let world = world();
    let unknown = NotAdmitted::UnknownAuthor { author: author(5) };
    assert_eq!(world.judge(&world.founders(), 5, 1, vec![put("k")]), Err(unknown.clone()));
    assert_eq!(unknown.fault(), Fault::Nobody, "the addition may be on its way");
    let membership = world.after(&[Change::Add(member(5))]);
    assert!(membership.is_active(&author(5)));
    assert_eq!(world.judge(&membership, 5, 1, vec![put("k")]), Ok(()));
    assert_eq!(membership.last_seq(&author(6)), None);
    assert_eq!(membership.members().count(), 6);
}

#[test]
fn of_two_additions_of_one_author_the_smaller_encoding_stands() {
    let world = world();
    let mut other = member(5);
    other.log_key = LogKey([0; 32]);
    let smaller = other.clone();
    for changes in [[member(5), other.clone()], [other, member(5)]] {
        let membership = world.after(&changes.map(Change::Add));
        assert_eq!(membership.member(&author(5)), Some(&smaller));
    }
}

#[test]
fn only_admins_add_and_cut() {
    let world = world();
    for admin in 0..3 {
        assert_eq!(world.judge_change(admin, &Change::Add(member(5))), Ok(()));
        assert_eq!(world.judge_change(admin, &revoke(4, 1)), Ok(()));
    }
    assert_bad_change(world.judge_change(3, &Change::Add(member(5))), "a plain member adds");
    assert_bad_change(world.judge_change(3, &revoke(4, 1)), "a plain member cuts");
    assert_bad_change(world.judge_change(3, &revoke(3, 1)), "a plain member cuts itself");
}

#[test]
fn one_admin_alone_cuts_no_admin() {
    let world = world();
    assert_bad_change(world.judge_change(0, &revoke(1, 1)), "another admin");
    assert_bad_change(world.judge_change(0, &revoke(0, 1)), "itself");
}

#[test]
fn a_fall_needs_more_than_half_of_the_admins() {
    let mut world = world();
    assert_bad_change(world.judge_change(0, &world.fall(1, 4, &[])), "nobody");
    assert_bad_change(world.judge_change(0, &world.fall(1, 4, &[0])), "one of three");
    assert_eq!(world.judge_change(0, &world.fall(1, 4, &[0, 2])), Ok(()));
    assert_eq!(world.judge_change(3, &world.fall(1, 4, &[0, 2])), Ok(()), "any member carries it");
    assert_bad_change(world.judge_change(0, &world.fall(1, 4, &[0, 3, 4])), "members are no admins");
    assert_bad_change(world.judge_change(0, &world.fall(3, 4, &[0, 1, 2])), "who falls is an admin");
    world.genesis.admins.insert(author(3));
    world.lattice = world.genesis.id();
    assert_bad_change(world.judge_change(0, &world.fall(1, 4, &[0, 2])), "half is not more than half");
    assert_eq!(world.judge_change(0, &world.fall(1, 4, &[0, 2, 3])), Ok(()));
}

#[test]
fn approvals_of_something_else_do_not_count() {
    let world = world();
    let Change::Fall { approvals, .. } = world.fall(1, 4, &[0, 2]) else {
        unreachable!("a fall");
    };
    for (admin, last_seq, what) in [(1, 3, "another cut"), (2, 4, "another admin")] {
        let change = Change::Fall { admin: author(admin), last_seq, approvals: approvals.clone() };
        assert_bad_change(world.judge_change(0, &change), what);
    }
    let elsewhere = World { lattice: LatticeId([1; 32]), genesis: world.genesis.clone() };
    assert_bad_change(world.judge_change(0, &elsewhere.fall(1, 4, &[0, 2])), "another lattice");
}

#[test]
fn a_fallen_admin_is_cut_as_author_and_as_admin() {
    let world = world();
    let membership = world.after(&[world.fall(1, 4, &[0, 2])]);
    assert_eq!(membership.last_seq(&author(1)), Some(4));
    assert!(world.judge(&membership, 1, 4, vec![op(&Change::Add(member(5)))]).is_ok());
    for change in [Change::Add(member(5)), revoke(3, 0)] {
        let refused = world.judge(&membership, 1, 5, vec![op(&change)]);
        assert!(matches!(refused, Err(NotAdmitted::BeyondCut { .. })), "{refused:?}");
    }
}

#[test]
fn two_admins_who_bring_each_other_down_both_fall_on_every_node() {
    // A fall used to be judged by its carrier's cut, so each node kept the one that came first, and roots stayed apart.
    let world = world();
    let carried = [(0, world.fall(1, 3, &[0, 2])), (1, world.fall(0, 3, &[1, 2]))];
    for order in [[0, 1], [1, 0]] {
        let mut membership = world.founders();
        for at in order {
            let (by, change) = &carried[at];
            assert_eq!(world.judge(&membership, *by, 9, vec![op(change)]), Ok(()), "{order:?}");
            membership.join(change.clone());
        }
        assert_eq!(membership.last_seq(&author(0)), Some(3));
        assert_eq!(membership.last_seq(&author(1)), Some(3));
    }
}

#[test]
fn beyond_a_cut_a_fall_must_be_valid_and_come_alone() {
    let world = world();
    let membership = world.after(&[revoke(3, 0)]);
    let judge = |ops| world.judge(&membership, 3, 1, ops);
    let fall = world.fall(1, 4, &[0, 2]);
    assert_eq!(judge(vec![op(&fall)]), Ok(()));
    assert_bad_change(judge(vec![op(&world.fall(1, 4, &[0]))]), "one of three");
    for others in [put("k"), op(&revoke(4, 0)), op(&Change::Add(member(5)))] {
        let refused = judge(vec![op(&fall), others]);
        assert!(matches!(refused, Err(NotAdmitted::BeyondCut { .. })), "{refused:?}");
    }
    let whole = world.signed(3, 1, 0, vec![op(&fall)]);
    let dead = whole.slots().iter().map(|slot| OpSlot::Dead(slot.hash())).collect();
    let empty = Commit::from_parts(whole.signed().clone(), dead).verify(&world.genesis).expect("signed");
    assert!(membership.admit(&world.genesis, world.lattice, &empty).is_err(), "no operation at all");
}

#[test]
fn a_change_stands_at_the_hash_of_its_value() {
    let world = world();
    let value = revoke(3, 1).encode();
    let right = op(&revoke(3, 1));
    let elsewhere = op(&revoke(3, 2));
    for key in [elsewhere.key().as_str(), "@member/", "@member/x", &right.key().as_str().to_uppercase()] {
        let judged = world.judge(&world.founders(), 0, 1, vec![Op::put(key, &value).expect("small")]);
        assert!(judged.is_err(), "{key}");
    }
    let more = format!("{}/x", right.key());
    assert_bad_change(
        world.judge(&world.founders(), 0, 1, vec![Op::put(&more, &value).expect("small")]),
        "a longer key",
    );
}

#[test]
fn a_change_is_never_deleted_or_garbage() {
    let world = world();
    let judge = |op| world.judge(&world.founders(), 0, 1, vec![op]);
    let key = op(&revoke(3, 1)).key().to_string();
    assert_bad_change(judge(Op::delete(&key).expect("small")), "a delete");
    for garbage in [&b""[..], b"x", &[0x83, 0x03, 0x00], &[0x82, 0x00]] {
        let garbage = Op::put(&format!("@member/{}", crate::op::value_hash(garbage)), garbage).expect("small");
        assert_bad_change(judge(garbage), "a value that is no change");
    }
}

#[test]
fn a_cut_is_a_number_that_a_header_can_have() {
    // 2^64 - 1 stood for "no cut" in `last_seq`, so a revocation that said so left its author active.
    for last_seq in [1 << 63, u64::MAX] {
        assert!(Change::decode(&revoke(3, last_seq).encode()).is_err(), "{last_seq}");
        assert!(Change::decode(&world().fall(1, last_seq, &[0, 2]).encode()).is_err(), "{last_seq}");
    }
    let greatest = revoke(3, i64::MAX as u64);
    assert_eq!(Change::decode(&greatest.encode()), Ok(greatest.clone()));
    assert!(!world().after(&[greatest]).is_active(&author(3)));
}

#[test]
fn a_change_comes_with_nothing_but_changes() {
    let world = world();
    let (add, cut) = (op(&Change::Add(member(5))), op(&revoke(3, 1)));
    assert_eq!(world.judge(&world.founders(), 0, 1, vec![add.clone(), cut]), Ok(()));
    let mixed = world.judge(&world.founders(), 0, 1, vec![add, put("k")]);
    assert_eq!(mixed, Err(NotAdmitted::MixedChange));
    assert_eq!(NotAdmitted::MixedChange.fault(), Fault::Sender);
}

#[test]
fn keys_of_later_features_are_refused_without_blame() {
    let world = world();
    for (key, prefix) in
        [("@", "@"), ("@member", "@"), ("@members/x", "@"), ("@url", "@"), ("green/x", "green/"), ("green/", "green/")]
    {
        let refused = NotAdmitted::Reserved { prefix: prefix.into() };
        assert_eq!(world.judge(&world.founders(), 0, 1, vec![put(key)]), Err(refused.clone()), "{key}");
        assert_eq!(refused.fault(), Fault::Nobody);
    }
    for key in ["green", "greens/x", "a@b", "x/green/y", " @member/x"] {
        assert_eq!(world.judge(&world.founders(), 0, 1, vec![put(key)]), Ok(()), "{key}");
    }
}

#[test]
fn a_published_url_is_written_by_the_author_that_its_key_names() {
    let world = world();
    let (own, other) = (url_key(&author(0)), url_key(&author(1)));
    let url = |key: &str, value: &[u8]| Op::put(key, value).expect("small");
    let judge = |ops: Vec<Op>| world.judge(&world.founders(), 0, 1, ops);
    assert_eq!(judge(vec![url(&own, b"http://a:1"), put("k")]), Ok(()), "beside other entries");
    assert_eq!(judge(vec![Op::delete(&own).expect("small")]), Ok(()));
    for refused in [url(&other, b"http://a:1"), url(&own, b"a:1"), url("@url/", b"http://a:1")] {
        let error = judge(vec![refused]).expect_err("not its own, or no URL");
        assert!(matches!(error, NotAdmitted::BadUrl(_)), "{error}");
        assert_eq!(error.fault(), Fault::Sender);
    }
}

#[test]
fn a_commit_of_a_term_waits_for_its_certificate() {
    let world = world();
    let commit = world.signed(0, 1, 7, vec![put("green/x")]).verify(&world.genesis).expect("signed");
    let refused = world.founders().admit(&world.genesis, world.lattice, &commit);
    assert_eq!(refused, Err(NotAdmitted::UnknownTerm { term: 7 }));
    assert_eq!(NotAdmitted::UnknownTerm { term: 7 }.fault(), Fault::Nobody);
}
