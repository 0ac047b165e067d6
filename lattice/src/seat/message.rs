//! What the nodes of a seat ask each other, on a connection that proved both as members (`/lattice/seat/1`).
//!
//! Only votes carry a signature: they go into a certificate that others check. All else is between two nodes.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::{BodyHash, CERTIFICATE_BYTES_MAX};
use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, CommitId, StateRoot};
use crate::keys::SIGNATURE_BYTES;
use crate::limits::{COMMIT_BYTES_MAX, HEADER_BYTES_MAX, KEY_BYTES_MAX, RECORD_COMMITS_MAX};
use crate::merkle::Digest;

/// Bytes of a message: the commits of the largest record, 4 MiB and one more, and as much again in other records.
pub const SEAT_MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;

/// Records, or staged commits, in one answer.
pub const BATCH_ITEMS_MAX: usize = 4096;

/// Bytes of a client's name for a write.
const NAME_BYTES_MAX: usize = 128;

/// Bytes of a refusal's words.
const WORDS_BYTES_MAX: usize = 1024;

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
    /// The asker, the shadow, stood for a higher term.
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
}

/// A record in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRecord {
    /// Canonical bytes.
    pub record: Vec<u8>,
    /// Its commits that the asker has not staged, whole.
    pub commits: Vec<Vec<u8>>,
}

/// A staged commit in a batch, with the client's name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchStaged {
    /// Canonical bytes.
    pub commit: Vec<u8>,
    /// The name.
    pub name: Option<String>,
}

/// What a fetch brings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Records from the asker's position on.
    pub records: Vec<BatchRecord>,
    /// Staged commits behind the asker's position.
    pub staged: Vec<BatchStaged>,
    /// Records of the holder's log.
    pub log_size: u64,
    /// The last commit of the seat that the holder has staged.
    pub last: (u64, u64),
    /// Whether the holder has let go of the seat and everything is in this answer or before it.
    pub is_released: bool,
    /// Whether the records asked for are kept no longer: the asker has to be seeded.
    pub is_behind: bool,
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
}

type PositionWire = (u64, ByteArray<32>, u64, u64);
type WriteWire = (Vec<ByteBuf>, u64, Option<(CommitId, u64)>, Option<String>, u64);

#[derive(Serialize, Deserialize)]
struct Tagged(u64, ByteBuf);

fn tagged<T: Serialize>(kind: u64, fields: &T) -> Vec<u8> {
    codec::encode(&Tagged(kind, codec::encode(fields).into()))
}

fn fields<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    codec::decode(bytes, SEAT_MESSAGE_BYTES_MAX)
}

fn buffers(of: &[Vec<u8>]) -> Vec<ByteBuf> {
    of.iter().map(|bytes| ByteBuf::from(bytes.clone())).collect()
}

fn optional(bytes: Option<&Vec<u8>>) -> Option<ByteBuf> {
    bytes.map(|bytes| ByteBuf::from(bytes.clone()))
}

fn expect(holds: bool, rule: &'static str) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::Invalid(rule)) }
}

impl SeatRequest {
    /// Canonical bytes: `[kind, fields as bytes]`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Vote { body, carrier } => tagged(0, &(ByteBuf::from(body.clone()), optional(carrier.as_ref()))),
            Self::Renew { body, ticket, carrier } => tagged(1, &(body, ticket, optional(carrier.as_ref()))),
            Self::Release { ticket } => tagged(2, ticket),
            Self::Inquire => tagged::<[u64; 0]>(3, &[]),
            Self::Fetch { term, position, is_bare, wait_ms } => {
                let MirrorPosition { log_size, log_root, staged } = *position;
                let position: PositionWire = (log_size, ByteArray::new(log_root), staged.0, staged.1);
                tagged(4, &(term, position, is_bare, wait_ms))
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
                let (body, ticket, carrier) = fields(&body)?;
                Ok(Self::Renew { body, ticket, carrier: small_carrier(carrier)? })
            }
            2 => Ok(Self::Release { ticket: fields(&body)? }),
            3 => fields::<[u64; 0]>(&body).map(|[]| Self::Inquire),
            4 => {
                let (term, position, is_bare, wait_ms): (u64, PositionWire, bool, u64) = fields(&body)?;
                let (log_size, log_root, of_term, seq) = position;
                let position = MirrorPosition { log_size, log_root: log_root.into_array(), staged: (of_term, seq) };
                Ok(Self::Fetch { term, position, is_bare, wait_ms })
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
            _ => Err(DecodeError::Invalid("no question of a seat")),
        }
    }
}

fn small_carrier(carrier: Option<ByteBuf>) -> Result<Option<Vec<u8>>, DecodeError> {
    let is_small = carrier.as_ref().is_none_or(|bytes| bytes.len() <= CERTIFICATE_BYTES_MAX + HEADER_BYTES_MAX);
    expect(is_small, "a commit that carries a certificate has little more than 60 KiB")?;
    Ok(carrier.map(ByteBuf::into_vec))
}

type BatchWire = (Vec<(ByteBuf, Vec<ByteBuf>)>, Vec<(ByteBuf, Option<String>)>, u64, (u64, u64), bool, bool);
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
            _ => Err(DecodeError::Invalid("no answer of a seat")),
        }
    }
}

impl Batch {
    fn wire(&self) -> BatchWire {
        let records = self.records.iter();
        let records = records.map(|item| (ByteBuf::from(item.record.clone()), buffers(&item.commits))).collect();
        let staged = self.staged.iter();
        let staged = staged.map(|item| (ByteBuf::from(item.commit.clone()), item.name.clone())).collect();
        (records, staged, self.log_size, self.last, self.is_released, self.is_behind)
    }

    fn of_wire((records, staged, log_size, last, is_released, is_behind): BatchWire) -> Result<Self, DecodeError> {
        expect(records.len().max(staged.len()) <= BATCH_ITEMS_MAX, "a batch has at most 4096 records and commits")?;
        let are_few = records.iter().all(|(_, commits)| commits.len() <= RECORD_COMMITS_MAX);
        expect(are_few, "a record names at most 1024 commits")?;
        let record = |(record, commits): (ByteBuf, Vec<ByteBuf>)| BatchRecord {
            record: record.into_vec(),
            commits: commits.into_iter().map(ByteBuf::into_vec).collect(),
        };
        let staged_commit = |(commit, name): (ByteBuf, Option<String>)| BatchStaged { commit: commit.into_vec(), name };
        Ok(Self {
            records: records.into_iter().map(record).collect(),
            staged: staged.into_iter().map(staged_commit).collect(),
            log_size,
            last,
            is_released,
            is_behind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_back_and_nothing_else_does() {
        let position = MirrorPosition { log_size: 3, log_root: [4; 32], staged: (1, 9) };
        let write = ForwardedWrite {
            ops: vec![vec![1, 2]],
            condition: 3,
            tag: Some((CommitId([5; 32]), 1)),
            name: Some("once".to_owned()),
            level: 1,
        };
        let body = crate::seat::tests::first_body().hash();
        let requests = [
            SeatRequest::Vote { body: vec![7], carrier: Some(vec![8]) },
            SeatRequest::Renew { body, ticket: TicketWire(1, 2), carrier: None },
            SeatRequest::Release { ticket: TicketWire(1, 2) },
            SeatRequest::Inquire,
            SeatRequest::Fetch { term: 1, position, is_bare: true, wait_ms: 9 },
            SeatRequest::Write(Box::new(write)),
            SeatRequest::HandOver { term: 1, staged_seq: 2 },
            SeatRequest::Probe { carrier: None },
            SeatRequest::Stood { term: 3 },
            SeatRequest::Read { key: "green/k".to_owned() },
            SeatRequest::Await { author: AuthorId([1; 32]), term: 1, seq: 2, wait_ms: 3 },
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(SeatRequest::decode(&bytes), Ok(request));
            assert!(SeatRequest::decode(&[&bytes[..], &[0]].concat()).is_err());
            assert!(SeatRequest::decode(&bytes[..bytes.len() - 1]).is_err());
        }
        let refusal =
            SeatRefusal { code: 1, term: 2, wait_ms: 3, holder: None, words: "why".to_owned(), carrier: Some(vec![1]) };
        let batch = Batch {
            records: vec![BatchRecord { record: vec![1], commits: vec![vec![2], vec![]] }],
            staged: vec![BatchStaged { commit: vec![3], name: None }],
            log_size: 4,
            last: (1, 5),
            is_released: false,
            is_behind: true,
        };
        let (commit, root) = (CommitId([1; 32]), StateRoot([2; 32]));
        let answers = [
            SeatAnswer::Refused(Box::new(refusal)),
            SeatAnswer::Voted([3; SIGNATURE_BYTES]),
            SeatAnswer::Done,
            SeatAnswer::Lease {
                rest_ms: 1,
                lease: Some((AuthorId([4; 32]), 5)),
                certified_term: 6,
                ballot_term: 7,
                released_by: None,
            },
            SeatAnswer::Probed { log_size: 1, waiting: 2, is_sound: true, disk_free: None, memory_free: Some(3) },
            SeatAnswer::Batch(Box::new(batch)),
            SeatAnswer::Written { commit, seq: 1, time_ms: 2, log_position: 3, root, entries: 4 },
            SeatAnswer::Entry(Some(b"{}".to_vec())),
        ];
        for answer in answers {
            let bytes = answer.encode();
            assert_eq!(SeatAnswer::decode(&bytes), Ok(answer));
            assert!(SeatAnswer::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
