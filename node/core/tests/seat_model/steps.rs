//! What each step of the model does: the real code is asked, the network and the bookkeeping are the model's.

use lattice::ids::AuthorId;
use lattice::seat::{Body, majority};
use node_core::seat::candidacy::{self, CannotStand, Change, Heading, Position};
use node_core::seat::lease::HeldLease;
use node_core::seat::named::NamedBody;
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{LeaseRequest, Ticket, Voter, VoterState};

use crate::model::Seat;
use crate::state::{State, index, name};
use crate::switch::{self, Switch};

impl Seat {
    pub(crate) fn now(state: &State) -> BootMs {
        BootMs(u64::from(state.now))
    }

    /// By a voter's clock, which may be fast.
    pub(crate) fn fast(state: &State) -> BootMs {
        BootMs(u64::from(state.now) + 1)
    }

    pub(crate) fn stand(&self, state: &mut State, node: u8, draft: Draft) -> Option<()> {
        let me = &state.nodes[node as usize];
        let certified = me.voter.state().certified.clone()?;
        let held = u64::from(me.held[certified.term as usize]);
        let staged_seq = if self.off == Some(Switch::CutTooLow) { held.checked_sub(1)? } else { held };
        let holds_opening_cut = state.holds_opening(node, &certified) || self.off == Some(Switch::StandWithoutOpening);
        let position = Position { term: certified.term, staged_seq, holds_opening_cut, log_size: 0, log_root: [0; 32] };
        let body = NamedBody::from(draft.body(name(node), &certified, &position).ok()?);
        if state.stood.iter().any(|(known, _)| *known == body) {
            return None;
        }
        let timing = self.timing();
        if !switch::stand(self.off, &timing, &mut state.nodes[node as usize].voter, node, &body) {
            return None;
        }
        state.stood.push((body, 0));
        state.stood.sort_by_key(|(body, _)| (body.term, *body.name().as_bytes()));
        Some(())
    }

    pub(crate) fn vote(&self, state: &mut State, voter: u8, body: &NamedBody) -> Option<()> {
        let now = Self::fast(state);
        let before = state.before(body)?.clone();
        let voting = &mut state.nodes[voter as usize].voter;
        voting.learn(&before);
        let is_given = switch::vote(self.off, &self.timing(), voting, voter, now, body);
        if is_given {
            let (_, votes) = state.stood.iter_mut().find(|(known, _)| known == body)?;
            *votes |= 1 << voter;
            let votes = *votes;
            let is_majority = [&body.electors, &body.voters].into_iter().all(|counted| {
                let given = counted.iter().filter(|voter| votes & (1 << index(voter)) != 0);
                given.count() >= majority(counted.len())
            });
            if is_majority && !state.certified.contains(body) {
                state.certified.push(body.clone());
                state.certified.sort_by_key(|body| (body.term, *body.name().as_bytes()));
            }
        }
        Some(())
    }

    pub(crate) fn grant(&self, state: &mut State, voter: u8, holder: u8) -> Option<()> {
        let (asked, body, ticket) = state.nodes[holder as usize].asked.clone()?;
        let (now, fast) = (Self::now(state), Self::fast(state));
        let granting = &mut state.nodes[voter as usize].voter;
        if self.off != Some(Switch::LeaseUncertified) {
            granting.learn(&body);
        }
        let request = LeaseRequest { from: name(holder), body: &body, ticket, lease_ms: self.timing().lease_ms };
        if switch::renew(self.off, &self.timing(), granting, voter, now, fast, &request) {
            let holding = &mut state.nodes[holder as usize];
            if self.answers_travel {
                holding.answers[voter as usize] = Some((asked, ticket));
            } else if let Some(lease) = holding.lease.as_mut().filter(|lease| lease.term() == body.term) {
                lease.granted(name(voter), BootMs(u64::from(asked)));
            }
        }
        Some(())
    }

    pub(crate) fn answer(&self, state: &mut State, voter: u8, holder: u8) -> Option<()> {
        let now = Self::now(state);
        let holding = &mut state.nodes[holder as usize];
        let (asked, ticket) = holding.answers[voter as usize].take()?;
        let asked = BootMs(u64::from(asked));
        if ticket != holding.ticket && self.off != Some(Switch::AnswerAfterRelease) {
            return Some(());
        }
        let from = if self.off == Some(Switch::LeaseFromAnswer) { now } else { asked };
        holding.lease.as_mut()?.granted(name(voter), from);
        Some(())
    }

    pub(crate) fn learn(state: &mut State, node: u8, body: &NamedBody) {
        let learning = &mut state.nodes[node as usize];
        learning.voter.learn(body);
    }

    /// A node that is named holder by what it knows begins its term without a lease; one that is not holds none.
    pub(crate) fn settle(state: &mut State) {
        for (node, me) in state.nodes.iter_mut().enumerate() {
            let own = me.voter.state().certified.clone().filter(|body| body.holder == name(node as u8));
            if me.lease.as_ref().map(HeldLease::term) != own.as_ref().map(|body| body.term) {
                me.lease = own.map(|body| HeldLease::none(body.term, &body.voters));
                me.asked = None;
                me.answers.fill(None);
            }
        }
    }

    pub(crate) fn ask_lease(state: &mut State, node: u8) -> Option<()> {
        let now = state.now;
        let me = &mut state.nodes[node as usize];
        let body = me.voter.state().certified.clone().filter(|body| body.holder == name(node))?;
        me.voter.may_serve(body.term).then_some(())?;
        me.asked = Some((now, body, me.ticket));
        Some(())
    }

    pub(crate) fn release(state: &mut State, node: u8) -> Option<()> {
        let me = &mut state.nodes[node as usize];
        let lease = me.lease.take()?;
        me.asked.take()?;
        me.lease = Some(HeldLease::none(lease.term(), &me.voter.state().certified.as_ref()?.voters));
        me.released = Some(me.ticket);
        me.ticket.round += 1;
        state.releases += 1;
        Some(())
    }

    pub(crate) fn released(&self, state: &mut State, voter: u8, holder: u8) -> Option<()> {
        let ticket = state.nodes[holder as usize].released?;
        let releasing = &mut state.nodes[voter as usize].voter;
        let newest =
            releasing.state().lease.as_ref().filter(|lease| lease.to == name(holder)).map(|lease| lease.ticket);
        let ticket = if self.off == Some(Switch::ReleaseWithoutTicket) { newest? } else { ticket };
        releasing.release(name(holder), ticket);
        Some(())
    }

    pub(crate) fn fetch(&self, state: &mut State, node: u8) -> Option<()> {
        let me = &state.nodes[node as usize];
        let body = me.voter.state().certified.clone().filter(|body| body.shadow == Some(name(node)))?;
        (me.voter.may_serve(body.term) || self.off == Some(Switch::FetchAfterStanding)).then_some(())?;
        if !state.holds_opening(node, &body) {
            state.give_opening(node, &body);
            return Some(());
        }
        let term = body.term as usize;
        let theirs = state.nodes[index(&body.holder) as usize].held[term];
        let held = &mut state.nodes[node as usize].held[term];
        (*held < theirs).then(|| *held += 1)
    }

    pub(crate) fn write(&self, state: &mut State, node: u8) -> Option<()> {
        let me = &mut state.nodes[node as usize];
        let body = me.voter.state().certified.clone().filter(|body| body.holder == name(node))?;
        let serves = me.voter.may_serve(body.term) || self.off == Some(Switch::AcknowledgeAfterStanding);
        serves.then_some(())?;
        me.held[body.term as usize] += 1;
        Some(())
    }

    pub(crate) fn restart(&self, state: &mut State, node: u8) {
        let now = Self::now(state);
        let me = &mut state.nodes[node as usize];
        let VoterState { certified, ballot, .. } = me.voter.state().clone();
        let ballot = ballot.filter(|_| self.off != Some(Switch::VoteNotStored));
        me.voter = Voter::start(name(node), &self.timing(), now, certified, ballot);
        me.lease = None;
        me.asked = None;
        me.answers.fill(None);
        me.ticket = Ticket { session: me.ticket.session + 1, round: 0 };
        state.restarts += 1;
    }

    /// Forgets what no longer matters, so that states which differ in nothing else are one.
    pub(crate) fn forget(&self, state: &mut State) {
        let now = Self::now(state);
        let timing = self.timing();
        for (node, me) in state.nodes.iter_mut().enumerate() {
            let mut kept = me.voter.state().clone();
            if kept.lease.as_ref().is_some_and(|lease| lease.until <= now) {
                kept.lease = None;
            }
            if kept.ready <= now {
                kept.ready = BootMs(0);
            }
            me.voter = Voter::in_state(name(node as u8), &timing, kept);
        }
    }
}

/// What a node stands for, and in which term.
pub(crate) enum Draft {
    TakeOver(u64),
    Change(u64, Option<u8>, Option<&'static [u8]>),
}

impl Draft {
    fn body(self, me: AuthorId, certified: &NamedBody, position: &Position) -> Result<Body, CannotStand> {
        let heading = |term| Heading { term, time_ms: 0, reason: String::new() };
        match self {
            Self::TakeOver(term) => candidacy::takeover(me, Some(certified), position, heading(term)),
            Self::Change(term, shadow, voters) => {
                let shadow = shadow.map(name);
                let others = certified.mirrors().copied().filter(|mirror| Some(*mirror) != shadow && *mirror != me);
                let spares = if shadow.is_some() { others.collect() } else { Vec::new() };
                let voters = voters.map(|voters| voters.iter().map(|voter| name(*voter)).collect());
                let voters = voters.unwrap_or_else(|| certified.voters.clone());
                let change = Change { shadow, spares, voters };
                candidacy::change(me, Some(certified), position, change, heading(term))
            }
        }
    }
}
