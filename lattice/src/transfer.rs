//! A whole state as a stream: what `GET /api/lattice/state/full` gives.
//!
//! A header, commits in the order in which the giving node stored them, and an end without which the stream was cut.
//! Each commit carries a cursor: whoever has everything up to it asks for what comes behind. [`Parts`] takes the bytes
//! apart as they come and holds no more than one part.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use crate::codec::{self, DecodeError};
use crate::commit::Commit;
use crate::ids::{LatticeId, StateRoot};
use crate::limits::COMMIT_BYTES_MAX;

const VERSION: u64 = 1;

/// Bytes of one part: a largest commit and its envelope.
pub const PART_BYTES_MAX: usize = COMMIT_BYTES_MAX + 64;

/// Bytes of the number before each part: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// A place in the stream of one node. It means nothing at another, nor at the same once its database began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Which database.
    pub epoch: u64,
    /// Everything up to this commit's number.
    pub row: u64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.row)
    }
}

impl std::str::FromStr for Cursor {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let parsed = text.split_once('-').and_then(|(epoch, row)| {
            Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, row: row.parse().ok()? })
        });
        let cursor = parsed.filter(|cursor| cursor.to_string() == text);
        cursor.ok_or(DecodeError::Invalid("a cursor is 16 hexadecimal digits, a dash and a number"))
    }
}

/// One part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header {
        /// The lattice.
        lattice: LatticeId,
        /// State root when the stream began.
        root: StateRoot,
        /// Entries when it began, tombstones included.
        entries: u64,
        /// What comes lies behind this.
        after: Cursor,
    },
    /// A commit, whole or in part.
    Commit {
        /// Everything up to here has come once this has.
        row: u64,
        /// The commit.
        commit: Box<Commit>,
    },
    /// The last.
    End {
        /// State root when the last commit had been read.
        root: StateRoot,
        /// Entries at that moment.
        entries: u64,
    },
}

impl Part {
    /// The part with its length before it: `u32be(length) ‖ part`.
    pub fn encode(&self) -> Vec<u8> {
        let part = match self {
            Self::Header { lattice, root, entries, after } => {
                codec::encode(&HeaderWire(HEADER, VERSION, *lattice, *root, *entries, epoch(after.epoch), after.row))
            }
            Self::Commit { row, commit } => codec::encode(&(COMMIT, row, Bytes::new(&commit.encode()))),
            Self::End { root, entries } => codec::encode(&(END, root, entries)),
        };
        // A part has at most 256 KiB and some.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
        [length.as_slice(), &part].concat()
    }

    /// Reads the canonical bytes behind the length.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > PART_BYTES_MAX {
            return Err(DecodeError::TooLong { bytes: bytes.len(), limit: PART_BYTES_MAX });
        }
        // A list of 7, 3 or 3 items, the first of which is the kind.
        match bytes.get(1).copied().map(u64::from) {
            Some(HEADER) => {
                let wire: HeaderWire = codec::decode(bytes, PART_BYTES_MAX)?;
                codec::expect_version(wire.1, VERSION)?;
                let after = Cursor { epoch: u64::from_be_bytes(wire.5.into_array()), row: wire.6 };
                Ok(Self::Header { lattice: wire.2, root: wire.3, entries: wire.4, after })
            }
            Some(COMMIT) => {
                let (_, row, commit): (u64, u64, ByteBuf) = codec::decode(bytes, PART_BYTES_MAX)?;
                Ok(Self::Commit { row, commit: Box::new(Commit::decode(&commit)?) })
            }
            Some(END) => {
                let (_, root, entries): (u64, StateRoot, u64) = codec::decode(bytes, PART_BYTES_MAX)?;
                Ok(Self::End { root, entries })
            }
            _ => Err(DecodeError::Invalid("a part of unknown kind")),
        }
    }
}

const HEADER: u64 = 0;
const COMMIT: u64 = 1;
const END: u64 = 2;

fn epoch(epoch: u64) -> ByteArray<8> {
    ByteArray::new(epoch.to_be_bytes())
}

#[derive(Serialize, Deserialize)]
struct HeaderWire(u64, u64, LatticeId, StateRoot, u64, ByteArray<8>, u64);

/// Takes a stream apart: a header first, then commits whose numbers never fall, then the end and nothing behind it.
#[derive(Debug, Default)]
pub struct Parts {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were given out.
    taken: usize,
    row: Option<u64>,
    is_over: bool,
}

impl Parts {
    /// Adds bytes as they came. Take all parts out before adding more: that bounds what is held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.taken));
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part; `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for a part too long, undecodable or out of order. The stream is of no use from there on.
    pub fn next_part(&mut self) -> Result<Option<Part>, DecodeError> {
        let rest = &self.buffer[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > PART_BYTES_MAX {
            return Err(DecodeError::TooLong { bytes: length, limit: PART_BYTES_MAX });
        }
        let Some(bytes) = rest.get(..length) else { return Ok(None) };
        let part = Part::decode(bytes)?;
        self.taken += LENGTH_BYTES + length;
        self.expect_order(&part)?;
        Ok(Some(part))
    }

    /// Whether the end came.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn expect_order(&mut self, part: &Part) -> Result<(), DecodeError> {
        let follows = match (part, self.row) {
            _ if self.is_over => false,
            (Part::Header { after, .. }, None) => {
                self.row = Some(after.row);
                true
            }
            (Part::Commit { row, .. }, Some(before)) => {
                self.row = Some(*row);
                *row >= before
            }
            (Part::End { .. }, Some(_)) => {
                self.is_over = true;
                true
            }
            (Part::Header { .. }, Some(_)) | (Part::Commit { .. } | Part::End { .. }, None) => false,
        };
        if follows { Ok(()) } else { Err(DecodeError::Invalid("the parts of the stream are out of order")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::commit::Draft;
    use crate::ids::CommitId;
    use crate::keys::NodeKeys;
    use crate::op::Op;

    fn commit(row: u64) -> Part {
        let time = Timestamp::from_millis(row);
        let draft = Draft { lattice: LatticeId([1; 32]), term: 0, seq: 1, prev: CommitId::ZERO, time };
        let commit = draft.sign(&NodeKeys::from_seed([1; 32]).author, vec![Op::put("k", b"v").expect("small")]);
        Part::Commit { row, commit: Box::new(commit) }
    }

    fn header(row: u64) -> Part {
        let after = Cursor { epoch: u64::MAX, row };
        Part::Header { lattice: LatticeId([1; 32]), root: StateRoot([2; 32]), entries: 3, after }
    }

    const LAST: Part = Part::End { root: StateRoot([4; 32]), entries: 5 };

    /// The parts that come out of these, cut into pieces of `step` bytes.
    fn through(parts: &[Part], step: usize) -> Result<Vec<Part>, DecodeError> {
        let bytes: Vec<u8> = parts.iter().flat_map(Part::encode).collect();
        let (mut stream, mut out) = (Parts::default(), Vec::new());
        for piece in bytes.chunks(step) {
            stream.push(piece);
            while let Some(part) = stream.next_part()? {
                out.push(part);
            }
        }
        assert_eq!(stream.is_over(), parts.last() == Some(&LAST), "a cut stream is recognised");
        Ok(out)
    }

    #[test]
    fn a_stream_comes_out_as_it_went_in_however_it_is_cut() {
        let parts = [header(7), commit(7), commit(9), commit(9), LAST];
        for step in [1, 2, 7, 100, 100_000] {
            assert_eq!(through(&parts, step).as_deref(), Ok(parts.as_slice()), "{step}");
        }
        assert_eq!(through(&parts[..3], 5).map(|parts| parts.len()), Ok(3));
    }

    #[test]
    fn parts_out_of_order_are_refused() {
        for parts in [
            vec![commit(1)],
            vec![LAST],
            vec![header(0), header(0)],
            vec![header(5), commit(4)],
            vec![header(0), commit(2), commit(1)],
            vec![header(0), LAST, commit(1)],
            vec![header(0), LAST, LAST],
        ] {
            assert!(through(&parts, 1_000_000).is_err(), "{parts:?}");
        }
    }

    #[test]
    fn a_claimed_length_is_refused_before_it_is_waited_for() {
        let mut stream = Parts::default();
        stream.push(&u32::MAX.to_be_bytes());
        assert!(matches!(stream.next_part(), Err(DecodeError::TooLong { .. })));
    }

    #[test]
    fn cursors_have_one_text() {
        let cursor = Cursor { epoch: 0xab, row: 12 };
        assert_eq!(cursor.to_string(), "00000000000000ab-12");
        assert_eq!("00000000000000ab-12".parse(), Ok(cursor));
        for bad in ["", "-", "ab-12", "00000000000000AB-12", "00000000000000ab-012", "00000000000000ab--1", "12"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
