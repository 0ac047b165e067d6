//! Carrying out what the controller wants, as the daemon's driver does.

use std::rc::Rc;

use lattice::ids::AuthorId;
use node_core::seat::effect::{Effect, Note};
use node_core::seat::event::Event;
use node_core::seat::named::NamedBody;
use node_core::seat::refusal::Refusal;
use node_core::seat::timing::{BootMs, Timing};
use node_core::seat::voter::{LeaseRequest, Persisted, Ticket};

use super::message::Message;
use super::node::{Node, Output};
use super::rule::SeatRule;
use super::writer::{Job, Then};

impl Node {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::AskRenewal { voters, body, ticket, asked } => self.ask_renewal(&voters, &body, ticket, asked),
            Effect::AskInquiry { voters } => voters.iter().for_each(|voter| self.inquire(voter)),
            Effect::PersistStand(pending) => self.jobs.push_back(Job::Ballot { pending, then: Then::Stood }),
            Effect::AskVote { voters, body } => voters.iter().for_each(|voter| self.ask_vote(voter, &body)),
            Effect::TellStood { holder, term } => self.send(&holder, Message::Stood { term }),
            Effect::Certify(certificate) => self.jobs.push_back(Job::Certify(Rc::new(*certificate))),
            Effect::ServeUntil(until) => {
                (self.serving.lease_until, self.serving.is_released) = (Some(until), false);
            }
            Effect::StopServing(_) => self.serving.lease_until = None,
            Effect::Open { term } => self.jobs.push_back(Job::Serve { term }),
            Effect::HoldWrites { until_shadow_has_all } => {
                (self.draining, self.has_held) = (Some(until_shadow_has_all), false);
                self.serving.is_draining = true;
                self.jobs.push_back(Job::Hold);
            }
            Effect::ResumeWrites => {
                (self.draining, self.has_held) = (None, false);
                (self.serving.is_draining, self.serving.is_released) = (false, false);
                self.jobs.push_back(Job::Resume);
            }
            Effect::HandOver { to, term, staged_seq } => {
                self.serving.is_released = true;
                self.send(&to, Message::HandOver { term, staged_seq });
            }
            Effect::Release { voters, ticket } => voters.iter().for_each(|voter| self.release_at(voter, ticket)),
            Effect::StepDown { term, .. } => {
                (self.serving.term, self.serving.lease_until) = (None, None);
                self.jobs.push_back(Job::Rest { term });
            }
            Effect::StartMirroring { holder, term } => self.start_mirroring(holder, term),
            Effect::StopMirroring => self.stop_mirroring(),
            Effect::Alarm(alarm) => self.out.push(Output::Alarm(alarm)),
            Effect::Note(Note { what, new_term, .. }) => self.out.push(Output::Step(what, new_term)),
        }
    }

    fn ask_renewal(&mut self, voters: &[AuthorId], body: &NamedBody, ticket: Ticket, asked: BootMs) {
        let (own, carrier) = (self.own(), self.disk.carrier());
        for voter in voters {
            if *voter == own {
                let request = LeaseRequest { from: own, body, ticket, lease_ms: Timing::LAN.lease_ms };
                let result = self.controller.voter().renew(self.now.boot, &request);
                self.queue.push_back(Event::RenewAnswered { voter: own, term: body.term, asked, result });
            } else {
                let carrier = carrier.clone();
                self.send(voter, Message::Renew { body: body.name(), term: body.term, ticket, asked, carrier });
            }
        }
    }

    fn inquire(&mut self, voter: &AuthorId) {
        if *voter == self.own() {
            let state = self.controller.voter().inquire(self.now.boot);
            self.queue.push_back(Event::InquiryAnswered { voter: *voter, state });
        } else {
            self.send(voter, Message::Inquire);
        }
    }

    fn ask_vote(&mut self, voter: &AuthorId, body: &NamedBody) {
        if *voter != self.own() {
            let carrier = self.disk.carrier();
            return self.send(voter, Message::Vote { body: body.clone(), carrier });
        }
        match self.controller.voter().ask_vote(self.now.boot, *voter, body) {
            Ok(pending) => self.store_vote(pending, self.identity.index),
            Err(refusal) => {
                let (voter, term) = (*voter, body.term);
                self.queue.push_back(Event::VoteAnswered { voter, term, result: Err(refusal) });
            }
        }
    }

    /// Stores a vote, and gives it then.
    pub(super) fn store_vote(&mut self, pending: node_core::seat::voter::Pending, to: usize) {
        if self.keeps(SeatRule::StoreBallots) {
            self.jobs.push_back(Job::Ballot { pending, then: Then::Vote { to } });
        } else {
            self.give_vote(&pending.persisted(), to);
        }
    }

    pub(super) fn is_bound_by(&mut self, persisted: &Persisted) {
        self.out.push(Output::Bound(persisted.body().term, persisted.body().body().hash()));
    }

    pub(super) fn give_vote(&mut self, persisted: &Persisted, to: usize) {
        self.is_bound_by(persisted);
        let term = persisted.body().term;
        let result = persisted.vote().map(|body| body.body().vote(&self.identity.key)).ok_or(Refusal::NoVoter);
        if to == self.identity.index {
            self.queue.push_back(Event::VoteAnswered { voter: self.own(), term, result });
        } else {
            self.out.push(Output::Send(to, Message::Voted { term, result, carrier: None }));
        }
    }

    fn release_at(&mut self, voter: &AuthorId, ticket: Ticket) {
        if *voter == self.own() {
            self.controller.voter().release(*voter, ticket);
        } else {
            self.send(voter, Message::Release(ticket));
        }
    }
}
