//! The writer of one node: jobs one after the other, each durable before anything of it is seen.

use std::rc::Rc;

use lattice::seat::Certificate;
use node_core::seat::event::Event;
use node_core::seat::voter::Pending;

use super::message::{Asker, Batch, Came, Commit, Place, Seed, Wish};
use super::node::{Input, Node, Output, Part};
use super::rule::SeatRule;

/// Writes of clients that one transaction stages at most.
const GROUP_MAX: usize = 8;

/// What comes once a ballot is stored.
#[derive(Debug)]
pub(super) enum Then {
    Stood,
    Vote { to: usize },
}

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    Stage { asker: Asker, key: u8, wish: Wish },
    Release { upto: Place },
    Serve { term: u64 },
    Copy { mirror: u64, term: u64, size: usize, root: u64 },
    Seeded { mirror: u64, seed: Box<Seed> },
    Mirror { mirror: u64, batch: Box<Batch> },
    Hold,
    Resume,
    Rest { term: u64 },
    Ballot { pending: Pending, then: Then },
    Certify(Rc<Certificate>),
    Learn { certificates: Vec<Rc<Certificate>>, commits: Vec<Rc<Commit>>, then: Option<Box<Input>> },
}

impl Node {
    /// Begins the next job if the writer is free: writes of clients are gathered.
    pub(super) fn work(&mut self) {
        if !self.busy.is_empty() || self.jobs.is_empty() {
            return;
        }
        while let Some(job) = self.jobs.pop_front() {
            self.busy.push(job);
            let is_stage = |job: Option<&Job>| matches!(job, Some(Job::Stage { .. }));
            let has_room = self.busy.len() < GROUP_MAX;
            if !(has_room && is_stage(self.busy.last()) && is_stage(self.jobs.front())) {
                break;
            }
        }
        self.out.push(Output::Flush);
    }

    /// The transaction is durable.
    pub(super) fn flushed(&mut self) {
        let jobs = std::mem::take(&mut self.busy);
        let mut last = None;
        for job in jobs {
            last = self.finish(job).or(last);
        }
        if let Some(last) = last {
            let is_alone = self.disk.current().is_some_and(|body| body.shadow.is_none());
            if is_alone || !self.keeps(SeatRule::ApplyAfterShadow) {
                self.release(last);
            }
        }
        self.look_at_state();
    }

    /// Gives the place that was staged, if one was.
    fn finish(&mut self, job: Job) -> Option<Place> {
        match job {
            Job::Stage { asker, key, wish } => return self.stage(asker, key, wish),
            Job::Release { upto } => self.release(upto),
            Job::Serve { term } => self.serve(term),
            Job::Copy { mirror, term, size, root } => {
                self.settle_older(term);
                self.disk.cut_log(size, root);
                self.part = Part::Mirror(term);
                self.copied(mirror, size);
            }
            Job::Seeded { mirror, seed } => self.seeded(mirror, *seed),
            Job::Mirror { mirror, batch } => self.mirror_batch(mirror, *batch),
            Job::Hold => {
                (self.is_held, self.has_held) = (true, true);
            }
            Job::Resume => self.is_held = false,
            Job::Rest { term } => {
                self.part = Part::Nothing;
                self.settle_older(term);
            }
            Job::Ballot { pending, then } => {
                self.disk.ballot = Some(pending.stored_form());
                let persisted = pending.persisted();
                match then {
                    Then::Stood => {
                        self.is_bound_by(&persisted);
                        self.queue.push_back(Event::Stood(persisted));
                    }
                    Then::Vote { to } => self.give_vote(&persisted, to),
                }
            }
            Job::Certify(certificate) => self.take_up(&[certificate], &[]),
            Job::Learn { certificates, commits, then } => {
                self.take_up(&certificates, &commits);
                if let Some(then) = then {
                    // The certificate counts before the question is looked at again.
                    self.look_at_state();
                    self.out.push(Output::After(0, *then));
                }
            }
        }
        None
    }

    fn stage(&mut self, asker: Asker, key: u8, wish: Wish) -> Option<Place> {
        if let Some(place) = self.disk.names.get(&asker.op).copied() {
            self.promise(place, asker);
            return None;
        }
        let named = self.disk.staged.iter().find(|(_, (_, name))| *name == Some(asker.op));
        if let Some((place, _)) = named {
            self.waiting.entry(*place).or_default().push(asker);
            return None;
        }
        let Part::Holder(term) = self.part else {
            self.reply(asker, Came::NotNow);
            return None;
        };
        let (found, is_applied) = self.disk.standing(key);
        let value = match wish {
            Wish::Put(value) => value,
            Wish::Swap(expected, value) if expected == found => value,
            Wish::Swap(..) if !self.is_held && (is_applied || !self.keeps(SeatRule::ConditionsWait)) => {
                self.reply(asker, Came::Otherwise(found));
                return None;
            }
            Wish::Swap(..) | Wish::Read => {
                self.reply(asker, Came::NotNow);
                return None;
            }
        };
        let is_over = self.disk.seats.last_seq(&self.own(), term).is_none_or(|last| last < u64::MAX);
        if self.is_held || is_over {
            self.reply(asker, Came::NotNow);
            return None;
        }
        let staged = self.disk.staged.range((term, 0)..=(term, u64::MAX)).next_back().map_or(0, |(place, _)| place.1);
        let place = (term, staged.max(self.disk.tip(term)) + 1);
        let commit = Rc::new(Commit { by: self.identity.index, place, key, value, op: asker.op });
        self.disk.staged.insert(place, (commit.clone(), Some(asker.op)));
        self.out.push(Output::Staged(commit));
        if self.keeps(SeatRule::AnswerAfterShadow) {
            self.waiting.entry(place).or_default().push(asker);
        } else {
            self.promise(place, asker);
        }
        Some(place)
    }

    /// Lets staged commits up to a place into the state.
    fn release(&mut self, upto: Place) {
        let due: Vec<_> = self.disk.staged.range((upto.0, 0)..=upto).map(|(_, staged)| staged.0.clone()).collect();
        self.apply(&due);
    }

    /// Applies commits in one transaction: a record if there is a log to write, an answer to who waits, and the mesh is told.
    fn apply(&mut self, commits: &[Rc<Commit>]) {
        let mut news = Vec::new();
        for commit in commits {
            if self.disk.apply(commit, None) {
                news.push(commit.clone());
                self.out.push(Output::Applied(commit.clone()));
            }
        }
        if news.is_empty() {
            return;
        }
        if let Part::Holder(_) = self.part {
            self.disk.append(news.clone());
        }
        commits.iter().for_each(|commit| self.left_staging(commit.place));
        if !self.is_hidden() {
            self.tell_mesh(Vec::new(), news);
        }
    }

    pub(super) fn left_staging(&mut self, place: Place) {
        for asker in self.waiting.remove(&place).unwrap_or_default() {
            self.promise(place, asker);
        }
    }

    fn promise(&mut self, place: Place, asker: Asker) {
        self.out.push(Output::Promised(place));
        self.reply(asker, Came::Written);
    }

    fn serve(&mut self, term: u64) {
        if !matches!(self.part, Part::Holder(_)) {
            self.kept_from = self.disk.log.len();
        }
        self.disk.append(Vec::new());
        self.part = Part::Holder(term);
        self.is_held = false;
        self.settle_older(term);
        let older: Vec<_> = self.disk.staged.range(..(term, 0)).map(|(_, staged)| staged.0.clone()).collect();
        self.apply(&older);
        if self.controller.role() == (node_core::seat::controller::Role::Holder, term) {
            self.serving.term = Some(term);
        }
    }

    /// What is staged beyond the cuts of terms before this one goes to quarantine.
    fn settle_older(&mut self, term: u64) {
        if !self.keeps(SeatRule::QuarantineBeyondCut) {
            let older: Vec<_> = self.disk.staged.range(..(term, 0)).map(|(_, staged)| staged.0.clone()).collect();
            return self.apply(&older);
        }
        for place in self.disk.beyond_cut(&self.identity.authors, term) {
            if let Some((commit, _)) = self.disk.staged.remove(&place) {
                self.disk.quarantine.insert(place, commit);
            }
            for asker in self.waiting.remove(&place).unwrap_or_default() {
                self.reply(asker, Came::Deposed);
            }
        }
    }

    /// Certificates, and commits that they admit.
    fn take_up(&mut self, certificates: &[Rc<Certificate>], commits: &[Rc<Commit>]) {
        let news = self.disk.certify(certificates);
        self.out.extend(news.iter().cloned().map(Output::Certified));
        let seats = &self.disk.seats;
        let counts = |commit: &&Rc<Commit>| {
            let last = seats.last_seq(&self.identity.authors[commit.by], commit.place.0);
            last.is_some_and(|last| commit.place.1 <= last) && !self.disk.applied.contains_key(&commit.place)
        };
        let admitted: Vec<_> = commits.iter().filter(counts).cloned().collect();
        self.apply(&admitted);
        if !news.is_empty() && !self.is_hidden() {
            self.tell_mesh(news, Vec::new());
        }
    }

    fn tell_mesh(&mut self, certificates: Vec<Rc<Certificate>>, commits: Vec<Rc<Commit>>) {
        use super::message::Message;
        for to in (0..self.identity.authors.len()).filter(|to| *to != self.identity.index) {
            let (certificates, commits) = (certificates.clone(), commits.clone());
            self.out.push(Output::Send(to, Message::Tell { certificates, commits, wants_answer: false }));
        }
    }
}
