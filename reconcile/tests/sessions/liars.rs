//! Peers whose answers fit every question and are not true. No session ends as a success, and none goes on for ever.

use lattice::commit::Commit;
use lattice::ids::{KeyHash, LeafHash, StateRoot};
use lattice::op::Op;
use lattice::tree::prefix::Prefix;
use reconcile::limits::FRUITLESS_ROUNDS_MAX;
use reconcile::view::KeyLeaf;
use reconcile::{Config, Intake, Outcome, PeerFault, Refusal, RefusedFor, Request, Response, Summary};

use crate::hostile::{nodes, on_commits, told};
use crate::node::{Node, Pen};
use crate::talk::with;

#[test]
fn an_endless_listing_of_nothing_is_given_up() {
    let (_, mut theirs) = nodes();
    let talk = told(&mut Node::new(), &mut theirs, |request, response| match request {
        Request::List { after, .. } => {
            let after = after.map_or(0, |key| u64::from_be_bytes(key.0[..8].try_into().expect("eight")));
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(after + 1).to_be_bytes());
            let leaf = KeyLeaf { key: KeyHash(key), leaf: LeafHash([1; 32]) };
            Response::Listed { leaves: vec![leaf], more: true }
        }
        Request::Fetch { keys } => Response::Commits { commits: vec![], served: keys.len() as u64 },
        _ => response,
    });
    assert_eq!(talk.outcome, Outcome::PeerFault(PeerFault::Fruitless));
    assert!(talk.stats.rounds <= FRUITLESS_ROUNDS_MAX + 2);
}

#[test]
fn a_commit_with_a_wrong_signature_is_the_peers_fault() {
    let (mut ours, mut theirs) = nodes();
    let talk = told(&mut ours, &mut theirs, |_, response| {
        on_commits(response, |commits, _| {
            let signed = commits[0].signed();
            let mut signature = *signed.signature();
            signature[0] ^= 1;
            let forged = lattice::commit::SignedHeader::decode(signed.header_bytes(), signature);
            commits[0] = Commit::from_parts(forged.expect("well-formed"), commits[0].slots().to_vec());
        })
    });
    assert!(matches!(talk.outcome, Outcome::PeerFault(PeerFault::InvalidCommit(_))), "{:?}", talk.outcome);
}

#[test]
fn a_refusal_for_a_cut_that_is_not_shown_is_the_peers_fault() {
    let (mut ours, mut theirs) = nodes();
    let talk = told(&mut ours, &mut theirs, |request, response| match request {
        Request::Push { commits } => {
            let commit = commits[0].id();
            let refusal = Refusal { commit, why: RefusedFor::BeyondCut, reason: "trust me".to_owned(), evidence: None };
            Response::Pushed(Intake { refused: vec![refusal], ..Intake::default() })
        }
        _ => response,
    });
    assert!(matches!(talk.outcome, Outcome::PeerFault(PeerFault::UnfoundedRefusal(_))), "{:?}", talk.outcome);
}

#[test]
fn evidence_that_proves_nothing_does_not_keep_the_session_going() {
    let (mut ours, mut theirs) = nodes();
    let evidence = Pen::new().put(5, "no cut at all", "1");
    let talk = with(&mut ours, Config::default(), |_, request| match request {
        Request::Push { commits } => {
            let (commit, evidence) = (commits[0].id(), Some(evidence.clone()));
            let reason = "trust me".to_owned();
            let refusal = Refusal { commit, why: RefusedFor::BeyondCut, reason, evidence };
            Ok(Response::Pushed(Intake { refused: vec![refusal], ..Intake::default() }))
        }
        request => Ok(theirs.answer(request)),
    });
    assert_eq!(talk.outcome.word(), "refused", "{}", talk.text());
    assert!(talk.stats.rounds < 30, "{:?}", talk.stats);
}

#[test]
fn a_root_that_nothing_leads_to_is_unexplained() {
    let mut pen = Pen::new();
    let commits = [pen.put(2, "a", "1"), pen.put(3, "b", "2")];
    let (mut ours, mut theirs) = (Node::with(&commits), Node::with(&commits));
    let talk = told(&mut ours, &mut theirs, |_, response| match response {
        Response::Opened { summary, flight } => {
            Response::Opened { summary: Summary { root: StateRoot([7; 32]), ..summary }, flight }
        }
        other => other,
    });
    let outcome = Outcome::Unexplained { ours: ours.root(), theirs: StateRoot([7; 32]), first: Prefix::ALL };
    assert_eq!(talk.outcome, outcome);
    // Once by sketches, once by descent, and an opening around each.
    assert_eq!((talk.stats.passes, talk.stats.rounds), (2, 5), "{}", talk.text());
}

#[test]
fn a_root_that_is_another_each_time_looks_like_a_busy_peer_and_ends() {
    let (mut ours, mut theirs) = nodes();
    let opened = std::cell::Cell::new(0);
    let talk = told(&mut ours, &mut theirs, |_, response| match response {
        Response::Opened { summary, flight } => {
            opened.set(opened.get() + 1);
            let root = StateRoot([opened.get(); 32]);
            Response::Opened { summary: Summary { root, ..summary }, flight }
        }
        other => other,
    });
    assert_eq!(talk.outcome.word(), "explained", "{}", talk.text());
    assert_eq!(talk.stats.passes, 4);
}

#[test]
fn a_peer_that_says_it_applied_and_did_not_is_unexplained_and_the_place_is_named() {
    let mut pen = Pen::new();
    let commits: Vec<_> = (0..200).map(|i| pen.put(2, &format!("key/{i}"), "1")).collect();
    let (mut ours, mut theirs) = (Node::with(&commits), Node::with(&commits[1..]));
    let talk = with(&mut ours, Config::default(), |_, request| match request {
        Request::Push { commits } => {
            Ok(Response::Pushed(Intake { applied: commits.len() as u64, ..Intake::default() }))
        }
        request => Ok(theirs.answer(request)),
    });
    let Outcome::Unexplained { first, .. } = talk.outcome else { panic!("{}", talk.text()) };
    let key = Op::delete("key/0").expect("small").key().hash();
    assert!(first.covers(&key) && first.bits() > 0, "{first:?} holds the entry that is missing");
}

#[test]
fn entries_that_are_named_but_never_sent_are_unexplained() {
    let (mut ours, mut theirs) = nodes();
    let talk = told(&mut ours, &mut theirs, |_, r| on_commits(r, |commits, _| commits.clear()));
    // The first pass pushes ours, so the peer's root changes; the second moves nothing, and the third, by descent,
    // moves nothing either.
    let Outcome::Unexplained { first, .. } = talk.outcome else { panic!("{}", talk.text()) };
    assert_eq!(talk.stats.passes, 3);
    let missing = (140..240).map(|i| Op::delete(&format!("key/{i}")).expect("small").key().hash()).min();
    assert!(first.bits() > 0 && first.covers(&missing.expect("a hundred")), "{first:?}");
}
