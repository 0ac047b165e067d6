//! Sessions during which something else happens: a cut, a write, a lost road, a full disk.

use lattice::membership::Change;
use reconcile::{Config, Intake, Outcome, Refusal, RefusedFor, Request, Response, Rest};

use crate::node::{Node, Pen, author_id};
use crate::talk::{Talk, assert_said, between, is_fetch, with};

/// Author 3 wrote twice; the founder cuts it after its first commit.
fn cut_story() -> (Pen, [lattice::commit::Commit; 3]) {
    let mut pen = Pen::new();
    let (counts, too_late) = (pen.put(3, "counts", "1"), pen.put(3, "too late", "1"));
    let cut = pen.change(&Change::Revoke { author: author_id(3), last_seq: 1 });
    (pen, [counts, too_late, cut])
}

#[test]
fn a_cut_travels_first_and_what_it_removes_is_not_sent() {
    let (_, [counts, too_late, cut]) = cut_story();
    let (mut ours, mut theirs) = (Node::with([&counts, &too_late]), Node::with([&counts, &cut]));
    let talk = between(&mut ours, &mut theirs);
    assert_said(
        &talk,
        "> open 2, a few symbols, estimate
         < opened 2, estimate
         > list members under 1
         < listed 1
         > fetch 1
         < commits 1, served 1
         = apply 1
         > open 2, a few symbols, estimate
         < opened 2
         > frontier
         < frontier 2
         = raise 2
         = equal",
    );
}

#[test]
fn a_peer_that_learns_of_a_cut_in_the_middle_refuses_and_shows_it() {
    let (_, [counts, too_late, cut]) = cut_story();
    let (mut ours, mut theirs) = (Node::with([&counts, &too_late]), Node::with([&counts]));
    let talk = with(&mut ours, Config::default(), |_, request| {
        if matches!(request, Request::Push { .. }) {
            theirs.apply(vec![cut.clone()]);
        }
        Ok(theirs.answer(request))
    });
    assert_said(
        &talk,
        "> open 2, a few symbols, estimate
         < opened 1, a few symbols, estimate
         = load 1
         > push 1
         < applied 0, waiting 0, refused 1
         = apply 1
         > open 2, a few symbols, estimate
         < opened 2
         > frontier
         < frontier 2
         = raise 2
         = equal",
    );
}

#[test]
fn a_cut_that_we_learn_of_in_the_middle_is_shown_to_the_peer() {
    let (_, [counts, too_late, cut]) = cut_story();
    let (mut ours, mut theirs) = (Node::with([&counts]), Node::with([&counts, &too_late]));
    let talk = with(&mut ours, Config::default(), |ours, request| {
        if is_fetch(&request) {
            ours.apply(vec![cut.clone()]);
        }
        Ok(theirs.answer(request))
    });
    assert_said(
        &talk,
        "> open 1, a few symbols, estimate
         < opened 2, a few symbols, estimate
         > fetch 1 short
         < commits 1, served 1
         = apply 1
         > push 1
         < applied 1, waiting 0, refused 0
         > open 2, a few symbols, estimate
         < opened 2
         > frontier
         < frontier 2
         = raise 2
         = equal",
    );
}

#[test]
fn a_write_in_the_middle_takes_another_pass() {
    let mut pen = Pen::new();
    let (first, second) = (pen.put(2, "first", "1"), pen.put(2, "second", "1"));
    let (mut ours, mut theirs) = (Node::new(), Node::with([&first]));
    let talk = with(&mut ours, Config::default(), |_, request| {
        if is_fetch(&request) {
            theirs.apply(vec![second.clone()]);
        }
        Ok(theirs.answer(request))
    });
    assert_said(
        &talk,
        "> open 0, a few symbols, estimate
         < opened 1, a few symbols, estimate
         > compare 1 at 0 bits
         < same 0, children 0, leaves 1
         > fetch 1
         < commits 1, served 1
         = apply 1
         > open 1, a few symbols, estimate
         < opened 2, a few symbols, estimate
         > fetch 1 short
         < commits 1, served 1
         = apply 1
         > open 2, a few symbols, estimate
         < opened 2
         = equal",
    );
}

#[test]
fn a_peer_that_never_stops_writing_is_explained_after_four_passes() {
    let mut pen = Pen::new();
    let (mut ours, mut theirs) = (Node::new(), Node::with([&pen.put(2, "k", "0")]));
    let talk = with(&mut ours, Config::default(), |_, request| {
        let response = theirs.answer(request);
        theirs.apply(vec![pen.put(2, "k", "again")]);
        Ok(response)
    });
    let rest = Outcome::Explained { ours: ours.root(), theirs: theirs_at_open(&talk), rest: Rest::NewWrites };
    assert_eq!(talk.outcome, rest);
    // An empty node has to look what there is; then it is an opening and a fetch each time, and the last opening.
    assert_eq!((talk.stats.passes, talk.stats.rounds), (4, 10));
}

fn theirs_at_open(talk: &Talk) -> lattice::ids::StateRoot {
    match talk.outcome {
        Outcome::Explained { theirs, .. } => theirs,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn an_entry_deleted_by_a_cut_between_comparing_and_fetching_is_no_fault() {
    let (_, [counts, too_late, cut]) = cut_story();
    let (mut ours, mut theirs) = (Node::with([&counts]), Node::with([&counts, &too_late]));
    let talk = with(&mut ours, Config::default(), |_, request| {
        if is_fetch(&request) {
            theirs.apply(vec![cut.clone()]);
        }
        Ok(theirs.answer(request))
    });
    assert_eq!(talk.outcome.word(), "equal", "\n{}", talk.text());
    assert_eq!(ours.root(), theirs.root());
}

#[test]
fn commits_that_wait_at_the_peer_explain_the_rest() {
    let mut pen = Pen::new();
    let (mut ours, mut theirs) = (Node::with([&pen.put(2, "k", "1")]), Node::new());
    let talk = with(&mut ours, Config::default(), |_, request| match request {
        // Its clock is far behind, say.
        Request::Push { commits } => {
            Ok(Response::Pushed(Intake { waiting: commits.len() as u64, ..Intake::default() }))
        }
        request => Ok(theirs.answer(request)),
    });
    let rest = Rest::Waiting { ours: 0, theirs: 1 };
    assert_eq!(talk.outcome, Outcome::Explained { ours: ours.root(), theirs: theirs.root(), rest });
    assert_eq!(talk.stats.passes, 1, "nothing changed, so no second pass");
}

#[test]
fn what_the_peer_refuses_for_good_is_named() {
    let mut pen = Pen::new();
    let commit = pen.put(2, "k", "1");
    let (mut ours, mut theirs) = (Node::with([&commit]), Node::new());
    let refusal =
        Refusal { commit: commit.id(), why: RefusedFor::NoRoom, reason: "disk full".to_owned(), evidence: None };
    let talk = with(&mut ours, Config::default(), |_, request| match request {
        Request::Push { .. } => Ok(Response::Pushed(Intake { refused: vec![refusal.clone()], ..Intake::default() })),
        request => Ok(theirs.answer(request)),
    });
    let (ours, theirs) = (ours.root(), theirs.root());
    let outcome = Outcome::Refused { ours, theirs, by_us: vec![], by_peer: vec![refusal] };
    assert_eq!(talk.outcome, outcome);
}

#[test]
fn a_busy_peer_and_a_lost_request_end_the_session_and_the_next_one_goes_on() {
    let mut pen = Pen::new();
    let commits: Vec<_> = (0..30).map(|i| pen.put(2, &format!("large/{i}"), &"7".repeat(60_000))).collect();
    let (mut ours, mut theirs) = (Node::new(), Node::with(&commits));
    let busy = with(&mut ours, Config::default(), |_, _| Ok(Response::Busy));
    assert_said(&busy, "> open 0, a few symbols, estimate\n < busy\n = busy");
    let mut fetches = 0;
    let lost = with(&mut ours, Config::default(), |_, request| {
        fetches += u32::from(is_fetch(&request));
        if fetches == 3 { Err("connection reset".to_owned()) } else { Ok(theirs.answer(request)) }
    });
    assert_eq!(lost.outcome, Outcome::Lost { reason: "connection reset".to_owned() });
    assert_eq!(ours.len(), 16, "what came is kept");
    let last = between(&mut ours, &mut theirs);
    assert_eq!(last.outcome.word(), "equal");
    assert_eq!(last.stats.commits_received, 14, "and is not fetched again");
}

#[test]
fn a_session_out_of_rounds_says_so_and_the_next_ones_finish() {
    let mut pen = Pen::new();
    let commits: Vec<_> = (0..30).map(|i| pen.put(2, &format!("large/{i}"), &"7".repeat(60_000))).collect();
    let (mut ours, mut theirs) = (Node::new(), Node::with(&commits));
    let config = Config { rounds_max: 3, ..Config::default() };
    let mut session = || with(&mut ours, config, |_, request| Ok(theirs.answer(request)));
    let talks: Vec<_> = (0..4).map(|_| session()).collect();
    let words: Vec<_> = talks.iter().map(|talk| talk.outcome.word()).collect();
    assert_eq!(words, ["explained", "explained", "explained", "equal"]);
    assert!(talks.iter().all(|talk| talk.stats.rounds <= 3));
    let received: u64 = talks.iter().map(|talk| talk.stats.commits_received).sum();
    assert_eq!(received, 30, "what came with the last answer is applied, and does not come again");
}
