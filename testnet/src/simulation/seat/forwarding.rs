//! A client's request: at the holder it is carried out, elsewhere forwarded there, again and again under one name.

use node_core::seat::timing::BootMs;

use super::message::{Asker, Came, Message, OpId, Wish};
use super::node::{Input, Node, Output};
use super::rule::SeatRule;
use super::writer::Job;

/// Milliseconds for which a node tries; the daemon's.
const WRITE_MS: u64 = 10_000;

/// Milliseconds of one try; the daemon's.
const TRY_MS: u64 = 3_000;

/// Milliseconds between two tries; the daemon's.
const PAUSE_MS: u64 = 50;

/// Milliseconds that a value may take from the disk, and one time in thirty.
const READ_MS: u64 = 8;
const SLOW_READ_MS: u64 = 3_000;

/// What a read took from the disk, and what was so when it did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    value: Option<u64>,
    is_served: bool,
    begun: Option<u64>,
}

/// A client's request that is not answered yet.
#[derive(Debug)]
pub(super) struct Asked {
    key: u8,
    wish: Wish,
    attempt: u64,
    until: BootMs,
}

impl Node {
    pub(super) fn take_wish(&mut self, op: OpId, key: u8, wish: Wish) {
        let until = self.now.boot.after(WRITE_MS);
        self.asked.insert(op, Asked { key, wish, attempt: 0, until });
        self.try_now(op);
    }

    fn try_now(&mut self, op: OpId) {
        let (own, holder) = (self.own(), self.certified.as_ref().map(|body| body.holder));
        let boot = self.now.boot;
        let Some(asked) = self.asked.get_mut(&op).filter(|asked| boot < asked.until) else {
            if self.asked.remove(&op).is_some() {
                self.out.push(Output::GivenUp(op));
            }
            return;
        };
        asked.attempt += 1;
        let asker = Asker { node: self.identity.index, op, attempt: asked.attempt };
        let (key, wish) = (asked.key, asked.wish);
        self.out.push(Output::After(TRY_MS, Input::Retry { op, attempt: asker.attempt }));
        match holder {
            Some(holder) if holder == own => self.take_asked(asker, key, wish),
            Some(holder) => self.send(&holder, Message::Ask { asker, key, wish }),
            None => {}
        }
    }

    /// A try took too long, or came to nothing.
    pub(super) fn retry(&mut self, op: OpId, attempt: u64) {
        if self.asked.get(&op).is_some_and(|asked| asked.attempt == attempt) {
            self.try_now(op);
        }
    }

    /// The seat moved: whoever was asked may be gone for good.
    pub(super) fn try_elsewhere(&mut self) {
        for (op, asked) in &mut self.asked {
            asked.attempt += 1;
            self.out.push(Output::After(PAUSE_MS, Input::Retry { op: *op, attempt: asked.attempt }));
        }
    }

    pub(super) fn answered(&mut self, op: OpId, attempt: u64, came: Came) {
        if self.asked.get(&op).is_none_or(|asked| asked.attempt != attempt) {
            return;
        }
        if came == Came::NotNow {
            return self.out.push(Output::After(PAUSE_MS, Input::Retry { op, attempt }));
        }
        self.asked.remove(&op);
        self.out.push(Output::Done(op, came));
    }

    /// Answers a client, here or through its node.
    pub(super) fn reply(&mut self, asker: Asker, came: Came) {
        let Asker { node, op, attempt } = asker;
        if node == self.identity.index {
            self.answered(op, attempt, came);
        } else {
            self.out.push(Output::Send(node, Message::Answer { op, attempt, came }));
        }
    }

    /// Whether this node serves the seat at this moment.
    fn serves(&self) -> bool {
        let body = self.certified.as_ref().filter(|body| body.holder == self.own());
        body.is_some_and(|body| self.serving.term == Some(body.term)) && self.is_leased()
    }

    /// At the holder.
    pub(super) fn take_asked(&mut self, asker: Asker, key: u8, wish: Wish) {
        if wish == Wish::Read {
            // First the value, then the look at the lease.
            let taken = Taken { value: self.value(key), is_served: self.serves(), begun: self.serving.term };
            let most_ms = if self.random.below(30) == 0 { SLOW_READ_MS } else { READ_MS };
            let read_ms = self.random.below(most_ms);
            return self.out.push(Output::After(read_ms, Input::Look { asker, key, taken }));
        }
        let has_shadow = match (&self.certified, self.certified.as_ref().and_then(|body| body.shadow)) {
            (Some(body), Some(shadow)) => self.hears(&shadow, body.term),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !self.serves() || self.serving.is_draining || !has_shadow {
            return self.reply(asker, Came::NotNow);
        }
        self.jobs.push_back(Job::Stage { asker, key, wish });
    }

    fn value(&self, key: u8) -> Option<u64> {
        self.disk.registers.get(&key).map(|(_, value)| *value)
    }

    /// The value has come from the disk.
    pub(super) fn look(&mut self, asker: Asker, key: u8, taken: Taken) {
        if !self.keeps(SeatRule::LeaseAfterValue) {
            let came = if taken.is_served { Came::Value(self.value(key)) } else { Came::NotNow };
            return self.reply(asker, came);
        }
        let is_begun = taken.begun == self.serving.term || !self.keeps(SeatRule::ValueOfBegunTerm);
        self.reply(asker, if self.serves() && is_begun { Came::Value(taken.value) } else { Came::NotNow });
    }
}
