//! Proofs as auditors ask for them, made at the node's last checkpoint and checked before they leave.

use std::sync::Arc;
use std::time::Duration;

use lattice::bundle::Bundle;
use lattice::bundle::shown::{Claim, EntryShown, Shown};
use lattice::commit::Commit;
use lattice::entry::{Entry, Version};
use lattice::ids::CommitId;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::proof::Proof;
use lattice::log::tile::TileId;
use lattice::log::tree::{self, TileSet};
use lattice::merkle::{self, Digest, leaf_hash};
use lattice::op::Key;
use lattice::tree::proof::{AbsenceProof, EntryProof};
use node_core::apply::Tree;

use crate::service::Service;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::writer::Checkpointed;

/// Time for which a proof waits for a checkpoint at which it can be made. A key that changes all the time is read again
/// after each checkpoint, and is caught standing still sooner or later.
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
    /// No checkpoint, or none at which the key stood still.
    #[error("no checkpoint of this node fits yet; ask again in a moment")]
    NotYet,
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

/// A checkpoint and the state at it.
struct Moment {
    checkpointed: Arc<Checkpointed>,
    tree: Tree,
    record: Vec<u8>,
}

impl Service {
    /// Shows that a key has a value.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_entry(&self, key: &Key) -> Result<Bundle, NoProof> {
        let bundle = self.prove_operation(key).await?;
        match &bundle.shown().claim {
            Claim::Entry(entry) if entry.op.value().is_none() => Err(NoProof::Deleted(key.to_string())),
            Claim::Entry(_) | Claim::Absence { .. } | Claim::Commit(_) => Ok(bundle),
        }
    }

    /// Shows that a key has no value: that it was deleted, or has no entry at all.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_absence(&self, key: &Key) -> Result<Bundle, NoProof> {
        match self.prove_operation(key).await {
            Ok(bundle) => match &bundle.shown().claim {
                Claim::Entry(entry) if entry.op.value().is_some() => Err(NoProof::HasValue(key.to_string())),
                Claim::Entry(_) | Claim::Absence { .. } | Claim::Commit(_) => Ok(bundle),
            },
            Err(NoProof::NoEntry(_)) => {
                let claim = |moment: Arc<Moment>| async move {
                    let (page, siblings) = moment.tree.page_of(&key.hash());
                    let rows: Vec<_> = page.iter().map(|leaf| leaf.tag).collect();
                    let found = self.inner.reader.entries_at(&rows).await?;
                    // An entry replaced since has another row; the next checkpoint has it.
                    let Some(found) = found else { return Ok(None) };
                    let proof = AbsenceProof { entries: moment.tree.len(), page: found, siblings };
                    Ok(Some(Claim::Absence { key: key.clone(), proof }))
                };
                self.prove(claim).await
            }
            Err(error) => Err(error),
        }
    }

    /// Shows the operation that stands at a key, a put or a delete.
    async fn prove_operation(&self, key: &Key) -> Result<Bundle, NoProof> {
        self.prove(|moment: Arc<Moment>| async move {
            let Some((commit, op_index)) = self.inner.reader.commit_of(key).await? else {
                let stood = moment.tree.get(&key.hash()).is_some();
                return if stood { Ok(None) } else { Err(NoProof::NoEntry(key.to_string())) };
            };
            Ok(entry_claim(&moment.tree, &commit, op_index)?)
        })
        .await
    }

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
            None => reader.record_naming(id, size, SEARCHED_RECORDS).await?,
        };
        let index = found.ok_or(NoProof::NoCommit(id))?;
        let signed = reader.header_of(id, index).await?.ok_or(NoProof::NoCommit(id))?;
        let bytes = reader.record(index).await?.ok_or(NoProof::NoCommit(id))?;
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
        let mut states = self.states();
        let first = states.wait_for(|state| state.checkpointed.is_some());
        let Ok(Ok(state)) = tokio::time::timeout(WAIT, first).await else { return Err(NoProof::NotYet) };
        state.checkpointed.clone().ok_or(NoProof::NotYet)
    }

    /// Makes a claim at the last checkpoint, or at the next one where that one is too old for it.
    async fn prove<F>(&self, claim: impl Fn(Arc<Moment>) -> F) -> Result<Bundle, NoProof>
    where
        F: Future<Output = Result<Option<Claim>, NoProof>>,
    {
        let mut states = self.states();
        let proving = async {
            let mut tried = None;
            loop {
                let moment = {
                    let is_new = |state: &Arc<crate::writer::Published>| {
                        let checkpoint = state.checkpointed.as_ref();
                        checkpoint.is_some_and(|now| now.state.is_some() && Some(size_of(now)) != tried)
                    };
                    let state = states.wait_for(is_new).await.map_err(|_| NoProof::NotYet)?;
                    moment_of(&state).ok_or(NoProof::NotYet)?
                };
                tried = Some(size_of(&moment.checkpointed));
                let moment = Arc::new(moment);
                if let Some(claim) = claim(moment.clone()).await? {
                    return self.bundle(&moment, claim).await;
                }
            }
        };
        tokio::time::timeout(WAIT, proving).await.unwrap_or(Err(NoProof::NotYet))
    }

    async fn bundle(&self, moment: &Moment, claim: Claim) -> Result<Bundle, NoProof> {
        let shown = Shown { record: moment.record.clone(), claim };
        let signed = &moment.checkpointed.signed;
        let proof = self.inclusion(signed.checkpoint().size() - 1, &shown.record, signed).await?;
        Bundle::new(shown, &proof).map_err(|error| NoProof::TooLarge(error.to_string()))
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

fn size_of(checkpointed: &Checkpointed) -> u64 {
    checkpointed.signed.checkpoint().size()
}

fn moment_of(state: &crate::writer::Published) -> Option<Moment> {
    let checkpointed = state.checkpointed.clone()?;
    let (tree, record) = checkpointed.state.clone()?;
    Some(Moment { checkpointed, tree, record })
}

/// The operation at `op_index` as the state shows it; `None` if the state has another entry at its key.
fn entry_claim(tree: &Tree, commit: &Commit, op_index: u32) -> Result<Option<Claim>, StoreError> {
    let slots = commit.slots();
    let lattice::commit::OpSlot::Live(op) = &slots[op_index as usize] else { return Ok(None) };
    let entry = Entry::of(op, Version::of(commit.signed().header(), commit.id(), op_index));
    if tree.get(&entry.key_hash()).is_none_or(|leaf| leaf.leaf != entry.leaf()) {
        return Ok(None);
    }
    let hashes: Vec<_> = slots.iter().map(|slot| slot.hash().0).collect();
    let op_path = merkle::path(&hashes, op_index as usize);
    let proof = EntryProof::make(tree, &entry.key_hash());
    let (Some(op_path), Some(proof)) = (op_path, proof) else {
        return Err(StoreError::damaged("an entry has no place in its page or commit"));
    };
    let signed = commit.signed().clone();
    Ok(Some(Claim::Entry(Box::new(EntryShown { signed, op_index, op: op.clone(), op_path, proof }))))
}
