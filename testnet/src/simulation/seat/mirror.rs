//! A mirror's side: its log is cut or seeded, and then it copies batch by batch; the next fetch says what is durable here.

use std::rc::Rc;

use lattice::ids::AuthorId;
use node_core::seat::event::Event;

use super::disk::root_of;
use super::message::{Batch, Carrier, Commit, Copied, Message, Place, Seed};
use super::node::{Input, Node, Output};
use super::rule::SeatRule;
use super::writer::Job;

/// Milliseconds after which a fetch is given up; the daemon's.
const FETCH_TIMEOUT_MS: u64 = 2_500;

/// Milliseconds of pause after something went wrong; the daemon's.
const PAUSE_MS: u64 = 200;

/// A mirror that runs.
#[derive(Debug)]
pub(super) struct Mirror {
    id: u64,
    term: u64,
    holder: AuthorId,
    /// Where the certificate cuts the log.
    opening: (usize, u64),
    is_seeded: bool,
    /// What comes next can't be taken over here: the holder keeps it no longer, or a commit of it is missing.
    is_apart: bool,
    /// The fetch or seed that is waited for.
    asked: Option<u64>,
    /// It came to its end by itself.
    has_ended: bool,
}

impl Node {
    pub(super) fn start_mirroring(&mut self, holder: AuthorId, term: u64) {
        let Some(body) = self.certified.clone().filter(|body| body.term == term && body.holder == holder) else {
            return;
        };
        let id = self.next_id();
        let size = usize::try_from(body.log_size).unwrap_or(usize::MAX);
        let opening = (size, root_of(&body.log_root));
        self.mirror = Some(Mirror {
            id,
            term,
            holder,
            opening,
            is_seeded: false,
            is_apart: false,
            asked: None,
            has_ended: false,
        });
        self.jobs.push_back(Job::Copy { mirror: id, term, size, root: opening.1 });
    }

    pub(super) fn stop_mirroring(&mut self) {
        let term = self.mirror.as_ref().map_or(self.controller.role().1, |mirror| mirror.term);
        let is_silent = self.mirror.as_ref().is_some_and(|mirror| mirror.has_ended);
        if self.keeps(SeatRule::RestBeforeStanding) {
            self.mirror = None;
        }
        if is_silent && !self.keeps(SeatRule::EndedMirrorsAnswer) {
            return;
        }
        if let Some(position) = self.position(term) {
            self.queue.push_back(Event::MirrorStopped(position));
        }
    }

    /// The term that this node copies, if its copy is a twin's.
    pub(super) fn copies(&self) -> Option<u64> {
        self.mirror.as_ref().filter(|mirror| mirror.is_seeded).map(|mirror| mirror.term)
    }

    fn mirror_of(&mut self, id: u64) -> Option<&mut Mirror> {
        self.mirror.as_mut().filter(|mirror| mirror.id == id && !mirror.has_ended)
    }

    fn pause(&mut self, id: u64) {
        if let Some(mirror) = self.mirror_of(id) {
            mirror.asked = None;
            self.out.push(Output::After(PAUSE_MS, Input::Resume { mirror: id }));
        }
    }

    /// The copies differ: all from the start.
    fn apart(&mut self, id: u64) {
        let seeds = self.keeps(SeatRule::SeedWhenApart);
        if let Some(mirror) = self.mirror_of(id) {
            (mirror.is_seeded, mirror.is_apart) = (false, seeds);
        }
        self.pause(id);
    }

    pub(super) fn resume_mirror(&mut self, id: u64) {
        let Some(mirror) = self.mirror_of(id) else { return };
        if mirror.is_seeded {
            return self.fetch_more(id);
        }
        let (term, (size, root)) = (mirror.term, mirror.opening);
        self.jobs.push_back(Job::Copy { mirror: id, term, size, root });
    }

    /// The log is cut: does it go on from there, or is all of it to be had anew?
    pub(super) fn copied(&mut self, id: u64, size: usize) {
        let is_whole = !self.disk.log.is_empty() && self.disk.log.len() >= size && self.disk.is_twin_of_log();
        let ask = self.next_id();
        let Some(mirror) = self.mirror_of(id) else { return };
        if is_whole && !mirror.is_apart {
            mirror.is_seeded = true;
            return self.fetch_more(id);
        }
        mirror.asked = Some(ask);
        let (holder, term) = (mirror.holder, mirror.term);
        self.send(&holder, Message::AskSeed { id: ask, term });
        self.out.push(Output::After(FETCH_TIMEOUT_MS, Input::FetchTimeout { id: ask }));
    }

    fn fetch_more(&mut self, id: u64) {
        let floor = self.controller.voter().floor();
        let ask = self.next_id();
        let rests = self.keeps(SeatRule::RestBeforeStanding);
        let Some(mirror) = self.mirror_of(id) else { return };
        let (holder, term) = (mirror.holder, mirror.term);
        if floor > term && rests {
            // Whoever stood or voted for a higher term acknowledges nothing of this one.
            mirror.has_ended = true;
            let position = self.position(term);
            self.queue.extend(position.map(Event::MirrorStopped));
            return;
        }
        mirror.asked = Some(ask);
        let (log_size, staged) = (self.disk.log.len(), self.disk.last());
        let at = Copied { log_size, log_root: self.disk.log_root(log_size).unwrap_or(0), staged };
        self.send(&holder, Message::Fetch { id: ask, term, at, is_question: false });
        self.out.push(Output::After(FETCH_TIMEOUT_MS, Input::FetchTimeout { id: ask }));
    }

    fn asked_by(&mut self, ask: u64) -> Option<u64> {
        let mirror = self.mirror.as_mut().filter(|mirror| mirror.asked == Some(ask))?;
        mirror.asked = None;
        Some(mirror.id)
    }

    /// The holder is silent: voters may know why.
    pub(super) fn fetch_timed_out(&mut self, ask: u64) {
        let Some(id) = self.asked_by(ask) else { return };
        let Some(body) = self.certified.clone() else { return };
        let own = self.own();
        for voter in body.voters.iter().filter(|voter| **voter != own && **voter != body.holder) {
            let at = Copied { log_size: 0, log_root: 0, staged: (0, 0) };
            self.send(voter, Message::Fetch { id: 0, term: body.term, at, is_question: true });
        }
        self.pause(id);
    }

    pub(super) fn not_fetched(&mut self, ask: u64, is_other_log: bool, carrier: Carrier) {
        self.learn(carrier);
        let Some(id) = self.asked_by(ask) else { return };
        if is_other_log {
            self.disk.cut_log(0, 0);
            return self.apart(id);
        }
        self.pause(id);
    }

    pub(super) fn batch_came(&mut self, ask: u64, batch: Box<Batch>) {
        let Some(id) = self.asked_by(ask) else { return };
        if batch.is_behind {
            return self.apart(id);
        }
        self.jobs.push_back(Job::Mirror { mirror: id, batch });
    }

    pub(super) fn seed_came(&mut self, ask: u64, seed: Box<Seed>) {
        if let Some(id) = self.asked_by(ask) {
            self.jobs.push_back(Job::Seeded { mirror: id, seed });
        }
    }

    /// All that the holder has is here.
    pub(super) fn seeded(&mut self, id: u64, seed: Seed) {
        let news = self.disk.certify(&seed.certificates);
        self.out.extend(news.into_iter().map(Output::Certified));
        for commit in &seed.commits {
            let name = seed.names.iter().find(|(_, place)| *place == commit.place).map(|(name, _)| *name);
            self.copy(commit, name);
        }
        self.disk.log = seed.log;
        self.out.push(Output::Seeded);
        if !self.disk.is_twin_of_log() {
            return self.apart(id);
        }
        if let Some(mirror) = self.mirror_of(id) {
            (mirror.is_seeded, mirror.is_apart) = (true, false);
            self.fetch_more(id);
        }
    }

    fn copy(&mut self, commit: &Rc<Commit>, name: Option<u64>) {
        if self.disk.apply(commit, name) {
            self.out.push(Output::Applied(commit.clone()));
        }
        self.left_staging(commit.place);
    }

    /// Records and staged commits of the holder. It is done even if the mirror was stopped meanwhile: the writer had it.
    pub(super) fn mirror_batch(&mut self, id: u64, batch: Batch) {
        if batch.from != self.disk.log.len() {
            return self.apart(id);
        }
        for sent in &batch.records {
            for commit in &sent.record.commits {
                let has_come = !sent.left_out.contains(&commit.place);
                if !has_come && !self.disk.staged.contains_key(&commit.place) {
                    return self.apart(id);
                }
                let name = (has_come && self.keeps(SeatRule::NamesTravel)).then_some(commit.op);
                self.copy(commit, name);
            }
            self.disk.append(sent.record.commits.clone());
            if self.disk.log.last() != Some(&sent.record) {
                self.disk.log.pop();
                return self.apart(id);
            }
        }
        let tips = |commit: &&Rc<Commit>| commit.place.1 > self.disk.tip(commit.place.0);
        for commit in batch.staged.iter().filter(tips).collect::<Vec<_>>() {
            self.disk.staged.entry(commit.place).or_insert((commit.clone(), Some(commit.op)));
        }
        self.out.extend(batch.staged.iter().cloned().map(Output::Staged));
        self.progressed(id, batch.log_size, batch.last, batch.is_released);
    }

    fn progressed(&mut self, id: u64, log_size: usize, last: Place, is_released: bool) {
        let Some((term, from)) = self.mirror_of(id).map(|mirror| (mirror.term, mirror.holder)) else { return };
        if let Some(position) = self.position(term) {
            let staged_seq = if last.0 == term { last.1 } else { 0 };
            let records = log_size.saturating_sub(self.disk.log.len()) as u64;
            let behind = staged_seq.saturating_sub(position.staged_seq) + records;
            self.queue.push_back(Event::StagedUpTo { position, behind });
            if is_released {
                self.queue.push_back(Event::HandedOver { from, term, staged_seq });
            }
        }
        // What it has is told to the controller before the fetch that acknowledges it.
        self.out.push(Output::After(0, Input::Resume { mirror: id }));
    }
}
