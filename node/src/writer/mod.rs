//! The writer: the one task that changes the state.
//!
//! Jobs come in through a bounded queue. What arrived while the last transaction ran goes into the next (group
//! commit). Each group is judged, joined and stored in one transaction; only then is it published, answered and
//! told to others. If the transaction fails nothing of it happened: the tree is persistent, so the old one stands.
//!
//! # Reading order
//!
//! 1. [`job`]: what can be asked. The task is here; `group`: what goes into one transaction.
//! 2. `state`, `transaction`: the last durable state, and how the next one comes about. `answers`: what is remembered of
//!    requests. `equivocations`: what speaks against others.
//! 3. `checkpoint`, [`caught`], [`witness`]: the log, signed, proven at, and compared for others.
//! 4. `repair`, `quarantine`, `resuming`, `renaming`: a disk that changed what it holds, what cuts took away, a start that asks
//!    where our chain ends, a log that goes on under another name. [`pace`]: figures.
//! 5. [`seat`]: commits that are staged before they enter the state.

pub mod job;
mod group;
mod state;
mod transaction;
mod answers;
mod equivocations;
mod checkpoint;
pub mod caught;
pub mod witness;
mod repair;
mod quarantine;
mod resuming;
mod renaming;
pub mod pace;
pub mod seat;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lattice::commit::VerifiedCommit;
use lattice::equivocation::Equivocation;
use lattice::frame::{Frame, pack_commits};
use lattice::genesis::Genesis;
use lattice::ids::LatticeId;
use lattice::keys::NodeKeys;
use node_core::admission::{Admission, judge};
use node_core::parking::Parking;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::now_ms;
use crate::home::Start;
use crate::metrics::measured::{Measured, observe};
use crate::store::open::Opened;
pub use checkpoint::{Checkpointed, log_key};
use group::{Group, Item, Own, Place, Task};
use job::{Fate, Invitation, Job, Taken, WriteError, Written};
use pace::Pace;
use seat::Outbox;
pub use state::Published;
use state::State;

/// Jobs that wait for the writer. A job is at most a gossip frame, so this is at most 70 MB; beyond it gossip is
/// dropped (and healed by reconcile) and clients wait.
const JOBS_MAX: usize = 256;

/// Commits and bytes in one transaction: a log record names at most 1024 commits; 4 MiB keep it below 100 ms.
const GROUP_COMMITS_MAX: usize = lattice::limits::RECORD_COMMITS_MAX;
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Frames waiting to be gossiped. Beyond it they are dropped: the next head makes peers reconcile.
const FRAMES_MAX: usize = 256;

/// Who this node is; shared by all tasks, never changed.
pub struct Identity {
    /// The lattice's founding document.
    pub genesis: Genesis,
    /// Its id, hashed once.
    pub lattice: LatticeId,
    /// This node's keys.
    pub keys: NodeKeys,
}

/// The sending half: how jobs reach the writer, and what it last published.
#[derive(Clone)]
pub struct WriterHandle {
    jobs: mpsc::Sender<Job>,
    published: watch::Receiver<Arc<Published>>,
    outbox: Arc<Mutex<Outbox>>,
    pace: Arc<Pace>,
}

impl WriterHandle {
    /// How fast the writer works.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// What the last durable transaction left.
    pub fn published(&self) -> Arc<Published> {
        self.published.borrow().clone()
    }

    /// Changes with every durable transaction.
    pub fn watch(&self) -> watch::Receiver<Arc<Published>> {
        self.published.clone()
    }

    /// Looks at what mirrors of the seat may fetch, and says when more of it goes out.
    pub fn with_outbox<T>(&self, look: impl FnOnce(&mut Outbox) -> T) -> T {
        look(&mut self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands in a job, waiting for room; `false` if the writer has stopped.
    pub async fn send(&self, job: Job) -> bool {
        self.jobs.send(job).await.is_ok()
    }

    /// Hands in a job if there is room now.
    pub fn try_send(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Hands in commits and waits for their fate; `None` if the writer has stopped.
    pub async fn take(&self, commits: Vec<VerifiedCommit>, publish: bool) -> Option<Taken> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        if !self.send(Job::Take { commits, publish, reply: Some(reply) }).await {
            return None;
        }
        answer.await.ok()
    }
}

/// The writer before it runs.
pub struct Writer {
    identity: Arc<Identity>,
    state: State,
    parking: Parking,
    jobs: mpsc::Receiver<Job>,
    frames: mpsc::Sender<Vec<u8>>,
    publisher: watch::Sender<Arc<Published>>,
    pace: Arc<Pace>,
    measured: Measured,
}

/// Sets up the writer over an opened store; `start` keeps it from signing until it has learnt from others what
/// it signed before. The receiver yields encoded gossip frames of durable commits.
///
/// # Errors
///
/// [`crate::store::StoreError`] if the log can't be opened.
pub async fn writer(
    identity: Arc<Identity>,
    opened: Opened,
    start: Start,
) -> Result<(Writer, WriterHandle, mpsc::Receiver<Vec<u8>>), crate::store::StoreError> {
    let mut state = State::resume(&identity, opened, start, now_ms()).await?;
    let (jobs_in, jobs) = mpsc::channel(JOBS_MAX);
    let (frames, frames_out) = mpsc::channel(FRAMES_MAX);
    state.look_for_begun();
    let (publisher, published) = watch::channel(Arc::new(state.publish(0, None)));
    let outbox = state.seat.outbox.clone();
    let (pace, measured): (Arc<Pace>, Measured) = Default::default();
    let writer =
        Writer { identity, state, parking: Parking::default(), jobs, frames, publisher, pace: pace.clone(), measured };
    Ok((writer, WriterHandle { jobs: jobs_in, published, outbox, pace }, frames_out))
}

impl Writer {
    /// Adds its figures up there.
    pub fn measured_by(self, measured: Measured) -> Self {
        Self { measured, ..self }
    }

    /// Works until `stop` fires and the queue is empty, then closes the connection.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut jobs = Vec::new();
        loop {
            let due = self.parking.next_due_ms().map(|due| Duration::from_millis(due.saturating_sub(now_ms())));
            tokio::select! {
                biased;
                taken = self.jobs.recv_many(&mut jobs, JOBS_MAX) => if taken == 0 { break },
                () = sleep_if(due) => {}
                () = stop.cancelled(), if self.jobs.is_empty() => break,
            }
            let due = self.parking.release_due(now_ms());
            self.work(jobs.drain(..), due).await;
        }
        self.jobs.close();
        self.state.close().await;
    }

    /// Takes all jobs at hand, in groups that each fit a transaction.
    async fn work(&mut self, jobs: impl Iterator<Item = Job>, due: Vec<VerifiedCommit>) {
        let mut group = Group::default();
        for commit in due {
            self.take(&mut group, commit, None, true).await;
        }
        for job in jobs {
            self.start(&mut group, job).await;
        }
        self.flush_staging(&mut group).await;
        self.finish(&mut group).await;
    }

    async fn start(&mut self, group: &mut Group, job: Job) {
        match job {
            Job::Write { ops, idempotency, reply } => {
                if group.holds_name(idempotency.as_ref()) {
                    self.finish(group).await;
                }
                match self.state.kept_answer(idempotency.as_ref(), &ops).await {
                    Ok(Some(written)) => reply.finish(Ok(written)),
                    Ok(None) => self.write(group, Own { ops, idempotency, redeems: None, reply }).await,
                    Err(error) => reply.finish(Err(error)),
                }
            }
            Job::Take { commits, publish, reply } => {
                let places = group.open_task(commits.len(), reply);
                for (place, commit) in places.zip(commits) {
                    self.take(group, commit, Some(place), publish).await;
                }
            }
            Job::Raise { root, chains, reply } => {
                self.finish(group).await;
                let raised = self.state.raise(self.identity.lattice, &root, &chains).await;
                let is_done = raised == Ok(true);
                self.publish(raised.err());
                let _ = reply.send(is_done);
            }
            Job::CaughtUp => {
                self.state.caught_up();
                self.publish_after(Ok(false));
            }
            Job::Waiting { author, reply } => {
                let _ = reply.send(self.parking.last_of(&author).cloned());
            }
            Job::Learnt { chain } => self.state.learn(&self.identity, &chain),
            Job::Sure => {
                self.state.be_sure();
                self.publish_after(Ok(false));
            }
            Job::Note { event } => {
                self.finish(group).await;
                let noted = self.state.note(now_ms(), event).await;
                self.publish(noted.err());
            }
            Job::Dismiss { commit, rows, reply } => {
                self.finish(group).await;
                let dismissed = self.state.dismiss(commit, &rows).await;
                self.publish_after(dismissed.clone().map(|()| true));
                let _ = reply.send(dismissed);
            }
            Job::Checkpoint => {
                self.finish(group).await;
                let signed = self.state.checkpoint(&self.identity, now_ms()).await;
                self.publish_after(signed);
                self.state.catch_wanted().await;
            }
            Job::Catch { key, reply } => {
                self.finish(group).await;
                self.state.want(key, reply).await;
            }
            Job::Cosigned { lines, reply } => {
                let kept = self.state.cosigned(lines).await;
                let is_new = kept.as_ref().is_ok_and(|is_new| *is_new);
                self.publish_after(kept);
                let _ = reply.send(is_new);
            }
            Job::MaySign => {
                self.state.may_sign = true;
                self.publish_after(Ok(false));
            }
            Job::RenameLog { held } => {
                self.finish(group).await;
                let head = held.checkpoint();
                let renamed = if head.origin() == self.state.origin.as_str() {
                    self.state.rename_log(&self.identity, head.size(), *head.root(), now_ms()).await
                } else {
                    // It has another name already.
                    Ok(false)
                };
                self.publish_after(renamed);
            }
            Job::Recall { signed } => {
                let recalled = self.state.recall(&self.identity, &signed).await;
                self.publish_after(recalled);
            }
            Job::Witness { request, reply } => {
                let witnessed = self.state.witness(&self.identity, &request, now_ms()).await;
                // A refusal changes nothing, and costs nobody anything.
                if witnessed.as_ref().map_or(true, |witnessed| witnessed.is_stored) {
                    self.publish_after(witnessed.as_ref().map(|_| true).map_err(Clone::clone));
                }
                // The log asks again if it hears nothing.
                let _ = reply.send(witnessed);
            }
            Job::Fork { evidence, reply } => {
                let kept = self.state.keep_fork(*evidence, now_ms()).await;
                self.publish_after(kept.as_ref().map(Option::is_some).map_err(Clone::clone));
                let _ = reply.send(kept);
            }
            Job::Recheck { keys, strays, reply } => {
                self.finish(group).await;
                let dropped = self.state.drop_damaged(&keys, &strays, now_ms()).await;
                self.publish_after(dropped.as_ref().map(|dropped| *dropped > 0).map_err(Clone::clone));
                // Whoever looked may be gone; what is dropped is dropped.
                let _ = reply.send(dropped);
            }
            Job::Seat(job) => Box::pin(self.start_seat(group, job)).await,
            Job::Evidence { pair } => {
                let kept = self.state.keep_evidence(&pair).await;
                self.publish(kept.err());
            }
            Job::Invite { secret_hash, reply } => {
                let _ = reply.send(self.state.keep_invitation(secret_hash, now_ms()).await);
            }
            Job::Redeem { secret_hash, member, reply } => {
                self.finish(group).await;
                match self.state.invitation(&self.identity, secret_hash, &member).await {
                    Invitation::Open(op) => {
                        let redeems = Some((secret_hash, member.author));
                        self.write(group, Own { ops: vec![op], idempotency: None, redeems, reply }).await;
                    }
                    Invitation::Done(written) => reply.finish(Ok(written)),
                    Invitation::Refused(error) => reply.finish(Err(error)),
                }
            }
        }
    }

    /// Drafts, signs and queues a commit of our own. It is verified and judged like everybody's.
    async fn write(&mut self, group: &mut Group, own: Own) {
        if own.changes_membership() || group.is_full(GROUP_COMMITS_MAX, GROUP_BYTES_MAX) {
            self.finish(group).await;
        }
        let now = now_ms();
        let commit = match self.state.draft(&self.identity, group, own.ops.clone(), now) {
            Ok(commit) => commit,
            Err(error) => return own.reply.finish(Err(error)),
        };
        let membership = &self.state.membership;
        match judge(&self.identity.genesis, self.identity.lattice, membership, &commit, now) {
            Admission::Now => group.push(Item { commit, task: Task::Own(own), publish: true }),
            Admission::Never(refused) => return own.reply.finish(Err(refused.into())),
            Admission::Later(_) => return own.reply.finish(Err(WriteError::NotYetMember)),
        }
        if group.changes_membership {
            self.finish(group).await;
        }
    }

    /// Judges and queues a commit of another author, or lets it wait.
    async fn take(&mut self, group: &mut Group, commit: VerifiedCommit, place: Option<Place>, publish: bool) {
        let changes_membership = group::changes_membership(&commit);
        if changes_membership || group.is_full(GROUP_COMMITS_MAX, GROUP_BYTES_MAX) {
            self.finish_but_keep_tasks(group).await;
        }
        let membership = &self.state.membership;
        match judge(&self.identity.genesis, self.identity.lattice, membership, &commit, now_ms()) {
            Admission::Now => {
                let name = self.state.seat.staged.of_id(&commit.id()).and_then(|staged| staged.name.clone());
                group.push(Item { commit, task: Task::Foreign(place, name), publish });
            }
            Admission::Never(refused) => group.settle(place, commit.id(), Fate::Refused(refused)),
            Admission::Later(wait) => {
                let id = commit.id();
                self.parking.park(commit, wait);
                group.settle(place, id, Fate::Waits);
            }
        }
        if changes_membership {
            self.finish_but_keep_tasks(group).await;
        }
    }

    /// Stores the group, answers its jobs, and judges again what waited for a member it may have added.
    async fn finish(&mut self, group: &mut Group) {
        self.finish_but_keep_tasks(group).await;
        group.answer_tasks();
    }

    async fn finish_but_keep_tasks(&mut self, group: &mut Group) {
        let mut changed_membership = self.store(group).await;
        while changed_membership {
            // Those that still wait are parked again.
            for commit in self.parking.release_changes() {
                Box::pin(self.take(group, commit, None, true)).await;
            }
            changed_membership = self.store(group).await;
        }
    }

    /// One transaction. Returns whether it changed the membership.
    async fn store(&mut self, group: &mut Group) -> bool {
        let items = group.take_items();
        if items.is_empty() {
            self.publish_waiting();
            return false;
        }
        let started = Instant::now();
        let stored = self.state.apply(&self.identity, &items, now_ms()).await;
        match stored {
            Ok(done) => {
                self.pace.stored(items.len(), started.elapsed());
                observe(&self.measured.apply, started.elapsed());
                self.measured.commits.inc_by(done.winning.len() as u64);
                let answers = self.leave_staging(&items);
                if done.membership_changed {
                    self.look_at_term().await;
                }
                self.publish(None);
                seat::answer(answers);
                self.gossip(&items, &done.evidence);
                let fate = |id| if done.winning.contains(&id) { Fate::Applied } else { Fate::Known };
                group.settle_items(items, fate, |commit| Ok(self.state.written(commit)));
                done.membership_changed
            }
            Err(error) => {
                if self.publisher.borrow().trouble.is_none() {
                    tracing::error!(%error, "a transaction failed, nothing of it happened; refusing writes until one succeeds");
                }
                self.publish(Some(error.clone()));
                self.stay_staged(&items);
                let failed = WriteError::from(error);
                group.settle_items(items, |_| Fate::Failed(failed.clone()), |_| Err(failed.clone()));
                false
            }
        }
    }

    fn publish(&mut self, trouble: Option<crate::store::StoreError>) {
        self.state.look_for_begun();
        self.publisher.send_replace(Arc::new(self.state.publish(self.parking.len(), trouble)));
    }

    /// Publishes after something that may have written, and tells by `true` that it did: only that shows that the disk
    /// takes writes again.
    fn publish_after(&mut self, done: Result<bool, crate::store::StoreError>) {
        let trouble = match done {
            Ok(true) => None,
            Ok(false) => self.publisher.borrow().trouble.clone(),
            Err(error) => Some(error),
        };
        self.publish(trouble);
    }

    fn publish_waiting(&mut self) {
        if self.publisher.borrow().waiting != self.parking.len() {
            self.publish_after(Ok(false));
        }
    }

    fn gossip(&self, items: &[Item], evidence: &[Equivocation]) {
        let told: Vec<_> = items.iter().filter(|item| item.publish).map(|item| item.commit.commit().encode()).collect();
        let evidence = evidence.iter().map(|pair| Frame::Equivocation(Box::new(pair.clone())).encode());
        for frame in pack_commits(&told).into_iter().chain(evidence) {
            if self.frames.try_send(frame).is_err() {
                tracing::debug!("gossip queue full; peers will reconcile");
            }
        }
    }
}

async fn sleep_if(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

/// A reply channel that does not mind a client gone away.
pub struct Reply(pub tokio::sync::oneshot::Sender<Result<Written, WriteError>>);

impl Reply {
    fn finish(self, answer: Result<Written, WriteError>) {
        // The write is durable whether or not somebody still waits for the answer.
        let _ = self.0.send(answer);
    }
}

#[cfg(test)]
mod tests;
