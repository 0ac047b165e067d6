//! The answers.

use serde_bytes::{ByteArray, ByteBuf};

use super::request::NAME_BYTES_MAX;
use super::{Batch, SEAT_MESSAGE_BYTES_MAX, Tagged, buffers, expect, fields, optional, small_carrier, tagged};
use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, CommitId, StateRoot};
use crate::keys::SIGNATURE_BYTES;
use crate::merkle::Digest;

/// Bytes of a refusal's words.
const WORDS_BYTES_MAX: usize = 1024;

/// Names in one answer: some 200 bytes each.
pub const NAMES_MAX: usize = 4096;

/// Bytes of the answer kept for a name: a commit, a root and four numbers.
const KEPT_BYTES_MAX: usize = 256;

/// Commits that carry certificates in one answer; each has 61,952 bytes at most, and mostly below one thousand.
pub const TERMS_MAX: usize = 128;

/// The answer that is kept for a named write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptName {
    /// The client's name for the write.
    pub name: String,
    /// SHA-256 over the hashes of its operations.
    pub request_hash: Digest,
    /// The term in which it was written.
    pub term: u64,
    /// Canonical bytes of the fields of [`SeatAnswer::Written`].
    pub answer: Vec<u8>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatRefusal {
    /// Which refusal.
    pub code: u64,
    /// The term that it tells of, or 0.
    pub term: u64,
    /// Milliseconds after which to ask again, or 0.
    pub wait_ms: u64,
    /// Of whom it tells.
    pub holder: Option<AuthorId>,
    /// For people.
    pub words: String,
    /// The commit that carries the highest certificate known to who refuses.
    pub carrier: Option<Vec<u8>>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatAnswer {
    /// No.
    Refused(Box<SeatRefusal>),
    /// The voter's signature under the body.
    Voted([u8; SIGNATURE_BYTES]),
    /// Done; a lease runs from the moment of the question on.
    Done,
    /// How a voter's lease stands.
    Lease {
        /// Milliseconds until it votes and grants again after a restart.
        rest_ms: u64,
        /// Who has a lease, and for how many milliseconds.
        lease: Option<(AuthorId, u64)>,
        /// The highest term that it saw certified.
        certified_term: u64,
        /// The highest term that it voted or stood for.
        ballot_term: u64,
        /// Who gave its last lease back.
        released_by: Option<AuthorId>,
    },
    /// How a node is doing.
    Probed {
        /// Records of the seat's log there.
        log_size: u64,
        /// Commits staged and not applied.
        waiting: u64,
        /// Whether its state and log are as they should be.
        is_sound: bool,
        /// Free bytes of its disk, if known.
        disk_free: Option<u64>,
        /// Free bytes of its memory, if known.
        memory_free: Option<u64>,
    },
    /// What a fetch brings.
    Batch(Box<Batch>),
    /// A write is durable as was asked.
    Written {
        /// The commit.
        commit: CommitId,
        /// Its number in the term.
        seq: u64,
        /// Its time in milliseconds since 1970.
        time_ms: u64,
        /// Size of the holder's own log.
        log_position: u64,
        /// State root at the holder.
        root: StateRoot,
        /// Entries at the holder.
        entries: u64,
    },
    /// An entry, as the API shows it in JSON; `None` without a value.
    Entry(Option<Vec<u8>>),
    /// Names, the oldest first.
    Names {
        /// The names.
        names: Vec<KeptName>,
        /// Where to go on; the same as in the question if there are no more.
        upto: u64,
        /// Records of the seat's log by which all these writes are in the state.
        log_size: u64,
    },
    /// Commits that carry certificates, the lowest term first.
    Terms(Vec<Vec<u8>>),
}

type NameWire = (String, ByteArray<32>, u64, ByteBuf);
type NamesWire = (Vec<NameWire>, u64, u64);
type RefusalWire = (u64, u64, u64, Option<AuthorId>, String, Option<ByteBuf>);

impl SeatAnswer {
    /// Canonical bytes: `[kind, fields as bytes]`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Refused(refusal) => {
                let SeatRefusal { code, term, wait_ms, holder, words, carrier } = refusal.as_ref();
                let wire: RefusalWire = (*code, *term, *wait_ms, *holder, words.clone(), optional(carrier.as_ref()));
                tagged(0, &wire)
            }
            Self::Voted(signature) => tagged(1, &[ByteArray::new(*signature)]),
            Self::Done => tagged::<[u64; 0]>(2, &[]),
            Self::Lease { rest_ms, lease, certified_term, ballot_term, released_by } => {
                tagged(3, &(rest_ms, lease, certified_term, ballot_term, released_by))
            }
            Self::Probed { log_size, waiting, is_sound, disk_free, memory_free } => {
                tagged(7, &(log_size, waiting, is_sound, disk_free, memory_free))
            }
            Self::Batch(batch) => tagged(4, &batch.wire()),
            Self::Written { commit, seq, time_ms, log_position, root, entries } => {
                tagged(5, &(commit, seq, time_ms, log_position, root, entries))
            }
            Self::Entry(entry) => tagged(6, &[optional(entry.as_ref())]),
            Self::Names { names, upto, log_size } => {
                let wire = |kept: &KeptName| {
                    let hash = ByteArray::new(kept.request_hash);
                    (kept.name.clone(), hash, kept.term, ByteBuf::from(kept.answer.clone()))
                };
                let wire: NamesWire = (names.iter().map(wire).collect(), *upto, *log_size);
                tagged(8, &wire)
            }
            Self::Terms(commits) => tagged(9, &[buffers(commits)]),
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
                let (code, term, wait_ms, holder, words, carrier): RefusalWire = fields(&body)?;
                expect(words.len() <= WORDS_BYTES_MAX, "a refusal has at most 1024 bytes of words")?;
                let carrier = small_carrier(carrier)?;
                Ok(Self::Refused(Box::new(SeatRefusal { code, term, wait_ms, holder, words, carrier })))
            }
            1 => {
                let [signature]: [ByteArray<SIGNATURE_BYTES>; 1] = fields(&body)?;
                Ok(Self::Voted(signature.into_array()))
            }
            2 => fields::<[u64; 0]>(&body).map(|[]| Self::Done),
            3 => {
                let (rest_ms, lease, certified_term, ballot_term, released_by) = fields(&body)?;
                Ok(Self::Lease { rest_ms, lease, certified_term, ballot_term, released_by })
            }
            7 => {
                let (log_size, waiting, is_sound, disk_free, memory_free) = fields(&body)?;
                Ok(Self::Probed { log_size, waiting, is_sound, disk_free, memory_free })
            }
            4 => Batch::of_wire(fields(&body)?).map(|batch| Self::Batch(Box::new(batch))),
            5 => {
                let (commit, seq, time_ms, log_position, root, entries) = fields(&body)?;
                Ok(Self::Written { commit, seq, time_ms, log_position, root, entries })
            }
            6 => {
                let [entry]: [Option<ByteBuf>; 1] = fields(&body)?;
                Ok(Self::Entry(entry.map(ByteBuf::into_vec)))
            }
            8 => names_of(fields(&body)?),
            9 => {
                let [commits]: [Vec<ByteBuf>; 1] = fields(&body)?;
                expect(commits.len() <= TERMS_MAX, "at most 128 certificates in an answer")?;
                Ok(Self::Terms(commits.into_iter().map(ByteBuf::into_vec).collect()))
            }
            _ => Err(DecodeError::Invalid("no answer of a seat")),
        }
    }
}

fn names_of((names, upto, log_size): NamesWire) -> Result<SeatAnswer, DecodeError> {
    expect(names.len() <= NAMES_MAX, "at most 4096 names in an answer")?;
    let read = |(name, request_hash, term, answer): NameWire| {
        expect((1..=NAME_BYTES_MAX).contains(&name.len()), "a write's name has 1 to 128 bytes")?;
        expect(answer.len() <= KEPT_BYTES_MAX, "the answer kept for a name has at most 256 bytes")?;
        Ok(KeptName { name, request_hash: request_hash.into_array(), term, answer: answer.into_vec() })
    };
    let names = names.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(SeatAnswer::Names { names, upto, log_size })
}
