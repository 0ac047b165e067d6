//! What is remembered of requests: answers to writes that may be repeated, and invitations.

use lattice::commit::VerifiedCommit;
use lattice::genesis::Member;
use lattice::ids::{CommitId, StateRoot};
use lattice::membership::Change;
use lattice::op::Op;
use sha2::{Digest, Sha256};

use super::Identity;
use super::job::{IdempotencyKey, Invitation, NOT_APPLIED, WriteError, Written};
use super::state::State;
use crate::store::{StoreError, answers, write};

impl State {
    /// The answer kept for this idempotency key.
    pub(super) async fn kept_answer(
        &mut self,
        key: Option<&IdempotencyKey>,
        ops: &[Op],
    ) -> Result<Option<Written>, WriteError> {
        let Some(key) = key else { return Ok(None) };
        let Some(kept) = answers::of_name(&mut self.connection, key.as_str()).await? else { return Ok(None) };
        if kept.request_hash != request_hash(ops) {
            return Err(WriteError::KeyReused);
        }
        let written = decode_written(&kept.answer)?;
        if written.log_position != NOT_APPLIED {
            return Ok(Some(written));
        }
        // It came to this node with a state: where the log stands now, that has it.
        let (root, entries) = (self.tree.root(), self.tree.len());
        Ok(Some(Written { log_position: self.edge.size(), root, entries, ..written }))
    }

    pub(super) async fn keep_invitation(&mut self, secret_hash: [u8; 32], now_ms: u64) -> Result<(), StoreError> {
        write::keep_invitation(&mut self.connection, secret_hash, now_ms).await
    }

    /// What the secret of an invitation is worth for this member.
    pub(super) async fn invitation(
        &mut self,
        identity: &Identity,
        secret_hash: [u8; 32],
        member: &Member,
    ) -> Invitation {
        let redeemed_by = match write::invitation(&mut self.connection, secret_hash).await {
            Ok(Some(redeemed_by)) => redeemed_by,
            Ok(None) => return Invitation::Refused(WriteError::NoInvitation),
            Err(error) => return Invitation::Refused(error.into()),
        };
        if redeemed_by.is_some_and(|author| author != member.author) {
            return Invitation::Refused(WriteError::NoInvitation);
        }
        if self.membership.last_seq(&member.author).is_some_and(|last_seq| last_seq != u64::MAX) {
            // Cut authors never return.
            return Invitation::Refused(WriteError::NoInvitation);
        }
        if self.membership.is_active(&member.author) {
            let (root, entries) = (self.tree.root(), self.tree.len());
            let log_position = self.edge.size();
            return Invitation::Done(Written {
                commit: CommitId::ZERO,
                seq: 0,
                time_ms: 0,
                log_position,
                root,
                entries,
            });
        }
        if !identity.genesis.admins.contains(&identity.keys.author.id()) {
            return Invitation::Refused(WriteError::NotAdmin);
        }
        match Change::Add(member.clone()).to_op() {
            Ok(op) => Invitation::Open(op),
            Err(bad) => Invitation::Refused(bad.into()),
        }
    }
}

pub(super) fn written(commit: &VerifiedCommit, log_position: u64, root: StateRoot, entries: u64) -> Written {
    let header = commit.header();
    Written { commit: commit.id(), seq: header.seq, time_ms: header.time.millis(), log_position, root, entries }
}

pub(super) fn request_hash(ops: &[Op]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    ops.iter().for_each(|op| hasher.update(op.hash().0));
    hasher.finalize().into()
}

type WrittenWire = (CommitId, u64, u64, u64, StateRoot, u64);

pub(super) fn encode_written(w: &Written) -> Vec<u8> {
    lattice::codec::encode(&(w.commit, w.seq, w.time_ms, w.log_position, w.root, w.entries))
}

pub(super) fn decode_written(bytes: &[u8]) -> Result<Written, StoreError> {
    let (commit, seq, time_ms, log_position, root, entries): WrittenWire =
        lattice::codec::decode(bytes, 256).map_err(StoreError::damaged)?;
    Ok(Written { commit, seq, time_ms, log_position, root, entries })
}
