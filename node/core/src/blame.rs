//! The one table from "who is at fault" to what a node does about it on the gossip road.

use lattice::fault::Fault;

/// What gossip is told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: forward it.
    Accept,
    /// Neither forward nor blame.
    Ignore,
    /// Invalid: blame the peer that sent it.
    Reject,
}

impl Verdict {
    /// The verdict on a message refused by this one's fault.
    pub fn of(fault: Fault) -> Self {
        match fault {
            Fault::Sender => Self::Reject,
            Fault::Us | Fault::Nobody => Self::Ignore,
        }
    }

    /// The verdict on a message with several parts: the worst of them.
    pub fn worst(self, other: Self) -> Self {
        match (self, other) {
            (Self::Reject, _) | (_, Self::Reject) => Self::Reject,
            (Self::Ignore, _) | (_, Self::Ignore) => Self::Ignore,
            (Self::Accept, Self::Accept) => Self::Accept,
        }
    }
}

/// Strikes after which a peer is disconnected. One bad message may be a bug of an old version; ten are not.
pub const STRIKES_MAX: u32 = 10;

/// Milliseconds for which a peer with too many strikes is not let in again (a guess).
pub const BAN_MS: u64 = 600_000;
