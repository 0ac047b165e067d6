//! The asking side: one event in, one effect out, until [`Effect::Finish`].
//!
//! A session is a few *passes* through the difference. Each opens with both summaries; equal roots end the session.
//! Else the entries under `@member/` move first, because they decide whose commits count, then the difference is read
//! out of both sketches, and what these don't reach is found by comparing the trees from the top down. Whatever
//! differs moves both ways: the join decides who was right. A pass by sketches after which neither root has changed,
//! and nothing explains why, is followed by one by descent; one of these that changed nothing is the last, and so is
//! the fourth, so a session ends.

mod closing;
mod moving;
mod pass;
mod sketching;
mod work;

use lattice::ids::StateRoot;
use lattice::tree::prefix::Prefix;

pub use crate::effect::{Effect, Event};
use crate::limits::FRUITLESS_ENTRIES_PER_ROUND;
pub use crate::limits::{Config, Method};
use crate::message::{ChainId, Flight, Request, Response};
use crate::outcome::{Outcome, PeerFault, Rest, Stats};
use crate::sketch::{Estimator, Symbol};
use crate::view::{Scope, Summary, View};
use pass::Pass;
use sketching::{Part, Read, Sketching, first_flight};
use work::{Asked, Missing, Work};

/// The asking side of one session.
#[derive(Debug)]
pub struct Initiator<T> {
    view: View<T>,
    config: Config,
    awaiting: Awaiting,
    work: Work,
    /// The walk by sketches, while it has questions.
    sketching: Option<Sketching<T>>,
    /// What came with the opening, until the members have moved.
    flight: Option<(Summary, Flight)>,
    pass: Pass,
    stats: Stats,
    /// About how many entries differed when the first pass began.
    expected: u64,
    /// Rounds since our state last changed or we gave something away.
    fruitless: u64,
}

/// What the outstanding effect was, with all that is needed to judge its answer.
#[derive(Debug)]
enum Awaiting {
    Start,
    Answer(Question),
    Applied(Source, Option<Question>),
    Loaded(Vec<Missing>),
    Raised { root: StateRoot, next: Option<ChainId> },
    Finished(Outcome),
}

/// What the peer was asked.
#[derive(Debug)]
enum Question {
    Open { symbols: u64 },
    Symbols(Vec<Part>),
    Compare(Vec<Prefix>),
    List,
    Fetch(Asked),
    Push(Source),
    Frontier { root: StateRoot, after: Option<ChainId> },
}

/// Why commits move. Evidence is not answered with evidence, or two cuts could argue for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Difference,
    Evidence,
}

/// What to do next, or how the session ends.
type Step = Result<Effect, Box<Outcome>>;

impl<T: Copy> Initiator<T> {
    /// A session that starts from this state.
    pub fn new(view: View<T>, config: Config) -> Self {
        Self {
            view,
            config,
            awaiting: Awaiting::Start,
            work: Work::default(),
            sketching: None,
            flight: None,
            pass: Pass::default(),
            stats: Stats::default(),
            expected: 0,
            fruitless: 0,
        }
    }

    /// What the session has cost and moved so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// About how many entries the session has to move, both ways, as far as it knows by now.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Takes what happened and says what to do next. After [`Effect::Finish`] each call finishes the same way.
    pub fn step(&mut self, event: Event<T>) -> Effect {
        let awaiting = std::mem::replace(&mut self.awaiting, Awaiting::Start);
        self.take(awaiting, event).unwrap_or_else(|outcome| {
            self.awaiting = Awaiting::Finished((*outcome).clone());
            self.work = Work::default();
            (self.sketching, self.flight) = (None, None);
            Effect::Finish(*outcome)
        })
    }

    fn take(&mut self, awaiting: Awaiting, event: Event<T>) -> Step {
        match (awaiting, event) {
            (Awaiting::Finished(outcome), _) => end(outcome),
            (_, Event::SendFailed(reason)) => end(Outcome::Lost { reason }),
            (_, Event::Failed(reason)) => end(Outcome::OurFault { reason }),
            (Awaiting::Start, Event::Start) => self.open(),
            (Awaiting::Answer(question), Event::Received(response)) => self.take_response(question, response),
            (Awaiting::Applied(source, question), Event::Applied { intake, view, answer }) => {
                self.take_applied(source, intake, view)?;
                match (question, answer) {
                    (None, None) => self.next(),
                    (Some(question), Some(Ok(response))) => self.take_response(question, response),
                    (Some(_), Some(Err(reason))) => end(Outcome::Lost { reason }),
                    (None, Some(_)) | (Some(_), None) => out_of_turn(),
                }
            }
            (Awaiting::Loaded(asked), Event::Loaded { commits, served }) => self.take_loaded(asked, commits, served),
            (Awaiting::Raised { root, next }, Event::Raised { view }) => self.take_raised(root, next, view),
            (
                Awaiting::Start
                | Awaiting::Answer(_)
                | Awaiting::Applied(..)
                | Awaiting::Loaded(_)
                | Awaiting::Raised { .. },
                _,
            ) => out_of_turn(),
        }
    }

    fn take_response(&mut self, question: Question, response: Response) -> Step {
        match (question, response) {
            (_, Response::Busy) => end(Outcome::Busy),
            (_, Response::Refused { reason }) => end(Outcome::Declined { reason }),
            (Question::Open { symbols }, Response::Opened { summary, flight }) => {
                self.take_opened(symbols, summary, flight)
            }
            (Question::Symbols(asked), Response::Symbols { root, estimator, parts }) => {
                self.take_symbols(asked, root, &estimator, parts)
            }
            (Question::Compare(nodes), Response::Compared { answers }) => {
                self.work.take_compared(&self.view, &nodes, answers).map_err(fault)?;
                self.next()
            }
            (Question::List, Response::Listed { leaves, more }) => {
                self.work.take_listed(&self.view, &leaves, more).map_err(fault)?;
                self.next()
            }
            (Question::Fetch(asked), Response::Commits { commits, served }) => {
                self.take_commits(asked, commits, served)
            }
            (Question::Push(source), Response::Pushed(intake)) => self.take_pushed(source, intake),
            (Question::Frontier { root, after }, Response::Frontier { root: read_at, chains, more }) => {
                self.take_frontier(root, after, read_at, chains, more)
            }
            (
                Question::Open { .. }
                | Question::Symbols(_)
                | Question::Compare(_)
                | Question::List
                | Question::Fetch(_)
                | Question::Push(_)
                | Question::Frontier { .. },
                _,
            ) => Err(fault(PeerFault::OtherKind)),
        }
    }

    fn open(&mut self) -> Step {
        // What is left after a pass is what was written meanwhile: little.
        let foretold = self.config.foretold.filter(|_| self.pass.number == 0);
        let uses_sketch = self.config.begins_by == Method::Sketch;
        let symbols = if uses_sketch { first_flight(foretold) } else { 0 };
        // What is foretold to be out of reach has no symbols to correct it.
        let estimate = uses_sketch && (foretold.is_none() || symbols == 0);
        self.ask(Request::Open { summary: self.view.summary(), symbols, estimate }, Question::Open { symbols })
    }

    fn take_opened(&mut self, asked: u64, theirs: Summary, flight: Option<Flight>) -> Step {
        let ours = self.view.summary();
        if ours.root == theirs.root {
            return self.close(&ours, &theirs);
        }
        let changed = self.pass.ours != ours.root || self.pass.theirs != theirs.root;
        self.pass.theirs = theirs.root;
        let is_stuck = !changed && (self.pass.method == Method::Descent || self.pass.is_explained());
        if self.pass.number > 0 && (is_stuck || (changed && self.pass.number >= self.config.passes_max)) {
            return end(self.rest(changed.then_some(Rest::NewWrites)));
        }
        let method = if self.pass.number > 0 && !changed { Method::Descent } else { self.config.begins_by };
        self.pass = Pass::after(&self.pass, ours.root, theirs.root, method);
        self.stats.passes = self.pass.number;
        // Our own root may have become another since we asked, and be the one that the peer compared with its own.
        let flight = flight.unwrap_or_default();
        if !flight.symbols.is_empty() && flight.symbols.len() as u64 != asked {
            return Err(fault(PeerFault::BadSymbols));
        }
        if self.pass.number == 1 {
            let estimate = flight.estimator.as_ref().map(|peer| peer.difference(self.view.tree.sketch().estimator()));
            let estimate = estimate.or(self.config.foretold).unwrap_or(0);
            // An empty side knows exactly; elsewhere the counts are a lower bound.
            let is_exact = ours.entries.min(theirs.entries) == 0;
            let apart = ours.entries.abs_diff(theirs.entries);
            self.expected = if is_exact { apart } else { estimate.max(apart) };
        }
        self.flight = Some((theirs, flight));
        if ours.members == theirs.members {
            self.begin_state()?;
        } else {
            self.work = Work::on_members();
        }
        self.next()
    }

    /// Begins the walk through the whole state: by sketches if these are likely to do.
    fn begin_state(&mut self) -> Result<(), Box<Outcome>> {
        let flight = self.flight.take().filter(|_| self.pass.method == Method::Sketch);
        let begun = flight.and_then(|(theirs, flight)| {
            let sketching = Sketching::begin(self.view.tree.clone(), &theirs, &flight, self.config.foretold)?;
            Some((sketching, theirs.root, flight.symbols))
        });
        let Some((mut sketching, root, symbols)) = begun else {
            self.work = Work::on_state();
            return Ok(());
        };
        self.work = Work::on_findings();
        let read = sketching.take_first(root, symbols).map_err(fault)?;
        self.take_read(&sketching, read);
        self.sketching = Some(sketching).filter(|sketching| !sketching.is_done());
        Ok(())
    }

    fn take_symbols(
        &mut self,
        asked: Vec<Part>,
        root: StateRoot,
        estimator: &Estimator,
        parts: Vec<Vec<Symbol>>,
    ) -> Step {
        let Some(mut sketching) = self.sketching.take() else { return out_of_turn() };
        sketching.estimate(estimator);
        let read = sketching.take(asked, root, parts).map_err(fault)?;
        self.take_read(&sketching, read);
        self.sketching = Some(sketching).filter(|sketching| !sketching.is_done());
        self.next()
    }

    fn take_read(&mut self, sketching: &Sketching<T>, read: impl IntoIterator<Item = Read>) {
        for part in read {
            match part {
                Read::Found { plus, minus } => self.work.take_found(sketching.began_at(), plus, minus),
                Read::Descend(prefix) => self.work.descend(prefix),
                Read::Misread(prefix) => {
                    self.stats.misread += 1;
                    self.work.descend(prefix);
                }
                Read::More => {}
            }
        }
    }

    /// Whether pushes have to wait: they would change the peer's root under a row that is half read.
    fn is_half_read(&self) -> bool {
        self.sketching.as_ref().is_some_and(Sketching::is_half_read)
    }

    /// The most useful thing to do now. Commits move before more is asked, so that what is queued stays small.
    fn next(&mut self) -> Step {
        loop {
            if let Some(step) = self.next_move() {
                return step;
            }
            if let Some((request, question)) = self.next_search() {
                return self.ask(request, question);
            }
            if self.sketching.is_some() || !self.work.is_done() {
                // What was left to ask has become equal meanwhile; what is left to move moves now.
                self.sketching = None;
                continue;
            }
            // Moving the members may have made the states equal already.
            let seems_equal = self.view.tree.root() == self.pass.theirs;
            match self.work.scope() {
                Scope::Members if !seems_equal => self.begin_state()?,
                Scope::Members | Scope::State => return self.open(),
            }
        }
    }

    /// The next question about where the states differ.
    fn next_search(&mut self) -> Option<(Request, Question)> {
        if let Some((request, asked)) = self.sketching.as_mut().and_then(Sketching::next_request) {
            return Some((request, Question::Symbols(asked)));
        }
        if let Some(nodes) = self.work.next_compare(&self.view) {
            let places = nodes.iter().map(|(prefix, _)| *prefix).collect();
            return Some((Request::Compare { nodes }, Question::Compare(places)));
        }
        self.work.next_listing().map(|request| (request, Question::List))
    }

    /// What can be asked while commits are being applied: the next keys to fetch, or where to look on. Pushes wait,
    /// since what comes may be better than ours.
    ///
    /// Nothing if the rounds or our patience are used up: what has come is applied all the same, and may show that
    /// the session is not fruitless.
    fn next_meanwhile(&mut self) -> Option<(Request, Question)> {
        if self.spent().is_some() {
            return None;
        }
        let is_searching = self.sketching.is_some();
        let (request, question) = match self.work.next_fetch(&self.view, is_searching) {
            Some(asked) => (asked.request(), Question::Fetch(asked)),
            None if self.work.pushes_are_due(is_searching) && !self.is_half_read() => return None,
            None => self.next_search()?,
        };
        self.count(&request);
        Some((request, question))
    }

    /// Sends a request, unless the session has used up its rounds or the peer our patience.
    fn ask(&mut self, request: Request, question: Question) -> Step {
        if let Some(outcome) = self.spent() {
            return end(outcome);
        }
        self.count(&request);
        self.awaiting = Awaiting::Answer(question);
        Ok(Effect::Send(request))
    }

    /// How the session ends instead of asking more, once its rounds or our patience are used up.
    fn spent(&self) -> Option<Box<Outcome>> {
        if self.stats.rounds >= self.config.rounds_max {
            return Some(self.rest(Some(Rest::Budget)));
        }
        let patience = self.config.fruitless_rounds_max + self.view.tree.len() / FRUITLESS_ENTRIES_PER_ROUND;
        let is_fruitless = self.fruitless > patience;
        is_fruitless.then(|| {
            let rest = self.rest(None);
            let is_explained = !matches!(*rest, Outcome::Unexplained { .. });
            if is_explained { rest } else { fault(PeerFault::Fruitless) }
        })
    }

    /// Counts a request that is sent.
    fn count(&mut self, request: &Request) {
        self.stats.rounds += 1;
        self.stats.rounds_to_find += u64::from(request.is_search());
        self.fruitless += 1;
    }

    /// The end when roots differ.
    fn rest(&self, known: Option<Rest>) -> Box<Outcome> {
        let first = self.work.first_difference(&self.view);
        Box::new(self.pass.rest(self.view.tree.root(), known, first))
    }
}

fn end(outcome: impl Into<Box<Outcome>>) -> Step {
    Err(outcome.into())
}

fn out_of_turn() -> Step {
    end(Outcome::OurFault { reason: "an event that answers no effect".to_owned() })
}

fn fault(fault: PeerFault) -> Box<Outcome> {
    Box::new(Outcome::PeerFault(fault))
}
