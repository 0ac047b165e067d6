//! The one table from "who is at fault" to what a node does about it on the gossip road.

use lattice::fault::Fault;

/// What gossip is told of a message, from good to bad: of a message with several parts, the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// Strikes after which a peer is banned. One bad message may be a bug of an old version; ten in a row are not.
pub const STRIKES_MAX: u32 = 10;

/// Milliseconds after which one strike is forgiven, so that a rare bug over weeks bans nobody (a guess).
pub const STRIKE_FORGIVEN_MS: u64 = 60_000;

/// Milliseconds for which a peer with too many strikes is not let in again (a guess).
pub const BAN_MS: u64 = 600_000;

/// Bans kept at once (a guess: far beyond the peers that a node talks to). Beyond it the one that ends first is
/// lifted.
pub const BANS_MAX: usize = 256;
