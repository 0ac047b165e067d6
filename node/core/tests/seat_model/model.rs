//! What may happen, and what must never.
//!
//! Time is one clock of a few ticks; that clocks drift is in the voters' clock being a tick ahead when they judge a
//! lease. Messages are never removed, so they come late, twice, or never, in any order. A node that is paused or dead is
//! one that does nothing. What a client could be told or shown is told and shown at once: later would only be less.

use node_core::seat::lease::HeldLease;
use node_core::seat::named::NamedBody;
use node_core::seat::timing::{BootMs, Timing};
use node_core::seat::voter::{Ticket, Voter, VoterState};
use stateright::{Model, Property};

use crate::history::{counting, counting_by_next};
use crate::state::{Node, State, TERMS, founding, index, name};
use crate::steps::Draft;
use crate::switch::Switch;

/// A seat, its bounds, and the rule that is left out.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// Nodes in all: 0 holds, 1 is the shadow.
    pub(crate) nodes: u8,
    pub(crate) voters: &'static [u8],
    pub(crate) spares: &'static [u8],
    /// Voters that a holder names by a term of its own, if it names others.
    pub(crate) new_voters: Option<&'static [u8]>,
    /// Shadows that a holder may name by a term of its own; `None` is to degrade.
    pub(crate) changes: &'static [Option<u8>],
    pub(crate) ticks: u8,
    pub(crate) terms: u64,
    pub(crate) writes: u8,
    pub(crate) restarts: u8,
    pub(crate) releases: u8,
    /// Whether answers to renewals travel; else they arrive at once, which gives the holder the most.
    pub(crate) answers_travel: bool,
    /// Whether leases exist at all; without them the model looks at votes and staging alone.
    pub(crate) leases: bool,
    /// Whether a term ends by the next one certified, instead of by the one that follows it.
    pub(crate) ends_by_next: bool,
    pub(crate) off: Option<Switch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    TakeOver { node: u8, term: u64 },
    Change { node: u8, term: u64, shadow: Option<u8> },
    Vote { voter: u8, body: NamedBody },
    Learn { node: u8, body: NamedBody },
    AskLease { node: u8 },
    Grant { voter: u8, holder: u8 },
    Answer { voter: u8, holder: u8 },
    Release { node: u8 },
    Released { voter: u8, holder: u8 },
    Write { node: u8 },
    Fetch { node: u8 },
    Restart { node: u8 },
}

impl Seat {
    /// A lease of two ticks of which one is margin: half as fast at the one side, half as slow at the other.
    pub(crate) fn timing(&self) -> Timing {
        let drift_per_mille = if self.off == Some(Switch::NoMargin) { 0 } else { 333 };
        Timing { lease_ms: 2, drift_per_mille, ..Timing::LAN }
    }
}

impl Model for Seat {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let body = founding(self.voters, self.spares);
        let state =
            VoterState { certified: Some(body.clone()), ballot: None, lease: None, released: None, ready: BootMs(0) };
        let node = |node: u8| Node {
            voter: Voter::in_state(name(node), &self.timing(), state.clone()),
            lease: None,
            asked: None,
            answers: vec![None; self.nodes as usize],
            released: None,
            ticket: Ticket { session: 0, round: 0 },
            held: [0; TERMS],
        };
        let mut state = State {
            now: 0,
            nodes: (0..self.nodes).map(node).collect(),
            stood: Vec::new(),
            certified: vec![body],
            restarts: 0,
            releases: 0,
            acknowledged: [0; TERMS],
            shown: [0; TERMS],
            went_back: false,
        };
        Self::settle(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.ticks {
            actions.push(Action::Tick);
        }
        let written: u8 = state.nodes.iter().enumerate().map(|(node, me)| self.written(state, node as u8, me)).sum();
        for (node, me) in (0..).zip(&state.nodes) {
            let Some(certified) = me.voter.state().certified.clone() else { continue };
            let lowest =
                if self.off == Some(Switch::AnotherBodyAtOnce) { certified.term + 1 } else { me.voter.floor() + 1 };
            for term in lowest..=self.terms {
                if certified.shadow == Some(name(node)) {
                    actions.push(Action::TakeOver { node, term });
                }
                if certified.holder == name(node) {
                    let others = self.changes.iter().filter(|shadow| **shadow != Some(node));
                    actions.extend(others.map(|shadow| Action::Change { node, term, shadow: *shadow }));
                }
            }
            for body in state.certified.iter().filter(|body| body.term > certified.term) {
                actions.push(Action::Learn { node, body: body.clone() });
            }
            if certified.shadow == Some(name(node)) {
                actions.push(Action::Fetch { node });
            }
            if certified.holder == name(node) && written < self.writes {
                actions.push(Action::Write { node });
            }
            if certified.holder == name(node) && self.leases {
                actions.push(Action::AskLease { node });
                if state.releases < self.releases {
                    actions.push(Action::Release { node });
                }
            }
            if state.restarts < self.restarts {
                actions.push(Action::Restart { node });
            }
        }
        let new_voters = self.new_voters.into_iter().flatten().filter(|voter| !self.voters.contains(voter));
        for voter in self.voters.iter().chain(new_voters).copied() {
            let unsigned = state.stood.iter().filter(|(_, votes)| votes & (1 << voter) == 0);
            actions.extend(unsigned.map(|(body, _)| Action::Vote { voter, body: body.clone() }));
            for (holder, me) in (0..).zip(&state.nodes) {
                if me.asked.is_some() {
                    actions.push(Action::Grant { voter, holder });
                }
                if me.answers[voter as usize].is_some() {
                    actions.push(Action::Answer { voter, holder });
                }
                if me.released.is_some() {
                    actions.push(Action::Released { voter, holder });
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => {
                state.now += 1;
            }
            Action::TakeOver { node, term } => self.stand(&mut state, node, Draft::TakeOver(term))?,
            Action::Change { node, term, shadow } => {
                self.stand(&mut state, node, Draft::Change(term, shadow, self.new_voters))?
            }
            Action::Vote { voter, body } => self.vote(&mut state, voter, &body)?,
            Action::Learn { node, body } => Self::learn(&mut state, node, &body),
            Action::AskLease { node } => Self::ask_lease(&mut state, node)?,
            Action::Grant { voter, holder } => self.grant(&mut state, voter, holder)?,
            Action::Answer { voter, holder } => self.answer(&mut state, voter, holder)?,
            Action::Release { node } => Self::release(&mut state, node)?,
            Action::Released { voter, holder } => self.released(&mut state, voter, holder)?,
            Action::Write { node } => self.write(&mut state, node)?,
            Action::Fetch { node } => self.fetch(&mut state, node)?,
            Action::Restart { node } => self.restart(&mut state, node),
        }
        Self::settle(&mut state);
        state.show(self.off);
        self.forget(&mut state);
        let floors = |state: &State| state.nodes.iter().map(|node| node.voter.floor()).collect::<Vec<_>>();
        state.went_back |= floors(last).iter().zip(floors(&state)).any(|(before, after)| *before > after);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_HOLDER, |_, state: &State| {
                let terms: Vec<_> = state.certified.iter().map(|body| body.term).collect();
                terms.windows(2).all(|pair| pair[0] < pair[1])
            }),
            Property::always(ONE_LEASE, Self::has_one_lease),
            Property::always(ACKNOWLEDGED_SURVIVES, |seat, state| seat.survives(state, &state.acknowledged)),
            Property::always(SHOWN_STAYS, |seat, state| seat.survives(state, &state.shown)),
            Property::always(READS_ARE_FRESH, Self::reads_fresh),
            Property::always(TERMS_GROW, |_, state: &State| !state.went_back),
            Property::sometimes(TAKEN_OVER, |seat, state| seat.acknowledged_after_takeover(state)),
        ]
    }
}

pub(crate) const ONE_HOLDER: &str = "at most one holder per term";
pub(crate) const ONE_LEASE: &str = "no two running leases at once";
pub(crate) const ACKNOWLEDGED_SURVIVES: &str = "what was acknowledged at shadow survives";
pub(crate) const SHOWN_STAYS: &str = "no read shows what later vanishes";
pub(crate) const READS_ARE_FRESH: &str = "a read under a lease shows all that was acknowledged before";
pub(crate) const TERMS_GROW: &str = "terms only grow";
pub(crate) const TAKEN_OVER: &str = "a write is acknowledged before and after a takeover";

impl Seat {
    fn written(&self, state: &State, node: u8, me: &Node) -> u8 {
        let own = state.certified.iter().filter(|body| body.holder == name(node));
        own.map(|body| me.held[body.term as usize]).sum()
    }

    fn leased<'a>(&self, state: &'a State) -> impl Iterator<Item = &'a HeldLease> {
        let (now, timing) = (Self::now(state), self.timing());
        state.nodes.iter().filter_map(|node| node.lease.as_ref()).filter(move |lease| lease.runs(now, &timing))
    }

    /// Nothing is acknowledged in a later term while a lease of an earlier one runs.
    fn reads_fresh(&self, state: &State) -> bool {
        self.leased(state).all(|lease| state.acknowledged[lease.term() as usize + 1..].iter().all(|count| *count == 0))
    }

    fn has_one_lease(&self, state: &State) -> bool {
        self.leased(state).count() <= 1
    }

    /// What clients saw still counts, and the holder of the highest term has it.
    fn survives(&self, state: &State, seen: &[u8; TERMS]) -> bool {
        let counts = if self.ends_by_next { counting_by_next } else { counting }(&state.certified);
        let Some(last) = state.certified.last() else { return false };
        let held = &state.nodes[index(&last.holder) as usize].held;
        (1..TERMS).all(|term| u64::from(seen[term]) <= counts[term] && seen[term] <= held[term])
    }

    fn acknowledged_after_takeover(&self, state: &State) -> bool {
        let other = state.certified.iter().find(|body| body.holder != name(0));
        other.is_some_and(|body| state.acknowledged[1] > 0 && state.acknowledged[body.term as usize] > 0)
    }
}
