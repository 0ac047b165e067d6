//! What two nodes say to each other, line by line: `>` asked, `<` answered, `=` done at the initiator's node.

use lattice::membership::Change;
use lattice::op::Op;
use reconcile::{Config, Outcome, Request};

use crate::node::{Node, Pen, member};
use crate::talk::{assert_said, between, by_descent, with};

fn keys(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|i| format!("key/{i}"))
}

#[test]
fn equal_states_say_so_and_part() {
    let mut pen = Pen::new();
    let commits = [pen.put(2, "a", "1"), pen.put(3, "b", "2")];
    let (mut ours, mut theirs) = (Node::with(&commits), Node::with(&commits));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 2, a few symbols, estimate
         < opened 2
         = equal",
    );
    assert_eq!(talk.outcome, Outcome::Equal { root: ours.root(), frontier_raised: false });
}

#[test]
fn two_empty_nodes_are_equal() {
    let talk = between(&mut Node::new(), &mut Node::new());
    assert_said(&talk, "> open 0, a few symbols, estimate\n < opened 0\n = equal");
}

#[test]
fn one_entry_missing_on_each_side_moves_both_ways() {
    let mut pen = Pen::new();
    let shared = pen.put(2, "shared", "1");
    let (a, b) = (pen.put(3, "ours", "1"), pen.put(4, "theirs", "1"));
    let (mut ours, mut theirs) = (Node::with([&shared, &a]), Node::with([&shared, &b]));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 2, a few symbols, estimate
         < opened 2, a few symbols, estimate
         > fetch 1 short
         < commits 1, served 1
         = apply 1
         = load 1
         > push 1
         < applied 1, waiting 0, refused 0
         > open 3, a few symbols, estimate
         < opened 3
         = equal",
    );
    assert_eq!(ours.root(), theirs.root());
    assert_eq!((talk.stats.entries_received, talk.stats.entries_sent), (1, 1));
}

#[test]
fn another_frontier_over_equal_states_is_raised() {
    let mut pen = Pen::new();
    let (first, second) = (pen.put(2, "k", "1"), pen.put(2, "k", "2"));
    // Ours never saw the first commit: it had lost before we met.
    let (mut ours, mut theirs) = (Node::with([&second]), Node::with([&first, &second]));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 1, a few symbols, estimate
         < opened 1
         > frontier
         < frontier 1
         = raise 1
         = equal",
    );
    assert_eq!(ours.frontier().digest(), theirs.frontier().digest());
    assert_eq!(talk.outcome, Outcome::Equal { root: ours.root(), frontier_raised: true });
}

#[test]
fn a_frontier_read_after_a_new_write_is_not_taken() {
    let mut pen = Pen::new();
    let (first, second, third) = (pen.put(2, "k", "1"), pen.put(2, "k", "2"), pen.put(2, "other", "3"));
    let (mut ours, mut theirs) = (Node::with([&second]), Node::with([&first, &second]));
    let before = ours.frontier().digest();
    let talk = with(&mut ours, Config::default(), |_, request| {
        if matches!(request, Request::Frontier { .. }) {
            theirs.apply(vec![third.clone()]);
        }
        Ok(theirs.answer(request))
    });
    assert_said(&talk, "> open 1, a few symbols, estimate\n < opened 1\n > frontier\n < frontier 1\n = equal");
    assert_eq!(talk.outcome, Outcome::Equal { root: ours.root(), frontier_raised: false });
    assert_eq!(ours.frontier().digest(), before);
}

#[test]
fn an_empty_node_lists_everything_and_gets_each_commit_once() {
    let mut pen = Pen::new();
    let commits: Vec<_> = (0..100).map(|c| pen.put_all(2, keys(c * 64..(c + 1) * 64))).collect();
    let (mut ours, mut theirs) = (Node::new(), Node::with(&commits));
    let talk = by_descent(&mut ours, &mut theirs);
    // One fetch brings all hundred commits, since each holds one of the first thousand keys; so the second page
    // names nothing that is still missing.
    assert_said(
        &talk,
        "> open 0
         < opened 6400
         > compare 1 at 0 bits
         < same 0, children 1, leaves 0
         > list state under 1
         < listed 4096, more
         > fetch 1024
         < commits 100, served 1024
         = apply 100, meanwhile > list state under 1, on
         < listed 2304
         > open 6400
         < opened 6400
         = equal",
    );
    assert_eq!(ours.root(), theirs.root());
}

#[test]
fn an_empty_peer_is_given_everything_and_each_commit_once() {
    let mut pen = Pen::new();
    let commits: Vec<_> = (0..100).map(|c| pen.put_all(2, keys(c * 64..(c + 1) * 64))).collect();
    let (mut ours, mut theirs) = (Node::with(&commits), Node::new());
    let talk = by_descent(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 6400
         < opened 0
         > compare 1 at 0 bits
         < same 0, children 0, leaves 0
         > list state under 1
         < listed 0
         = load 1024
         > push 100
         < applied 100, waiting 0, refused 0
         > list state under 1, on
         < listed 2304
         > open 6400
         < opened 6400
         = equal",
    );
    assert_eq!(ours.root(), theirs.root());
}

#[test]
fn large_commits_come_in_as_many_fetches_as_bytes_need() {
    let mut pen = Pen::new();
    let large =
        |pen: &mut Pen, i: usize| pen.write(2, vec![Op::put(&format!("large/{i}"), &vec![7; 60_000]).expect("small")]);
    let commits: Vec<_> = (0..20).map(|i| large(&mut pen, i)).collect();
    let (mut ours, mut theirs) = (Node::new(), Node::with(&commits));
    let talk = by_descent(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 0
         < opened 20
         > compare 1 at 0 bits
         < same 0, children 0, leaves 20
         > fetch 20
         < commits 8, served 8
         = apply 8, meanwhile > fetch 12
         < commits 8, served 8
         = apply 8, meanwhile > fetch 4
         < commits 4, served 4
         = apply 4
         > open 20
         < opened 20
         = equal",
    );
}

#[test]
fn where_the_peers_entry_wins_ours_is_not_sent() {
    let mut pen = Pen::new();
    let (lower, greater) = (pen.put(2, "k", "lower"), pen.put(3, "k", "greater"));
    let (mut ours, mut theirs) = (Node::with([&lower]), Node::with([&greater]));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 1, a few symbols, estimate
         < opened 1, a few symbols, estimate
         > fetch 1 short
         < commits 1, served 1
         = apply 1
         > open 1, a few symbols, estimate
         < opened 1
         > frontier
         < frontier 1
         = raise 1
         = equal",
    );
    assert_eq!(ours.root(), theirs.root());
}

#[test]
fn where_our_entry_wins_both_move_and_the_join_decides() {
    let mut pen = Pen::new();
    let (lower, greater) = (pen.put(2, "k", "lower"), pen.write(3, vec![Op::delete("k").expect("small")]));
    let (mut ours, mut theirs) = (Node::with([&greater]), Node::with([&lower]));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 1, a few symbols, estimate
         < opened 1, a few symbols, estimate
         > fetch 1 short
         < commits 1, served 1
         = apply 1
         = load 1
         > push 1
         < applied 1, waiting 0, refused 0
         > open 1, a few symbols, estimate
         < opened 1
         = equal",
    );
    assert_eq!(theirs.value_hash("k"), None, "the delete won");
}

#[test]
fn members_move_before_what_they_wrote() {
    let mut pen = Pen::new();
    let shared = pen.put(2, "shared", "1");
    let add = pen.change(&Change::Add(member(6)));
    let written = pen.put(6, "by the new member", "1");
    let (mut ours, mut theirs) = (Node::with([&shared]), Node::with([&shared, &add, &written]));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 1, a few symbols, estimate
         < opened 3, estimate
         > list members under 1
         < listed 1
         > fetch 1
         < commits 1, served 1
         = apply 1
         > symbols 7 from 0, parts 1 at 0 bits
         < symbols 7, parts 1
         > fetch 1 short
         < commits 1, served 1
         = apply 1
         > open 3, a few symbols, estimate
         < opened 3
         = equal",
    );
}

#[test]
fn our_members_are_pushed_first_too() {
    let mut pen = Pen::new();
    let add = pen.change(&Change::Add(member(6)));
    let written = pen.put(6, "by the new member", "1");
    let (mut ours, mut theirs) = (Node::with([&add, &written]), Node::new());
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 2, a few symbols, estimate
         < opened 0, estimate
         > list members under 1
         < listed 0
         = load 1
         > push 1
         < applied 1, waiting 0, refused 0
         > compare 1 at 0 bits
         < same 0, children 0, leaves 1
         = load 1
         > push 1
         < applied 1, waiting 0, refused 0
         > open 2, a few symbols, estimate
         < opened 2
         = equal",
    );
}
