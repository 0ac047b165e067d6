//! The asking side: one event in, one effect out, until [`Effect::Finish`].
//!
//! A session is a few *passes* through the difference. Each opens with both summaries; equal roots end the session.
//! Else the entries under `@member/` move first, because they decide whose commits count, then the trees are
//! compared from the top down, and whatever differs moves both ways: the join decides who was right. A pass after
//! which neither root has changed is the last one, and so is the fourth, so a session ends.

mod closing;
mod moving;
mod pass;
mod work;

use lattice::ids::StateRoot;
use lattice::tree::prefix::Prefix;

pub use crate::effect::{Effect, Event};
pub use crate::limits::Config;
use crate::limits::FRUITLESS_ENTRIES_PER_ROUND;
use crate::message::{ChainId, Request, Response};
use crate::outcome::{Outcome, PeerFault, Rest, Stats};
use crate::view::{KeyLeaf, Scope, Summary, View};
use pass::Pass;
use work::{Missing, Work};

/// The asking side of one session.
#[derive(Debug)]
pub struct Initiator<T> {
    view: View<T>,
    config: Config,
    awaiting: Awaiting,
    work: Work,
    pass: Pass,
    stats: Stats,
    /// Rounds since our state last changed or we gave something away.
    fruitless: u64,
}

/// What the outstanding effect was, with all that is needed to judge its answer.
#[derive(Debug)]
enum Awaiting {
    Start,
    Answer(Question),
    Applied(Source),
    Loaded(Vec<Missing>),
    Raised { root: StateRoot, next: Option<ChainId> },
    Finished(Outcome),
}

/// What the peer was asked.
#[derive(Debug)]
enum Question {
    Open,
    Compare(Vec<Prefix>),
    List,
    Fetch(Vec<KeyLeaf>),
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
            pass: Pass::default(),
            stats: Stats::default(),
            fruitless: 0,
        }
    }

    /// What the session has cost and moved so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes what happened and says what to do next. After [`Effect::Finish`] each call finishes the same way.
    pub fn step(&mut self, event: Event<T>) -> Effect {
        let awaiting = std::mem::replace(&mut self.awaiting, Awaiting::Start);
        self.take(awaiting, event).unwrap_or_else(|outcome| {
            self.awaiting = Awaiting::Finished((*outcome).clone());
            self.work = Work::default();
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
            (Awaiting::Applied(source), Event::Applied { intake, view }) => self.take_applied(source, intake, view),
            (Awaiting::Loaded(asked), Event::Loaded { commits, served }) => self.take_loaded(asked, commits, served),
            (Awaiting::Raised { root, next }, Event::Raised { view }) => self.take_raised(root, next, view),
            (
                Awaiting::Start
                | Awaiting::Answer(_)
                | Awaiting::Applied(_)
                | Awaiting::Loaded(_)
                | Awaiting::Raised { .. },
                _,
            ) => end(Outcome::OurFault { reason: "an event that answers no effect".to_owned() }),
        }
    }

    fn take_response(&mut self, question: Question, response: Response) -> Step {
        match (question, response) {
            (_, Response::Busy) => end(Outcome::Busy),
            (_, Response::Refused { reason }) => end(Outcome::Declined { reason }),
            (Question::Open, Response::Opened(theirs)) => self.take_opened(theirs),
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
                Question::Open
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
        self.ask(Request::Open(self.view.summary()), Question::Open)
    }

    fn take_opened(&mut self, theirs: Summary) -> Step {
        let ours = self.view.summary();
        if ours.root == theirs.root {
            return self.close(&ours, &theirs);
        }
        let changed = self.pass.ours != ours.root || self.pass.theirs != theirs.root;
        self.pass.theirs = theirs.root;
        let is_last = self.pass.number >= self.config.passes_max;
        if self.pass.number > 0 && (is_last || !changed) {
            return end(self.rest(changed.then_some(Rest::NewWrites)));
        }
        self.pass = Pass::after(&self.pass, ours.root, theirs.root);
        self.stats.passes = self.pass.number;
        self.work = if ours.members == theirs.members { Work::on_state() } else { Work::on_members() };
        self.next()
    }

    /// The most useful thing to do now. Commits move before more is asked, so that what is queued stays small.
    fn next(&mut self) -> Step {
        loop {
            if let Some(step) = self.next_move() {
                return step;
            }
            if let Some(nodes) = self.work.next_compare(&self.view) {
                let places = nodes.iter().map(|(prefix, _)| *prefix).collect();
                return self.ask(Request::Compare { nodes }, Question::Compare(places));
            }
            if let Some(request) = self.work.next_listing() {
                return self.ask(request, Question::List);
            }
            if !self.work.is_done() {
                // What was left to ask has become equal meanwhile; what is left to move moves now.
                continue;
            }
            // Moving the members may have made the states equal already.
            let seems_equal = self.view.tree.root() == self.pass.theirs;
            match self.work.scope() {
                Scope::Members if !seems_equal => self.work = Work::on_state(),
                Scope::Members | Scope::State => return self.open(),
            }
        }
    }

    /// Sends a request, unless the session has used up its rounds or the peer our patience.
    fn ask(&mut self, request: Request, question: Question) -> Step {
        if self.stats.rounds >= self.config.rounds_max {
            return end(self.rest(Some(Rest::Budget)));
        }
        let patience = self.config.fruitless_rounds_max + self.view.tree.len() / FRUITLESS_ENTRIES_PER_ROUND;
        if self.fruitless > patience {
            let rest = self.rest(None);
            let is_known = !matches!(*rest, Outcome::Unexplained { .. });
            return if is_known { end(rest) } else { Err(fault(PeerFault::Fruitless)) };
        }
        self.stats.rounds += 1;
        self.fruitless += 1;
        self.awaiting = Awaiting::Answer(question);
        Ok(Effect::Send(request))
    }

    /// The end when roots differ.
    fn rest(&mut self, known: Option<Rest>) -> Box<Outcome> {
        let first = self.work.first_difference(&self.view);
        Box::new(self.pass.rest(self.view.tree.root(), known, first))
    }
}

fn end(outcome: impl Into<Box<Outcome>>) -> Step {
    Err(outcome.into())
}

fn fault(fault: PeerFault) -> Box<Outcome> {
    Box::new(Outcome::PeerFault(fault))
}
