//! Peers that lie in symbols and estimators. Each session ends within a bounded number of round trips and with a
//! bounded memory, with the right name; and where the rest of the answers is honest, with equal states.

use std::cell::RefCell;

use lattice::ids::StateRoot;
use reconcile::limits::{KEPT_SYMBOLS, SKETCH_ATTEMPTS_MAX, SYMBOLS_MAX};
use reconcile::message::Flight;
use reconcile::sketch::Symbol;
use reconcile::view::KeyLeaf;
use reconcile::{Config, Effect, Event, Initiator, Outcome, PeerFault, Request, Response, Summary};

use crate::hostile::told;
use crate::node::Node;
use crate::noise::{Noise, made_up, minus, plus, row};
use crate::sketches::{MANY, apart, into_parts};
use crate::talk::with;

/// Changes every list of symbols that a peer gives.
fn on_symbols(response: Response, mut change: impl FnMut(&mut Vec<Symbol>)) -> Response {
    match response {
        Response::Opened { summary, flight: Some(Flight { estimator, mut symbols }) } => {
            change(&mut symbols);
            Response::Opened { summary, flight: Some(Flight { estimator, symbols }) }
        }
        Response::Symbols { root, estimator, mut parts } => {
            parts.iter_mut().for_each(change);
            Response::Symbols { root, estimator, parts }
        }
        other => other,
    }
}

#[test]
fn symbols_that_are_never_read_out_lead_to_the_descent_and_equal_states() {
    let (mut ours, mut theirs) = apart(500, 20, 5);
    let noise = RefCell::new(Noise::new(2));
    let talk = told(&mut ours, &mut theirs, |_, response| {
        on_symbols(response, |symbols| *symbols = noise.borrow_mut().symbols(symbols.len()))
    });
    assert_eq!(talk.outcome.word(), "equal", "{}", talk.text());
    assert_eq!(ours.root(), theirs.root());
    let asked = talk.transcript.iter().filter(|line| line.contains("> symbols")).count();
    assert_eq!(asked, SKETCH_ATTEMPTS_MAX as usize - 1, "beside those that came with the opening: {}", talk.text());
}

#[test]
fn symbols_of_another_root_each_time_lead_to_the_descent_and_equal_states() {
    let (mut ours, mut theirs) = apart(500, 60, 5);
    let root = RefCell::new(0);
    let talk = told(&mut ours, &mut theirs, |_, response| match response {
        Response::Symbols { estimator, parts, .. } => {
            *root.borrow_mut() += 1;
            Response::Symbols { root: StateRoot([*root.borrow(); 32]), estimator, parts }
        }
        other => other,
    });
    assert_eq!(talk.outcome.word(), "equal", "{}", talk.text());
    assert!(talk.stats.rounds < 20, "{}", talk.text());
}

#[test]
fn symbols_made_to_be_read_for_ever_are_left_to_the_descent() {
    let (mut ours, mut theirs) = apart(500, 5, 1);
    let view = ours.view();
    // One item in its second place alone: read there, it is missing in its first, and read there, it is back.
    let talk = told(&mut ours, &mut theirs, |_, response| {
        on_symbols(response, |symbols| {
            let own: Vec<_> = view.tree.sketch().symbols(0, symbols.len()).collect();
            let item = row(&[made_up(1)], symbols.len());
            let second = item[1..].iter().position(|symbol| *symbol != Symbol::default()).expect("two places") + 1;
            let mut circle = vec![Symbol::default(); symbols.len()];
            circle[second] = item[second];
            *symbols = plus(&own, &circle);
        })
    });
    assert_eq!((talk.outcome.word(), talk.stats.misread), ("equal", 1), "{}", talk.text());
    assert_eq!(ours.root(), theirs.root());
}

#[test]
fn an_entry_of_the_peer_that_does_not_exist_leaves_the_session_unexplained_with_its_place() {
    let (mut ours, mut theirs) = apart(500, 0, 1);
    let entry = made_up(0x9c);
    let talk = told(&mut ours, &mut theirs, |request, response| match response {
        // Else the states are equal.
        Response::Opened { summary, .. } => {
            let Request::Open { symbols, .. } = request else { panic!("{request:?}") };
            let own = ours_row(&apart(500, 0, 1).0, *symbols);
            let symbols = plus(&own, &row(&[entry], own.len()));
            let summary = Summary { root: StateRoot([7; 32]), ..summary };
            Response::Opened { summary, flight: Some(Flight { estimator: None, symbols }) }
        }
        response => response,
    });
    assert!(talk.text().contains("> fetch 1 short\n  < commits 0, served 1"), "{}", talk.text());
    let Outcome::Unexplained { theirs, .. } = talk.outcome else { panic!("{}", talk.text()) };
    assert_eq!(theirs, StateRoot([7; 32]));
    assert!(talk.stats.rounds < 10 && talk.stats.passes == 2, "{}", talk.text());
}

fn ours_row(node: &Node, symbols: u64) -> Vec<Symbol> {
    node.view().tree.sketch().symbols(0, symbols as usize).collect()
}

#[test]
fn an_entry_of_ours_that_does_not_exist_is_left_to_the_descent() {
    let (mut ours, mut theirs) = apart(500, 1, 1);
    let talk = told(&mut ours, &mut theirs, |_, response| {
        on_symbols(response, |symbols| *symbols = minus(symbols, &row(&[made_up(1)], symbols.len())))
    });
    assert_eq!((talk.outcome.word(), talk.stats.misread), ("equal", 1), "{}", talk.text());
    assert_eq!(ours.root(), theirs.root());
}

#[test]
fn another_number_of_symbols_than_asked_for_ends_the_session() {
    type Change = fn(&mut Vec<Vec<Symbol>>);
    let changes: [(&str, Change); 5] = [
        ("one too few", |parts| {
            parts[0].pop();
        }),
        ("one too many", |parts| parts[0].push(Symbol::default())),
        ("far too many", |parts| parts[0].resize(SYMBOLS_MAX, Symbol::default())),
        ("a part that was not asked for", |parts| parts.push(parts[0].clone())),
        ("no part at all", Vec::clear),
    ];
    for (what, change) in changes {
        let (mut ours, mut theirs) = apart(500, 60, 20);
        let talk = told(&mut ours, &mut theirs, |_, response| match response {
            Response::Symbols { root, estimator, mut parts } => {
                change(&mut parts);
                Response::Symbols { root, estimator, parts }
            }
            other => other,
        });
        assert_eq!(talk.outcome, Outcome::PeerFault(PeerFault::BadSymbols), "{what}\n{}", talk.text());
        assert_eq!(talk.stats.rounds, 2, "{what}");
    }
    for (what, more) in [("one too few", -1), ("one too many", 1)] {
        let (mut ours, mut theirs) = apart(500, 5, 5);
        let talk = told(&mut ours, &mut theirs, |_, response| {
            on_symbols(response, |symbols| {
                let len = symbols.len().checked_add_signed(more).expect("some");
                symbols.resize(len, Symbol::default());
            })
        });
        assert_eq!(talk.outcome, Outcome::PeerFault(PeerFault::BadSymbols), "{what} with the opening");
        assert_eq!(talk.stats.rounds, 1, "{what} with the opening");
    }
}

/// A peer that gives a whole and honest row where none was asked for, because the members differ, is read all the same:
/// it can't do harm. A flight with symbols that were not asked for can't be told from one of another length.
#[test]
fn symbols_that_were_not_asked_for_end_the_session() {
    let (mut ours, mut theirs) = apart(500, 5, 5);
    let view = theirs.view();
    let talk = with(&mut ours, crate::talk::DESCENT, |_, request| {
        Ok(match theirs.answer(request) {
            Response::Opened { summary, flight: Some(flight) } => {
                assert!(flight.symbols.is_empty() && flight.estimator.is_none(), "nobody asked");
                let symbols = view.tree.sketch().symbols(0, 22).collect();
                Response::Opened { summary, flight: Some(Flight { symbols, ..flight }) }
            }
            response => response,
        })
    });
    assert_eq!(talk.outcome, Outcome::PeerFault(PeerFault::BadSymbols), "{}", talk.text());
}

/// If a peer could, it would show the same entries of ours as missing in every part, and have them pushed each time.
#[test]
fn entries_of_ours_in_the_symbols_of_a_part_that_is_not_theirs_are_not_pushed_for_it() {
    let (mut ours, mut theirs) = apart(MANY, 60, 20);
    let view = ours.view();
    let entry = view.tree.leaves().last().map(KeyLeaf::from).expect("five hundred and more");
    let talk = told(&mut ours, &mut theirs, |request, response| match (request, into_parts(request, response)) {
        (Request::Symbols { parts: asked }, Response::Symbols { root, estimator, mut parts })
            if asked[0].prefix.bits() > 0 =>
        {
            assert!(!asked[0].prefix.covers(&entry.key), "the first part is the first");
            parts[0] = minus(&parts[0], &row(&[entry], parts[0].len()));
            Response::Symbols { root, estimator, parts }
        }
        (_, response) => response,
    });
    assert_eq!(talk.outcome.word(), "equal", "{}", talk.text());
    assert!(talk.stats.misread > 0, "{:?}", talk.stats);
    assert_eq!(talk.stats.entries_sent, 60, "{}", talk.text());
}

/// A peer whose root nothing leads to, and which says that nearly everything differs.
fn says_much(response: Response, noise: &mut Noise, entries: u64) -> Response {
    match response {
        Response::Opened { summary, .. } => {
            let summary = Summary { root: StateRoot([7; 32]), entries, ..summary };
            let flight = Flight { estimator: Some(noise.estimator()), symbols: vec![] };
            Response::Opened { summary, flight: Some(flight) }
        }
        other => other,
    }
}

#[test]
fn an_estimate_and_a_number_of_entries_that_are_not_true_are_given_up_in_time() {
    for entries in [0, 500, 1_000, 1 << 40, u64::MAX] {
        let (mut ours, mut theirs) = apart(500, 0, 1);
        let noise = RefCell::new(Noise::new(4));
        let talk = told(&mut ours, &mut theirs, |_, response| says_much(response, &mut noise.borrow_mut(), entries));
        assert_eq!(talk.outcome.word(), "unexplained", "{entries}: {}", talk.text());
        assert!(talk.stats.rounds <= 8, "{entries}: {}", talk.text());
    }
}

fn is_by_sketch(request: &Request) -> bool {
    matches!(request, Request::Open { .. } | Request::Symbols { .. })
}

/// The symbols of parts that could not be read are kept until more come: never many of them at a time.
#[test]
fn what_a_session_keeps_of_unread_symbols_is_bounded() {
    let (ours, mut theirs) = apart(MANY, 60, 20);
    let config = Config { fruitless_rounds_max: 24, ..Config::default() };
    let mut noise = Noise::new(5);
    let mut session = Initiator::new(ours.view(), config);
    let near = *ours.view().tree.sketch().estimator();
    let (mut event, mut most, mut given, mut answers) = (Event::Start, 0, 0, 0);
    loop {
        let effect = session.step(event);
        // Looking takes long, so not at each step.
        if answers % 3 == 2 {
            most = most.max(format!("{session:?}").matches("Symbol {").count());
        }
        event = match effect {
            Effect::Send(Request::Symbols { parts }) => {
                let parts: Vec<_> = parts.iter().map(|part| noise.symbols(part.count as usize)).collect();
                given += parts.iter().map(Vec::len).sum::<usize>();
                answers += 1;
                let estimator = noise.far_estimator(&near);
                Event::Received(Response::Symbols { root: StateRoot([7; 32]), estimator, parts })
            }
            Effect::Send(request) if is_by_sketch(&request) => Event::Received(theirs.answer(request)),
            // The descent takes over.
            _ => break,
        };
    }
    // A part is asked for at most four times in a row. What both ends of the difference keep anyway is in that number.
    let bound = SKETCH_ATTEMPTS_MAX as usize * SYMBOLS_MAX + 2 * KEPT_SYMBOLS;
    assert!(given > KEPT_SYMBOLS, "{given} symbols were given");
    assert!(most > 0 && most < bound, "{most} of {given} symbols were kept");
}
