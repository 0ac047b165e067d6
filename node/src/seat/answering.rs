//! Answering the other nodes of the seat: votes, leases, fetches, and writes that they forward.

use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::seat::message::{SeatAnswer, SeatRequest, TicketWire};
use lattice::seat::{Body, BodyHash};
use node_core::seat::controller::Role;
use node_core::seat::event::{Event, Fetched};
use node_core::seat::named::NamedBody;
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{LeaseRequest, LeaseState, Ticket};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Seat;
use super::driver::Driver;
use super::refusal::{Refused, refused};
use crate::net::{Command, Request};
use node_core::seat::refusal::Refusal;

impl Driver {
    /// Answers at once what the controller answers, and lets a task wait for the rest.
    pub(super) fn answer(&mut self, request: Request) {
        let Some(from) = request.author else {
            return self.reply(request, &refused(Refused::NoMember, None));
        };
        let question = match SeatRequest::decode(&request.bytes) {
            Ok(question) => question,
            Err(error) => {
                return self.reply(request, &refused(Refused::Garbled(error.to_string()), None));
            }
        };
        if self.may_have_forgotten() && !self.is_answered_all_the_same(from, &question) {
            // Without an answer its mirrors take it for dead. From an older copy they would seed themselves, and lose what
            // they acknowledged.
            return;
        }
        let Some(place) = self.places.take(&question) else {
            return self.reply(request, &refused(Refused::Busy, None));
        };
        match question {
            SeatRequest::Vote { body, carrier } => self.answer_vote(request, place, from, &body, carrier),
            SeatRequest::Renew { body, ticket, carrier, lease_ms } => {
                self.answer_renewal(request, from, (body, ticket, lease_ms), carrier);
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
                self.queue.push_back(Event::MirrorStood { from, term });
                // Who can't copy asks for no records, and so hears in no refusal of a term that has come since.
                self.reply(request, &refused(Refused::OtherTerm, self.seat.carrier()));
            }
            SeatRequest::Probe { carrier } => {
                self.learn_of(from, carrier.as_deref());
                let seat = self.seat.clone();
                self.later(request, place, async move { seat.probed() });
            }
            SeatRequest::Fetch { term, position, is_bare, wait_ms, is_twin, paused_ms } => {
                let staged_seq = if position.staged.0 == term { position.staged.1 } else { 0 };
                if self.controller.role() == (Role::Holder, term) && self.seat.may_mirror(from, term).is_ok() {
                    let log_size = position.log_size;
                    self.fetched_by(Fetched { mirror: from, term, staged_seq, log_size, is_twin, paused_ms });
                }
                let seat = self.seat.clone();
                let wait = Duration::from_millis(wait_ms);
                self.later(request, place, async move { seat.fetch(from, term, position, is_bare, wait).await });
            }
            SeatRequest::Write(write) => {
                let seat = self.seat.clone();
                self.later(request, place, async move { seat.take_forwarded(*write).await });
            }
            SeatRequest::Read { key } => {
                let seat = self.seat.clone();
                self.later(request, place, async move { seat.take_read(&key).await });
            }
            SeatRequest::Await { author, term, seq, wait_ms } => {
                let seat = self.seat.clone();
                let wait = Duration::from_millis(wait_ms);
                self.later(request, place, async move { seat.await_commit(author, term, seq, wait).await });
            }
            SeatRequest::Names { term, after } => {
                let seat = self.seat.clone();
                self.later(request, place, async move { seat.names_for(from, term, after).await });
            }
            SeatRequest::Terms { after } => {
                let seat = self.seat.clone();
                self.later(request, place, async move { seat.terms_after(after).await });
            }
        }
    }

    /// Whether a node that may have forgotten that it holds the seat answers this: what says nothing of the state here, and
    /// what its holder asks. Who holds the seat is known here for certain if the asker does not know of a higher term.
    fn is_answered_all_the_same(&self, from: AuthorId, question: &SeatRequest) -> bool {
        match question {
            SeatRequest::Fetch { .. } => false,
            SeatRequest::Probe { carrier } => {
                let is_news = carrier.as_deref().is_some_and(|bytes| self.seat.news_in(bytes).is_some());
                !is_news && self.certified.as_ref().is_some_and(|body| body.holder == from)
            }
            SeatRequest::Vote { .. }
            | SeatRequest::Renew { .. }
            | SeatRequest::Release { .. }
            | SeatRequest::Inquire
            | SeatRequest::HandOver { .. }
            | SeatRequest::Stood { .. }
            | SeatRequest::Write(_)
            | SeatRequest::Read { .. }
            | SeatRequest::Await { .. }
            | SeatRequest::Names { .. }
            | SeatRequest::Terms { .. } => true,
        }
    }

    /// How this node's lease stands.
    pub(super) fn inquired(&mut self, now: BootMs) -> LeaseState {
        let state = self.controller.voter().inquire(now);
        let rest_ms = if self.abstains().is_some() { self.seat.timing.lease_ms } else { state.rest_ms };
        LeaseState { rest_ms, ..state }
    }

    /// Answers from a task, which has this place until then.
    fn later(
        &self,
        request: Request,
        place: OwnedSemaphorePermit,
        answer: impl Future<Output = SeatAnswer> + Send + 'static,
    ) {
        let net = self.seat.net.clone();
        self.tasks.spawn(async move {
            let bytes = answer.await.encode();
            drop(place);
            let Request { protocol, channel, .. } = request;
            net.command(Command::Respond { protocol, channel, bytes }).await;
        });
    }

    fn refuse(&self, request: Request, refusal: Refusal) {
        self.reply(request, &refused(Refused::Voter(refusal), self.seat.carrier()));
    }

    fn answer_vote(
        &mut self,
        request: Request,
        place: OwnedSemaphorePermit,
        from: AuthorId,
        body: &[u8],
        carrier: Option<Vec<u8>>,
    ) {
        let body = match Body::decode(body) {
            Ok(body) => NamedBody::from(body),
            Err(error) => return self.reply(request, &refused(Refused::Garbled(error.to_string()), None)),
        };
        if body.lattice != self.seat.identity.lattice || self.seat.identity.genesis.seat() != Some(body.seat.as_str()) {
            return self.refuse(request, Refusal::NoSeat);
        }
        let Some(request) = self.learn_first(request, from, carrier) else { return };
        if let Some(refusal) = self.abstains() {
            return self.refuse(request, refusal);
        }
        let now = self.now().boot;
        match self.controller.voter().ask_vote(now, from, &body) {
            Err(refusal) => self.refuse(request, refusal),
            Ok(pending) => {
                let (seat, stored) = (self.seat.clone(), self.store_ballot(pending));
                self.later(request, place, async move {
                    match stored.await {
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
        (name, ticket, lease_ms): (BodyHash, TicketWire, u64),
        carrier: Option<Vec<u8>>,
    ) {
        let certified = |driver: &mut Self| {
            let known = driver.controller.voter().state().certified.clone();
            known.filter(|body| body.name() == name)
        };
        let mut known = certified(self);
        if known.is_none() {
            // Gossip may have brought it into the state a moment ago.
            self.look_at_state();
            self.turn();
            known = certified(self);
        }
        let Some(body) = known else {
            let Some(request) = self.learn_first(request, from, carrier) else { return };
            return self.refuse(request, Refusal::Uncertified);
        };
        if let Some(refusal) = self.abstains() {
            return self.refuse(request, refusal);
        }
        let now = self.now().boot;
        let asked = LeaseRequest { from, body: &body, ticket: ticket_of(ticket), lease_ms };
        match self.controller.voter().renew(now, &asked) {
            Ok(()) => self.reply(request, &SeatAnswer::Done),
            Err(refusal) => self.refuse(request, refusal),
        }
    }
}

fn ticket_of(TicketWire(session, round): TicketWire) -> Ticket {
    Ticket { session, round }
}

impl Seat {
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
