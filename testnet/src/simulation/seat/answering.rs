//! Answering what other nodes of the seat say.

use lattice::seat::BodyHash;
use node_core::seat::controller::Role;
use node_core::seat::event::{Event, Fetched};
use node_core::seat::health::Probe;
use node_core::seat::named::NamedBody;
use node_core::seat::refusal::Refusal;
use node_core::seat::timing::Timing;
use node_core::seat::voter::{LeaseRequest, Ticket};

use super::message::{Carrier, Message, NodeIndex};
use super::node::{Input, Node, Output};
use super::rule::SeatRule;
use super::writer::Job;

impl Node {
    pub(super) fn answer(&mut self, from: NodeIndex, message: Message) {
        let author = self.identity.authors[from];
        match message {
            Message::Renew { body, term, ticket, asked, carrier } => {
                let result = match self.renew(from, body, ticket, &carrier) {
                    Some(result) => result,
                    // It comes again once the certificate is in the state, and without it.
                    None => {
                        let again = Message::Renew { body, term, ticket, asked, carrier: None };
                        return self.learn_first(from, carrier, again);
                    }
                };
                let carrier = result.is_err().then(|| self.disk.carrier()).flatten();
                self.out.push(Output::Send(from, Message::Renewed { term, asked, result, carrier }));
            }
            Message::Renewed { term, asked, result, carrier } => {
                if self.keeps(SeatRule::LearnFromRefusals) {
                    self.learn(carrier);
                }
                self.queue.push_back(Event::RenewAnswered { voter: author, term, asked, result });
            }
            Message::Inquire => {
                let state = self.controller.voter().inquire(self.now.boot);
                self.out.push(Output::Send(from, Message::Lease(state)));
            }
            Message::Lease(state) => self.queue.push_back(Event::InquiryAnswered { voter: author, state }),
            Message::Vote { body, carrier } if self.is_news(&carrier) => {
                self.learn_first(from, carrier, Message::Vote { body, carrier: None });
            }
            Message::Vote { body, .. } => self.vote(from, &body),
            Message::Voted { term, result, carrier } => {
                if self.keeps(SeatRule::LearnFromRefusals) {
                    self.learn(carrier);
                }
                self.queue.push_back(Event::VoteAnswered { voter: author, term, result });
            }
            Message::Release(ticket) => self.controller.voter().release(author, ticket),
            Message::HandOver { term, staged_seq } => {
                self.queue.push_back(Event::HandedOver { from: author, term, staged_seq });
            }
            Message::Stood { term } => {
                self.queue.push_back(Event::MirrorStood { from: author, term });
                // Who can't copy asks for no records, and so hears in no refusal of a term that has come since.
                let certificates = self.disk.carrier().into_iter().collect();
                self.out.push(Output::Send(from, Message::Terms(certificates)));
            }
            Message::Probe { carrier } => {
                self.learn(carrier);
                let (log_size, waiting) = (self.disk.log.len() as u64, self.disk.staged.len() as u64);
                let probe = Probe { log_size, waiting, is_sound: true, disk_free: None, memory_free: None };
                self.out.push(Output::Send(from, Message::Probed(probe)));
            }
            Message::Probed(probe) => self.probed(from, probe),
            Message::Fetch { id, term, at, is_question } => {
                let staged_seq = if at.staged.0 == term { at.staged.1 } else { 0 };
                if self.controller.role() == (Role::Holder, term) && !is_question {
                    self.seen.insert(author, (term, self.now.boot));
                    let log_size = at.log_size as u64;
                    self.queue.push_back(Event::FetchedBy(Fetched {
                        mirror: author,
                        term,
                        staged_seq,
                        log_size,
                        is_twin: true,
                        paused_ms: 0,
                    }));
                }
                self.fetch(from, id, term, at);
            }
            Message::AskSeed { id, term } => self.give_seed(from, id, term),
            Message::Batch { id, batch } => self.batch_came(id, batch),
            Message::NotFetched { id, is_other_log, carrier } => self.not_fetched(id, is_other_log, carrier),
            Message::Seed { id, seed } => self.seed_came(id, seed),
            Message::Ask { asker, key, wish } => self.take_asked(asker, key, wish),
            Message::Answer { op, attempt, came } => self.answered(op, attempt, came),
            Message::AskTerms => {
                let certificates = self.disk.certificates.clone();
                self.out.push(Output::Send(from, Message::Terms(certificates)));
            }
            Message::Terms(certificates) => {
                self.jobs.push_back(Job::Learn { certificates, commits: Vec::new(), then: None });
            }
            Message::Tell { certificates, commits, wants_answer } => {
                if !self.is_hidden() {
                    self.jobs.push_back(Job::Learn { certificates, commits, then: None });
                    if wants_answer {
                        let message = self.session_message(false);
                        self.out.push(Output::Send(from, message));
                    }
                }
            }
        }
    }

    /// Whether a certificate is not known here.
    fn is_news(&self, carrier: &Carrier) -> bool {
        carrier.as_ref().is_some_and(|certificate| !self.disk.seats.knows(&certificate.body.hash()))
    }

    pub(super) fn learn(&mut self, carrier: Carrier) {
        if self.is_news(&carrier) {
            let certificates = carrier.into_iter().collect();
            self.jobs.push_back(Job::Learn { certificates, commits: Vec::new(), then: None });
        }
    }

    fn learn_first(&mut self, from: NodeIndex, carrier: Carrier, again: Message) {
        let then = Some(Box::new(Input::Message { from, message: again }));
        let certificates = carrier.into_iter().collect();
        self.jobs.push_back(Job::Learn { certificates, commits: Vec::new(), then });
    }

    /// `None` if the certificate has to be taken up first.
    fn renew(
        &mut self,
        from: NodeIndex,
        body: BodyHash,
        ticket: Ticket,
        carrier: &Carrier,
    ) -> Option<Result<(), Refusal>> {
        let from = self.identity.authors[from];
        let known = self.controller.voter().state().certified.clone();
        match known.filter(|known| known.name() == body) {
            Some(body) => {
                let request = LeaseRequest { from, body: &body, ticket, lease_ms: Timing::LAN.lease_ms };
                Some(self.controller.voter().renew(self.now.boot, &request))
            }
            None if self.is_news(carrier) => None,
            None => Some(Err(Refusal::Uncertified)),
        }
    }

    fn vote(&mut self, from: NodeIndex, body: &NamedBody) {
        let author = self.identity.authors[from];
        match self.controller.voter().ask_vote(self.now.boot, author, body) {
            Ok(pending) => self.store_vote(pending, from),
            Err(refusal) => {
                let (term, carrier) = (body.term, self.disk.carrier());
                self.out.push(Output::Send(from, Message::Voted { term, result: Err(refusal), carrier }));
            }
        }
    }
}
