//! What a mirror's fetch brings.

use serde_bytes::ByteBuf;

use super::{buffers, expect};
use crate::codec::DecodeError;
use crate::limits::RECORD_COMMITS_MAX;

/// Records, or staged commits, in one answer.
pub const BATCH_ITEMS_MAX: usize = 4096;

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

pub(super) type BatchWire = (Vec<(ByteBuf, Vec<ByteBuf>)>, Vec<(ByteBuf, Option<String>)>, u64, (u64, u64), bool, bool);

impl Batch {
    pub(super) fn wire(&self) -> BatchWire {
        let records = self.records.iter();
        let records = records.map(|item| (ByteBuf::from(item.record.clone()), buffers(&item.commits))).collect();
        let staged = self.staged.iter();
        let staged = staged.map(|item| (ByteBuf::from(item.commit.clone()), item.name.clone())).collect();
        (records, staged, self.log_size, self.last, self.is_released, self.is_behind)
    }

    pub(super) fn of_wire(
        (records, staged, log_size, last, is_released, is_behind): BatchWire,
    ) -> Result<Self, DecodeError> {
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
