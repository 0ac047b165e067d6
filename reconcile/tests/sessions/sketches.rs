//! Sessions that find the difference by set sketches, line by line: foretold, cold, stuck, in parts, and where they
//! have to give way to the descent.

use std::cell::{Cell, RefCell};

use lattice::ids::KeyHash;
use lattice::membership::Change;
use reconcile::limits::{KEPT_SYMBOLS, SKETCH_ATTEMPTS_MAX};
use reconcile::message::Stretch;
use reconcile::sketch::symbols_for;
use reconcile::{Config, Outcome, Request, Response};

use crate::hostile::told;
use crate::node::{Node, Pen, member};
use crate::noise::Noise;
use crate::talk::{Talk, assert_said, between, with};

/// Two nodes with `shared` entries in commits of a thousand, and `apart` more each in commits of `per_commit`.
pub(crate) fn apart(shared: usize, apart: usize, per_commit: usize) -> (Node, Node) {
    let mut pen = Pen::new();
    let mut write = |author, side: &str, entries: usize, per_commit: usize| -> Vec<_> {
        let numbers: Vec<_> = (0..entries).collect();
        let commit = |numbers: &[usize]| pen.put_all(author, numbers.iter().map(|i| format!("{side}/{i}")));
        numbers.chunks(per_commit).map(commit).collect()
    };
    let shared = Node::with(&write(2, "shared", shared, 1_000));
    let (mut ours, mut theirs) = (shared.clone(), shared);
    ours.apply(write(3, "ours", apart, per_commit));
    theirs.apply(write(4, "theirs", apart, per_commit));
    (ours, theirs)
}

/// Entries of a state of which twelve thousand differences are less than half.
pub(crate) const MANY: usize = 30_000;

fn foretold(differences: u64) -> Config {
    Config { foretold: Some(differences), ..Config::default() }
}

fn assert_equal(talk: &Talk, ours: &Node, theirs: &Node) {
    assert_eq!(talk.outcome.word(), "equal", "{}", talk.text());
    assert_eq!(ours.root(), theirs.root());
    assert_eq!(ours.root(), ours.naive_root());
}

/// Requests for symbols, as they were said.
fn symbol_requests(talk: &Talk) -> Vec<&str> {
    let is_for_symbols = |line: &&str| line.contains("> symbols");
    talk.transcript.iter().map(String::as_str).filter(is_for_symbols).collect()
}

fn went_down(talk: &Talk) -> bool {
    talk.transcript.iter().any(|line| line.contains("> compare"))
}

#[test]
fn a_difference_foretold_is_found_in_one_round_trip() {
    let (mut ours, mut theirs) = apart(2_000, 30, 10);
    let talk = with(&mut ours, foretold(60), |_, request| Ok(theirs.answer(request)));
    assert_said(
        &talk,
        "> open 2030, 116 symbols
         < opened 2030, 116 symbols
         > fetch 30 short
         < commits 3, served 30
         = apply 3
         = load 30
         > push 3
         < applied 3, waiting 0, refused 0
         > open 2060, a few symbols, estimate
         < opened 2060
         = equal",
    );
    assert_eq!(talk.stats.rounds_to_find, 2, "the opening, and the one that sees the end");
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn a_difference_not_foretold_is_found_in_two() {
    let (mut ours, mut theirs) = apart(2_000, 30, 10);
    let talk = between(&mut ours, &mut theirs);
    assert_eq!(talk.stats.rounds_to_find, 3, "{}", talk.text());
    assert_eq!(
        talk.transcript[..2],
        ["> open 2030, a few symbols, estimate", "  < opened 2030, a few symbols, estimate"]
    );
    assert_eq!(symbol_requests(&talk).len(), 1);
    assert!(!went_down(&talk), "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn a_difference_of_nothing_foretold_costs_no_more_than_the_truth() {
    let (mut ours, mut theirs) = apart(2_000, 1, 1);
    let talk = with(&mut ours, foretold(0), |_, request| Ok(theirs.answer(request)));
    assert_equal(&talk, &ours, &theirs);
    assert!(talk.stats.rounds_to_find <= 3 && !went_down(&talk), "{}", talk.text());
}

#[test]
fn more_symbols_are_asked_for_where_those_foretold_are_not_enough() {
    let (mut ours, mut theirs) = apart(2_000, 200, 100);
    let talk = with(&mut ours, foretold(10), |_, request| Ok(theirs.answer(request)));
    let asked = symbol_requests(&talk);
    let first = symbols_for(10);
    assert_eq!(talk.transcript[0], format!("> open 2200, {first} symbols"));
    assert!(asked[0].contains(&format!(" from {first}, ")), "the row goes on where it stopped: {asked:?}");
    assert!((2..=3).contains(&asked.len()), "the second answer brings an estimate: {asked:?}");
    assert!(!went_down(&talk), "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn a_difference_beyond_the_symbols_kept_is_found_in_parts() {
    let (mut ours, mut theirs) = apart(26_000, 8_000, 1_000);
    let talk = between(&mut ours, &mut theirs);
    let asked = symbol_requests(&talk);
    assert!(asked.iter().all(|line| !line.ends_with("at 0 bits")) && !asked.is_empty(), "{}", talk.text());
    assert!(talk.stats.rounds_to_find <= 6, "{}", talk.text());
    assert!(!went_down(&talk), "{}", talk.text());
    assert_eq!((talk.stats.commits_received, talk.stats.commits_sent), (8, 8), "each commit once");
    assert_eq!((talk.outcome.word(), ours.root()), ("equal", theirs.root()), "{}", talk.text());
}

#[test]
fn a_difference_foretold_to_be_beyond_the_symbols_kept_asks_for_an_estimate_first() {
    let (mut ours, mut theirs) = apart(2_000, 5, 1);
    let talk = with(&mut ours, foretold(20_000), |_, request| Ok(theirs.answer(request)));
    assert_eq!(talk.transcript[0], "> open 2005, estimate");
    assert!(talk.bytes < 20_000, "it was wrong, and symbols for it would be a megabyte: {}", talk.bytes);
    assert_equal(&talk, &ours, &theirs);
}

/// More than half differs: naming every entry costs less than symbols for them would.
#[test]
fn states_that_have_little_in_common_are_compared_from_the_top() {
    let (mut ours, mut theirs) = apart(50, 200, 10);
    let talk = between(&mut ours, &mut theirs);
    assert!(symbol_requests(&talk).is_empty() && went_down(&talk), "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

/// Makes the symbols of the whole useless, and the estimate so large that the session goes on in parts: as if far more
/// differed than these nodes hold.
pub(crate) fn into_parts(request: &Request, response: Response) -> Response {
    match (request, response) {
        (Request::Symbols { parts: asked }, Response::Symbols { root, estimator, mut parts })
            if asked[0].prefix.bits() == 0 =>
        {
            let mut noise = Noise::new(1);
            parts[0] = noise.symbols(parts[0].len());
            Response::Symbols { root, estimator: noise.far_estimator(&estimator), parts }
        }
        (_, response) => response,
    }
}

#[test]
fn a_whole_that_turns_out_to_be_beyond_the_symbols_kept_goes_on_in_parts() {
    let (mut ours, mut theirs) = apart(MANY, 60, 20);
    let talk = told(&mut ours, &mut theirs, into_parts);
    let asked = symbol_requests(&talk);
    assert!(asked[0].ends_with("parts 1 at 0 bits"), "{asked:?}");
    assert!(asked.last().is_some_and(|line| line.ends_with("parts 4 at 2 bits")), "{asked:?}");
    assert!(!went_down(&talk), "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn parts_that_are_never_read_out_are_left_to_the_descent() {
    let (mut ours, mut theirs) = apart(MANY, 60, 20);
    let (noise, spoiled) = (RefCell::new(Noise::new(1)), Cell::new(0));
    let talk = told(&mut ours, &mut theirs, |request, response| {
        let Request::Symbols { parts: asked } = request else { return response };
        let is_first = |part: &Stretch| part.prefix.bits() > 0 && part.prefix.first_key() == KeyHash::ZERO;
        match (asked.iter().position(is_first), response) {
            (Some(first), Response::Symbols { root, estimator, mut parts }) if first < parts.len() => {
                spoiled.set(spoiled.get() + 1);
                parts[first] = noise.borrow_mut().symbols(parts[first].len());
                Response::Symbols { root, estimator, parts }
            }
            (_, response) => into_parts(request, response),
        }
    });
    assert_eq!(spoiled.get(), SKETCH_ATTEMPTS_MAX, "{}", talk.text());
    let compared: Vec<_> = talk.transcript.iter().filter(|line| line.contains("> compare")).collect();
    assert!(!compared[0].contains("at 0 bits"), "from that part on, not from the top: {compared:?}");
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn parts_that_a_peer_has_too_many_entries_for_are_left_to_the_descent() {
    let (mut ours, mut theirs) = apart(2_000, 30, 10);
    let talk = with(&mut ours, Config::default(), |_, request| {
        Ok(match theirs.answer(request) {
            Response::Symbols { root, estimator, parts } => {
                Response::Symbols { root, estimator, parts: vec![vec![]; parts.len()] }
            }
            response => response,
        })
    });
    assert_eq!(symbol_requests(&talk).len(), 1, "{}", talk.text());
    assert!(went_down(&talk) && talk.stats.passes == 1, "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn parts_left_out_of_an_answer_are_asked_for_again() {
    let (mut ours, mut theirs) = apart(MANY, 60, 20);
    let talk = told(&mut ours, &mut theirs, |request, response| match into_parts(request, response) {
        Response::Symbols { root, estimator, mut parts } => {
            parts.truncate(1);
            Response::Symbols { root, estimator, parts }
        }
        response => response,
    });
    let asked = symbol_requests(&talk);
    let parts: Vec<_> = asked.iter().rev().map(|line| line.contains(" at 2 bits")).collect();
    assert_eq!(parts[..4], [true; 4], "four parts, one in each answer: {asked:?}");
    assert!(!went_down(&talk), "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

/// Symbols of before and after a write are not of one row; read together they would never end.
#[test]
fn a_write_at_the_peer_between_two_answers_begins_the_row_again() {
    let (mut ours, mut theirs) = apart(2_000, 200, 100);
    let mut pen = Pen::new();
    let mut writes = vec![pen.put(5, "in the middle", "1")];
    let talk = with(&mut ours, foretold(10), |_, request| {
        if matches!(request, Request::Symbols { .. }) {
            theirs.apply(std::mem::take(&mut writes));
        }
        Ok(theirs.answer(request))
    });
    let from: Vec<_> = symbol_requests(&talk).iter().map(|line| line.contains("from 0,")).collect();
    assert!(!from[0] && from[1], "the second request goes on, the third begins again: {}", talk.text());
    assert!(!went_down(&talk), "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn a_peer_that_writes_before_every_answer_is_compared_by_descent_and_still_ends_equal() {
    let (mut ours, mut theirs) = apart(2_000, 200, 100);
    let mut pen = Pen::new();
    let talk = with(&mut ours, foretold(10), |_, request| {
        if matches!(request, Request::Symbols { .. }) {
            theirs.apply(vec![pen.put(5, "in the middle", "again")]);
        }
        Ok(theirs.answer(request))
    });
    assert!(symbol_requests(&talk).len() < 2 * SKETCH_ATTEMPTS_MAX as usize, "{}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn no_symbols_are_given_while_the_members_differ() {
    let (mut ours, mut theirs) = apart(200, 3, 1);
    let add = Pen::new().change(&Change::Add(member(6)));
    theirs.apply(vec![add]);
    let talk = with(&mut ours, foretold(7), |_, request| Ok(theirs.answer(request)));
    let first = symbols_for(7);
    assert_eq!(talk.transcript[..2], [format!("> open 203, {first} symbols"), "  < opened 204".to_owned()]);
    assert_eq!(talk.transcript[2], "> list members under 1");
    assert_eq!(symbol_requests(&talk).len(), 1, "once they have moved: {}", talk.text());
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn what_was_found_and_came_along_meanwhile_is_not_fetched_again() {
    let (mut ours, mut theirs) = apart(20_000, 1_500, 1_000);
    let talk = with(&mut ours, foretold(3_000), |_, request| Ok(theirs.answer(request)));
    let fetches: Vec<_> = talk.transcript.iter().filter(|line| line.contains("> fetch")).collect();
    assert_eq!(fetches, ["> fetch 1024 short"], "both commits hold one of the first thousand: {}", talk.text());
    assert_eq!((talk.stats.commits_received, talk.stats.commits_sent), (2, 2));
    assert_equal(&talk, &ours, &theirs);
}

#[test]
fn a_session_asks_for_no_more_symbols_than_are_kept() {
    for differences in [9_000, 10_000, 11_000, 12_000, u64::MAX] {
        let first = Cell::new(None);
        let talk = with(&mut Node::new(), foretold(differences), |_, request| {
            let Request::Open { symbols, .. } = request else { return Ok(Response::Busy) };
            first.set(Some(symbols));
            Ok(Response::Busy)
        });
        assert_eq!(talk.outcome, Outcome::Busy);
        assert!(first.get().is_some_and(|symbols| symbols <= KEPT_SYMBOLS as u64), "{differences}");
    }
}
