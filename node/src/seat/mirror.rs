//! A mirror's side: seeded from the holder, then copying it record by record for as long as the term lasts.
//!
//! Seeding uses the join. Two sessions make both states equal but for what the holder writes meanwhile, and in between the
//! log is copied without its commits. What the holder wrote since the second session began comes as records whose commits
//! are joined; at the size that the log had when it ended, the states must be equal. From then on every record made here
//! must be the holder's.

use std::cmp::Ordering;
use std::time::Duration;

use lattice::commit::Commit;
use lattice::ids::StateRoot;
use lattice::record::Record;
use lattice::seat::Body;
use lattice::seat::message::{Batch, KeptName, MirrorPosition, SeatAnswer, SeatRefusal, SeatRequest};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Seat;
use super::asking::NoAnswer;
use super::refusal::code;
use crate::clock::boot_ms;
use crate::intake;
use crate::store::StoreError;
use crate::store::answers::ANSWERS_MAX;
use crate::sync::road::Road;
use crate::sync::session::Session;
use crate::writer::job::{IdempotencyKey, Job};
use crate::writer::seat::{Fidelity, MirrorBatch, MirrorError, Mirrored, SeatJob, SeatPublished};

/// Names that a holder may have answers for: twice what a node keeps, for those that come meanwhile.
const NAMES_TOTAL_MAX: usize = 2 * ANSWERS_MAX as usize;

/// Pause after something went wrong.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Pause after the holder sent what no holder may: people have to look at it, and a seed may be what is tried again.
const UNFIT_PAUSE: Duration = Duration::from_secs(5);

/// How a mirror is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// It is being seeded.
    Seeding,
    /// An answer of the holder came and is durable here: where this node stands, and where the holder.
    At {
        /// Here.
        here: SeatPublished,
        /// Records of the holder's log.
        log_size: u64,
        /// The last commit that the holder has staged.
        last: (u64, u64),
        /// Whether the holder let go of the seat, and everything is here.
        is_released: bool,
        /// Milliseconds that the answer took beyond what the holder waited.
        round_trip_ms: u64,
    },
    /// No answer came.
    Silent(String),
    /// The holder refuses: it knows another term.
    Refused(Box<SeatRefusal>),
    /// The copies differ; this node is seeded anew.
    Differs(String),
    /// This node can't store what comes.
    Trouble(StoreError),
    /// The holder sends what no holder may; nothing of it is taken over.
    Unfit(String),
}

/// A mirror of one term.
pub struct Mirror {
    /// What it works with.
    pub seat: Seat,
    /// The term.
    pub body: Body,
    /// Who is told how it goes.
    pub progress: mpsc::Sender<Progress>,
}

/// What is known of the copy here.
enum Copied {
    /// Nothing yet.
    Unknown,
    /// It belongs to the holder's log, as far as it goes.
    Sound,
    /// It differs.
    Apart,
}

/// Why a step of mirroring failed.
enum Failed {
    Silent(NoAnswer),
    Refused(Box<SeatRefusal>),
    /// To be seeded again.
    Apart(String),
    Store(StoreError),
    /// What the holder sends is none of a holder.
    Unfit(MirrorError),
    Stopping,
}

impl From<MirrorError> for Failed {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Store(error) => Self::Store(error),
            MirrorError::NotAdmitted { .. } | MirrorError::Twice { .. } | MirrorError::TooMuch => Self::Unfit(error),
            MirrorError::Gap { .. }
            | MirrorError::Differs { .. }
            | MirrorError::Missing { .. }
            | MirrorError::HolderDamaged { .. }
            | MirrorError::NoRecord { .. } => Self::Apart(error.to_string()),
        }
    }
}

/// What an answer with names is to those before it.
#[derive(Debug, PartialEq, Eq)]
enum Page {
    Next,
    Last,
    /// Rows don't grow, or there are more names than any node keeps.
    Endless,
}

/// The holder is asked again from where its last answer ended, so that must lead somewhere.
fn page(after: u64, upto: u64, names: usize) -> Page {
    match upto.cmp(&after) {
        Ordering::Equal => Page::Last,
        Ordering::Greater if names <= NAMES_TOTAL_MAX => Page::Next,
        Ordering::Greater | Ordering::Less => Page::Endless,
    }
}

impl Mirror {
    /// Mirrors until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.keep_mirroring() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn keep_mirroring(self) {
        let mut copy = Copied::Unknown;
        let mut may_know_more = true;
        loop {
            let done = match copy {
                Copied::Unknown => self.take_up().await,
                Copied::Apart => self.begin_anew().await,
                Copied::Sound => self.follow(Fidelity::Twin).await.map(drop),
            };
            let failed = match done {
                Ok(()) => {
                    copy = Copied::Sound;
                    continue;
                }
                Err(failed) => failed,
            };
            let progress = match failed {
                Failed::Stopping => return,
                Failed::Silent(why) => Progress::Silent(why.to_string()),
                Failed::Refused(refusal) => Progress::Refused(refusal),
                Failed::Store(error) => Progress::Trouble(error),
                Failed::Apart(why) => {
                    copy = Copied::Apart;
                    Progress::Differs(why)
                }
                // A certificate that came here first may have cut what is in the holder's next records. A seed mends that,
                // once in a term.
                Failed::Unfit(why) if why.is_of_nobody() && std::mem::take(&mut may_know_more) => {
                    copy = Copied::Apart;
                    Progress::Differs(why.to_string())
                }
                Failed::Unfit(why) => Progress::Unfit(why.to_string()),
            };
            let pause = if matches!(progress, Progress::Unfit(_)) { UNFIT_PAUSE } else { RETRY_PAUSE };
            self.tell(progress).await;
            tokio::time::sleep(pause).await;
        }
    }

    async fn tell(&self, progress: Progress) {
        // The driver is gone only at the end.
        let _ = self.progress.send(progress).await;
    }

    /// Makes the log here one that the term goes on from, and the state one that belongs to it.
    async fn take_up(&self) -> Result<(), Failed> {
        let here = self.cut_log().await?;
        if here.log_size > 0 && here.log_size >= self.body.log_size && self.is_twin_of_log(&here).await? {
            return Ok(());
        }
        if here.log_size > 0 {
            // The holder begins its term by stating its state. If that is the one here, nothing has to be seeded.
            match self.follow(Fidelity::Twin).await {
                Err(Failed::Apart(why)) => tracing::info!(why, "this node is seeded"),
                done => return done.map(drop),
            }
        }
        self.seed().await
    }

    /// A copy that turned out to differ may look sound as far as it goes: it is made again all the same.
    async fn begin_anew(&self) -> Result<(), Failed> {
        self.cut_log().await?;
        self.seed().await
    }

    /// Cuts the log here to what the term took over.
    async fn cut_log(&self) -> Result<SeatPublished, Failed> {
        let Body { term, log_size: size, log_root: root, .. } = self.body;
        let (reply, answer) = oneshot::channel();
        self.ask_writer(SeatJob::Copy { term, size, root, reply }, answer).await?.map_err(Failed::Store)
    }

    /// Whether the state is the one that the last record of the log here left.
    async fn is_twin_of_log(&self, here: &SeatPublished) -> Result<bool, Failed> {
        let Some(last) = here.log_size.checked_sub(1) else { return Ok(false) };
        let records = self.seat.reader.seat_records(last, 1).await.map_err(Failed::Store)?;
        let after = records.first().and_then(|record| Record::decode(record).ok()).map(|record| record.after);
        Ok(after == Some(self.root()))
    }

    fn root(&self) -> StateRoot {
        self.seat.writer.published().root
    }

    async fn seed(&self) -> Result<(), Failed> {
        self.tell(Progress::Seeding).await;
        self.reconcile().await?;
        // The sessions bring commits without the clients' names for them. A copy of the log that is long enough lets this
        // node stand: whatever is in it has its name by then.
        let (names, upto, _) = self.fetch_names(0).await?;
        self.keep_names(names).await?;
        while !self.copy_log().await? {}
        self.reconcile().await?;
        let (names, _, of_names) = self.fetch_names(upto).await?;
        let target = self.fetch(Fidelity::Joined, Duration::ZERO).await?.log_size.max(of_names);
        while self.seat.writer.published().seat.log_size < target {
            self.follow(Fidelity::Joined).await?;
        }
        let here = self.seat.writer.published().seat;
        if self.is_twin_of_log(&here).await? {
            self.keep_names(names).await?;
            if self.seat.writer.published().is_catching_up && !self.seat.writer.send(Job::CaughtUp).await {
                return Err(Failed::Stopping);
            }
            tracing::info!(records = here.log_size, holder = %self.body.holder.short(), "seeded: this node mirrors the holder");
            Ok(())
        } else {
            Err(Failed::Apart("the states differ after a seed".to_owned()))
        }
    }

    /// A session in which both sides get what they lack.
    async fn reconcile(&self) -> Result<(), Failed> {
        let holder = self.body.holder;
        let peer = self.seat.peer_of(&holder).ok_or(Failed::Silent(NoAnswer::Stranger(holder)))?;
        let session = Session { sync: self.seat.sync.clone(), road: Road::P2p(peer), estimator: None, until: None };
        let report = session.run().await;
        if report.outcome.is_in_step() {
            return Ok(());
        }
        let why = format!("{}: {}", report.outcome.word(), report.detail());
        Err(Failed::Silent(NoAnswer::Lost { node: holder, why }))
    }

    /// Copies records without their commits; tells whether that was all.
    async fn copy_log(&self) -> Result<bool, Failed> {
        let batch = self.fetch(Fidelity::Log, Duration::ZERO).await?;
        if batch.records.is_empty() {
            return Ok(true);
        }
        self.take(batch, Fidelity::Log).await?;
        Ok(false)
    }

    async fn keep_names(&self, names: Vec<KeptName>) -> Result<(), Failed> {
        let (reply, kept) = oneshot::channel();
        self.ask_writer(SeatJob::EndSeed { names, reply }, kept).await?.map_err(Failed::Store)
    }

    /// The holder's answers to named writes behind a row, the last row, and the size of the log by which all of those are in
    /// the state.
    async fn fetch_names(&self, mut after: u64) -> Result<(Vec<KeptName>, u64, u64), Failed> {
        let mut all: Vec<KeptName> = Vec::new();
        loop {
            let request = SeatRequest::Names { term: self.body.term, after };
            let SeatAnswer::Names { names, upto, log_size } = self.ask_holder(&request).await? else {
                return Err(self.no_answer());
            };
            match page(after, upto, all.len() + names.len()) {
                Page::Last => return Ok((all, upto, log_size)),
                Page::Next => all.extend(names),
                Page::Endless => return Err(self.no_answer()),
            }
            after = upto;
        }
    }

    /// Fetches once and takes over what comes.
    async fn follow(&self, fidelity: Fidelity) -> Result<SeatPublished, Failed> {
        let asked = tokio::time::Instant::now();
        let wait = Duration::from_millis(self.seat.timing.fetch_wait_ms());
        let batch = self.fetch(fidelity, wait).await?;
        if batch.is_behind {
            return Err(Failed::Apart("the holder keeps the records no longer that come next here".to_owned()));
        }
        let took = asked.elapsed();
        let waited = if batch.records.is_empty() && batch.staged.is_empty() { wait } else { Duration::ZERO };
        let (log_size, last, is_released) = (batch.log_size, batch.last, batch.is_released);
        let here = self.take(batch, fidelity).await?;
        if fidelity == Fidelity::Twin {
            let round_trip_ms = u64::try_from(took.saturating_sub(waited).as_millis()).unwrap_or(u64::MAX);
            self.tell(Progress::At { here, log_size, last, is_released, round_trip_ms }).await;
        }
        Ok(here)
    }

    async fn fetch(&self, fidelity: Fidelity, wait: Duration) -> Result<Batch, Failed> {
        let published = self.seat.writer.published().seat;
        let position =
            MirrorPosition { log_size: published.log_size, log_root: published.log_root, staged: published.last };
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or_default();
        if self.seat.serving.borrow().floor > self.body.term {
            // Whoever stood or voted for a higher term acknowledges nothing of this one.
            return Err(Failed::Stopping);
        }
        let (is_bare, is_twin) = (fidelity == Fidelity::Log, fidelity == Fidelity::Twin);
        let paused_ms = self.seat.serving.borrow().paused_until.map_or(0, |until| until.remaining_ms(boot_ms()));
        let request = SeatRequest::Fetch { term: self.body.term, position, is_bare, wait_ms, is_twin, paused_ms };
        match self.ask_holder(&request).await {
            Ok(SeatAnswer::Batch(batch)) => Ok(*batch),
            Err(Failed::Refused(refusal)) if refusal.code == code::OTHER_LOG => self.drop_log().await,
            Ok(_) => Err(self.no_answer()),
            Err(failed) => Err(failed),
        }
    }

    async fn ask_holder(&self, request: &SeatRequest) -> Result<SeatAnswer, Failed> {
        let timing = &self.seat.timing;
        let (silent_ms, late_ms) = (timing.fetch_silent_ms(), timing.fetch_ms());
        let mut asked = std::pin::pin!(self.seat.ask(self.body.holder, request, Duration::from_millis(late_ms)));
        let answer = match tokio::time::timeout(Duration::from_millis(silent_ms), &mut asked).await {
            Ok(answered) => answered,
            Err(_) => {
                // It may be megabytes on a slow link, or a holder that is gone: others know.
                let why = NoAnswer::Late { node: self.body.holder, ms: silent_ms };
                self.tell(Progress::Silent(why.to_string())).await;
                asked.await
            }
        };
        let answer = answer.map_err(Failed::Silent)?;
        if let SeatAnswer::Refused(refusal) = answer { Err(Failed::Refused(refusal)) } else { Ok(answer) }
    }

    fn no_answer(&self) -> Failed {
        let why = "an answer to another question".to_owned();
        Failed::Silent(NoAnswer::Garbled { node: self.body.holder, why })
    }

    /// The log here is not the holder's: it is copied again from the start.
    async fn drop_log(&self) -> Result<Batch, Failed> {
        let (reply, answer) = oneshot::channel();
        let job = SeatJob::Copy { term: self.body.term, size: 0, root: [0; 32], reply };
        self.ask_writer(job, answer).await?.map_err(Failed::Store)?;
        Err(Failed::Apart("the copy of the seat's log here was another one".to_owned()))
    }

    /// Verifies what came and hands it to the writer.
    async fn take(&self, batch: Batch, fidelity: Fidelity) -> Result<SeatPublished, Failed> {
        let from = self.seat.writer.published().seat.log_size;
        let mut records = Vec::with_capacity(batch.records.len());
        for item in batch.records {
            let commits = if fidelity == Fidelity::Log { Vec::new() } else { self.verified(item.commits).await? };
            records.push(Mirrored { record: item.record, commits });
        }
        let (staged, names): (Vec<_>, Vec<_>) = batch.staged.into_iter().map(|item| (item.commit, item.name)).unzip();
        let names = names.into_iter().map(|name| name.as_deref().and_then(IdempotencyKey::new));
        let staged = self.verified(staged).await?.into_iter().zip(names).collect();
        let (reply, answer) = oneshot::channel();
        let batch = Box::new(MirrorBatch { from, records, staged, fidelity });
        Ok(self.ask_writer(SeatJob::Mirror { batch, reply }, answer).await??)
    }

    async fn verified(&self, commits: Vec<Vec<u8>>) -> Result<Vec<lattice::commit::VerifiedCommit>, Failed> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let garbled = |why: String| Failed::Silent(NoAnswer::Garbled { node: self.body.holder, why });
        let decoded: Result<Vec<_>, _> = commits.iter().map(|bytes| Commit::decode(bytes)).collect();
        let decoded = decoded.map_err(|error| garbled(error.to_string()))?;
        let checked = intake::verify(&self.seat.identity, decoded).await;
        checked.into_iter().map(|checked| checked.map_err(|(_, error)| garbled(error.to_string()))).collect()
    }

    async fn ask_writer<T>(&self, job: SeatJob, answer: oneshot::Receiver<T>) -> Result<T, Failed> {
        if !self.seat.writer.send(Job::Seat(job)).await {
            return Err(Failed::Stopping);
        }
        answer.await.map_err(|_| Failed::Stopping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_rows_that_grow_and_are_no_more_than_a_node_keeps() {
        assert_eq!(page(7, 7, 0), Page::Last);
        assert_eq!(page(7, 9, 2), Page::Next);
        assert_eq!(page(7, 6, 2), Page::Endless, "down and up again a holder would be asked for ever");
        assert_eq!(page(7, 9, NAMES_TOTAL_MAX), Page::Next);
        assert_eq!(page(7, 9, NAMES_TOTAL_MAX + 1), Page::Endless);
    }
}
