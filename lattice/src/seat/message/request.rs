//! The questions.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::{SEAT_MESSAGE_BYTES_MAX, Tagged, buffers, expect, fields, optional, small_carrier, tagged};
use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, CommitId};
use crate::limits::{COMMIT_BYTES_MAX, KEY_BYTES_MAX};
use crate::merkle::Digest;
use crate::seat::BodyHash;

/// Bytes of a client's name for a write.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// Names one request for a lease; a release takes back all of its session up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketWire(pub u64, pub u64);

/// Where a mirror stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorPosition {
    /// Records of the seat's log that it has.
    pub log_size: u64,
    /// The log's root at that size.
    pub log_root: Digest,
    /// The last commit of the seat that it has staged or applied: term and number.
    pub staged: (u64, u64),
}

/// What a write of the seat asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedWrite {
    /// Canonical bytes of the operations.
    pub ops: Vec<Vec<u8>>,
    /// 0 always, 1 absent, 2 present, 3 the entry named.
    pub condition: u64,
    /// The entry named: its commit, and the operation's index.
    pub tag: Option<(CommitId, u64)>,
    /// The client's name for the write.
    pub name: Option<String>,
    /// 0 local, 1 shadow, 2 quorum.
    pub level: u64,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatRequest {
    /// A vote for a body.
    Vote {
        /// The body's canonical bytes.
        body: Vec<u8>,
        /// The commit that carries the certificate that it follows.
        carrier: Option<Vec<u8>>,
    },
    /// A lease in a term.
    Renew {
        /// The name of the term's body.
        body: BodyHash,
        /// Which request it is.
        ticket: TicketWire,
        /// The commit that carries the term's certificate, for a voter that does not know it.
        carrier: Option<Vec<u8>>,
        /// Milliseconds for which the asker counts on it.
        lease_ms: u64,
    },
    /// A lease is taken back.
    Release {
        /// The last request for it.
        ticket: TicketWire,
    },
    /// How a voter's lease stands.
    Inquire,
    /// The holder lets go of its term: everything up to this number counts, and the leases are released.
    HandOver {
        /// The term.
        term: u64,
        /// The last number that was staged in it.
        staged_seq: u64,
    },
    /// How a node is doing.
    Probe {
        /// The commit that carries the asker's highest certificate, if the other may not know it.
        carrier: Option<Vec<u8>>,
    },
    /// The asker, a mirror, stood for a higher term or voted in one, and can't copy. It is refused, with the certificate of the
    /// highest term: it asks for nothing in which it would hear of that.
    Stood {
        /// The term.
        term: u64,
    },
    /// What follows in the seat's log, and what is staged. It says that everything before is durable at the asker.
    Fetch {
        /// The term.
        term: u64,
        /// Where the asker stands.
        position: MirrorPosition,
        /// Whether records are wanted alone, without their commits: a log is being copied.
        is_bare: bool,
        /// Milliseconds to wait if there is nothing.
        wait_ms: u64,
        /// Whether the asker's copy is the holder's record by record, and not one that is being seeded, nor one that lacks what
        /// the term began with while the holder has it.
        is_twin: bool,
        /// Milliseconds for which the asker takes nothing over by order of an operator.
        paused_ms: u64,
    },
    /// A write of the seat, for its holder.
    Write(Box<ForwardedWrite>),
    /// The value of a key, as the seat's holder has it under its lease.
    Read {
        /// The key.
        key: String,
    },
    /// Whether a commit of the seat is in the state here and durable.
    Await {
        /// Its author.
        author: AuthorId,
        /// Its term.
        term: u64,
        /// Its number.
        seq: u64,
        /// Milliseconds to wait for it.
        wait_ms: u64,
    },
    /// The answers that the holder keeps for named writes of the seat, for a mirror that is being seeded.
    Names {
        /// The term.
        term: u64,
        /// Where to go on: 0, or what the answer before said.
        after: u64,
    },
    /// The commits that carry the certificates after a term.
    Terms {
        /// The last term that the asker has on its line, 0 for none.
        after: u64,
    },
}

type PositionWire = (u64, ByteArray<32>, u64, u64);
type FetchWire = (u64, PositionWire, bool, u64, bool, u64);
type WriteWire = (Vec<ByteBuf>, u64, Option<(CommitId, u64)>, Option<String>, u64);

impl SeatRequest {
    /// Canonical bytes: `[kind, fields as bytes]`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Vote { body, carrier } => tagged(0, &(ByteBuf::from(body.clone()), optional(carrier.as_ref()))),
            Self::Renew { body, ticket, carrier, lease_ms } => {
                tagged(1, &(body, ticket, optional(carrier.as_ref()), lease_ms))
            }
            Self::Release { ticket } => tagged(2, ticket),
            Self::Inquire => tagged::<[u64; 0]>(3, &[]),
            Self::Fetch { term, position, is_bare, wait_ms, is_twin, paused_ms } => {
                let MirrorPosition { log_size, log_root, staged } = *position;
                let position: PositionWire = (log_size, ByteArray::new(log_root), staged.0, staged.1);
                tagged(4, &(term, position, is_bare, wait_ms, is_twin, paused_ms))
            }
            Self::Write(write) => {
                let ForwardedWrite { ops, condition, tag, name, level } = write.as_ref();
                let wire: WriteWire = (buffers(ops), *condition, *tag, name.clone(), *level);
                tagged(5, &wire)
            }
            Self::Read { key } => tagged(6, &[key]),
            Self::Await { author, term, seq, wait_ms } => tagged(7, &(author, term, seq, wait_ms)),
            Self::HandOver { term, staged_seq } => tagged(8, &(term, staged_seq)),
            Self::Probe { carrier } => tagged(9, &[optional(carrier.as_ref())]),
            Self::Stood { term } => tagged(10, &[term]),
            Self::Names { term, after } => tagged(11, &(term, after)),
            Self::Terms { after } => tagged(12, &[after]),
        }
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Tagged(kind, body) = codec::decode(bytes, SEAT_MESSAGE_BYTES_MAX)?;
        match kind {
            0 => {
                let (body, carrier): (ByteBuf, Option<ByteBuf>) = fields(&body)?;
                Ok(Self::Vote { body: body.into_vec(), carrier: small_carrier(carrier)? })
            }
            1 => {
                let (body, ticket, carrier, lease_ms) = fields(&body)?;
                Ok(Self::Renew { body, ticket, carrier: small_carrier(carrier)?, lease_ms })
            }
            2 => Ok(Self::Release { ticket: fields(&body)? }),
            3 => fields::<[u64; 0]>(&body).map(|[]| Self::Inquire),
            4 => {
                let (term, position, is_bare, wait_ms, is_twin, paused_ms): FetchWire = fields(&body)?;
                expect(!(is_bare && is_twin), "who copies records alone is no twin")?;
                let (log_size, log_root, of_term, seq) = position;
                let position = MirrorPosition { log_size, log_root: log_root.into_array(), staged: (of_term, seq) };
                Ok(Self::Fetch { term, position, is_bare, wait_ms, is_twin, paused_ms })
            }
            5 => {
                let (ops, condition, tag, name, level): WriteWire = fields(&body)?;
                let is_named = name.as_ref().is_none_or(|name| (1..=NAME_BYTES_MAX).contains(&name.len()));
                expect(is_named, "a write's name has 1 to 128 bytes")?;
                expect(ops.iter().map(|op| op.len()).sum::<usize>() <= COMMIT_BYTES_MAX, "a write beyond a commit")?;
                expect(
                    condition <= 3 && (condition == 3) == tag.is_some(),
                    "a condition is 0 to 3, and 3 names an entry",
                )?;
                expect(level <= 2, "a level is 0 to 2")?;
                let ops = ops.into_iter().map(ByteBuf::into_vec).collect();
                Ok(Self::Write(Box::new(ForwardedWrite { ops, condition, tag, name, level })))
            }
            6 => {
                let [key]: [String; 1] = fields(&body)?;
                expect(key.len() <= KEY_BYTES_MAX, "a key has at most 512 bytes")?;
                Ok(Self::Read { key })
            }
            7 => {
                let (author, term, seq, wait_ms) = fields(&body)?;
                Ok(Self::Await { author, term, seq, wait_ms })
            }
            8 => {
                let (term, staged_seq) = fields(&body)?;
                Ok(Self::HandOver { term, staged_seq })
            }
            9 => {
                let [carrier]: [Option<ByteBuf>; 1] = fields(&body)?;
                Ok(Self::Probe { carrier: small_carrier(carrier)? })
            }
            10 => fields::<[u64; 1]>(&body).map(|[term]| Self::Stood { term }),
            11 => {
                let (term, after) = fields(&body)?;
                Ok(Self::Names { term, after })
            }
            12 => fields::<[u64; 1]>(&body).map(|[after]| Self::Terms { after }),
            _ => Err(DecodeError::Invalid("no question of a seat")),
        }
    }
}
