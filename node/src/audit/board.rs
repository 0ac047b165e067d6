//! The last checkpoint known of each log of the lattice, as gossip and witnessing bring them. In memory: what must not be
//! forgotten is kept by the writer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::VerifierKey;

use crate::writer::witness::WITNESSED_MAX;

/// The board. Cheap to clone.
#[derive(Clone, Default)]
pub struct Board {
    known: Arc<Mutex<BTreeMap<String, SignedCheckpoint>>>,
}

impl Board {
    /// Takes in a checkpoint that the log's key signed; `cosigners` are the keys whose cosignatures count. Gives evidence
    /// if it contradicts the one known.
    pub fn take(
        &self,
        signed: &SignedCheckpoint,
        log: &VerifierKey,
        cosigners: &[VerifierKey],
    ) -> Option<ForkEvidence> {
        let mut known = self.lock();
        let (head, is_full) = (signed.checkpoint(), known.len() >= WITNESSED_MAX);
        let Some(held) = known.get_mut(head.origin()) else {
            if !is_full {
                known.insert(head.origin().to_owned(), signed.clone());
            }
            return None;
        };
        let (size, root) = (held.checkpoint().size(), *held.checkpoint().root());
        if head.size() == size && *head.root() != root {
            return ForkEvidence::new(held, signed, None, log).ok();
        }
        if head.size() > size {
            *held = signed.clone();
        } else if head.size() == size {
            // Lines that do not hold are left out; the good ones before them stay.
            let _ = held.merge(signed, cosigners);
        }
        None
    }

    /// The last checkpoints, by origin.
    pub fn all(&self) -> Vec<SignedCheckpoint> {
        self.lock().values().cloned().collect()
    }

    /// The last checkpoint of one log.
    pub fn of(&self, origin: &str) -> Option<SignedCheckpoint> {
        self.lock().get(origin).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SignedCheckpoint>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
