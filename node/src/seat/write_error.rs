//! Why a write or read of the seat was not answered, as clients are told and as nodes tell each other.

use lattice::seat::message::{SeatAnswer, SeatRefusal};

use super::Seat;
use super::refusal::code;
use crate::writer::job::WriteError;

/// Why a write of the seat was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeatWriteError {
    /// There is no seat.
    #[error("this lattice has no seat yet: an operator creates it with `lattice seat create`")]
    NoSeat,
    /// Nobody took it in time.
    #[error("nobody can take writes of the seat now: {0}")]
    NoHolder(String),
    /// It is staged, and its fate is open.
    #[error(
        "the write is staged at the holder, and the shadow has not got it in time: it may still count. Send it again with \
         the same Idempotency-Key to learn what became of it"
    )]
    Uncertain,
    /// The holder said no.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The same, in words, from another node: which kind of refusal, and what it said.
    #[error("{words}")]
    Elsewhere {
        /// The kind.
        code: u64,
        /// The words.
        words: String,
    },
}

/// Codes of the refusals of a write between nodes.
pub(super) mod write_code {
    pub(in crate::seat) const NOT_NOW: u64 = 10;
    pub(in crate::seat) const UNCERTAIN: u64 = 11;
    pub(in crate::seat) const CONDITION: u64 = 12;
    pub(in crate::seat) const KEY_REUSED: u64 = 13;
    pub(in crate::seat) const DEPOSED: u64 = 14;
    pub(in crate::seat) const BUSY: u64 = 15;
    pub(in crate::seat) const INVALID: u64 = 16;
    pub(in crate::seat) const DISK: u64 = 17;
}

impl SeatWriteError {
    /// What it is called between nodes.
    pub(super) fn code(&self) -> u64 {
        match self {
            Self::NoSeat | Self::NoHolder(_) => write_code::NOT_NOW,
            Self::Uncertain => write_code::UNCERTAIN,
            Self::Elsewhere { code, .. } => *code,
            Self::Write(error) => match error {
                WriteError::NotHolder
                | WriteError::ConditionOpen
                | WriteError::Mirroring
                | WriteError::Stopping
                | WriteError::NotYetMember
                | WriteError::CatchingUp
                | WriteError::Unsure(_) => write_code::NOT_NOW,
                WriteError::ConditionFailed { .. } => write_code::CONDITION,
                WriteError::KeyReused => write_code::KEY_REUSED,
                WriteError::Deposed => write_code::DEPOSED,
                WriteError::SeatBusy | WriteError::Clock(_) => write_code::BUSY,
                WriteError::Store(_) => write_code::DISK,
                WriteError::BadOp(_)
                | WriteError::Verify(_)
                | WriteError::NotAdmitted(_)
                | WriteError::Empty
                | WriteError::NoInvitation
                | WriteError::NotAdmin => write_code::INVALID,
            },
        }
    }

    /// Whether another try, perhaps at another node, may succeed without the client knowing.
    pub(super) fn may_pass(&self) -> bool {
        self.code() == write_code::NOT_NOW && !matches!(self, Self::NoSeat)
    }

    /// The kind of problem that clients are told.
    pub fn kind(&self) -> SeatProblem {
        match self.code() {
            _ if *self == Self::NoSeat => SeatProblem::NoSeat,
            write_code::CONDITION => SeatProblem::Condition,
            write_code::KEY_REUSED => SeatProblem::KeyReused,
            write_code::INVALID => SeatProblem::Invalid,
            write_code::BUSY => SeatProblem::Busy,
            write_code::DISK => SeatProblem::Disk,
            write_code::UNCERTAIN => SeatProblem::Uncertain,
            // What a node of another version calls otherwise is refused for now.
            _ => SeatProblem::NoHolder,
        }
    }
}

/// Kinds of refused writes that clients tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatProblem {
    /// The condition does not hold.
    Condition,
    /// The name was used for another request.
    KeyReused,
    /// No seat takes such a write.
    Invalid,
    /// Too much at once.
    Busy,
    /// The holder's disk.
    Disk,
    /// Nobody knows yet.
    Uncertain,
    /// There is no seat.
    NoSeat,
    /// Nobody takes writes now.
    NoHolder,
}

/// What another node said instead of taking a write or a read.
pub(super) fn told(answer: SeatAnswer) -> SeatWriteError {
    match answer {
        // It may hold another term by now, or not know this node yet: a new holder greets first.
        SeatAnswer::Refused(refusal) if matches!(refusal.code, code::OTHER_TERM | code::OTHER) => {
            SeatWriteError::NoHolder(refusal.words)
        }
        SeatAnswer::Refused(refusal) if refusal.code == code::GARBLED => {
            SeatWriteError::Elsewhere { code: write_code::INVALID, words: refusal.words }
        }
        SeatAnswer::Refused(refusal) => SeatWriteError::Elsewhere { code: refusal.code, words: refusal.words },
        SeatAnswer::Voted(_)
        | SeatAnswer::Done
        | SeatAnswer::Lease { .. }
        | SeatAnswer::Probed { .. }
        | SeatAnswer::Batch(_)
        | SeatAnswer::Written { .. }
        | SeatAnswer::Entry(_)
        | SeatAnswer::Names { .. }
        | SeatAnswer::Terms(_) => SeatWriteError::NoHolder("its holder answered another question".to_owned()),
    }
}

impl Seat {
    pub(super) fn refuse_write(&self, error: &SeatWriteError) -> SeatAnswer {
        SeatAnswer::Refused(Box::new(SeatRefusal {
            code: error.code(),
            term: 0,
            wait_ms: 0,
            holder: self.body().map(|body| body.holder),
            words: error.to_string(),
            carrier: self.carrier(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat::refusal::{Refused, refused};

    #[test]
    fn what_never_becomes_a_question_is_not_asked_again_and_a_holder_that_knows_the_asker_not_yet_is() {
        let passes = |why| told(refused(why, None)).may_pass();
        assert!(passes(Refused::NoMember) && passes(Refused::OtherTerm) && passes(Refused::Busy));
        let garbled = told(refused(Refused::Garbled("a byte".to_owned()), None));
        assert!(!garbled.may_pass());
        assert_eq!(garbled.kind(), SeatProblem::Invalid);
    }
}
