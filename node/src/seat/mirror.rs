//! A mirror's side: seeded from the holder, then copying it record by record for as long as the term lasts.
//! From the end of the seed on every record made here must be the holder's.

mod seeding;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lattice::commit::Commit;
use lattice::seat::Body;
use lattice::seat::message::{Batch, MirrorPosition, SeatAnswer, SeatRefusal, SeatRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Seat;
use super::asking::NoAnswer;
use super::refusal::code;
use crate::clock::boot_ms;
use crate::intake;
use crate::net::Command;
use crate::store::StoreError;
use crate::writer::job::{IdempotencyKey, Job};
use crate::writer::seat::{Fidelity, MirrorBatch, MirrorError, Mirrored, SeatJob, SeatPublished};

/// Pause after something went wrong.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Pause after the holder sent what no holder may: people have to look at it, and a seed may be what is tried again.
const UNFIT_PAUSE: Duration = Duration::from_secs(5);

/// How often a holder that is asked, and not connected, is dialled anew. QUIC asks again after one second and after three; ten
/// dials that hang at once are few (a guess).
const REDIAL_EVERY: Duration = Duration::from_millis(500);

/// How often a mirror that lacks what its term began with asks again whether its holder has it.
const COMPLETE_EVERY: Duration = Duration::from_secs(5);

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
    /// Whether it took over what the holder's chains cover: it lacks nothing that the holder has.
    pub is_as_whole: AtomicBool,
}

/// What is known of the copy here.
enum Copied {
    /// Nothing yet.
    Unknown,
    /// It belongs to the holder's log, as far as it goes.
    Sound,
    /// It differs.
    Apart,
    /// It is of another log altogether.
    Foreign,
}

/// Why a step of mirroring failed.
enum Failed {
    Silent(NoAnswer),
    Refused(Box<SeatRefusal>),
    /// To be seeded again.
    Apart(String),
    /// The log here is not the holder's.
    OtherLog,
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

impl Mirror {
    /// Mirrors until `stop` fires; ends once nothing of it is under way.
    pub async fn run(self, stop: CancellationToken) {
        let writer = self.seat.writer.clone();
        tokio::select! {
            () = self.keep_mirroring() => {}
            () = stop.cancelled() => {}
        }
        // A batch that the writer has got is taken over all the same: where this node stands is known behind it.
        drop(writer.take(Vec::new(), false).await);
    }

    async fn keep_mirroring(self) {
        let mut copy = Copied::Unknown;
        let mut may_know_more = true;
        let mut completed = Instant::now();
        loop {
            let done = match copy {
                Copied::Unknown => self.take_up().await,
                Copied::Apart => self.begin_anew().await,
                Copied::Foreign => {
                    let dropped = self.drop_log().await;
                    if dropped.is_ok() {
                        copy = Copied::Apart;
                        continue;
                    }
                    dropped
                }
                Copied::Sound if completed.elapsed() >= COMPLETE_EVERY => {
                    completed = Instant::now();
                    self.complete().await
                }
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
                Failed::OtherLog => {
                    copy = Copied::Foreign;
                    Progress::Differs("the copy of the seat's log here is of another one".to_owned())
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

    /// Fetches once and takes over what comes.
    async fn follow(&self, fidelity: Fidelity) -> Result<SeatPublished, Failed> {
        let asked = Instant::now();
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
        let SeatPublished { log_size, log_root, last: staged, begun, .. } = published;
        let position = MirrorPosition { log_size, log_root, staged };
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or_default();
        if self.seat.serving.borrow().floor > self.body.term {
            // Whoever stood or voted for a higher term acknowledges nothing of this one.
            return Err(Failed::Stopping);
        }
        let is_bare = fidelity == Fidelity::Log;
        // Whoever lacks what the term began with can't take it over, and the holder must not count on it; nor can anybody
        // where the holder lacks it too, which it knows.
        let is_whole = begun >= self.body.term || self.is_as_whole.load(Relaxed);
        let is_twin = fidelity == Fidelity::Twin && is_whole;
        let paused_ms = self.seat.serving.borrow().paused_until.map_or(0, |until| until.remaining_ms(boot_ms()));
        let request = SeatRequest::Fetch { term: self.body.term, position, is_bare, wait_ms, is_twin, paused_ms };
        match self.ask_holder(&request).await {
            Ok(SeatAnswer::Batch(batch)) => Ok(*batch),
            Err(Failed::Refused(refusal)) if refusal.code == code::OTHER_LOG => Err(Failed::OtherLog),
            Ok(_) => Err(self.no_answer()),
            Err(failed) => Err(failed),
        }
    }

    async fn ask_holder(&self, request: &SeatRequest) -> Result<SeatAnswer, Failed> {
        let timing = &self.seat.timing;
        let (silent_ms, late_ms) = (timing.fetch_silent_ms(), timing.fetch_ms());
        let mut asked = std::pin::pin!(self.seat.ask(self.body.holder, request, Duration::from_millis(late_ms)));
        let (since, mut is_told) = (Instant::now(), false);
        let answer = loop {
            if let Ok(answered) = tokio::time::timeout(REDIAL_EVERY, &mut asked).await {
                break answered;
            }
            // A holder that has just begun may not have listened when it was dialled first, and that dial hangs for seconds.
            if let Some(peer) = self.seat.peer_of(&self.body.holder) {
                self.seat.net.command(Command::Want(peer)).await;
            }
            if !is_told && since.elapsed() >= Duration::from_millis(silent_ms) {
                // It may be megabytes on a slow link, or a holder that is gone: others know.
                let why = NoAnswer::Late { node: self.body.holder, ms: silent_ms };
                self.tell(Progress::Silent(why.to_string())).await;
                is_told = true;
            }
        };
        let answer = answer.map_err(Failed::Silent)?;
        if let SeatAnswer::Refused(refusal) = answer { Err(Failed::Refused(refusal)) } else { Ok(answer) }
    }

    fn no_answer(&self) -> Failed {
        let why = "an answer to another question".to_owned();
        Failed::Silent(NoAnswer::Garbled { node: self.body.holder, why })
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
        self.ask_writer_for(Job::Seat(job), answer).await
    }

    async fn ask_writer_for<T>(&self, job: Job, answer: oneshot::Receiver<T>) -> Result<T, Failed> {
        if !self.seat.writer.send(job).await {
            return Err(Failed::Stopping);
        }
        answer.await.map_err(|_| Failed::Stopping)
    }
}
