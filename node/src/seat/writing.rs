//! A client's write of the seat, wherever it comes in: at the holder it is staged, elsewhere it is forwarded there.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lattice::ids::AuthorId;
use lattice::op::Op;
use lattice::seat::message::{ForwardedWrite, SeatAnswer, SeatRequest};
use lattice::seat::{Body, majority};
use node_core::seat::timing::Timing;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Seat;
use super::write_error::{SeatWriteError, told, write_code};
use crate::api::REQUEST_TIMEOUT;
use crate::writer::job::{IdempotencyKey, Job, WriteError, Written};
use crate::writer::seat::{Condition, EntryTag, SeatJob, Staging};
use crate::writer::{Published, Reply};

const _: () =
    assert!(Timing::WAN.write_ms() < REQUEST_TIMEOUT.as_secs() * 1_000, "a client is told why, and not cut off");

/// How long one try at one holder may take.
pub(super) const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// Time that a further try must have left: one that ran out at once would hide the holder's own reason behind its silence.
pub(super) const TRY_TIME_LEAST: Duration = Duration::from_millis(250);

/// Pause between two tries.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long a voter may take to have a commit, for one question.
const QUORUM_WAIT: Duration = Duration::from_secs(2);

/// When a write of the seat counts as acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Staged at the holder: lost if it dies now.
    Local,
    /// Staged at the shadow too, and in the holder's state.
    #[default]
    Shadow,
    /// The same, and in the states of a majority of the voters.
    Quorum,
}

impl Level {
    /// Its name for clients.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shadow => "shadow",
            Self::Quorum => "quorum",
        }
    }

    /// The level of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Local, Self::Shadow, Self::Quorum].into_iter().find(|level| level.word() == word)
    }
}

/// A write of the seat.
#[derive(Debug, Clone)]
pub struct SeatWrite {
    /// The operations, applied together.
    pub ops: Vec<Op>,
    /// What must hold of the key of the first one.
    pub condition: Condition,
    /// The client's name for the write.
    pub name: Option<IdempotencyKey>,
    /// When to answer.
    pub level: Level,
}

impl Seat {
    /// Writes, at the holder or through it.
    ///
    /// # Errors
    ///
    /// [`SeatWriteError`]; after [`SeatWriteError::Uncertain`] the write may count.
    pub async fn write(&self, mut write: SeatWrite) -> Result<Written, SeatWriteError> {
        let until = Instant::now() + Duration::from_millis(self.timing.write_ms());
        loop {
            let why = match self.try_write(&mut write, until).await {
                Err(error) if error.may_pass() && Instant::now() + RETRY_PAUSE + TRY_TIME_LEAST < until => error,
                done => return done,
            };
            tracing::debug!(%why, "a write of the seat is tried again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_write(&self, write: &mut SeatWrite, until: Instant) -> Result<Written, SeatWriteError> {
        let body = self.body().ok_or(SeatWriteError::NoSeat)?;
        if body.holder == self.own() {
            return self.write_here(write, &body, until).await;
        }
        // What becomes of a try at another node may stay unknown, and the next try must not be a second write: it has a name
        // from here on. At the holder itself a refusal that may pass says that nothing is staged.
        if write.name.is_none() {
            write.name = Some(random_name()?);
        }
        self.forward(write, &body, until).await
    }

    /// At the holder.
    pub(super) async fn write_here(
        &self,
        write: &SeatWrite,
        body: &Body,
        until: Instant,
    ) -> Result<Written, SeatWriteError> {
        let serving = *self.serving.borrow();
        if serving.is_draining {
            return Err(SeatWriteError::NoHolder("the seat is moving to another node".to_owned()));
        }
        if serving.term != Some(body.term) || !serving.is_leased() {
            return Err(SeatWriteError::NoHolder("its holder has no lease now".to_owned()));
        }
        if !serving.has_shadow && write.level != Level::Local {
            let why = "its shadow is out of reach, and without it a takeover could lose the write";
            return Err(SeatWriteError::NoHolder(why.to_owned()));
        }
        let (reply, answer) = oneshot::channel();
        let staging = Staging {
            ops: write.ops.clone(),
            condition: write.condition,
            idempotency: write.name.clone(),
            is_local: write.level == Level::Local,
            reply: Reply(reply),
        };
        if !self.writer.send(Job::Seat(SeatJob::Stage(staging))).await {
            return Err(WriteError::Stopping.into());
        }
        let written = match tokio::time::timeout_at(until, answer).await {
            Ok(answered) => answered.unwrap_or(Err(WriteError::Stopping))?,
            Err(_) => return Err(SeatWriteError::Uncertain),
        };
        if write.level == Level::Quorum {
            self.await_quorum(write, body, until).await?;
        }
        Ok(written)
    }

    /// Waits until a majority of the voters have a write that is in the state here, or what was written over it. Sent again
    /// it may be one of an earlier term, and of another holder.
    async fn await_quorum(&self, write: &SeatWrite, body: &Body, until: Instant) -> Result<(), SeatWriteError> {
        let own = self.own();
        let Some(first) = write.ops.first() else { return Err(WriteError::Empty.into()) };
        let standing = self.reader.commit_of(first.key()).await.map_err(|error| SeatWriteError::Write(error.into()))?;
        let Some((commit, _)) = standing else { return Err(SeatWriteError::Uncertain) };
        let header = commit.signed().header();
        let (author, term, seq) = (header.author, header.term, header.seq);
        let mut waiting: Vec<AuthorId> = body.voters.iter().copied().filter(|voter| *voter != own).collect();
        let mut have = body.voters.len() - waiting.len();
        let needed = majority(body.voters.len());
        while have < needed {
            if Instant::now() >= until {
                return Err(SeatWriteError::Uncertain);
            }
            let wait_ms = u64::try_from(QUORUM_WAIT.as_millis()).unwrap_or_default();
            let request = SeatRequest::Await { author, term, seq, wait_ms };
            let ask = async |voter| (voter, self.ask_for_client(voter, &request, QUORUM_WAIT * 2).await);
            let mut asked: FuturesUnordered<_> = waiting.iter().copied().map(ask).collect();
            // Who is slow is not waited for once enough have it.
            while have < needed
                && let Some((voter, answer)) = asked.next().await
            {
                if matches!(answer, Ok(SeatAnswer::Done)) {
                    have += 1;
                    waiting.retain(|other| *other != voter);
                }
            }
            if have < needed {
                // A voter that is busy, or not connected, has answered at once.
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        Ok(())
    }

    /// At any other node: the holder is asked as one member asks another.
    async fn forward(&self, write: &SeatWrite, body: &Body, until: Instant) -> Result<Written, SeatWriteError> {
        let (condition, tag) = match write.condition {
            Condition::Always => (0, None),
            Condition::Absent => (1, None),
            Condition::Present => (2, None),
            Condition::Is(EntryTag { commit, op_index }) => (3, Some((commit, u64::from(op_index)))),
        };
        let level = match write.level {
            Level::Local => 0,
            Level::Shadow => 1,
            Level::Quorum => 2,
        };
        let forwarded = ForwardedWrite {
            ops: write.ops.iter().map(Op::encode).collect(),
            condition,
            tag,
            name: write.name.as_ref().map(|name| name.as_str().to_owned()),
            level,
        };
        let request = SeatRequest::Write(Box::new(forwarded));
        let within = TRY_TIMEOUT.min(until.saturating_duration_since(Instant::now()));
        let answered = tokio::select! {
            answered = self.ask_for_client(body.holder, &request, within) => answered,
            // The holder that was asked may be gone for good.
            () = self.term_after(body.term) => {
                return Err(SeatWriteError::NoHolder("the seat moved to another node meanwhile".to_owned()));
            }
        };
        match answered {
            Ok(SeatAnswer::Written { commit, seq, time_ms, log_position, root, entries }) => {
                Ok(Written { commit, seq, time_ms, log_position, root, entries })
            }
            Ok(answer) => Err(told(answer)),
            // Named writes may be sent again.
            Err(why) => Err(SeatWriteError::NoHolder(why.to_string())),
        }
    }

    /// Waits until a higher term is settled.
    pub(super) async fn term_after(&self, term: u64) {
        let mut states = self.writer.watch();
        let is_higher = |state: &Arc<Published>| {
            state.membership.seats().current().is_some_and(|current| current.certificate.body.term > term)
        };
        // A stopping node's requests end by themselves.
        if states.wait_for(is_higher).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A write that another node forwards.
    pub(super) async fn take_forwarded(&self, forwarded: ForwardedWrite) -> SeatAnswer {
        let write = match SeatWrite::forwarded(forwarded) {
            Ok(write) => write,
            Err(why) => {
                let refusal = SeatWriteError::Elsewhere { code: write_code::INVALID, words: why.to_string() };
                return self.refuse_write(&refusal);
            }
        };
        let Some(body) = self.body().filter(|body| body.holder == self.own()) else {
            return self.refuse_write(&SeatWriteError::NoHolder("this node does not hold it".to_owned()));
        };
        match self.write_here(&write, &body, Instant::now() + TRY_TIMEOUT).await {
            Ok(Written { commit, seq, time_ms, log_position, root, entries }) => {
                SeatAnswer::Written { commit, seq, time_ms, log_position, root, entries }
            }
            Err(error) => self.refuse_write(&error),
        }
    }
}

/// Why what another node forwards is no write. Nothing in it is left out or taken for something else: a compare-and-set that
/// became a blind write, or a write that lost its name, would do what nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NoWrite {
    #[error("an operation does not decode")]
    Op,
    #[error("condition {0} is none, or has not what it compares with")]
    Condition(u64),
    #[error("the index {0} of the entry to compare with is out of range")]
    OpIndex(u64),
    #[error("a name has 1 to 128 visible ASCII characters")]
    Name,
    #[error("there is no level {0}")]
    Level(u64),
}

impl SeatWrite {
    /// What another node forwards.
    fn forwarded(forwarded: ForwardedWrite) -> Result<Self, NoWrite> {
        let ForwardedWrite { ops, condition, tag, name, level } = forwarded;
        let ops = ops.iter().map(|op| Op::decode(op)).collect::<Result<_, _>>().map_err(|_| NoWrite::Op)?;
        let condition = match (condition, tag) {
            (0, None) => Condition::Always,
            (1, None) => Condition::Absent,
            (2, None) => Condition::Present,
            (3, Some((commit, index))) => {
                let op_index = u32::try_from(index).map_err(|_| NoWrite::OpIndex(index))?;
                Condition::Is(EntryTag { commit, op_index })
            }
            (other, _) => return Err(NoWrite::Condition(other)),
        };
        let level = match level {
            0 => Level::Local,
            1 => Level::Shadow,
            2 => Level::Quorum,
            other => return Err(NoWrite::Level(other)),
        };
        let name = name.map(|name| IdempotencyKey::new(&name).ok_or(NoWrite::Name)).transpose()?;
        Ok(Self { ops, condition, name, level })
    }
}

/// A name that no other write has, for a write that its client did not name.
fn random_name() -> Result<IdempotencyKey, SeatWriteError> {
    let mut bytes = [0; 16];
    let no_name = || SeatWriteError::NoHolder("this node has no randomness to name the write with".to_owned());
    getrandom::fill(&mut bytes).map_err(|_| no_name())?;
    IdempotencyKey::new(&format!("forwarded-{}", data_encoding::HEXLOWER.encode(&bytes))).ok_or_else(no_name)
}

#[cfg(test)]
mod tests {
    use lattice::ids::CommitId;

    use super::*;

    fn forwarded() -> ForwardedWrite {
        let tag = Some((CommitId([1; 32]), 0));
        ForwardedWrite { ops: Vec::new(), condition: 3, tag, name: Some("name".to_owned()), level: 1 }
    }

    #[test]
    fn what_is_forwarded_is_taken_as_it_was_meant_or_refused() {
        // An index that did not fit made a compare-and-set a blind write, and an invisible name was dropped.
        let condition = Condition::Is(EntryTag { commit: CommitId([1; 32]), op_index: 0 });
        let taken = SeatWrite::forwarded(forwarded()).expect("a write");
        assert_eq!((taken.condition, taken.level, taken.name), (condition, Level::Shadow, IdempotencyKey::new("name")));
        let far = 1 << 32;
        let refused = [
            (ForwardedWrite { tag: Some((CommitId([1; 32]), far)), ..forwarded() }, NoWrite::OpIndex(far)),
            (ForwardedWrite { tag: None, ..forwarded() }, NoWrite::Condition(3)),
            (ForwardedWrite { condition: 0, ..forwarded() }, NoWrite::Condition(0)),
            (ForwardedWrite { condition: 4, ..forwarded() }, NoWrite::Condition(4)),
            (ForwardedWrite { name: Some("two words".to_owned()), ..forwarded() }, NoWrite::Name),
            (ForwardedWrite { name: Some(String::new()), ..forwarded() }, NoWrite::Name),
            (ForwardedWrite { level: 3, ..forwarded() }, NoWrite::Level(3)),
            (ForwardedWrite { ops: vec![vec![0xff]], ..forwarded() }, NoWrite::Op),
        ];
        for (write, why) in refused {
            assert_eq!(SeatWrite::forwarded(write).expect_err("no write"), why);
        }
    }
}
