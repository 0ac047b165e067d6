//! Refusals of the seat in words, and as numbers between nodes.

use lattice::seat::message::{SeatAnswer, SeatRefusal};
use node_core::seat::refusal::Refusal;

/// Why a question about the seat is not answered, but for what a voter says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The asker proved no membership.
    #[error("only members are answered")]
    NoMember,
    /// Bytes that are no question.
    #[error("not a question: {0}")]
    Garbled(String),
    /// This node does not hold the seat in that term (any more).
    #[error("this node does not hold the seat in that term")]
    OtherTerm,
    /// The asker is not named as a mirror.
    #[error("the certificate of the term does not name the asker as shadow or spare")]
    NoMirror,
    /// Two processes run under the asker's key: what one of them has stored, the other may not have.
    #[error("two processes run under the asker's key; stop one of them")]
    RunsTwice,
    /// The logs part before the asker's position.
    #[error("the asker's copy of the seat's log is another one")]
    OtherLog,
    /// The disk.
    #[error("{0}")]
    Trouble(String),
    /// As many questions as this node answers at once.
    #[error("too many questions at once; come again")]
    Busy,
    /// What a voter says.
    #[error(transparent)]
    Voter(Refusal),
}

/// Codes of refusals that a mirror or client tells apart.
pub mod code {
    /// The copies of the log part.
    pub const OTHER_LOG: u64 = 1;
    /// Another node holds the seat, or another term.
    pub const OTHER_TERM: u64 = 2;
    /// What was asked is no question, and never will be.
    pub const GARBLED: u64 = 3;
    /// Anything else.
    pub const OTHER: u64 = 0;
    /// What voters say begins here.
    pub const VOTER: u64 = 100;
}

/// The answer that says so, with the commit that carries the highest certificate known here.
pub fn refused(why: Refused, carrier: Option<Vec<u8>>) -> SeatAnswer {
    let code = match &why {
        Refused::OtherLog => code::OTHER_LOG,
        Refused::OtherTerm => code::OTHER_TERM,
        Refused::Voter(refusal) => code::VOTER + voter_code(refusal),
        Refused::Garbled(_) => code::GARBLED,
        Refused::NoMember | Refused::NoMirror | Refused::RunsTwice | Refused::Trouble(_) | Refused::Busy => code::OTHER,
    };
    let (term, wait_ms, holder) = match &why {
        Refused::Voter(refusal) => {
            let holder = if let Refusal::LeaseRuns { holder, .. } = refusal { Some(*holder) } else { None };
            let ms = if let Refusal::ShorterLease { ms } = refusal { Some(*ms) } else { refusal.wait_ms() };
            let term = if let Refusal::Abstaining { above } = refusal { Some(*above) } else { refusal.term() };
            (term.unwrap_or_default(), ms.unwrap_or_default(), holder)
        }
        Refused::NoMember
        | Refused::Garbled(_)
        | Refused::OtherTerm
        | Refused::NoMirror
        | Refused::RunsTwice
        | Refused::OtherLog
        | Refused::Trouble(_)
        | Refused::Busy => (0, 0, None),
    };
    SeatAnswer::Refused(Box::new(SeatRefusal { code, term, wait_ms, holder, words: why.to_string(), carrier }))
}

fn voter_code(refusal: &Refusal) -> u64 {
    match refusal {
        Refusal::NoSeat => 0,
        Refusal::NotAsker => 1,
        Refusal::NoVoter => 2,
        Refusal::Resting { .. } => 3,
        Refusal::TermTaken { .. } => 4,
        Refusal::LowTerm { .. } => 5,
        Refusal::NotEntitled { .. } => 6,
        Refusal::LeaseRuns { .. } => 7,
        Refusal::NotLatest { .. } => 8,
        Refusal::Uncertified => 9,
        Refusal::Released => 10,
        Refusal::ShorterLease { .. } => 11,
        Refusal::Abstaining { .. } => 12,
    }
}

/// What a voter said, read back from the answer; `None` if it is no voter's refusal.
pub fn voters_refusal(refusal: &SeatRefusal) -> Option<Refusal> {
    let SeatRefusal { term, wait_ms: ms, .. } = *refusal;
    Some(match refusal.code.checked_sub(code::VOTER)? {
        0 => Refusal::NoSeat,
        1 => Refusal::NotAsker,
        2 => Refusal::NoVoter,
        3 => Refusal::Resting { ms },
        4 => Refusal::TermTaken { term },
        5 => Refusal::LowTerm { term },
        6 => Refusal::NotEntitled { term },
        7 => Refusal::LeaseRuns { holder: refusal.holder?, ms },
        8 => Refusal::NotLatest { term },
        9 => Refusal::Uncertified,
        10 => Refusal::Released,
        11 => Refusal::ShorterLease { ms },
        12 => Refusal::Abstaining { above: term },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lattice::ids::AuthorId;

    #[test]
    fn what_a_voter_says_comes_across() {
        let holder = AuthorId([1; 32]);
        for said in [
            Refusal::NoSeat,
            Refusal::NotAsker,
            Refusal::NoVoter,
            Refusal::Resting { ms: 5 },
            Refusal::TermTaken { term: 6 },
            Refusal::LowTerm { term: 7 },
            Refusal::NotEntitled { term: 8 },
            Refusal::LeaseRuns { holder, ms: 9 },
            Refusal::NotLatest { term: 10 },
            Refusal::Uncertified,
            Refusal::Released,
            Refusal::ShorterLease { ms: 11 },
            Refusal::Abstaining { above: 12 },
        ] {
            let SeatAnswer::Refused(answer) = refused(Refused::Voter(said), None) else { panic!("a refusal") };
            assert_eq!(voters_refusal(&answer), Some(said));
        }
        let SeatAnswer::Refused(other) = refused(Refused::OtherLog, None) else { panic!("a refusal") };
        assert_eq!(voters_refusal(&other), None);
    }
}
