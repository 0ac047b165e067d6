//! An entry: the winning operation for a key, and the join that decides which one wins.
//!
//! The join is the maximum of a total order, so it is commutative, associative and idempotent whatever the order,
//! batching or repetition (Shapiro et al., "Conflict-free Replicated Data Types", 2011).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::codec::{self, DecodeError};
use crate::commit::Header;
use crate::genesis::Genesis;
use crate::ids::{AuthorId, CommitId, KeyHash, LeafHash, ValueHash};
use crate::limits::KEY_BYTES_MAX;
use crate::merkle::leaf_hash;
use crate::op::{Key, Op, value_hash};

/// Bytes of an encoded entry without its key: three hashes, four integers, heads.
const ENTRY_OVERHEAD_BYTES: usize = 192;

/// Most bytes of an encoded entry.
pub const ENTRY_BYTES_MAX: usize = KEY_BYTES_MAX + ENTRY_OVERHEAD_BYTES;

/// Which operation this is: enough to order it against any other of the same key, and to judge it by a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// Time of the commit.
    pub time: Timestamp,
    /// Who signed it.
    pub author: AuthorId,
    /// The term it was written in; 0 but under a seat's prefix.
    pub term: u64,
    /// Its number in the author's chain of that term.
    pub seq: u64,
    /// The commit.
    pub commit: CommitId,
    /// The operation's place in the commit.
    pub op_index: u32,
}

impl Version {
    /// The version of the operation at `op_index` of the commit with this header and id.
    pub fn of(header: &Header, commit: CommitId, op_index: u32) -> Self {
        let Header { time, author, term, seq, .. } = *header;
        Self { time, author, term, seq, commit, op_index }
    }

    /// The order of ordinary keys: (time, author, commit id, op index).
    pub fn cmp_ordinary(&self, other: &Self) -> Ordering {
        let order = |v: &Self| (v.time, v.author, v.commit, v.op_index);
        order(self).cmp(&order(other))
    }

    /// The order under a seat's prefix: (term, seq, commit id, op index). Clocks decide nothing there.
    pub fn cmp_seat(&self, other: &Self) -> Ordering {
        let order = |v: &Self| (v.term, v.seq, v.commit, v.op_index);
        order(self).cmp(&order(other))
    }
}

/// Whether `new` wins `key` over `old`. A version never wins over itself.
pub fn wins(genesis: &Genesis, key: &Key, new: &Version, old: &Version) -> bool {
    let order = if genesis.is_seat_key(key.as_str()) { new.cmp_seat(old) } else { new.cmp_ordinary(old) };
    order == Ordering::Greater
}

/// The winning operation for a key, its value by hash; a delete's tombstone has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Which operation won.
    pub version: Version,
    /// SHA-256 of the value; `None` is a tombstone.
    pub value: Option<ValueHash>,
}

impl Entry {
    /// The entry that `op` makes if it wins.
    pub fn of(op: &Op, version: Version) -> Self {
        Self { key: op.key().clone(), version, value: op.value().map(value_hash) }
    }

    /// Canonical bytes: `[key, time, author, term, seq, commit id, op index, value hash | null]`.
    pub fn encode(&self) -> Vec<u8> {
        let v = &self.version;
        codec::encode(&EntryWire(
            self.key.as_str(),
            v.time.0,
            v.author,
            v.term,
            v.seq,
            v.commit,
            u64::from(v.op_index),
            self.value,
        ))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: EntryWire<'_> = codec::decode(bytes, ENTRY_BYTES_MAX)?;
        Ok(Self {
            key: Key::new(wire.0).map_err(|_| DecodeError::Invalid("an entry's key breaks the rules for keys"))?,
            version: Version {
                time: Timestamp(wire.1),
                author: wire.2,
                term: wire.3,
                seq: wire.4,
                commit: wire.5,
                op_index: u32::try_from(wire.6).map_err(|_| DecodeError::Invalid("an op index is below 2^32"))?,
            },
            value: wire.7,
        })
    }

    /// Where the entry stands in the state tree.
    pub fn key_hash(&self) -> KeyHash {
        self.key.hash()
    }

    /// RFC 6962 leaf hash of the canonical bytes.
    pub fn leaf(&self) -> LeafHash {
        LeafHash(leaf_hash(&self.encode()))
    }
}

#[derive(Serialize, Deserialize)]
struct EntryWire<'a>(&'a str, u64, AuthorId, u64, u64, CommitId, u64, Option<ValueHash>);
