//! What goes into one transaction, and who waits for it.

use lattice::commit::VerifiedCommit;
use lattice::ids::{AuthorId, CommitId};
use lattice::membership::is_change_key;
use lattice::op::Op;
use tokio::sync::oneshot;

use super::Reply;
use super::job::{Fate, IdempotencyKey, Taken, WriteError, Written};

/// A write of our own that waits for its answer.
pub(super) struct Own {
    pub(super) ops: Vec<Op>,
    pub(super) idempotency: Option<IdempotencyKey>,
    /// The invitation that this write redeems, and for whom.
    pub(super) redeems: Option<([u8; 32], AuthorId)>,
    pub(super) reply: Reply,
}

impl Own {
    pub(super) fn changes_membership(&self) -> bool {
        self.ops.iter().any(|op| is_change_key(op.key().as_str()))
    }
}

pub(super) enum Task {
    Own(Own),
    /// The place in a job's answer, if the commit came with a job; and the client's name for it, if it is one of the seat that
    /// is staged here, and came another way meanwhile.
    Foreign(Option<Place>, Option<IdempotencyKey>),
    /// A commit of the seat that was staged, and the client's name for it.
    Staged(Option<IdempotencyKey>),
}

/// Where a commit's fate goes: which open job, and which of its commits.
#[derive(Clone, Copy)]
pub(super) struct Place {
    task: usize,
    index: usize,
}

pub(super) struct Item {
    pub(super) commit: VerifiedCommit,
    pub(super) task: Task,
    pub(super) publish: bool,
}

struct OpenTask {
    fates: Vec<Option<(CommitId, Fate)>>,
    reply: Option<oneshot::Sender<Taken>>,
}

/// Commits admitted for the next transaction, and jobs that are not answered yet.
#[derive(Default)]
pub(super) struct Group {
    items: Vec<Item>,
    bytes: usize,
    pub(super) changes_membership: bool,
    tasks: Vec<OpenTask>,
}

pub(super) fn changes_membership(commit: &VerifiedCommit) -> bool {
    commit.live_ops().any(|(_, op)| is_change_key(op.key().as_str()))
}

impl Group {
    pub(super) fn is_full(&self, commits: usize, bytes: usize) -> bool {
        self.items.len() >= commits || self.bytes >= bytes
    }

    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.commit.live_ops().map(|(_, op)| op.value().map_or(0, <[u8]>::len) + 600).sum::<usize>();
        self.changes_membership |= changes_membership(&item.commit);
        self.items.push(item);
    }

    /// Whether a write under this name is in the group: a repetition must wait for its answer.
    pub(super) fn holds_name(&self, name: Option<&IdempotencyKey>) -> bool {
        let own = |item: &Item| match &item.task {
            Task::Own(own) => own.idempotency.clone(),
            Task::Foreign(..) | Task::Staged(_) => None,
        };
        name.is_some_and(|name| self.items.iter().any(|item| own(item).as_ref() == Some(name)))
    }

    /// The commit of our own in this group with the greatest number. A reconcile may have brought back an old one: the
    /// next one follows whatever is further, this or the frontier.
    pub(super) fn last_of(&self, author: &AuthorId) -> Option<&VerifiedCommit> {
        let ours = self.items.iter().map(|item| &item.commit).filter(|commit| commit.header().author == *author);
        ours.max_by_key(|commit| commit.header().seq)
    }

    pub(super) fn take_items(&mut self) -> Vec<Item> {
        self.bytes = 0;
        self.changes_membership = false;
        std::mem::take(&mut self.items)
    }

    /// Opens a job of so many commits; gives the place of each.
    pub(super) fn open_task(
        &mut self,
        commits: usize,
        reply: Option<oneshot::Sender<Taken>>,
    ) -> impl Iterator<Item = Place> + use<> {
        self.tasks.push(OpenTask { fates: vec![None; commits], reply });
        let task = self.tasks.len() - 1;
        (0..commits).map(move |index| Place { task, index })
    }

    pub(super) fn settle(&mut self, place: Option<Place>, commit: CommitId, fate: Fate) {
        let slot = place.and_then(|place| self.tasks.get_mut(place.task)?.fates.get_mut(place.index));
        if let Some(slot) = slot {
            *slot = Some((commit, fate));
        }
    }

    pub(super) fn settle_items(
        &mut self,
        items: Vec<Item>,
        fate: impl Fn(CommitId) -> Fate,
        answer: impl Fn(&VerifiedCommit) -> Result<Written, WriteError>,
    ) {
        for item in items {
            match item.task {
                Task::Foreign(place, _) => self.settle(place, item.commit.id(), fate(item.commit.id())),
                Task::Own(own) => own.reply.finish(answer(&item.commit)),
                // Whoever waits is kept where it is staged.
                Task::Staged(_) => {}
            }
        }
    }

    /// Answers the jobs, all of whose commits are settled now.
    pub(super) fn answer_tasks(&mut self) {
        for task in self.tasks.drain(..) {
            if let Some(reply) = task.reply {
                // Whoever asked may be gone; the commits are in all the same.
                let _ = reply.send(task.fates.into_iter().flatten().collect());
            }
        }
    }
}
