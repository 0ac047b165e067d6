//! The writer of a simulated node: jobs in groups, one transaction at a time, nothing published, answered or told before
//! it is durable. Wired as the daemon's writer, with its waits turned into a state machine.

use lattice::commit::VerifiedCommit;
use lattice::equivocation::Equivocation;
use lattice::frame::{Frame, pack_commits};
use lattice::frontier::Chain;
use lattice::ids::{CommitId, StateRoot};
use lattice::limits::RECORD_COMMITS_MAX;
use lattice::op::Op;
use node_core::admission::{Admission, judge};
use reconcile::message::ChainId;
use std::collections::BTreeSet;

use super::database::Database;
use super::queue::{Fate, Flight, Item, Place, Settled, Step, Task};
use super::session::SessionId;
use super::state::Next;
use super::{Node, Now, Output};
use crate::simulation::rule::SafetyRule;

/// Commits in one transaction, as in the daemon.
const GROUP_COMMITS_MAX: usize = RECORD_COMMITS_MAX;

impl Node {
    /// Works until the disk is busy or nothing is left to do.
    pub(crate) fn work(&mut self, now: Now) {
        while self.writer.flight.is_none() {
            let Some(step) = self.writer.steps.front() else {
                if !self.writer.group.is_empty() {
                    self.store_group();
                } else if self.writer.jobs.is_empty() {
                    return;
                } else {
                    self.writer.take_jobs();
                }
                continue;
            };
            let is_full = self.writer.group.len() >= GROUP_COMMITS_MAX;
            if !self.writer.group.is_empty() && (is_full || step.wants_empty_group()) {
                self.store_group();
            } else if let Some(step) = self.writer.steps.pop_front() {
                let is_change = step.wants_empty_group();
                self.begin(now, step);
                if is_change && !self.writer.group.is_empty() {
                    self.store_group();
                }
            }
        }
    }

    /// Lets commits whose time has come be judged again.
    pub(crate) fn release_due(&mut self, now: Now) {
        let due = self.parking.release_due(now.wall_ms).into_iter();
        self.writer.steps.extend(due.map(|commit| Step::Commit {
            commit: Box::new(commit),
            place: None,
            publish: true,
        }));
    }

    fn begin(&mut self, now: Now, step: Step) {
        match step {
            Step::Own(ops) => self.write(now, ops),
            Step::Commit { commit, place, publish } => self.take(now, *commit, place, publish),
            Step::Raise { root, chains, session } => self.raise(&root, &chains, session),
            Step::Note => {
                let next = self.state.noted(&self.database);
                self.fly(Flight { next, items: Vec::new(), raises: None });
            }
            Step::Evidence(pair) => {
                if let Some(next) = self.state.with_evidence(&self.database, &pair) {
                    self.fly(Flight { next, items: Vec::new(), raises: None });
                }
            }
        }
    }

    /// Drafts, signs and queues a commit of our own. It is judged like everybody's.
    fn write(&mut self, now: Now, ops: Vec<Op>) {
        let queued = self.writer.last_of_ours(&self.identity.author).cloned();
        let Some(commit) = self.state.draft(&self.identity, queued.as_ref(), ops, now.wall_ms) else { return };
        if self.judged(&commit, now) == Admission::Now {
            self.outbox.push(Output::Signed(commit.clone()));
            let task = Task::Own;
            self.writer.group.push(Item { commit, task, publish: true, judged_ms: now.wall_ms });
        }
    }

    /// Judges and queues a commit of another author, or lets it wait.
    fn take(&mut self, now: Now, commit: VerifiedCommit, place: Option<Place>, publish: bool) {
        let id = commit.id();
        match self.judged(&commit, now) {
            Admission::Now => {
                let task = Task::Foreign(place);
                self.writer.group.push(Item { commit, task, publish, judged_ms: now.wall_ms });
            }
            Admission::Never(refused) => self.writer.settle(place, id, Fate::Refused(refused)),
            Admission::Later(wait) => {
                self.parking.park(commit, wait);
                self.writer.settle(place, id, Fate::Waits);
            }
        }
    }

    fn judged(&self, commit: &VerifiedCommit, now: Now) -> Admission {
        if self.without == Some(SafetyRule::JudgeBeforeApply) {
            return Admission::Now;
        }
        judge(&self.identity.genesis, self.identity.lattice, &self.state.membership, commit, now.wall_ms)
    }

    fn raise(&mut self, root: &StateRoot, chains: &[(ChainId, Chain)], session: SessionId) {
        if self.state.tree.root() != *root {
            self.writer.settled.push_back(Settled::Raised(session));
            return;
        }
        let next = self.state.raised(&self.identity, &self.database, chains);
        self.fly(Flight { next, items: Vec::new(), raises: Some(session) });
    }

    /// One transaction over what is queued.
    fn store_group(&mut self) {
        let items = std::mem::take(&mut self.writer.group);
        let batch: Vec<_> = items.iter().map(|item| item.commit.clone()).collect();
        if self.without == Some(SafetyRule::AnswerAfterDurable) {
            self.answer(&items);
        }
        if self.without == Some(SafetyRule::TellAfterDurable) {
            self.gossip(&items, &[]);
        }
        match self.state.joined(&self.identity, &self.database, &batch, self.without) {
            Some(next) => self.fly(Flight { next, items, raises: None }),
            None => self.done(items, &[], &BTreeSet::new()),
        }
    }

    fn fly(&mut self, flight: Flight) {
        self.writer.flight = Some(flight);
        self.outbox.push(Output::Flush);
    }

    /// The disk is done with a transaction: it is durable, or nothing of it happened.
    pub(crate) fn flushed(&mut self, is_durable: bool) {
        let Some(Flight { next, items, raises }) = self.writer.flight.take() else { return };
        self.writer.settled.extend(raises.map(Settled::Raised));
        if !is_durable {
            self.writer.settle_items(items, |_| Fate::Failed);
            return;
        }
        let membership_changed = *next.state.membership != *self.state.membership;
        let Next { state, database, evidence, damaged, winning } = next;
        if state.tree.root() != self.state.tree.root() {
            self.root_before = self.state.tree.root();
        }
        (self.state, self.database) = (state, database);
        let stored = items.iter().map(|item| (item.commit.clone(), item.judged_ms)).collect();
        self.outbox.push(Output::Stored { commits: stored, damaged });
        self.published(membership_changed);
        self.done(items, &evidence, &winning);
        if membership_changed {
            // Those that still wait are parked again.
            for commit in self.parking.release_changes().into_iter().rev() {
                self.writer.steps.push_front(Step::Commit { commit: Box::new(commit), place: None, publish: true });
            }
        }
    }

    /// Answers and tells of commits whose effect is durable.
    fn done(&mut self, items: Vec<Item>, evidence: &[Equivocation], winning: &BTreeSet<CommitId>) {
        self.gossip(&items, evidence);
        self.answer(&items);
        let fate = |id| if winning.contains(&id) { Fate::Applied } else { Fate::Known };
        self.writer.settle_items(items, fate);
    }

    fn answer(&mut self, items: &[Item]) {
        let own = items.iter().filter(|item| matches!(item.task, Task::Own));
        self.outbox.extend(own.map(|item| Output::Acknowledged(item.commit.clone())));
    }

    fn gossip(&mut self, items: &[Item], evidence: &[Equivocation]) {
        let told: Vec<_> = items.iter().filter(|item| item.publish).map(|item| item.commit.commit().encode()).collect();
        let evidence = evidence.iter().map(|pair| Frame::Equivocation(Box::new(pair.clone())).encode());
        for frame in pack_commits(&told).into_iter().chain(evidence) {
            self.publish(frame.into());
        }
    }

    /// The machine stops. A transaction that the disk was busy with may or may not have become durable.
    pub(crate) fn crash(self, last_is_durable: bool) -> Database {
        match self.writer.flight {
            Some(flight) if last_is_durable => flight.next.database,
            Some(_) | None => self.database,
        }
    }
}
