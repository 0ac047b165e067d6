//! Answering the other nodes of the seat: votes, leases, fetches, and writes that they forward.

use std::sync::PoisonError;
use std::time::Duration;

use lattice::commit::{Commit, OpSlot};
use lattice::ids::AuthorId;
use lattice::seat::message::{SeatAnswer, SeatRequest, TicketWire};
use lattice::seat::{Body, BodyHash, Certificate};
use node_core::seat::controller::Role;
use node_core::seat::event::Event;
use node_core::seat::named::NamedBody;
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{LeaseRequest, LeaseState, Ticket};
use tokio::time::Instant;

use super::Seat;
use super::driver::{ANSWERS_MAX, Driver, Told};
use super::refusal::{Refused, refused};
use crate::intake;
use crate::net::{Command, Request};
use node_core::seat::refusal::Refusal;

impl Driver {
    /// Answers at once what the controller answers, and lets a task wait for the rest.
    pub(super) fn answer(&mut self, request: Request) {
        let Some(from) = request.author else {
            return self.reply(request, &refused(Refused::NoMember, None));
        };
        if self.tasks.len() > ANSWERS_MAX {
            return self.reply(request, &refused(Refused::Busy, None));
        }
        let question = match SeatRequest::decode(&request.bytes) {
            Ok(question) => question,
            Err(error) => {
                return self.reply(request, &refused(Refused::Garbled(error.to_string()), None));
            }
        };
        match question {
            SeatRequest::Vote { body, carrier } => self.answer_vote(request, from, &body, carrier),
            SeatRequest::Renew { body, ticket, carrier } => {
                self.answer_renewal(request, from, body, ticket, carrier);
            }
            SeatRequest::Release { ticket } => {
                self.controller.voter().release(from, ticket_of(ticket));
                self.reply(request, &SeatAnswer::Done);
            }
            SeatRequest::Inquire => {
                let now = self.now().boot;
                let state = self.inquired(now);
                let answer = SeatAnswer::Lease {
                    rest_ms: state.rest_ms,
                    lease: state.lease,
                    certified_term: state.certified_term,
                    ballot_term: state.ballot_term,
                    released_by: state.released_by,
                };
                self.reply(request, &answer);
            }
            SeatRequest::HandOver { term, staged_seq } => {
                self.queue.push_back(Event::HandedOver { from, term, staged_seq });
                self.reply(request, &SeatAnswer::Done);
            }
            SeatRequest::Stood { term } => {
                self.queue.push_back(Event::ShadowStood { from, term });
                self.reply(request, &SeatAnswer::Done);
            }
            SeatRequest::Probe { carrier } => {
                self.learn_of(carrier.as_deref());
                let seat = self.seat.clone();
                self.later(request, async move { seat.own_probe() });
            }
            SeatRequest::Fetch { term, position, is_bare, wait_ms } => {
                let staged_seq = if position.staged.0 == term { position.staged.1 } else { 0 };
                if self.controller.role() == (Role::Holder, term) {
                    self.fetched_by(from, term, staged_seq, position.log_size);
                }
                let seat = self.seat.clone();
                let wait = Duration::from_millis(wait_ms);
                self.later(request, async move { seat.fetch(from, term, position, is_bare, wait).await });
            }
            SeatRequest::Write(write) => {
                let seat = self.seat.clone();
                self.later(request, async move { seat.take_forwarded(*write).await });
            }
            SeatRequest::Read { key } => {
                let seat = self.seat.clone();
                self.later(request, async move { seat.take_read(&key).await });
            }
            SeatRequest::Await { author, term, seq, wait_ms } => {
                let seat = self.seat.clone();
                let wait = Duration::from_millis(wait_ms);
                self.later(request, async move { seat.await_commit(author, term, seq, wait).await });
            }
        }
    }

    /// How this node's lease stands.
    pub(super) fn inquired(&mut self, now: BootMs) -> LeaseState {
        let state = self.controller.voter().inquire(now);
        let rest_ms = if self.abstains() { self.seat.timing.lease_ms } else { state.rest_ms };
        LeaseState { rest_ms, ..state }
    }

    /// Answers from a task.
    fn later(&self, request: Request, answer: impl Future<Output = SeatAnswer> + Send + 'static) {
        let net = self.seat.net.clone();
        self.tasks.spawn(async move {
            let bytes = answer.await.encode();
            let Request { protocol, channel, .. } = request;
            net.command(Command::Respond { protocol, channel, bytes }).await;
        });
    }

    fn refuse(&self, request: Request, refusal: Refusal) {
        self.reply(request, &refused(Refused::Voter(refusal), self.seat.carrier()));
    }

    fn answer_vote(&mut self, request: Request, from: AuthorId, body: &[u8], carrier: Option<Vec<u8>>) {
        let body = match Body::decode(body) {
            Ok(body) => NamedBody::from(body),
            Err(error) => return self.reply(request, &refused(Refused::Garbled(error.to_string()), None)),
        };
        if body.lattice != self.seat.identity.lattice || self.seat.identity.genesis.seat() != Some(body.seat.as_str()) {
            return self.refuse(request, Refusal::NoSeat);
        }
        let Some(request) = self.learn_first(request, carrier) else { return };
        if self.abstains() {
            return self.refuse(request, Refusal::Resting { ms: self.seat.timing.lease_ms });
        }
        let now = self.now().boot;
        match self.controller.voter().ask_vote(now, from, &body) {
            Err(refusal) => self.refuse(request, refusal),
            Ok(pending) => {
                let seat = self.seat.clone();
                self.later(request, async move {
                    match seat.store_ballot(pending).await {
                        Some(persisted) => match persisted.vote() {
                            Some(body) => SeatAnswer::Voted(body.body().vote(&seat.identity.keys.author)),
                            None => refused(Refused::Voter(Refusal::NoVoter), None),
                        },
                        None => refused(Refused::Trouble("the ballot can't be stored".to_owned()), None),
                    }
                });
            }
        }
    }

    fn answer_renewal(
        &mut self,
        request: Request,
        from: AuthorId,
        name: BodyHash,
        ticket: TicketWire,
        carrier: Option<Vec<u8>>,
    ) {
        let known = self.controller.voter().state().certified.clone();
        let Some(body) = known.filter(|body| body.name() == name) else {
            let Some(request) = self.learn_first(request, carrier) else { return };
            return self.refuse(request, Refusal::Uncertified);
        };
        if self.abstains() {
            return self.refuse(request, Refusal::Resting { ms: self.seat.timing.lease_ms });
        }
        let now = self.now().boot;
        let asked = LeaseRequest { from, body: &body, ticket: ticket_of(ticket) };
        match self.controller.voter().renew(now, &asked) {
            Ok(()) => self.reply(request, &SeatAnswer::Done),
            Err(refusal) => self.refuse(request, refusal),
        }
    }

    /// If a question bears a certificate that is news, its commit is applied first, and the question comes again; else it
    /// is given back.
    fn learn_first(&self, request: Request, carrier: Option<Vec<u8>>) -> Option<Request> {
        let Some(news) = carrier.and_then(|bytes| self.seat.news_in(&bytes)) else { return Some(request) };
        let (seat, told) = (self.seat.clone(), self.told.clone());
        self.tasks.spawn(async move {
            seat.take_news(news).await;
            let request = Request { bytes: without_carrier(&request.bytes), ..request };
            let _ = told.send(Told::Learnt(Box::new(request))).await;
        });
        None
    }
}

/// The same question without the commit: one that was not taken the first time would be tried for ever.
fn without_carrier(bytes: &[u8]) -> Vec<u8> {
    match SeatRequest::decode(bytes) {
        Ok(SeatRequest::Vote { body, .. }) => SeatRequest::Vote { body, carrier: None }.encode(),
        Ok(SeatRequest::Renew { body, ticket, .. }) => SeatRequest::Renew { body, ticket, carrier: None }.encode(),
        Ok(_) | Err(_) => bytes.to_vec(),
    }
}

fn ticket_of(TicketWire(session, round): TicketWire) -> Ticket {
    Ticket { session, round }
}

impl Seat {
    /// A commit that carries a certificate which is not known here.
    pub(super) fn news_in(&self, bytes: &[u8]) -> Option<Commit> {
        let commit = Commit::decode(bytes).ok()?;
        let published = self.writer.published();
        let is_news = |slot: &OpSlot| match slot {
            OpSlot::Live(op) => op
                .value()
                .and_then(|value| Certificate::decode(value).ok())
                .is_some_and(|certificate| !published.membership.seats().knows(&certificate.body.hash())),
            OpSlot::Dead(_) => false,
        };
        commit.slots().iter().any(is_news).then_some(commit)
    }

    /// Applies a commit that carries a certificate, like any other's.
    pub(super) async fn take_news(&self, commit: Commit) {
        for checked in intake::verify(&self.identity, vec![commit]).await {
            match checked {
                Ok(commit) => drop(self.writer.take(vec![commit], true).await),
                Err((commit, error)) => {
                    tracing::debug!(commit = %commit.short(), %error, "what came as a certificate is refused");
                }
            }
        }
    }

    /// The commit that carries the highest certificate, if it was found.
    pub(super) fn carrier(&self) -> Option<Vec<u8>> {
        self.carrier.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads that commit out of the state.
    pub(super) async fn find_carrier(&self) {
        let published = self.writer.published();
        let key = published.membership.seats().current().and_then(|term| term.certificate.to_op().ok());
        let Some(row) = key.and_then(|op| published.tree.get(&op.key().hash())).map(|leaf| leaf.tag) else { return };
        let Ok((commits, _)) = self.reader.commits_of(&[row], usize::MAX).await else { return };
        let found = commits.first().map(Commit::encode);
        *self.carrier.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Waits until a commit is in the state here.
    async fn await_commit(&self, author: AuthorId, term: u64, seq: u64, wait: Duration) -> SeatAnswer {
        let until = Instant::now() + wait.min(Duration::from_secs(5));
        let mut states = self.writer.watch();
        loop {
            if states.borrow_and_update().frontier.covers(&author, term, seq) {
                return SeatAnswer::Done;
            }
            tokio::select! {
                Ok(()) = states.changed() => {}
                () = tokio::time::sleep_until(until) => return refused(Refused::Busy, None),
            }
        }
    }
}
