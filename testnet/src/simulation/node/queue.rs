//! What waits for the writer of a simulated node, and who waits for the writer.

use std::collections::{BTreeMap, VecDeque};

use lattice::commit::VerifiedCommit;
use lattice::equivocation::Equivocation;
use lattice::frontier::Chain;
use lattice::ids::{AuthorId, CommitId, StateRoot};
use lattice::membership::{NotAdmitted, is_change_key};
use lattice::op::Op;
use reconcile::message::ChainId;

use super::answering::Waiting;
use super::session::SessionId;
use super::state::Next;

/// Jobs that wait for the writer, as in the daemon.
const JOBS_MAX: usize = 256;

/// What can be asked of the writer.
#[derive(Debug)]
pub(crate) enum Job {
    /// Sign and apply operations of our own.
    Write { ops: Vec<Op> },
    /// Apply verified commits.
    Take { commits: Vec<VerifiedCommit>, waiting: Option<Waiting> },
    /// Raise the frontier to a peer's whose state equals ours at this root.
    Raise { root: StateRoot, chains: Vec<(ChainId, Chain)>, session: SessionId },
    /// Write a record of something that did not change the state.
    Note,
    /// Keep evidence that a peer sent.
    Evidence(Box<Equivocation>),
}

/// What became of a commit handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    Known,
    Waits,
    Refused(NotAdmitted),
    Failed,
}

/// Somebody's wait that ended.
#[derive(Debug)]
pub(crate) enum Settled {
    Taken(Waiting, Vec<(CommitId, Fate)>),
    Raised(SessionId),
}

/// One thing to do, in order.
#[derive(Debug)]
pub(crate) enum Step {
    Own(Vec<Op>),
    Commit { commit: Box<VerifiedCommit>, place: Option<Place>, publish: bool },
    Raise { root: StateRoot, chains: Vec<(ChainId, Chain)>, session: SessionId },
    Note,
    Evidence(Box<Equivocation>),
}

/// Where a commit's fate goes: which open task, and which of its commits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    task: u64,
    index: usize,
}

#[derive(Debug)]
pub(crate) enum Task {
    Own,
    Foreign(Option<Place>),
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) commit: VerifiedCommit,
    pub(crate) task: Task,
    pub(crate) publish: bool,
    /// What the wall clock said when it was judged.
    pub(crate) judged_ms: u64,
}

#[derive(Debug)]
struct OpenTask {
    fates: Vec<Option<(CommitId, Fate)>>,
    waiting: Waiting,
}

/// A transaction that the disk is busy with.
pub(crate) struct Flight {
    pub(crate) next: Next,
    pub(crate) items: Vec<Item>,
    /// The session that waits for its frontier to be raised.
    pub(crate) raises: Option<SessionId>,
}

/// The writer's queue and what it works on.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) steps: VecDeque<Step>,
    /// Commits admitted for the next transaction.
    pub(crate) group: Vec<Item>,
    pub(crate) flight: Option<Flight>,
    tasks: BTreeMap<u64, OpenTask>,
    next_task: u64,
    pub(crate) settled: VecDeque<Settled>,
}

impl Writer {
    /// Hands in a job. Gossip that finds no room is dropped; whoever waits for an answer waits for room as well.
    pub(crate) fn push(&mut self, job: Job) {
        let is_gossip = matches!(job, Job::Take { waiting: None, .. });
        if self.jobs.len() < JOBS_MAX || !is_gossip {
            self.jobs.push_back(job);
        }
    }

    /// Whether nothing is queued and nothing under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.steps.is_empty() && self.group.is_empty() && self.flight.is_none()
    }

    pub(crate) fn settle(&mut self, place: Option<Place>, commit: CommitId, fate: Fate) {
        let Some(place) = place else { return };
        let Some(task) = self.tasks.get_mut(&place.task) else { return };
        if let Some(slot) = task.fates.get_mut(place.index) {
            *slot = Some((commit, fate));
        }
        if task.fates.iter().all(Option::is_some)
            && let Some(task) = self.tasks.remove(&place.task)
        {
            self.settled.push_back(Settled::Taken(task.waiting, task.fates.into_iter().flatten().collect()));
        }
    }

    pub(crate) fn settle_items(&mut self, items: Vec<Item>, fate: impl Fn(CommitId) -> Fate) {
        for item in items {
            if let Task::Foreign(place) = item.task {
                self.settle(place, item.commit.id(), fate(item.commit.id()));
            }
        }
    }

    /// Takes apart all jobs at hand.
    pub(crate) fn take_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::Write { ops } => self.steps.push_back(Step::Own(ops)),
                Job::Raise { root, chains, session } => self.steps.push_back(Step::Raise { root, chains, session }),
                Job::Note => self.steps.push_back(Step::Note),
                Job::Evidence(pair) => self.steps.push_back(Step::Evidence(pair)),
                Job::Take { commits, waiting } => self.take_commits(commits, waiting),
            }
        }
    }

    fn take_commits(&mut self, commits: Vec<VerifiedCommit>, waiting: Option<Waiting>) {
        let task = waiting.is_some().then_some(self.next_task);
        match waiting {
            None => {}
            Some(waiting) if commits.is_empty() => self.settled.push_back(Settled::Taken(waiting, Vec::new())),
            Some(waiting) => {
                self.tasks.insert(self.next_task, OpenTask { fates: vec![None; commits.len()], waiting });
                self.next_task += 1;
            }
        }
        for (index, commit) in (0..).zip(commits) {
            let place = task.map(|task| Place { task, index });
            self.steps.push_back(Step::Commit { commit: Box::new(commit), place, publish: false });
        }
    }

    pub(crate) fn last_of_ours(&self, author: &AuthorId) -> Option<&VerifiedCommit> {
        let ours = self.group.iter().map(|item| &item.commit).filter(|commit| commit.header().author == *author);
        ours.max_by_key(|commit| commit.header().seq)
    }
}

impl Step {
    /// Whether it must see the state after all that was queued before it.
    pub(crate) fn wants_empty_group(&self) -> bool {
        match self {
            Self::Own(ops) => ops.iter().any(changes_membership),
            Self::Commit { commit, .. } => commit.live_ops().any(|(_, op)| changes_membership(op)),
            Self::Raise { .. } | Self::Note | Self::Evidence(_) => true,
        }
    }
}

fn changes_membership(op: &Op) -> bool {
    is_change_key(op.key().as_str())
}
