//! What stands at a key, shown at the last checkpoint or, where it has changed since, at the next one.

use std::sync::Arc;
use std::time::Duration;

use lattice::bundle::Bundle;
use lattice::bundle::shown::{Claim, EntryShown, Shown};
use lattice::commit::{Commit, OpSlot};
use lattice::entry::{Entry, Version};
use lattice::merkle;
use lattice::op::Key;
use lattice::tree::proof::{AbsenceProof, EntryProof};
use node_core::apply::Tree;
use tokio::sync::oneshot;

use super::{NoProof, WAIT};
use crate::service::Service;
use crate::store::StoreError;
use crate::writer::caught::{Caught, Found, NotCaught};
use crate::writer::job::Job;
use crate::writer::{Checkpointed, Published};

/// Time for which a proof at a new checkpoint waits for its cosignatures: for as long a witness may take to answer.
const COSIGNED_WAIT: Duration = Duration::from_secs(2);

/// A checkpoint and the state at it.
struct Moment {
    checkpointed: Arc<Checkpointed>,
    tree: Tree,
    record: Vec<u8>,
}

/// What readers find at a key, held against the state of the last checkpoint.
enum Seen {
    /// An operation stood there, and still does.
    Operation(Box<Claim>),
    /// It had no entry, and has none now.
    Nothing,
    /// It has changed since.
    Changed,
}

impl Service {
    /// Shows that a key has a value.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_entry(&self, key: &Key) -> Result<Bundle, NoProof> {
        let moment = self.moment().await?;
        let (moment, claim) = match self.operation_at(&moment, key).await? {
            Seen::Operation(claim) => (moment, *claim),
            Seen::Nothing => return Err(NoProof::NoEntry(key.to_string())),
            Seen::Changed => self.caught(key).await?,
        };
        match &claim {
            Claim::Entry(entry) if entry.op.value().is_none() => Err(NoProof::Deleted(key.to_string())),
            Claim::Absence { .. } => Err(NoProof::NoEntry(key.to_string())),
            Claim::Entry(_) | Claim::Commit(_) => self.bundle(&moment, claim).await,
        }
    }

    /// Shows that a key has no value: that it was deleted, or has no entry at all.
    ///
    /// # Errors
    ///
    /// [`NoProof`].
    pub async fn prove_absence(&self, key: &Key) -> Result<Bundle, NoProof> {
        let moment = self.moment().await?;
        let seen = match self.operation_at(&moment, key).await? {
            Seen::Operation(claim) => Some(*claim),
            Seen::Nothing => {
                let rows: Vec<_> = moment.tree.page_of(&key.hash()).0.iter().map(|leaf| leaf.tag).collect();
                // An entry replaced since has another row.
                let page = self.inner.reader.entries_at(&rows).await?;
                page.map(|page| absence_claim(&moment.tree, key, page))
            }
            Seen::Changed => None,
        };
        let (moment, claim) = match seen {
            Some(claim) => (moment, claim),
            None => self.caught(key).await?,
        };
        match &claim {
            Claim::Entry(entry) if entry.op.value().is_some() => Err(NoProof::HasValue(key.to_string())),
            Claim::Entry(_) | Claim::Absence { .. } | Claim::Commit(_) => self.bundle(&moment, claim).await,
        }
    }

    /// The operation that stands at a key, a put or a delete.
    async fn operation_at(&self, moment: &Moment, key: &Key) -> Result<Seen, NoProof> {
        let Some((commit, op_index)) = self.inner.reader.commit_of(key).await? else {
            let stood = moment.tree.get(&key.hash()).is_some();
            return Ok(if stood { Seen::Changed } else { Seen::Nothing });
        };
        Ok(entry_claim(&moment.tree, &commit, op_index)?
            .map_or(Seen::Changed, |claim| Seen::Operation(Box::new(claim))))
    }

    /// What stands at a key at the next checkpoint, however often it is written.
    async fn caught(&self, key: &Key) -> Result<(Moment, Claim), NoProof> {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            self.inner.writer.send(Job::Catch { key: key.clone(), reply }).await;
            // A writer that has stopped drops it.
            answer.await.map_err(|_| NoProof::NotYet)
        };
        let caught = tokio::time::timeout(WAIT, asking).await.map_err(|_| NoProof::NotYet)??;
        let Caught { checkpointed, found } = caught.map_err(|error| match error {
            NotCaught::Busy => NoProof::Busy(error),
            NotCaught::Store(error) => NoProof::Store(error),
        })?;
        let moment = moment_of(self.cosigned(checkpointed).await).ok_or(NoProof::NotYet)?;
        let claim = match found {
            Found::Operation(commit, op_index) => entry_claim(&moment.tree, &commit, op_index)?,
            Found::Nothing(page) => Some(absence_claim(&moment.tree, key, page)),
        };
        let claim = claim.ok_or_else(|| StoreError::damaged("a stored entry is not the one of the state"))?;
        Ok((moment, claim))
    }

    /// A new checkpoint with the cosignatures of others, if they come before the next one does.
    async fn cosigned(&self, new: Arc<Checkpointed>) -> Arc<Checkpointed> {
        let mut states = self.states();
        let is_same = |now: &Checkpointed| now.signed.checkpoint() == new.signed.checkpoint();
        let is_over = |state: &Arc<Published>| {
            let signatures = |checkpointed: &Checkpointed| checkpointed.signed.note().signatures().len();
            let is_alone =
                state.membership.members().filter(|member| state.membership.is_active(&member.author)).count() < 2;
            let has_come = |now: &Arc<Checkpointed>| !is_same(now) || signatures(now) > signatures(&new);
            is_alone || state.checkpointed.as_ref().is_none_or(has_come)
        };
        let waited = tokio::time::timeout(COSIGNED_WAIT, states.wait_for(is_over)).await;
        let now = waited.ok().and_then(Result::ok).and_then(|state| state.checkpointed.clone());
        now.filter(|now| is_same(now)).unwrap_or(new)
    }

    /// The last checkpoint and the state at it; waits for the first one since the start.
    async fn moment(&self) -> Result<Moment, NoProof> {
        moment_of(self.checkpoint_that(|last| last.state.is_some()).await?).ok_or(NoProof::NotYet)
    }

    async fn bundle(&self, moment: &Moment, claim: Claim) -> Result<Bundle, NoProof> {
        let shown = Shown { record: moment.record.clone(), claim };
        let signed = &moment.checkpointed.signed;
        let proof = self.inclusion(signed.checkpoint().size() - 1, &shown.record, signed).await?;
        Bundle::new(shown, &proof).map_err(|error| NoProof::TooLarge(error.to_string()))
    }
}

fn moment_of(checkpointed: Arc<Checkpointed>) -> Option<Moment> {
    let (tree, record) = checkpointed.state.clone()?;
    Some(Moment { checkpointed, tree, record })
}

fn absence_claim(tree: &Tree, key: &Key, page: Vec<Entry>) -> Claim {
    let (_, siblings) = tree.page_of(&key.hash());
    Claim::Absence { key: key.clone(), proof: AbsenceProof { entries: tree.len(), page, siblings } }
}

/// The operation at `op_index` as the state shows it; `None` if the state has another entry at its key.
fn entry_claim(tree: &Tree, commit: &Commit, op_index: u32) -> Result<Option<Claim>, StoreError> {
    let slots = commit.slots();
    let OpSlot::Live(op) = &slots[op_index as usize] else { return Ok(None) };
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
