//! Commits of the seat between their signature and the state.

use std::collections::BTreeSet;

use lattice::commit::{Draft, VerifiedCommit};
use lattice::ids::{AuthorId, CommitId};
use lattice::log::edge::Edge;
use lattice::op::{Key, Op};
use lattice::record::Event;

use super::certainty::Trace;
use super::job::{Condition, EntryTag, SeatJob, Staging};
use super::outbox::Recent;
use super::staged::StagedCommit;
use super::{Part, SeatPublished};
use crate::store::{StoreError, staged as table, write};
use crate::writer::answers::request_hash;
use crate::writer::group::{Group, Item, Task};
use crate::writer::job::{WriteError, Written};
use crate::writer::state::State;
use crate::writer::{GROUP_BYTES_MAX, GROUP_COMMITS_MAX, Identity, Reply, Writer};

/// A ballot changed on disk would make a voter forget what it promised, so it bears a signature.
pub(crate) const BALLOT_DOMAIN: &[u8] = b"lattice/seat-ballot/v1\0";

impl Writer {
    /// Carries out a request of the seat's task.
    pub(in crate::writer) async fn start_seat(&mut self, group: &mut Group, job: SeatJob) {
        // Reply channels: whoever asked may be gone; what is done is done.
        match job {
            SeatJob::Stage(staging) => return self.stage(staging).await,
            SeatJob::Release { term, upto } => {
                self.flush_staging(group).await;
                return self.release(group, (term, upto)).await;
            }
            // Whoever is answered finds it published.
            SeatJob::Serve { term, reply } => {
                self.finish(group).await;
                let served = self.serve(group, term).await;
                self.publish_after(served.as_ref().map(|_| false).map_err(Clone::clone));
                let _ = reply.send(served);
            }
            SeatJob::Copy { term, size, root, reply } => {
                self.finish(group).await;
                let copied = self.copy(term, size, root).await;
                self.publish_after(Ok(false));
                let _ = reply.send(copied);
            }
            SeatJob::Measure { holder, term, reply } => {
                let _ = reply.send(self.state.holdings_of(&holder, term));
                return;
            }
            SeatJob::Hold { reply } => {
                self.flush_staging(group).await;
                self.state.seat.is_held = true;
                let _ = reply.send(());
            }
            SeatJob::Resume => self.state.seat.is_held = false,
            SeatJob::Rest { term } => {
                self.finish(group).await;
                self.state.seat.part = Part::None;
                if let Err(error) = self.settle_older(term).await {
                    tracing::error!(%error, "what was staged here can't be moved into quarantine; a restart tries again");
                }
            }
            SeatJob::Mirror { batch, reply } => {
                self.finish(group).await;
                let mirrored = self.mirror(*batch).await;
                self.publish_after(Ok(false));
                let _ = reply.send(mirrored);
            }
            SeatJob::TakeNames { names, reply } => {
                self.finish(group).await;
                let taken = self.state.take_names(&names).await;
                self.publish_after(Ok(false));
                let _ = reply.send(taken);
            }
            SeatJob::Vote { ballot, reply } => {
                let _ = reply.send(self.vote(&ballot).await);
            }
        }
        self.publish_after(Ok(false));
    }

    /// Judges and signs a write of the seat; it is stored with those gathered beside it.
    async fn stage(&mut self, staging: Staging) {
        let Staging { ops, condition, idempotency, is_local, reply } = staging;
        match self.state.kept_answer(idempotency.as_ref(), &ops).await {
            Ok(None) => {}
            Ok(Some(written)) => return reply.finish(Ok(written)),
            Err(error) => return reply.finish(Err(error)),
        }
        if let Some(again) = self.state.seat.staged.named(idempotency.as_ref()) {
            if request_hash(&ops_of(&again.commit)) != request_hash(&ops) {
                return reply.finish(Err(WriteError::KeyReused));
            }
            return again.waiting.push(reply);
        }
        let commit = match self.state.draft_for_seat(&self.identity, condition, ops).await {
            Ok(commit) => commit,
            Err(error) => return reply.finish(Err(error)),
        };
        let place = (commit.header().term, commit.header().seq);
        let mut staged = StagedCommit::new(commit, idempotency);
        let on_staged = if is_local {
            Some(reply)
        } else {
            staged.waiting.push(reply);
            None
        };
        self.state.seat.staged.insert(staged);
        self.state.seat.staged.gathered.push((place, on_staged));
    }

    /// Stores what was gathered in one transaction. Without a shadow it enters the state at once.
    pub(in crate::writer) async fn flush_staging(&mut self, group: &mut Group) {
        let gathered = std::mem::take(&mut self.state.seat.staged.gathered);
        let Some((last, _)) = gathered.last() else { return };
        let last = *last;
        let stored = self.state.store_staged(&gathered).await;
        if stored.is_ok() {
            let commits = gathered.iter().filter_map(|(place, _)| self.state.seat.staged.at(*place));
            let carried: Vec<_> = commits.map(StagedCommit::carried).collect();
            self.state.seat.with_outbox(|outbox| carried.into_iter().for_each(|commit| outbox.staged(commit)));
        }
        // Whoever is answered finds it published.
        self.publish_after(stored.clone().map(|()| true));
        for (place, on_staged) in gathered {
            if let Err(error) = &stored {
                let waiting = self.state.seat.staged.take(place).map(|taken| taken.waiting).unwrap_or_default();
                waiting.into_iter().chain(on_staged).for_each(|reply| reply.finish(Err(error.clone().into())));
            } else if let (Some(reply), Some(staged)) = (on_staged, self.state.seat.staged.at(place)) {
                reply.finish(Ok(Written::staged(&staged.commit)));
            }
        }
        let is_alone =
            self.state.membership.seats().current().is_some_and(|term| term.certificate.body.shadow.is_none());
        if stored.is_ok() && is_alone {
            self.release(group, last).await;
            self.finish(group).await;
        }
    }

    /// Lets staged commits up to a place into the state.
    async fn release(&mut self, group: &mut Group, upto: (u64, u64)) {
        for place in self.state.seat.staged.of_term_upto(upto) {
            if group.is_full(GROUP_COMMITS_MAX, GROUP_BYTES_MAX) {
                self.finish(group).await;
            }
            // A term that has come since may have cut it: it stays for the quarantine.
            let counts = self.state.seat.staged.at(place).is_some_and(|staged| self.state.counts(&staged.commit));
            let Some(staged) = self.state.seat.staged.at_mut(place).filter(|_| counts) else { continue };
            if !std::mem::replace(&mut staged.is_released, true) {
                let task = Task::Staged(staged.name.clone());
                group.push(Item { commit: staged.commit.clone(), task, publish: true });
            }
        }
    }

    /// Takes the seat of a term over.
    async fn serve(&mut self, group: &mut Group, term: u64) -> Result<SeatPublished, StoreError> {
        if self.state.seat.part != Part::Holder(term) {
            self.begin_log_of(term).await?;
        }
        // Nothing goes on top of what the term began with before that is in the state.
        self.state.seat.is_held = true;
        self.settle_older(term).await?;
        for older in self.staged_before(term) {
            self.release(group, (older, u64::MAX)).await;
            self.finish(group).await;
            if self.state.seat.staged.iter().any(|((staged, _), _)| staged == older) {
                // The transaction said why; nothing that succeeded has followed it.
                let trouble = self.publisher.borrow().trouble.clone();
                return Err(trouble.unwrap_or_else(|| StoreError::Sqlite(format!("term {older} is not in the state"))));
            }
        }
        self.state.seat.is_held = false;
        Ok(self.state.seat_published())
    }

    /// The terms before this one of which commits are staged.
    fn staged_before(&self, term: u64) -> BTreeSet<u64> {
        self.state.seat.staged.iter().map(|((staged, _), _)| staged).filter(|staged| *staged < term).collect()
    }

    /// Lets every record go to the seat's log from here on, and states there what came into the state beside it.
    async fn begin_log_of(&mut self, term: u64) -> Result<(), StoreError> {
        let size = self.state.seat.edge.as_ref().map_or(0, Edge::size);
        let record = self.state.state_in_seat_log(&self.identity, crate::clock::now_ms()).await?;
        self.state.seat.with_outbox(|outbox| {
            // The mirrors of a holder, or of one that mirrored like them, go on where they are.
            if outbox.size() != size {
                outbox.restart(size);
            }
            outbox.record(Recent { record: record.into(), commits: Vec::new(), is_effect: false });
        });
        self.state.seat.part = Part::Holder(term);
        Ok(())
    }

    /// After a membership change: a mirror that the last certificate names as holder writes the seat's log from this moment
    /// on, long before it serves. What gossip brings meanwhile must be in it.
    pub(in crate::writer) async fn look_at_term(&mut self) {
        let own = self.identity.keys.author.id();
        let current = self.state.membership.seats().current().map(|term| &term.certificate.body);
        let held = current.filter(|body| body.holder == own).map(|body| body.term);
        let (Some(term), Part::Mirror(_)) = (held, self.state.seat.part) else { return };
        if let Err(error) = self.begin_log_of(term).await {
            tracing::error!(%error, term, "this node holds the seat and can't write its log; it tries again when it serves");
        }
    }

    /// Moves what is staged of terms before `term` and beyond their cuts into quarantine.
    pub(in crate::writer) async fn settle_older(&mut self, term: u64) -> Result<(), StoreError> {
        let staged = &self.state.seat.staged;
        let is_beyond = |(of, _): (u64, u64), staged: &StagedCommit| of < term && !self.state.counts(&staged.commit);
        let beyond: Vec<_> = staged.iter().filter(|(at, staged)| is_beyond(*at, staged)).map(|(at, _)| at).collect();
        if beyond.is_empty() {
            return Ok(());
        }
        let ids = beyond.iter().filter_map(|at| staged.at(*at)).map(|staged| staged.commit.id()).collect();
        self.state.depose(&ids).await?;
        tracing::warn!(commits = beyond.len(), "what was written here beyond the cut of its term is in quarantine");
        for place in beyond {
            self.state.seat.with_outbox(|outbox| outbox.deposed(place));
            let waiting = self.state.seat.staged.take(place).map(|taken| taken.waiting).unwrap_or_default();
            waiting.into_iter().for_each(|reply| reply.finish(Err(WriteError::Deposed)));
        }
        Ok(())
    }

    /// After a transaction that is stored: its commits leave staging. Gives who waits for them, to be answered once that is
    /// published.
    pub(in crate::writer) fn leave_staging(&mut self, items: &[Item]) -> Vec<(Reply, Written)> {
        let mut answers = Vec::new();
        for place in places_of(items) {
            let Some(taken) = self.state.seat.staged.take(place) else { continue };
            let written = self.state.written(&taken.commit);
            answers.extend(taken.waiting.into_iter().map(|reply| (reply, written)));
            self.state.seat.with_outbox(|outbox| outbox.unstaged(place));
        }
        answers
    }

    /// After a transaction that failed: its commits can be released again.
    pub(in crate::writer) fn stay_staged(&mut self, items: &[Item]) {
        for place in places_of(items) {
            if let Some(staged) = self.state.seat.staged.at_mut(place) {
                staged.is_released = false;
            }
        }
    }
}

/// Places of the seat's commits among the items of a transaction.
fn places_of(items: &[Item]) -> impl Iterator<Item = (u64, u64)> {
    let places = items.iter().map(|item| (item.commit.header().term, item.commit.header().seq));
    places.filter(|(term, _)| *term > 0)
}

/// Answers those that waited for their commits.
pub(in crate::writer) fn answer(answers: Vec<(Reply, Written)>) {
    answers.into_iter().for_each(|(reply, written)| reply.finish(Ok(written)));
}

impl State {
    /// Whether a commit of the seat is within what its term counts to, as far as is known.
    fn counts(&self, commit: &VerifiedCommit) -> bool {
        let header = commit.header();
        self.membership.last_seq_in(&header.author, header.term).is_some_and(|last| header.seq <= last)
    }

    /// Signs the next commit of the seat, if it may be written and its condition holds.
    async fn draft_for_seat(
        &mut self,
        identity: &Identity,
        condition: Condition,
        ops: Vec<Op>,
    ) -> Result<VerifiedCommit, WriteError> {
        let Part::Holder(term) = self.seat.part else { return Err(WriteError::NotHolder) };
        if self.seat.is_held {
            return Err(WriteError::NotHolder);
        }
        let Some(first) = ops.first() else { return Err(WriteError::Empty) };
        if self.seat.staged.is_full() {
            return Err(WriteError::SeatBusy);
        }
        self.expect_certain()?;
        self.expect_sure()?;
        let (found, is_staged) = self.seat_entry(first.key()).await?;
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => found.is_none(),
            Condition::Present => found.is_some(),
            Condition::Is(tag) => found == Some(tag),
        };
        if !holds {
            // What is staged may come to nothing, and then nobody must have been told of it.
            return Err(if is_staged { WriteError::ConditionOpen } else { WriteError::ConditionFailed { found } });
        }
        let author = identity.keys.author.id();
        let stored = super::super::state::end_of(&self.frontier.chain(&author, term));
        let (seq, prev) = self.seat.staged.last_of(&author, term).unwrap_or((0, CommitId::ZERO)).max(stored);
        let time = self.clock.tick(crate::clock::now_ms(), identity.genesis.limits.max_drift_ms)?;
        let draft = Draft { lattice: identity.lattice, term, seq: seq + 1, prev, time };
        let commit = draft.sign(&identity.keys.author, ops).verify_for(&identity.genesis, identity.lattice)?;
        self.membership.admit(&identity.genesis, identity.lattice, &commit)?;
        Ok(commit)
    }

    /// The entry with a value that stands at a key, what is staged included, and whether it is staged.
    async fn seat_entry(&mut self, key: &Key) -> Result<(Option<EntryTag>, bool), StoreError> {
        if let Some(staged) = self.seat.staged.standing(key) {
            return Ok((staged, true));
        }
        let Some(row) = self.tree.get(&key.hash()).map(|leaf| leaf.tag) else { return Ok((None, false)) };
        Ok((write::standing_tag(&mut self.connection, row).await?, false))
    }

    async fn store_staged(&mut self, gathered: &[((u64, u64), Option<Reply>)]) -> Result<(), StoreError> {
        let staged = &self.seat.staged;
        let rows: Vec<_> = gathered.iter().filter_map(|(place, _)| staged.at(*place)).collect();
        let rows: Vec<_> = rows.iter().map(|staged| (&staged.commit, staged.name.as_ref())).collect();
        let Some(last) = rows.last().map(|(commit, _)| commit.id()) else { return Ok(()) };
        self.expect_certain()?;
        write::begin(&mut self.connection).await?;
        let written = async {
            table::stage(&mut self.connection, &rows).await?;
            write::commit(&mut self.connection).await
        };
        let written = written.await;
        self.end(written, Trace::Staged(last)).await
    }

    async fn depose(&mut self, ids: &BTreeSet<CommitId>) -> Result<(), StoreError> {
        let Some(last) = ids.last() else { return Ok(()) };
        self.expect_certain()?;
        write::begin(&mut self.connection).await?;
        let mut forgotten = 0;
        let written = async {
            forgotten = table::depose(&mut self.connection, ids).await?;
            write::commit(&mut self.connection).await
        };
        let written = written.await;
        self.end(written, Trace::Unstaged(*last)).await?;
        self.recount_quarantine().await;
        if forgotten > 0 {
            self.tell_forgotten(forgotten).await;
        }
        Ok(())
    }

    /// What people did not look at in time is gone: that it was there stays in the log.
    async fn tell_forgotten(&mut self, commits: u64) {
        tracing::error!(commits, "quarantine is full; the oldest commits in it are forgotten");
        let term = self.membership.seats().current().map_or(0, |term| term.certificate.body.term);
        let reason = format!("{commits} commits in quarantine were forgotten to make room");
        let event =
            Event::Seat { old_term: term, new_term: term, step: "forgot".to_owned(), reason, votes: 0, lag: None };
        if let Err(error) = self.note(crate::clock::now_ms(), event).await {
            tracing::error!(%error, "that commits in quarantine were forgotten can't be written into the log");
        }
    }

    /// What everybody may see of the seat.
    pub(in crate::writer) fn seat_published(&self) -> SeatPublished {
        let edge = self.seat.edge.as_ref();
        let in_state = self.seat_tip();
        SeatPublished {
            part: self.seat.part,
            log_size: edge.map_or(0, Edge::size),
            log_root: edge.map_or_else(|| Edge::default().root(), Edge::root),
            staged: self.seat.staged.len(),
            last: self.seat.staged.last().unwrap_or_default().max(in_state),
            begun: self.seat.begun(),
        }
    }

    /// The highest term of which a commit is in the state, and the last number of its chain.
    fn seat_tip(&self) -> (u64, u64) {
        let seats = self.membership.seats();
        let tip = |(holder, term): (AuthorId, u64)| (term, self.frontier.chain(&holder, term).seq());
        seats.holders().map(tip).filter(|(_, seq)| *seq > 0).max().unwrap_or_default()
    }
}

fn ops_of(commit: &VerifiedCommit) -> Vec<Op> {
    commit.live_ops().map(|(_, op)| op.clone()).collect()
}
