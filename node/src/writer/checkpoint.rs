//! Checkpoints of the own log: signed over what is durable, stored before anybody sees them, never contradicted.

use std::sync::Arc;

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::{KeyKind, KeyName, SignatureLine, VerifierKey};
use lattice::record::{Event, Record};
use node_core::apply::{EntryRow, Tree};

use super::Identity;
use super::state::State;
use crate::store::{OWN_LOG, StoreError, checkpoints, log, write};

/// Bytes of a checkpoint's last record from which on a short one is written behind it: proofs show that record whole.
const SHOWN_RECORD_BYTES: usize = 512;

/// The last checkpoint and the state at it: what proofs are made of. Never changes.
pub struct Checkpointed {
    /// The checkpoint, with the cosignatures that have come.
    pub signed: SignedCheckpoint,
    /// The state that its last record tells, and that record; `None` for a checkpoint of before this start.
    pub state: Option<(Tree, Vec<u8>)>,
}

/// The key that this node's checkpoints are checked with.
///
/// # Panics
///
/// Never: the public half of a secret key is a key.
pub fn log_key(identity: &Identity, origin: &KeyName) -> VerifierKey {
    VerifierKey::new(origin.clone(), KeyKind::Log, identity.keys.log_key().0)
        .unwrap_or_else(|_| unreachable!("the public half of a secret key is a key"))
}

impl State {
    /// Signs the log as it is now, unless that was done; tells whether it did.
    pub(super) async fn checkpoint(&mut self, identity: &Identity, now_ms: u64) -> Result<bool, StoreError> {
        let signed_size = self.checkpointed.as_ref().map_or(0, |last| last.signed.checkpoint().size());
        if !self.may_sign || self.edge.size() == signed_size {
            return Ok(false);
        }
        self.expect_certain()?;
        let mut edge = self.edge.clone();
        write::begin(&mut self.connection).await?;
        let signed = self.sign(identity, &mut edge, now_ms).await;
        let written = match signed {
            Ok(signed) => write::commit(&mut self.connection).await.map(|()| signed),
            Err(error) => Err(error),
        };
        let (signed, record) = match written {
            Ok(signed) => signed,
            Err(error) => {
                write::roll_back(&mut self.connection).await;
                // Signed or not, the next attempt signs the same bytes or goes on from there. Only the log's size must
                // be known.
                if edge.size() > self.edge.size() && self.took_place(edge.size()).await? {
                    self.edge = edge;
                }
                return Err(error);
            }
        };
        self.edge = edge;
        self.checkpointed = Some(Arc::new(Checkpointed { signed, state: Some((self.tree.clone(), record)) }));
        Ok(true)
    }

    /// In an open transaction: a checkpoint, and the last record under it.
    async fn sign(
        &mut self,
        identity: &Identity,
        edge: &mut lattice::log::edge::Edge,
        now_ms: u64,
    ) -> Result<(SignedCheckpoint, Vec<u8>), StoreError> {
        let last = log::record(&mut self.connection, edge.size().saturating_sub(1)).await?;
        let mut last = last.ok_or_else(|| StoreError::damaged("the log lacks its last record"))?;
        if last.len() > SHOWN_RECORD_BYTES {
            let (root, entries) = (self.tree.root(), self.tree.len());
            last = Record { time_ms: now_ms, before: root, after: root, entries, event: Event::Stated }.encode();
            let last_entry = EntryRow(self.next.entry.0 - 1);
            log::append_record(&mut self.connection, OWN_LOG, edge, last.clone(), last_entry).await?;
        }
        let signed = SignedCheckpoint::sign(&self.origin, edge.size(), edge.root(), &identity.keys.log);
        checkpoints::write_checkpoint(&mut self.connection, &signed).await?;
        Ok((signed, last))
    }

    /// Adds cosignatures to the last checkpoint, if they are of it and new; tells whether any was.
    pub(super) async fn cosigned(&mut self, lines: Vec<(SignatureLine, VerifierKey)>) -> Result<bool, StoreError> {
        let Some(last) = &self.checkpointed else { return Ok(false) };
        let mut signed = last.signed.clone();
        let mut is_changed = false;
        for (line, witness) in lines {
            // A line over an older checkpoint is late, nothing worse.
            is_changed |= signed.add(line, &witness).is_ok_and(|is_new| is_new);
        }
        if is_changed {
            checkpoints::write_checkpoint(&mut self.connection, &signed).await?;
            self.checkpointed = Some(Arc::new(Checkpointed { signed, state: last.state.clone() }));
        }
        Ok(is_changed)
    }

    /// The checkpoint stored before this start, which the stored log must not contradict.
    pub(super) async fn take_up_checkpoint(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let Some(signed) = checkpoints::stored_checkpoint(&mut self.connection).await? else { return Ok(()) };
        let head = signed.checkpoint();
        if head.origin() != self.origin.as_str() {
            // Of the name that the log had before.
            return Ok(());
        }
        signed.verify(&log_key(identity, &self.origin)).map_err(StoreError::damaged)?;
        let root = log::root_at(&mut self.connection, head.size()).await?;
        if root.as_ref() != Some(head.root()) {
            return Err(StoreError::damaged(format_args!(
                "its log is not the one over {} records that this node signed",
                head.size()
            )));
        }
        let state = if head.size() == self.edge.size() {
            let last = log::record(&mut self.connection, head.size().saturating_sub(1)).await?;
            last.map(|last| (self.tree.clone(), last))
        } else {
            None
        };
        self.checkpointed = Some(Arc::new(Checkpointed { signed, state }));
        Ok(())
    }
}
