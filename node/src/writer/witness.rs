//! This node as a witness of others' logs: compared and stored in one step, answered only then.

use std::sync::Arc;

use lattice::log::checkpoint::{SignedCheckpoint, origin};
use lattice::log::evidence::{Contradiction, ForkEvidence};
use lattice::log::exchange::Response;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::log::witness::{AddCheckpoint, Seen, Verdict, judge};
use node_core::logs::{Room, first_of, log_of, room_for};
use node_core::resume::Doubt;

use super::Identity;
use super::state::State;
use crate::store::{StoreError, checkpoints};

/// What became of a request to cosign.
pub struct Witnessed {
    /// What the log is told.
    pub response: Response,
    /// Evidence that the log forked, if this was the first; or why there can be none.
    pub fork: Option<Contradiction>,
    /// Whether something was written: a checkpoint that was cosigned before is cosigned again without it.
    pub is_stored: bool,
}

impl Witnessed {
    fn refused(response: Response, fork: Option<Contradiction>) -> Self {
        Self { response, is_stored: matches!(fork, Some(Ok(_))), fork }
    }
}

/// Whether a checkpoint bears a line that only this node's key makes.
pub(crate) fn is_cosigned_by(identity: &Identity, signed: &SignedCheckpoint) -> bool {
    let name = origin(&identity.lattice, &identity.keys.author.id(), 1);
    let own = VerifierKey::new(name, KeyKind::Cosigner, identity.keys.log_key().0);
    own.is_ok_and(|own| matches!(signed.cosigned_by(&own), Ok(Some(_))))
}

impl State {
    /// What was kept of others' logs before this start.
    pub(super) async fn take_up_witnessed(&mut self) -> Result<(), StoreError> {
        self.witnessed = Arc::new(checkpoints::witnessed(&mut self.connection).await?);
        self.forks = Arc::new(checkpoints::forks(&mut self.connection).await?);
        Ok(())
    }

    /// Judges a request to cosign, and stores the checkpoint before it is cosigned.
    pub(super) async fn witness(
        &mut self,
        identity: &Identity,
        request: &AddCheckpoint,
        now_ms: u64,
    ) -> Result<Witnessed, StoreError> {
        if self.is_catching_up || self.doubt > Some(Doubt::Usual) {
            let body = "this node may have forgotten what it cosigned, and asks others first; come again\n".to_owned();
            return Ok(Witnessed::refused(Response { status: 503, body }, None));
        }
        let name = request.checkpoint.checkpoint().origin();
        let key = log_of(&self.membership, &identity.lattice, name).map(|(_, key)| key);
        let held = self.witnessed.get(name);
        let room = room_for(self.witnessed.keys().map(String::as_str), name);
        if key.is_some() && room == Room::None {
            let body = "this node follows as many logs of that member as it can, all opened later\n".to_owned();
            return Ok(Witnessed::refused(Response { status: 503, body }, None));
        }
        let latest = held.map(|held| held.checkpoint()).map(|held| Seen { size: held.size(), root: *held.root() });
        match (judge(request, key.as_slice(), latest), key) {
            (Verdict::Cosign(_), None) => unreachable!("nothing is accepted without a key"),
            (Verdict::Cosign(seen), Some(key)) => {
                let own = origin(&identity.lattice, &identity.keys.author.id(), 1);
                let line = request.checkpoint.cosign(now_ms / 1000, &own, &identity.keys.log);
                // Anybody may show a checkpoint again; that must cost no transaction.
                let is_stored = latest != Some(seen);
                if is_stored {
                    // Other lines are whatever the asker put there.
                    let bare = request.checkpoint.bare(&key).map_err(StoreError::damaged)?;
                    self.remember(bare, room).await?;
                }
                Ok(Witnessed { response: Response { status: 200, body: format!("{line}\n") }, fork: None, is_stored })
            }
            (Verdict::Refuse { why, is_fork }, key) => {
                let found = match (key, held) {
                    (Some(key), Some(held)) if is_fork => {
                        ForkEvidence::of_contradiction(held, &request.checkpoint, &key)
                    }
                    (Some(_) | None, Some(_) | None) => None,
                };
                let fork = match found {
                    Some(Ok(evidence)) => self.keep_fork(evidence, now_ms).await?.map(Ok),
                    Some(Err(no)) => Some(Err(no)),
                    None => None,
                };
                Ok(Witnessed::refused(Response { status: why.status(), body: why.body() }, fork))
            }
        }
    }

    /// Takes back into memory what bears this node's own cosignature and is more of its log than is held; tells whether
    /// it did. What is cosigned is stored first, so the memory is of before: that of a backup, or lost. While this node is in
    /// doubt about that, whatever its log signed counts as cosigned: others keep the lines of the last checkpoint alone.
    pub(super) async fn recall(&mut self, identity: &Identity, signed: &SignedCheckpoint) -> Result<bool, StoreError> {
        let name = signed.checkpoint().origin();
        let Some((_, key)) = log_of(&self.membership, &identity.lattice, name) else { return Ok(false) };
        let held = self.witnessed.get(name).map_or(0, |held| held.checkpoint().size());
        let room = room_for(self.witnessed.keys().map(String::as_str), name);
        if signed.checkpoint().size() <= held || room == Room::None {
            return Ok(false);
        }
        if self.doubt <= Some(Doubt::Usual) && !is_cosigned_by(identity, signed) {
            return Ok(false);
        }
        let Ok(bare) = signed.bare(&key) else { return Ok(false) };
        tracing::warn!(
            log = name,
            held,
            recalled = bare.checkpoint().size(),
            "this node had forgotten what it cosigned, or may have"
        );
        self.remember(bare, room).await?;
        Ok(true)
    }

    async fn remember(&mut self, bare: SignedCheckpoint, room: Room) -> Result<(), StoreError> {
        checkpoints::write_witnessed(&mut self.connection, &bare).await?;
        Arc::make_mut(&mut self.witnessed).insert(bare.checkpoint().origin().to_owned(), Arc::new(bare));
        if let Room::InsteadOf(oldest) = room {
            checkpoints::forget_witnessed(&mut self.connection, &oldest).await?;
            Arc::make_mut(&mut self.witnessed).remove(&oldest);
        }
        Ok(())
    }

    /// Keeps the first evidence against the logs of each member, who is a liar by one as much as by ten; gives it back if it
    /// is new.
    pub(super) async fn keep_fork(
        &mut self,
        evidence: ForkEvidence,
        now_ms: u64,
    ) -> Result<Option<ForkEvidence>, StoreError> {
        if self.forks.keys().any(|origin| first_of(origin) == first_of(evidence.origin())) {
            return Ok(None);
        }
        checkpoints::write_fork(&mut self.connection, &evidence, now_ms).await?;
        Arc::make_mut(&mut self.forks).insert(evidence.origin().to_owned(), evidence.clone());
        Ok(Some(evidence))
    }
}

#[cfg(test)]
mod tests;
