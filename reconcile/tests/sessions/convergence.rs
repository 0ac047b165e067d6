//! Whatever two nodes hold, a session ends with the join of both, and costs what the difference costs.

use lattice::commit::{Commit, OpSlot};
use lattice::membership::Change;
use lattice::op::Op;
use proptest::prelude::*;
use reconcile::{Config, Effect, Event, Initiator, Outcome};

use crate::node::{Node, Pen, author_id, member};
use crate::talk::{DESCENT, between, by_descent, with};

/// Who holds a commit before the session.
#[derive(Debug, Clone, Copy)]
enum Holder {
    Ours,
    Theirs,
    Both,
}

/// One commit of a story: its author, its operations (key number, put or delete), who holds it, and which of its
/// operations a holder has by hash alone.
#[derive(Debug, Clone)]
struct Written {
    author: u8,
    ops: Vec<(u16, bool)>,
    holder: Holder,
    dead: Option<usize>,
}

fn written() -> impl Strategy<Value = Written> {
    let holder = prop_oneof![Just(Holder::Ours), Just(Holder::Theirs), Just(Holder::Both)];
    let ops = proptest::collection::btree_map(0..700u16, proptest::bool::weighted(0.8), 1..40);
    let dead = proptest::option::weighted(0.3, 0..40usize);
    (2..=6u8, ops, holder, dead).prop_map(|(author, ops, holder, dead)| Written {
        author,
        ops: ops.into_iter().collect(),
        holder,
        dead,
    })
}

/// Right or wrong, what is foretold costs time and nothing else.
fn config() -> impl Strategy<Value = Config> {
    let foretold = proptest::option::of(prop_oneof![0..200u64, 0..40_000u64]);
    let by_sketch = foretold.prop_map(|foretold| Config { foretold, ..Config::default() });
    prop_oneof![3 => by_sketch, 1 => Just(DESCENT)]
}

impl Written {
    fn commit(&self, pen: &mut Pen) -> Commit {
        let op = |(key, is_put): &(u16, bool)| match is_put {
            true => Op::put(&format!("key/{key}"), &key.to_be_bytes()).expect("small"),
            false => Op::delete(&format!("key/{key}")).expect("small"),
        };
        pen.write(self.author, self.ops.iter().map(op).collect())
    }

    /// The commit as a holder has it for whom one operation had lost.
    fn in_part(&self, commit: &Commit) -> Commit {
        let mut slots = commit.slots().to_vec();
        if let Some(slot) = self.dead.and_then(|at| slots.get_mut(at)) {
            *slot = OpSlot::Dead(slot.hash());
        }
        Commit::from_parts(commit.signed().clone(), slots)
    }
}

/// What one node would hold that is given all that both hold, waiting commits too, the membership first.
fn join(a: &Node, b: &Node) -> Node {
    let held = |node: &Node| node.commits().chain(node.waiting()).collect::<Vec<_>>();
    let mut commits = [held(a), held(b)].concat();
    commits.sort_by_key(|commit| commit.signed().header().author != author_id(1));
    Node::with(&commits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Author 6 is added by one side alone, and author 3 may be cut by the other.
    #[test]
    fn any_two_states_end_equal_with_the_join_of_both(
        story in proptest::collection::vec(written(), 0..40),
        cut in proptest::option::of(0..8u64),
        config in config(),
    ) {
        let mut pen = Pen::new();
        let add = pen.change(&Change::Add(member(6)));
        let (mut ours, mut theirs) = (Node::with([&add]), Node::new());
        for written in &story {
            let commit = written.commit(&mut pen);
            let part = written.in_part(&commit);
            match written.holder {
                Holder::Ours => drop(ours.apply(vec![part])),
                Holder::Theirs => drop(theirs.apply(vec![part])),
                Holder::Both => {
                    ours.apply(vec![commit]);
                    theirs.apply(vec![part]);
                }
            }
        }
        if let Some(last_seq) = cut {
            theirs.apply(vec![pen.change(&Change::Revoke { author: author_id(3), last_seq })]);
        }
        let joined = join(&ours, &theirs);
        let talk = with(&mut ours, config, |_, request| Ok(theirs.answer(request)));
        prop_assert_eq!(talk.outcome.word(), "equal", "{}", talk.text());
        prop_assert_eq!((ours.root(), theirs.root()), (joined.root(), joined.root()), "{}", talk.text());
        prop_assert_eq!(ours.naive_root(), ours.root());
        prop_assert!(talk.stats.rounds <= 24, "{}", talk.text());
    }
}

/// 20,000 entries in 20 commits, and single ones on top of them.
fn large(pen: &mut Pen) -> Node {
    let commits: Vec<_> =
        (0..20).map(|c| pen.put_all(2, (c * 1000..(c + 1) * 1000).map(|i| format!("key/{i}")))).collect();
    Node::with(&commits)
}

#[test]
fn round_trips_grow_with_the_depth_of_the_tree_not_with_its_size() {
    let mut pen = Pen::new();
    let base = large(&mut pen);
    // Opening, four levels of sixteen, moving, opening again.
    for (missing_here, missing_there, rounds) in [(1, 0, 7), (0, 1, 7), (1, 1, 8), (10, 10, 8)] {
        let (mut ours, mut theirs) = (base.clone(), base.clone());
        for i in 0..missing_here {
            theirs.apply(vec![pen.put(3, &format!("theirs/{i}"), "1")]);
        }
        for i in 0..missing_there {
            ours.apply(vec![pen.put(4, &format!("ours/{i}"), "1")]);
        }
        let talk = by_descent(&mut ours, &mut theirs);
        assert_eq!(talk.outcome.word(), "equal");
        assert_eq!(talk.stats.rounds, rounds, "{}", talk.text());
        assert_eq!(talk.stats.commits_received, missing_here, "nothing else moves");
        assert_eq!(talk.stats.commits_sent, missing_there, "nothing else moves");
    }
}

#[test]
fn round_trips_by_sketch_grow_with_neither() {
    let mut pen = Pen::new();
    let base = large(&mut pen);
    // One to open and find, one or two to move, one to open again.
    for (missing_here, missing_there, rounds) in [(1, 0, 3), (0, 1, 3), (1, 1, 4), (5, 5, 4)] {
        let (mut ours, mut theirs) = (base.clone(), base.clone());
        for i in 0..missing_here {
            theirs.apply(vec![pen.put(3, &format!("theirs/{i}"), "1")]);
        }
        for i in 0..missing_there {
            ours.apply(vec![pen.put(4, &format!("ours/{i}"), "1")]);
        }
        let talk = between(&mut ours, &mut theirs);
        assert_eq!((talk.outcome.word(), talk.stats.rounds), ("equal", rounds), "{}", talk.text());
        assert_eq!((talk.stats.commits_received, talk.stats.commits_sent), (missing_here, missing_there));
    }
}

#[test]
fn a_joiner_of_a_large_state_gets_little_more_than_the_state() {
    let mut pen = Pen::new();
    let mut theirs = large(&mut pen);
    let state_bytes: usize = theirs.commits().map(|commit| commit.encode().len()).sum();
    let talk = between(&mut Node::new(), &mut theirs);
    assert_eq!(talk.outcome.word(), "equal");
    assert_eq!(talk.stats.commits_received, 20, "each commit once, though each lies in every stretch of the tree");
    // 64 bytes to name an entry, and the rest for the messages.
    let named = 66 * theirs.len() as usize;
    assert!(talk.bytes < state_bytes + named + 40_000, "{} bytes for {state_bytes}", talk.bytes);
}

#[test]
fn a_tenth_of_a_large_state_moves_both_ways_in_few_rounds() {
    let mut pen = Pen::new();
    let base = large(&mut pen);
    let (mut ours, mut theirs) = (base.clone(), base);
    for batch in 0..10 {
        let keys = |side: &str| (0..100).map(|i| format!("{side}/{batch}/{i}")).collect::<Vec<_>>();
        ours.apply(vec![pen.put_all(3, keys("ours"))]);
        theirs.apply(vec![pen.put_all(4, keys("theirs"))]);
    }
    let joined = join(&ours, &theirs);
    let talk = between(&mut ours, &mut theirs);
    assert_eq!((ours.root(), theirs.root()), (joined.root(), joined.root()));
    assert!(talk.stats.rounds <= 40, "{:?}\n{}", talk.stats, talk.text());
    assert_eq!((talk.stats.commits_received, talk.stats.commits_sent), (10, 10));
}

/// Two sessions at once, each node asking the other, one step at a time in turn.
#[test]
fn sessions_that_cross_do_not_disturb_each_other() {
    let mut pen = Pen::new();
    let write = |pen: &mut Pen, author, side: &str| -> Vec<_> {
        (0..300).map(|i| pen.put(author, &format!("{side}/{i}"), "1")).collect()
    };
    let mut nodes = [Node::with(&write(&mut pen, 2, "a")), Node::with(&write(&mut pen, 3, "b"))];
    let joined = join(&nodes[0], &nodes[1]);
    let mut sessions = [0, 1].map(|at: usize| Initiator::new(nodes[at].view(), Config::default()));
    let mut events = [Some(Event::Start), Some(Event::Start)];
    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        for at in [0, 1] {
            let Some(event) = events[at].take() else { continue };
            match next_event(&mut nodes, at, sessions[at].step(event)) {
                Ok(event) => events[at] = Some(event),
                Err(outcome) => outcomes.push(outcome),
            }
        }
    }
    assert_eq!((nodes[0].root(), nodes[1].root()), (joined.root(), joined.root()));
    assert!(outcomes.iter().all(Outcome::is_in_step), "{outcomes:?}");
}

fn next_event(nodes: &mut [Node; 2], at: usize, effect: Effect) -> Result<Event<()>, Outcome> {
    Ok(match effect {
        Effect::Send(request) => Event::Received(nodes[1 - at].answer(request)),
        Effect::Load { keys, max_bytes } => {
            let (commits, served) = nodes[at].load(&keys, max_bytes);
            Event::Loaded { commits, served }
        }
        Effect::Apply { commits, meanwhile } => {
            let answer = meanwhile.map(|request| Ok(nodes[1 - at].answer(request)));
            Event::Applied { intake: nodes[at].apply(commits), view: nodes[at].view(), answer }
        }
        Effect::RaiseFrontier { root, chains } => {
            nodes[at].raise(root, chains);
            Event::Raised { view: nodes[at].view() }
        }
        Effect::Finish(outcome) => return Err(outcome),
    })
}
