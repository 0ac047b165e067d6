//! Proofs as auditors ask for them, made at the node's last checkpoint and checked before they leave.
//!
//! `keys` shows what stands at a key; the rest shows what is in the log.

mod keys;

use std::sync::Arc;
use std::time::Duration;

use lattice::bundle::Bundle;
use lattice::bundle::shown::{Claim, Shown};
use lattice::ids::CommitId;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::proof::Proof;
use lattice::log::tile::TileId;
use lattice::log::tree::{self, TileSet};
use lattice::merkle::{Digest, leaf_hash};
use lattice::record::{Event, Record};

use crate::service::Service;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::writer::Checkpointed;
use crate::writer::caught::NotCaught;

/// Time for which a proof waits for a checkpoint at which it can be made: the next one, which a node signs within a second
/// unless told otherwise.
const WAIT: Duration = Duration::from_secs(10);

/// Records that are searched for a commit, the newest first (a guess): each may be as long as 34 KiB.
const SEARCHED_RECORDS: u64 = 20_000;

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// No entry at the key.
    #[error("no entry has the key {0:?}; its absence can be proven (`lattice proof absence`)")]
    NoEntry(String),
    /// A tombstone at the key.
    #[error("the key {0:?} is deleted; that can be proven (`lattice proof absence`)")]
    Deleted(String),
    /// An entry at the key.
    #[error("the key {0:?} has a value; that can be proven (`lattice proof entry`)")]
    HasValue(String),
    /// The commit is not found.
    #[error(
        "no record among the last {SEARCHED_RECORDS} names the commit {0}, or all it did is overwritten and its header is \
         no longer kept; if you know its record, ask for that one (parameter \"record\")"
    )]
    NoCommit(CommitId),
    /// The record that was asked for is about something else.
    #[error(
        "record {index} (counted from 0) does not name the commit {id}; leave the index out to have it searched for"
    )]
    NotNamed {
        /// The commit.
        id: CommitId,
        /// The record.
        index: u64,
    },
    /// Beyond the log, as signed.
    #[error("the log has {size} records at its last checkpoint; {asked} is beyond them")]
    BeyondLog {
        /// What was asked for.
        asked: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// An old size that is not below the new one, or zero.
    #[error("a consistency proof leads from a size above 0 to one that is not smaller")]
    Sizes,
    /// No checkpoint in time.
    #[error("no checkpoint of this node fits yet; ask again in a moment")]
    NotYet,
    /// As many wait for a checkpoint as may.
    #[error(transparent)]
    Busy(NotCaught),
    /// Somebody's commit is being searched for.
    #[error(
        "the record of another commit is being searched for; ask again in a moment, or name it (parameter \"record\")"
    )]
    Searching,
    /// Too large to show.
    #[error("what is to be shown does not fit a proof: {0}")]
    TooLarge(String),
    /// The disk, or what it gave back.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A consistency proof and what it is between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// Root of the old size.
    pub old_root: Digest,
    /// Root of the new size.
    pub new_root: Digest,
    /// The proof.
    pub hashes: Vec<Digest>,
}

impl Service {
    /// Shows that a commit was applied; `record` is the index of the record that names it, if that is known.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_commit(&self, id: CommitId, record: Option<u64>) -> Result<Bundle, NoProof> {
        let checkpointed = self.checkpointed().await?;
        let size = checkpointed.signed.checkpoint().size();
        let reader = &self.inner.reader;
        let found = match record {
            Some(index) if index >= size => return Err(NoProof::BeyondLog { asked: index, size }),
            Some(index) => Some(index),
            None => {
                let _place = reader.place_to_search().ok_or(NoProof::Searching)?;
                reader.record_naming(id, size, SEARCHED_RECORDS).await?
            }
        };
        let index = found.ok_or(NoProof::NoCommit(id))?;
        let bytes = reader.record(index).await?.ok_or(NoProof::NoCommit(id))?;
        let decoded = Record::decode(&bytes).map_err(StoreError::damaged)?;
        if !matches!(&decoded.event, Event::Applied { commits } if commits.contains(&id)) {
            return Err(NoProof::NotNamed { id, index });
        }
        let signed = reader.header_of(id, index).await?.ok_or(NoProof::NoCommit(id))?;
        let shown = Shown { record: bytes, claim: Claim::Commit(signed) };
        let proof = self.inclusion(index, &shown.record, &checkpointed.signed).await?;
        Bundle::new(shown, &proof).map_err(|error| NoProof::TooLarge(error.to_string()))
    }

    /// A tlog-proof of one record, which is its extra data.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_record(&self, index: u64) -> Result<Proof, NoProof> {
        let checkpointed = self.checkpointed().await?;
        let size = checkpointed.signed.checkpoint().size();
        let record = if index < size { self.inner.reader.record(index).await? } else { None };
        let record = record.ok_or(NoProof::BeyondLog { asked: index, size })?;
        self.inclusion(index, &record, &checkpointed.signed).await
    }

    /// That the log of one size is the beginning of that of another; both are at most the last checkpoint's.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_consistency(&self, old: u64, new: u64) -> Result<Consistency, NoProof> {
        let size = self.checkpointed().await?.signed.checkpoint().size();
        if new > size {
            return Err(NoProof::BeyondLog { asked: new, size });
        }
        if old == 0 || old > new {
            return Err(NoProof::Sizes);
        }
        let mut ids = tree::tiles_for_consistency(old, new).map_err(StoreError::damaged)?;
        for size in [old, new] {
            ids.extend(tree::tiles_for_root(size).map_err(StoreError::damaged)?);
        }
        let tiles = self.tiles(ids).await?;
        let (old_root, new_root) = (root(old, &tiles)?, root(new, &tiles)?);
        let hashes = tree::consistency(old, new, &tiles).map_err(StoreError::damaged)?;
        tree::verify_consistency(old, new, &old_root, &new_root, &hashes).map_err(StoreError::damaged)?;
        Ok(Consistency { old_root, new_root, hashes })
    }

    /// The last checkpoint; waits for the first.
    async fn checkpointed(&self) -> Result<Arc<Checkpointed>, NoProof> {
        self.checkpoint_that(|_| true).await
    }

    async fn checkpoint_that(&self, fits: impl Fn(&Checkpointed) -> bool) -> Result<Arc<Checkpointed>, NoProof> {
        let mut states = self.states();
        let first = states.wait_for(|state| state.checkpointed.as_ref().is_some_and(|last| fits(last)));
        let Ok(Ok(state)) = tokio::time::timeout(WAIT, first).await else { return Err(NoProof::NotYet) };
        state.checkpointed.clone().ok_or(NoProof::NotYet)
    }

    /// The proof of one record under a checkpoint, checked: a tile that changed on disk is found here and not by the
    /// auditor.
    async fn inclusion(&self, index: u64, record: &[u8], signed: &SignedCheckpoint) -> Result<Proof, NoProof> {
        let head = signed.checkpoint();
        let ids = tree::tiles_for_inclusion(index, head.size()).map_err(StoreError::damaged)?;
        let tiles = self.tiles(ids).await?;
        let path = tree::inclusion(index, head.size(), &tiles).map_err(StoreError::damaged)?;
        tree::verify_inclusion(&leaf_hash(record), index, head.size(), &path, head.root())
            .map_err(StoreError::damaged)?;
        Proof::new(record.to_vec(), index, path, signed.clone()).map_err(|error| NoProof::TooLarge(error.to_string()))
    }

    async fn tiles(&self, ids: Vec<TileId>) -> Result<TileSet, NoProof> {
        let reader: &Reader = &self.inner.reader;
        let mut tiles = TileSet::default();
        for id in ids {
            let tile = reader.tile(id).await?;
            tiles.insert(tile.ok_or_else(|| StoreError::damaged(format_args!("tile {id} of the log is missing")))?);
        }
        Ok(tiles)
    }
}

fn root(size: u64, tiles: &TileSet) -> Result<Digest, NoProof> {
    Ok(tree::root(size, tiles).map_err(StoreError::damaged)?)
}
