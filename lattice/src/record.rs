//! A log record: one durable change, as a node writes it down about itself.
//!
//! Records are appended in the transaction that made the change and never altered; their bytes are what the
//! log's Merkle tree hashes. The log binds state roots; a state root is never a log's root.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, CommitId, LatticeId, StateRoot, ValueHash};
use crate::limits::{RECORD_BYTES_MAX, RECORD_COMMITS_MAX};

const VERSION: u64 = 1;

/// One record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Wall time in milliseconds since 1970; for people, nothing is ordered by it.
    pub time_ms: u64,
    /// State root before the change.
    pub before: StateRoot,
    /// State root after the change.
    pub after: StateRoot,
    /// Entries after the change.
    pub entries: u64,
    /// What happened.
    pub event: Event,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first record of a log: whose it is.
    Opened {
        /// The lattice.
        lattice: LatticeId,
        /// The node.
        author: AuthorId,
    },
    /// A batch of commits entered the state, in this order; at most 1024.
    Applied {
        /// The commits; those of which no operation won are among them.
        commits: Vec<CommitId>,
    },
    /// A reconcile with a peer ended.
    Reconciled {
        /// The peer.
        peer: AuthorId,
        /// How it ended, in one word.
        outcome: String,
        /// Entries that came from the peer.
        received: u64,
        /// Entries that went to it.
        sent: u64,
    },
    /// The road to other nodes changed.
    Mode {
        /// The new mode, in one word (`p2p`, `http`).
        mode: String,
        /// Why.
        reason: String,
    },
    /// Membership changes took effect.
    Membership {
        /// Hashes of the changes' values, which name their keys under `@member/`.
        changes: Vec<ValueHash>,
        /// Entries removed by a cut.
        removed: u64,
    },
    /// The state as it stands, in few bytes: written before a checkpoint whose last record would be long, so that what
    /// is shown at that checkpoint is short.
    Stated,
    /// The log goes on under a new origin: another node holds a checkpoint of the old one that this node has lost, and
    /// going on under the old name would contradict it.
    Renamed {
        /// The old origin.
        origin: String,
        /// Size of the checkpoint that the other node holds.
        size: u64,
        /// Its log root.
        root: [u8; 32],
    },
    /// Something about the seat, as this node saw it or did it.
    Seat {
        /// The term before.
        old_term: u64,
        /// The term that was stood for, or begins.
        new_term: u64,
        /// What happened, in one word.
        step: String,
        /// Why, in one line.
        reason: String,
        /// Votes that it got.
        votes: u64,
        /// Commits of the holder before that this node knew of and lacked, if that is known.
        lag: Option<u64>,
    },
    /// Entries were found damaged on this node's disk and left the state; they come back from other nodes.
    Damaged {
        /// How many.
        dropped: u64,
    },
}

impl Event {
    /// Whether the state after such a record may be another than before it.
    pub const fn may_change_state(&self) -> bool {
        match self {
            Self::Applied { .. } | Self::Membership { .. } | Self::Damaged { .. } => true,
            Self::Opened { .. }
            | Self::Reconciled { .. }
            | Self::Mode { .. }
            | Self::Stated
            | Self::Renamed { .. }
            | Self::Seat { .. } => false,
        }
    }
}

impl Record {
    /// Canonical bytes: `[version, kind, time, before, after, entries, body]`.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match &self.event {
            Event::Opened { lattice, author } => (OPENED, codec::encode(&(lattice, author))),
            Event::Applied { commits } => (APPLIED, codec::encode(commits)),
            Event::Reconciled { peer, outcome, received, sent } => {
                (RECONCILED, codec::encode(&(peer, outcome, received, sent)))
            }
            Event::Mode { mode, reason } => (MODE, codec::encode(&(mode, reason))),
            Event::Membership { changes, removed } => (MEMBERSHIP, codec::encode(&(changes, removed))),
            Event::Stated => (STATED, codec::encode::<[u64; 0]>(&[])),
            Event::Renamed { origin, size, root } => (RENAMED, codec::encode(&(origin, size, ByteArray::new(*root)))),
            Event::Damaged { dropped } => (DAMAGED, codec::encode(&[dropped])),
            Event::Seat { old_term, new_term, step, reason, votes, lag } => {
                (SEAT, codec::encode(&(old_term, new_term, step, reason, votes, lag)))
            }
        };
        let Self { time_ms, before, after, entries, .. } = *self;
        codec::encode(&RecordWire(VERSION, kind, time_ms, before, after, entries, body.into()))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: RecordWire = codec::decode(bytes, RECORD_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let event = decode_event(wire.1, &wire.6)?;
        Ok(Self { time_ms: wire.2, before: wire.3, after: wire.4, entries: wire.5, event })
    }
}

fn decode_event(kind: u64, body: &[u8]) -> Result<Event, DecodeError> {
    match kind {
        OPENED => {
            let (lattice, author) = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Opened { lattice, author })
        }
        APPLIED => {
            let commits: Vec<CommitId> = codec::decode(body, RECORD_BYTES_MAX)?;
            if commits.len() > RECORD_COMMITS_MAX {
                return Err(DecodeError::Invalid("a record names at most 1024 commits"));
            }
            Ok(Event::Applied { commits })
        }
        RECONCILED => {
            let (peer, outcome, received, sent) = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Reconciled { peer, outcome, received, sent })
        }
        MODE => {
            let (mode, reason) = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Mode { mode, reason })
        }
        MEMBERSHIP => {
            let (changes, removed) = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Membership { changes, removed })
        }
        STATED => {
            let []: [u64; 0] = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Stated)
        }
        RENAMED => {
            let (origin, size, root): (String, u64, ByteArray<32>) = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Renamed { origin, size, root: root.into_array() })
        }
        DAMAGED => {
            let [dropped]: [u64; 1] = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Damaged { dropped })
        }
        SEAT => {
            let (old_term, new_term, step, reason, votes, lag) = codec::decode(body, RECORD_BYTES_MAX)?;
            Ok(Event::Seat { old_term, new_term, step, reason, votes, lag })
        }
        _ => Err(DecodeError::Invalid("a record of unknown kind")),
    }
}

const OPENED: u64 = 0;
const APPLIED: u64 = 1;
const RECONCILED: u64 = 2;
const MODE: u64 = 3;
const MEMBERSHIP: u64 = 4;
const STATED: u64 = 5;
const RENAMED: u64 = 6;
const DAMAGED: u64 = 7;
const SEAT: u64 = 8;

#[derive(Serialize, Deserialize)]
struct RecordWire(u64, u64, u64, StateRoot, StateRoot, u64, ByteBuf);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_round_trips_and_the_largest_fits() {
        let events = [
            Event::Opened { lattice: LatticeId([1; 32]), author: AuthorId([2; 32]) },
            Event::Applied { commits: vec![CommitId([3; 32]); RECORD_COMMITS_MAX] },
            Event::Reconciled { peer: AuthorId([4; 32]), outcome: "equal".into(), received: 1, sent: 2 },
            Event::Mode { mode: "p2p".into(), reason: "start".into() },
            Event::Membership { changes: vec![ValueHash([5; 32])], removed: 3 },
            Event::Stated,
            Event::Renamed { origin: "a/b".into(), size: 9, root: [8; 32] },
            Event::Damaged { dropped: 2 },
            Event::Seat { old_term: 1, new_term: 2, step: "won".into(), reason: "why".into(), votes: 3, lag: Some(4) },
        ];
        for event in events {
            let (before, after) = (StateRoot([6; 32]), StateRoot([7; 32]));
            let record = Record { time_ms: 1, before, after, entries: 8, event };
            assert!(record.encode().len() <= RECORD_BYTES_MAX);
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }
}
