//! Peers whose answers do not fit the question. Each ends the session within a bounded number of round trips, with the
//! right name.

use lattice::commit::Commit;
use lattice::frontier::Chain;
use lattice::ids::{AuthorId, KeyHash, LeafHash};
use lattice::op::Op;
use reconcile::limits::{CHILDREN, COMPARE_LEAVES_MAX, LIST_LEAVES_MAX};
use reconcile::message::Compared;
use reconcile::view::KeyLeaf;
use reconcile::{Config, Intake, Outcome, PeerFault, Request, Response};

use crate::node::{Node, Pen};
use crate::talk::{Talk, with};

/// Two nodes that share 40 entries and have 100 more each; enough for every kind of message.
pub(crate) fn nodes() -> (Node, Node) {
    let mut pen = Pen::new();
    let mut write = |author, from: usize, to: usize| -> Vec<_> {
        (from..to).map(|i| pen.put(author, &format!("key/{i}"), "value")).collect()
    };
    let (shared, a, b) = (write(2, 0, 40), write(3, 40, 140), write(4, 140, 240));
    (Node::with(shared.iter().chain(&a)), Node::with(shared.iter().chain(&b)))
}

/// A session in which `lie` changes the peer's honest answers.
pub(crate) fn told(ours: &mut Node, theirs: &mut Node, lie: impl Fn(&Request, Response) -> Response) -> Talk {
    with(ours, Config::default(), |_, request| {
        let response = theirs.answer(request.clone());
        Ok(lie(&request, response))
    })
}

type Lie = fn(&Request, Response) -> Response;

fn on_answers(response: Response, change: fn(&mut Vec<Compared>)) -> Response {
    match response {
        Response::Compared { mut answers } => {
            change(&mut answers);
            Response::Compared { answers }
        }
        other => other,
    }
}

/// Changes the first list of at least two leaves.
fn on_leaves(response: Response, change: fn(&mut Vec<KeyLeaf>)) -> Response {
    match response {
        Response::Compared { mut answers } => {
            let lists = answers.iter_mut().filter_map(|answer| match answer {
                Compared::Leaves(leaves) if leaves.len() > 1 => Some(leaves),
                Compared::Leaves(_) | Compared::Same | Compared::Children(_) => None,
            });
            lists.take(1).for_each(change);
            Response::Compared { answers }
        }
        Response::Listed { mut leaves, more } => {
            change(&mut leaves);
            Response::Listed { leaves, more }
        }
        other => other,
    }
}

pub(crate) fn on_commits(response: Response, change: fn(&mut Vec<Commit>, &mut u64)) -> Response {
    match response {
        Response::Commits { mut commits, mut served } => {
            change(&mut commits, &mut served);
            Response::Commits { commits, served }
        }
        other => other,
    }
}

fn stranger() -> Commit {
    Pen::new().put(5, "nobody asked for this", "1")
}

#[test]
fn an_answer_that_does_not_fit_the_question_ends_the_session() {
    let lies: [(&str, Lie, PeerFault); 13] = [
        (
            "another kind",
            |request, response| match request {
                Request::Compare { .. } => Response::Pushed(Intake::default()),
                _ => response,
            },
            PeerFault::OtherKind,
        ),
        ("one answer too few", |_, r| on_answers(r, |a| drop(a.pop())), PeerFault::AnswerCount),
        ("one answer too many", |_, r| on_answers(r, |a| a.push(Compared::Same)), PeerFault::AnswerCount),
        ("leaves elsewhere", |_, r| on_leaves(r, |l| l[0].key = KeyHash([0xff; 32])), PeerFault::BadLeaves),
        ("leaves unsorted", |_, r| on_leaves(r, |l| l.swap(0, 1)), PeerFault::BadLeaves),
        ("a leaf twice", |_, r| on_leaves(r, |l| l[1] = l[0]), PeerFault::BadLeaves),
        (
            "too many leaves",
            |_, r| {
                on_leaves(r, |l| {
                    let first = l[0];
                    *l = (0..=COMPARE_LEAVES_MAX as u8).map(|i| numbered(first, i)).collect();
                })
            },
            PeerFault::BadLeaves,
        ),
        ("no key served", |_, r| on_commits(r, |_, served| *served = 0), PeerFault::BadServed),
        ("more keys served than asked", |_, r| on_commits(r, |_, served| *served += 1), PeerFault::BadServed),
        ("absurdly many keys served", |_, r| on_commits(r, |_, served| *served = u64::MAX), PeerFault::BadServed),
        ("a commit not asked for", |_, r| on_commits(r, |c, _| c.push(stranger())), PeerFault::UnaskedCommit),
        (
            "a commit for each key, and more",
            |_, r| {
                on_commits(r, |c, _| {
                    let first = c[0].clone();
                    c.push(first);
                })
            },
            PeerFault::UnaskedCommit,
        ),
        (
            "children at the bottom",
            |_, r| {
                on_answers(r, |answers| {
                    answers.iter_mut().for_each(|a| *a = Compared::Children(Box::new([[9; 32]; CHILDREN])));
                })
            },
            PeerFault::TooDeep,
        ),
    ];
    for (what, lie, fault) in lies {
        let (mut ours, mut theirs) = nodes();
        let talk = told(&mut ours, &mut theirs, lie);
        assert_eq!(talk.outcome, Outcome::PeerFault(fault), "{what}\n{}", talk.text());
        assert!(talk.stats.rounds < 300, "{what}: {:?}", talk.stats);
    }
}

/// A leaf near another, in order of `i`.
fn numbered(mut leaf: KeyLeaf, i: u8) -> KeyLeaf {
    leaf.key.0[31] = i;
    leaf
}

#[test]
fn a_listing_that_does_not_fit_ends_the_session() {
    type Change = fn(&mut Vec<KeyLeaf>, &mut bool);
    let lies: [(&str, Change, PeerFault); 4] = [
        (
            "nothing, and more",
            |leaves, more| {
                leaves.clear();
                *more = true;
            },
            PeerFault::EmptyPage,
        ),
        ("unsorted", |leaves, _| leaves.swap(0, 1), PeerFault::BadLeaves),
        ("the same page for ever", |_, more| *more = true, PeerFault::BadLeaves),
        (
            "too many",
            |leaves, _| {
                let first = leaves[0];
                *leaves = (0..=LIST_LEAVES_MAX as u16)
                    .map(|i| {
                        let mut leaf = first;
                        leaf.key.0[..2].copy_from_slice(&i.to_be_bytes());
                        leaf
                    })
                    .collect();
            },
            PeerFault::BadLeaves,
        ),
    ];
    for (what, lie, fault) in lies {
        let (_, mut theirs) = nodes();
        let first = theirs.answer(list_all());
        let talk = told(&mut Node::new(), &mut theirs, |_, response| match response {
            Response::Listed { .. } => match first.clone() {
                Response::Listed { mut leaves, mut more } => {
                    lie(&mut leaves, &mut more);
                    Response::Listed { leaves, more }
                }
                other => other,
            },
            other => other,
        });
        assert_eq!(talk.outcome, Outcome::PeerFault(fault), "{what}\n{}", talk.text());
    }
}

fn list_all() -> Request {
    let prefixes = vec![lattice::tree::prefix::Prefix::ALL];
    Request::List { scope: reconcile::view::Scope::State, prefixes, after: None }
}

#[test]
fn a_listing_outside_its_subtrees_ends_the_session() {
    let mut pen = Pen::new();
    let commits: Vec<_> = (0..20).map(|c| pen.put_all(2, (0..100).map(|i| format!("key/{c}/{i}")))).collect();
    let commit = pen.put(3, "ours", "1");
    let (mut ours, mut theirs) = (Node::with([&commit]), Node::with(&commits));
    // Fifteen of the sixteen subtrees are empty at our node, so they are listed; the sixteenth is not.
    let key = Op::delete("ours").expect("small").key().hash();
    let talk = told(&mut ours, &mut theirs, |request, response| match request {
        Request::List { .. } => {
            Response::Listed { leaves: vec![KeyLeaf { key, leaf: LeafHash([1; 32]) }], more: false }
        }
        _ => response,
    });
    assert_eq!(talk.outcome, Outcome::PeerFault(PeerFault::BadLeaves), "{}", talk.text());
}

#[test]
fn chains_out_of_order_or_without_end_end_the_session() {
    let mut pen = Pen::new();
    let (first, second) = (pen.put(2, "k", "1"), pen.put(2, "k", "2"));
    let page = |ids: &[u8], more: bool| {
        let chains = ids.iter().map(|id| ((AuthorId([*id; 32]), 0), Chain::default())).collect();
        move |root| Response::Frontier { root, chains, more }
    };
    for (what, ids, more, fault) in [
        ("unsorted", [2, 1].as_slice(), false, PeerFault::BadChains),
        ("twice", &[1, 1], false, PeerFault::BadChains),
        ("nothing, and more", &[], true, PeerFault::EmptyPage),
        ("the same page for ever", &[1], true, PeerFault::BadChains),
    ] {
        let (mut ours, mut theirs) = (Node::with([&second]), Node::with([&first, &second]));
        let talk = told(&mut ours, &mut theirs, |_, response| match response {
            Response::Frontier { root, .. } => page(ids, more)(root),
            other => other,
        });
        assert_eq!(talk.outcome, Outcome::PeerFault(fault), "{what}\n{}", talk.text());
    }
}

#[test]
fn a_chain_under_the_name_of_another_author_ends_the_session() {
    let mut pen = Pen::new();
    let (first, second) = (pen.put(2, "k", "1"), pen.put(2, "k", "2"));
    let (mut ours, mut theirs) = (Node::with([&second]), Node::with([&first, &second]));
    let talk = told(&mut ours, &mut theirs, |_, response| match response {
        Response::Frontier { root, mut chains, more } => {
            chains[0].0 = (crate::node::author_id(3), 0);
            Response::Frontier { root, chains, more }
        }
        other => other,
    });
    assert_eq!(talk.outcome, Outcome::PeerFault(PeerFault::BadChains));
}

#[test]
fn an_event_that_answers_no_effect_is_our_own_fault() {
    let mut initiator = reconcile::Initiator::new(Node::new().view(), Config::default());
    let first = initiator.step(reconcile::Event::Loaded { commits: vec![], served: 0 });
    let reconcile::Effect::Finish(outcome) = first else { panic!("{first:?}") };
    assert_eq!(outcome.word(), "our-fault");
    let again = initiator.step(reconcile::Event::Start);
    assert_eq!(again, reconcile::Effect::Finish(outcome), "a finished session stays finished");
}
