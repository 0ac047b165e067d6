//! Carrying out what the controller wants.

use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::membership::Change;
use lattice::record::Event as RecordEvent;
use lattice::seat::Certificate;
use lattice::seat::message::{SeatAnswer, SeatRequest, TicketWire};
use node_core::seat::effect::{Effect, Note};
use node_core::seat::event::Event;
use node_core::seat::named::NamedBody;
use node_core::seat::refusal::Refusal;
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{LeaseRequest, LeaseState, Pending, Persisted, Ticket};
use tokio::sync::oneshot;

use super::draining::Draining;
use super::driver::{Driver, Told};
use super::handing::Weight;
use super::moving::Move;
use super::opening::NotOpened;
use super::refusal::voters_refusal;
use super::status::SeatAlarm;
use crate::clock::{boot_ms, now_ms};
use crate::writer::job::Job;
use crate::writer::seat::{Outbox, SeatJob};

/// How long a shadow is kept waiting for voters that don't answer a release.
const RELEASE_WAIT: Duration = Duration::from_millis(150);

/// Milliseconds before the same alarm is repeated.
const ALARM_PAUSE_MS: u64 = 60_000;

/// Certificates that are on their way into the state at once; a node that wants more has a store that takes none.
const CERTIFYING_MAX: usize = 8;

impl Driver {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::AskRenewal { voters, body, ticket, asked } => self.ask_renewal(voters, &body, ticket, asked),
            Effect::AskInquiry { voters } => voters.into_iter().for_each(|voter| self.inquire(voter)),
            Effect::PersistStand(pending) => {
                // Whoever is to mirror this node dials it as soon as it knows the term; a first dial that finds nobody
                // listening costs seconds. Where nothing comes of the candidacy, this node mirrors and hides again.
                self.hidden.send_replace(false);
                self.persist(pending, Event::Stood);
            }
            Effect::AskVote { voters, body } => voters.into_iter().for_each(|voter| self.ask_vote(voter, &body)),
            Effect::TellStood { holder, term } => self.ask_and_forget(holder, SeatRequest::Stood { term }),
            Effect::Certify(certificate) => self.certify(*certificate),
            Effect::ServeUntil(until) => {
                self.serving.send_modify(|serving| {
                    serving.lease_until = Some(until);
                    serving.is_released = false;
                });
            }
            Effect::StopServing(why) => {
                tracing::warn!(?why, "the seat is not served here");
                self.serving.send_modify(|serving| serving.lease_until = None);
            }
            Effect::Open { term } => self.open(term),
            Effect::HoldWrites { until_shadow_has_all } => {
                self.draining = Some(Draining::new(until_shadow_has_all));
                self.serving.send_modify(|serving| serving.is_draining = true);
                self.hold();
            }
            Effect::ResumeWrites => {
                (self.draining, self.is_held) = (None, false);
                self.releasing.clear();
                self.seat.writer.with_outbox(Outbox::let_go);
                // Mirrors that wait for more look again now.
                self.serving.send_modify(|serving| (serving.is_draining, serving.is_released) = (false, false));
                self.tell_writer(Job::Seat(SeatJob::Resume), Weight::Move);
            }
            Effect::HandOver { to, term, staged_seq } => {
                self.serving.send_modify(|serving| serving.is_released = true);
                let releasing = std::mem::take(&mut self.releasing);
                let seat = self.seat.clone();
                self.tasks.spawn(async move {
                    // Voters that still keep the lease would refuse the shadow once.
                    let _ = tokio::time::timeout(RELEASE_WAIT, futures::future::join_all(releasing)).await;
                    let request = SeatRequest::HandOver { term, staged_seq };
                    if let Err(why) = seat.ask(to, &request, seat.answer_timeout()).await {
                        tracing::debug!(%why, "the shadow hears by its next fetch that it may stand");
                    }
                });
            }
            Effect::Release { voters, ticket } => {
                for voter in voters {
                    if voter == self.seat.own() {
                        self.controller.voter().release(voter, ticket);
                    } else {
                        let request = SeatRequest::Release { ticket: TicketWire(ticket.session, ticket.round) };
                        let seat = self.seat.clone();
                        self.releasing.push(self.tasks.spawn(async move {
                            if let Err(why) = seat.ask(voter, &request, seat.answer_timeout()).await {
                                tracing::debug!(%why, "a voter does not hear that the lease is released; it ends by itself");
                            }
                        }));
                    }
                }
            }
            Effect::StepDown { holder, term } => {
                tracing::warn!(holder = %holder.short(), term, "another node holds the seat now");
                self.serving.send_modify(|serving| (serving.term, serving.lease_until) = (None, None));
                self.tell_writer(Job::Seat(SeatJob::Rest { term }), Weight::Move);
            }
            Effect::StartMirroring { holder, term } => self.start_mirroring(holder, term),
            Effect::StopMirroring => self.stop_mirroring(),
            Effect::Alarm(alarm) => self.alarm(&alarm.to_string()),
            Effect::Note(note) => self.note(note),
        }
    }

    fn ask_renewal(&mut self, voters: Vec<AuthorId>, body: &NamedBody, ticket: Ticket, asked: BootMs) {
        if self.may_have_forgotten() {
            // Of this term it may have signed more than it knows: another holds the next one.
            return;
        }
        for voter in voters {
            let (name, term, lease_ms) = (body.name(), body.term, self.seat.timing.lease_ms);
            let answered = move |result| Event::RenewAnswered { voter, term, asked, result };
            if voter == self.seat.own() {
                if self.abstains().is_some() {
                    continue;
                }
                let request = LeaseRequest { from: voter, body, ticket, lease_ms };
                let now = self.now().boot;
                let result = self.controller.voter().renew(now, &request);
                self.queue.push_back(answered(result));
                continue;
            }
            let seat = self.seat.clone();
            let request = async move {
                let carrier = seat.carrier_of(name).await;
                SeatRequest::Renew { body: name, ticket: TicketWire(ticket.session, ticket.round), carrier, lease_ms }
            };
            self.ask_with(voter, request, move |answer| {
                if answer == SeatAnswer::Done {
                    return Some(answered(Ok(())));
                }
                let SeatAnswer::Refused(refusal) = answer else { return None };
                let refusal = voters_refusal(&refusal)?;
                tracing::debug!(voter = %voter.short(), term, why = %refusal, "a voter grants no lease");
                Some(answered(Err(refusal)))
            });
        }
    }

    fn inquire(&mut self, voter: AuthorId) {
        if voter == self.seat.own() {
            let now = self.now().boot;
            let state = self.inquired(now);
            self.queue.push_back(Event::InquiryAnswered { voter, state });
            return;
        }
        self.ask(voter, SeatRequest::Inquire, move |answer| {
            let SeatAnswer::Lease { rest_ms, lease, certified_term, ballot_term, released_by } = answer else {
                return None;
            };
            let state = LeaseState { rest_ms, lease, released_by, certified_term, ballot_term };
            Some(Event::InquiryAnswered { voter, state })
        });
    }

    fn ask_vote(&mut self, voter: AuthorId, body: &NamedBody) {
        let term = body.term;
        if voter == self.seat.own() {
            if self.abstains().is_some() {
                return;
            }
            let now = self.now().boot;
            let key = self.seat.identity.clone();
            match self.controller.voter().ask_vote(now, voter, body) {
                Ok(pending) => self.persist(pending, move |persisted| {
                    let signature = persisted.vote().map(|body| body.body().vote(&key.keys.author));
                    let result = signature.ok_or(Refusal::NoVoter);
                    Event::VoteAnswered { voter, term, result }
                }),
                Err(refusal) => {
                    self.queue.push_back(Event::VoteAnswered { voter, term, result: Err(refusal) });
                }
            }
            return;
        }
        let request = SeatRequest::Vote { body: body.encode(), carrier: self.seat.carrier() };
        self.ask(voter, request, move |answer| {
            if let SeatAnswer::Voted(signature) = answer {
                return Some(Event::VoteAnswered { voter, term, result: Ok(signature) });
            }
            let SeatAnswer::Refused(refusal) = answer else { return None };
            Some(Event::VoteAnswered { voter, term, result: Err(voters_refusal(&refusal)?) })
        });
    }

    /// Asks another node; what comes of its answer is an event. No answer is none: the controller asks again.
    fn ask(
        &self,
        node: AuthorId,
        request: SeatRequest,
        told: impl FnOnce(SeatAnswer) -> Option<Event> + Send + 'static,
    ) {
        self.ask_with(node, std::future::ready(request), told);
    }

    /// The same with a question that has yet to be put together.
    fn ask_with(
        &self,
        node: AuthorId,
        request: impl Future<Output = SeatRequest> + Send + 'static,
        told: impl FnOnce(SeatAnswer) -> Option<Event> + Send + 'static,
    ) {
        let (seat, inbox) = (self.seat.clone(), self.told.clone());
        self.tasks.spawn(async move {
            match seat.ask(node, &request.await, seat.answer_timeout()).await {
                Ok(answer) => {
                    seat.learn_of_refusal(node, &answer).await;
                    if let Some(event) = told(answer) {
                        // The driver is gone only at the end.
                        let _ = inbox.send(Told::Event(event)).await;
                    }
                }
                Err(why) => tracing::debug!(%why, "a node of the seat does not answer"),
            }
        });
    }

    fn ask_and_forget(&self, node: AuthorId, request: SeatRequest) {
        self.ask(node, request, |_| None);
    }

    /// Makes a ballot durable, and tells then.
    fn persist(&mut self, pending: Pending, then: impl FnOnce(Persisted) -> Event + Send + 'static) {
        let (stored, inbox) = (self.store_ballot(pending), self.told.clone());
        self.tasks.spawn(async move {
            if let Some(persisted) = stored.await {
                // The driver is gone only at the end.
                let _ = inbox.send(Told::Event(then(persisted))).await;
            }
        });
    }

    /// Writes a certificate into the state, as a commit of this node. Who stands wants it again while it does not show up:
    /// one that is under way is not written twice.
    fn certify(&mut self, certificate: Certificate) {
        let name = certificate.body.hash();
        self.certifying.retain(|(_, writing)| !writing.is_finished());
        if self.certifying.iter().any(|(of, _)| *of == name) {
            return;
        }
        if self.certifying.len() >= CERTIFYING_MAX {
            return self.alarm("certificates can't be written: those before are not stored yet");
        }
        let service = self.service.clone();
        let writing = self.tasks.spawn(async move {
            let term = certificate.body.term;
            let op = match Change::Certify(Box::new(certificate)).to_op() {
                Ok(op) => op,
                Err(error) => return tracing::error!(term, %error, "a certificate is too long"),
            };
            if let Err(error) = service.write(vec![op], None).await {
                tracing::error!(term, %error, "a certificate can't be written");
            }
        });
        self.certifying.push((name, writing));
    }

    pub(super) fn open(&mut self, term: u64) {
        let (reply, opened) = oneshot::channel();
        self.tell_writer(Job::Seat(SeatJob::Serve { term, reply }), Weight::Move);
        let inbox = self.told.clone();
        self.tasks.spawn(async move {
            let opened =
                opened.await.map_err(|_| NotOpened::NotTaken).and_then(|opened| opened.map_err(NotOpened::from));
            // The driver is gone only at the end.
            let _ = inbox.send(Told::Opened(term, opened)).await;
        });
    }

    /// Lets the writer take no more writes of the seat, and tells once none is on its way there.
    fn hold(&mut self) {
        self.is_held = false;
        let (reply, held) = oneshot::channel();
        self.tell_writer(Job::Seat(SeatJob::Hold { reply }), Weight::Move);
        let inbox = self.told.clone();
        self.tasks.spawn(async move {
            if held.await.is_ok() {
                let _ = inbox.send(Told::Held).await;
            }
        });
    }

    /// Says it, but not what it said a moment ago.
    pub(super) fn alarm(&mut self, what: &str) {
        let now = boot_ms();
        self.last_alarm = Some(SeatAlarm { what: what.to_owned(), time_ms: now_ms() });
        if self.alarmed.as_ref().is_some_and(|(said, at)| said == what && now.since_ms(*at) < ALARM_PAUSE_MS) {
            return;
        }
        self.alarmed = Some((what.to_owned(), now));
        tracing::error!("seat: {what}");
        self.journal.write("seat-alarm", format!("seat alarm: {what}"), [("what", what.to_owned())]);
    }

    /// A transition: a record of this node's log, an event, a line.
    fn note(&mut self, note: Note) {
        let Note { old_term, new_term, what, reason, votes, lag } = note;
        let step = format!("{what:?}").to_lowercase();
        tracing::info!(old_term, new_term, step, reason, votes, "seat");
        let fields = [
            ("old_term", old_term.to_string()),
            ("new_term", new_term.to_string()),
            ("step", step.clone()),
            ("reason", reason.clone()),
            ("votes", votes.to_string()),
        ];
        self.journal.write("seat", format!("seat term {new_term}: {step}, {reason}"), fields);
        let event = RecordEvent::Seat { old_term, new_term, step, reason, votes: votes as u64, lag };
        self.tell_writer(Job::Note { event }, Weight::Other);
    }

    fn tell_settled(&self, body: &NamedBody) {
        let membership = self.seat.writer.published().membership.clone();
        let named = |author: &AuthorId| membership.member(author).map_or(author.short(), |member| member.name.clone());
        let (holder, shadow) = (named(&body.holder), body.shadow.as_ref().map(named));
        let backed = shadow.as_ref().map_or("without a shadow".to_owned(), |shadow| format!("its shadow is {shadow}"));
        let fields = [
            ("new_term", body.term.to_string()),
            ("step", "settled".to_owned()),
            ("holder", holder.clone()),
            ("shadow", shadow.unwrap_or_default()),
            ("reason", body.reason.clone()),
        ];
        self.journal.write("seat", format!("seat term {}: {holder} holds it, {backed}", body.term), fields);
    }

    /// The seat has another settlement: mirrors hide, others don't, and the operator's command runs.
    pub(super) fn moved(&mut self, body: &NamedBody) {
        let own = self.seat.own();
        self.hidden.send_replace(body.mirrors().any(|mirror| *mirror == own));
        if body.holder != own {
            // The holder writes down how it came to it; all others only see that it did.
            self.tell_settled(body);
        }
        let move_to = Move {
            command: self.wanted.borrow().seat.on_change.clone(),
            body: body.clone(),
            is_here: body.holder == own,
        };
        if !move_to.command.is_empty() {
            self.moves.send_replace(Some(move_to));
        }
    }
}
