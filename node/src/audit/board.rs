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

#[cfg(test)]
mod tests {
    use lattice::ids::{AuthorId, LatticeId};
    use lattice::keys::NodeKeys;
    use lattice::log::checkpoint::origin;
    use lattice::log::note::{KeyKind, KeyName};

    use super::*;

    /// Number `n` of the nodes, whose log and cosignatures have one name.
    struct Signer {
        keys: NodeKeys,
        name: KeyName,
    }

    fn signer(n: u8) -> Signer {
        let keys = NodeKeys::from_seed([n; 32]);
        let name = origin(&LatticeId([0; 32]), &keys.author.id(), 1);
        Signer { keys, name }
    }

    impl Signer {
        fn key(&self, kind: KeyKind) -> VerifierKey {
            VerifierKey::new(self.name.clone(), kind, self.keys.log_key().0).expect("a key")
        }

        fn signed(&self, size: u64, root: u8) -> SignedCheckpoint {
            SignedCheckpoint::sign(&self.name, size, [root; 32], &self.keys.log)
        }

        fn cosigned(&self, checkpoint: &SignedCheckpoint, time_s: u64) -> SignedCheckpoint {
            let mut cosigned = checkpoint.clone();
            let line = checkpoint.cosign(time_s, &self.name, &self.keys.log);
            cosigned.add(line, &self.key(KeyKind::Cosigner)).expect("it holds");
            cosigned
        }
    }

    #[test]
    fn the_larger_checkpoint_stays_whichever_comes_first() {
        let (log, board) = (signer(1), Board::default());
        for (size, root, expected) in [(5, 5, 5), (3, 3, 5), (7, 7, 7), (5, 9, 7)] {
            let evidence = board.take(&log.signed(size, root), &log.key(KeyKind::Log), &[]);
            assert_eq!(evidence, None, "sizes that differ prove nothing");
            assert_eq!(board.of(log.name.as_str()).expect("known").checkpoint().size(), expected);
        }
        assert_eq!(board.all().len(), 1);
    }

    #[test]
    fn cosignatures_of_one_checkpoint_are_gathered_from_those_who_count() {
        let (log, board) = (signer(1), Board::default());
        let (first, second, stranger) = (signer(2), signer(3), signer(4));
        let cosigners = [&first, &second].map(|witness| witness.key(KeyKind::Cosigner));
        let bare = log.signed(5, 5);
        for witness in [&first, &stranger, &second] {
            let evidence = board.take(&witness.cosigned(&bare, 9), &log.key(KeyKind::Log), &cosigners);
            assert_eq!(evidence, None);
        }
        let held = board.of(log.name.as_str()).expect("known");
        let by = |witness: &Signer| held.cosigned_by(&witness.key(KeyKind::Cosigner)).expect("it holds");
        assert_eq!((by(&first), by(&second), by(&stranger)), (Some(9), Some(9), None));
        // The next checkpoint begins without any.
        board.take(&log.signed(6, 6), &log.key(KeyKind::Log), &cosigners);
        assert_eq!(board.of(log.name.as_str()), Some(log.signed(6, 6)));
    }

    #[test]
    fn two_roots_at_one_size_are_a_fork_and_the_one_known_stays() {
        let (log, board) = (signer(1), Board::default());
        let key = log.key(KeyKind::Log);
        assert_eq!(board.take(&log.signed(5, 1), &key, &[]), None);
        let evidence = board.take(&log.signed(5, 2), &key, &[]).expect("a fork");
        assert_eq!((evidence.origin(), evidence.verify(&key)), (log.name.as_str(), Ok(())));
        assert_eq!(board.of(log.name.as_str()), Some(log.signed(5, 1)));
        // What the log did not sign proves nothing against it.
        let forged = SignedCheckpoint::sign(&log.name, 5, [3; 32], &signer(2).keys.log);
        assert_eq!(board.take(&forged, &key, &[]), None);
    }

    #[test]
    fn a_full_board_goes_on_with_the_logs_that_it_has() {
        let (log, board) = (signer(1), Board::default());
        let key = log.key(KeyKind::Log);
        let named = |n: usize| {
            let mut author = [0; 32];
            author[..8].copy_from_slice(&(n as u64).to_be_bytes());
            origin(&LatticeId([0; 32]), &AuthorId(author), 1)
        };
        let signed = |n, size| SignedCheckpoint::sign(&named(n), size, [1; 32], &log.keys.log);
        for n in 0..=WITNESSED_MAX {
            assert_eq!(board.take(&signed(n, 5), &key, &[]), None);
        }
        assert_eq!((board.all().len(), board.of(named(WITNESSED_MAX).as_str())), (WITNESSED_MAX, None));
        board.take(&signed(0, 6), &key, &[]);
        assert_eq!(board.of(named(0).as_str()).expect("known").checkpoint().size(), 6);
    }
}
