//! The holder's side of copying: what a mirror lacks, as soon as there is something.

use super::message::{Batch, Copied, Message, NodeIndex, Seed, Sent};
use super::node::{Input, Node, Output, Part};
use super::rule::SeatRule;
use super::writer::Job;

/// Milliseconds that a fetch waits for something; the daemon's.
const WAIT_MS: u64 = 500;

/// Records, and staged commits, in one answer: few, so that a mirror is often in between.
const ITEMS_MAX: usize = 4;

/// A fetch that waits.
#[derive(Debug)]
pub(super) struct Poll {
    from: NodeIndex,
    id: u64,
    number: u64,
    at: Copied,
    term: u64,
}

enum Refused {
    OtherTerm,
    OtherLog,
}

impl Node {
    /// Whether this node answers this mirror in this term.
    fn may_fetch(&self, from: NodeIndex, term: u64) -> Result<(), Refused> {
        let Some(body) = self.disk.current() else { return Err(Refused::OtherTerm) };
        let is_holder = body.term == term && body.holder == self.own() && self.part == Part::Holder(term);
        let is_mirror = body.mirrors().any(|mirror| *mirror == self.identity.authors[from]);
        let may_serve = self.controller.may_serve(term) || !self.keeps(SeatRule::RestBeforeStanding);
        if is_holder && is_mirror && may_serve { Ok(()) } else { Err(Refused::OtherTerm) }
    }

    pub(super) fn fetch(&mut self, from: NodeIndex, id: u64, term: u64, at: Copied) {
        let is_same_log = self.disk.log_root(at.log_size) == Some(at.log_root);
        let allowed = self.may_fetch(from, term).and(if is_same_log { Ok(()) } else { Err(Refused::OtherLog) });
        if let Err(refused) = allowed {
            let is_other_log = matches!(refused, Refused::OtherLog);
            let carrier = self.disk.carrier();
            return self.out.push(Output::Send(from, Message::NotFetched { id, is_other_log, carrier }));
        }
        let is_shadow = self.disk.current().is_some_and(|body| body.shadow == Some(self.identity.authors[from]));
        if is_shadow && at.staged.0 == term {
            self.jobs.push_back(Job::Release { upto: at.staged });
        }
        let number = self.next_id();
        self.polls.push(Poll { from, id, number, at, term });
        self.out.push(Output::After(WAIT_MS, Input::PollEnds { id: number }));
    }

    /// Answers fetches that there is something for by now.
    pub(super) fn answer_polls(&mut self) {
        for poll in std::mem::take(&mut self.polls) {
            let batch = self.batch(&poll.at);
            let has_more = !batch.records.is_empty() || !batch.staged.is_empty();
            if has_more || batch.is_behind || batch.is_released {
                self.send_batch(&poll, batch);
            } else {
                self.polls.push(poll);
            }
        }
    }

    pub(super) fn poll_ends(&mut self, number: u64) {
        if let Some(at) = self.polls.iter().position(|poll| poll.number == number) {
            let poll = self.polls.remove(at);
            let batch = self.batch(&poll.at);
            self.send_batch(&poll, batch);
        }
    }

    fn send_batch(&mut self, poll: &Poll, batch: Batch) {
        let message = Message::Batch { id: poll.id, batch: Box::new(batch) };
        if self.part == Part::Holder(poll.term) {
            self.out.push(Output::Send(poll.from, message));
        }
    }

    fn batch(&self, at: &Copied) -> Batch {
        let records = self.disk.log.get(at.log_size..).filter(|_| at.log_size >= self.kept_from);
        let sent = |record: &super::message::Record| Sent {
            left_out: record.commits.iter().map(|commit| commit.place).filter(|place| *place <= at.staged).collect(),
            record: record.clone(),
        };
        let is_offered = |place: &(u64, u64)| {
            *place > at.staged && (self.keeps(SeatRule::OfferStagedAgain) || !self.older.contains(place))
        };
        let staged = self.disk.staged.iter().filter(|(place, _)| is_offered(place));
        let last = self.disk.last();
        let is_at_end = at.log_size == self.disk.log.len() && at.staged >= last && self.disk.staged.is_empty();
        Batch {
            from: at.log_size,
            records: records.unwrap_or_default().iter().take(ITEMS_MAX).map(sent).collect(),
            staged: staged.take(ITEMS_MAX).map(|(_, (commit, _))| commit.clone()).collect(),
            is_behind: records.is_none(),
            log_size: self.disk.log.len(),
            last,
            is_released: self.serving.is_released && is_at_end,
        }
    }

    /// All that this node has, at one moment.
    pub(super) fn give_seed(&mut self, from: NodeIndex, id: u64, term: u64) {
        if self.may_fetch(from, term).is_err() {
            let carrier = self.disk.carrier();
            return self.out.push(Output::Send(from, Message::NotFetched { id, is_other_log: false, carrier }));
        }
        let names = self.disk.names.iter().map(|(name, place)| (*name, *place));
        let seed = Seed {
            commits: self.disk.applied.values().cloned().collect(),
            names: if self.keeps(SeatRule::NamesTravel) { names.collect() } else { Vec::new() },
            log: self.disk.log.clone(),
            certificates: self.disk.certificates.clone(),
        };
        self.out.push(Output::Send(from, Message::Seed { id, seed: Box::new(seed) }));
    }
}
