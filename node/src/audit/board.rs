//! The last checkpoint known of each log of the lattice, as gossip and witnessing bring them. In memory: what must not be
//! forgotten is kept by the writer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{Contradiction, ForkEvidence};
use lattice::log::note::VerifierKey;
use node_core::logs::{Room, room_for};

/// The board. Cheap to clone.
#[derive(Clone, Default)]
pub struct Board {
    known: Arc<Mutex<BTreeMap<String, SignedCheckpoint>>>,
}

impl Board {
    /// Takes in a checkpoint that the log's key signed, with the lines by `cosigners`, whose cosignatures count. Says so if
    /// it contradicts the one known.
    pub fn take(
        &self,
        signed: &SignedCheckpoint,
        log: &VerifierKey,
        cosigners: &[VerifierKey],
    ) -> Option<Contradiction> {
        let bare = signed.bare(log).ok()?;
        let mut known = self.lock();
        let head = signed.checkpoint();
        match room_for(known.keys().map(String::as_str), head.origin()) {
            Room::Free => {}
            Room::InsteadOf(oldest) => drop(known.remove(&oldest)),
            Room::None => return None,
        }
        let held = known.entry(head.origin().to_owned()).or_insert_with(|| bare.clone());
        if let Some(contradiction) = ForkEvidence::of_contradiction(held, signed, log) {
            return Some(contradiction);
        }
        if head.size() > held.checkpoint().size() {
            *held = bare;
        }
        if head.size() == held.checkpoint().size() {
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
    use data_encoding::BASE64;
    use ed25519_dalek::Signer as _;
    use lattice::ids::LatticeId;
    use lattice::keys::NodeKeys;
    use lattice::log::checkpoint::origin;
    use lattice::log::evidence::NoFork;
    use lattice::log::note::{KeyKind, KeyName};
    use node_core::logs::LOGS_EACH_MAX;

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

        /// With a line behind the root, which only a log of another kind would have.
        fn extended(&self, size: u64, root: u8, line: &str) -> SignedCheckpoint {
            let text = format!("{}{line}\n", self.signed(size, root).note().text());
            let signature = self.keys.log.sign(text.as_bytes()).to_bytes();
            let bytes = [self.key(KeyKind::Log).id().to_be_bytes().as_slice(), &signature].concat();
            let note = format!("{text}\n— {} {}\n", self.name, BASE64.encode(&bytes));
            SignedCheckpoint::parse(note.as_bytes()).expect("a checkpoint")
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
            let found = board.take(&log.signed(size, root), &log.key(KeyKind::Log), &[]);
            assert_eq!(found, None, "sizes that differ prove nothing");
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
        // The first to come is one with a stranger's line: it was kept as it came, and passed on.
        for witness in [&stranger, &first, &second] {
            let found = board.take(&witness.cosigned(&bare, 9), &log.key(KeyKind::Log), &cosigners);
            assert_eq!(found, None);
        }
        let held = board.of(log.name.as_str()).expect("known");
        assert_eq!(held.note().signatures().len(), 3, "a stranger's line is nothing to keep");
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
        let evidence = board.take(&log.signed(5, 2), &key, &[]).expect("a fork").expect("of which there is evidence");
        assert_eq!((evidence.origin(), evidence.verify(&key)), (log.name.as_str(), Ok(())));
        assert_eq!(board.of(log.name.as_str()), Some(log.signed(5, 1)));
        // What the log did not sign proves nothing against it.
        let forged = SignedCheckpoint::sign(&log.name, 5, [3; 32], &signer(2).keys.log);
        assert_eq!(board.take(&forged, &key, &[]), None);
    }

    /// It was dropped in silence: lines behind the root, which mean nothing, made two checkpoints too long for evidence.
    #[test]
    fn a_contradiction_that_fits_no_evidence_is_no_less_one() {
        let (log, board) = (signer(1), Board::default());
        let key = log.key(KeyKind::Log);
        assert_eq!(board.take(&log.signed(5, 1), &key, &[]), None);
        let long = log.extended(5, 2, &"x".repeat(20_000));
        let said = board.take(&long, &key, &[]).expect("two roots");
        assert!(matches!(said, Err(NoFork::TooLong(_))), "{said:?}");
    }

    /// One member's names filled the board for ever, and the logs of others found no place.
    #[test]
    fn a_member_with_many_logs_takes_no_place_of_another() {
        let (log, other, board) = (signer(1), signer(2), Board::default());
        let take = |of: &Signer, opening: u64, size| {
            let name = origin(&LatticeId([0; 32]), &of.keys.author.id(), opening);
            let key = VerifierKey::new(name.clone(), KeyKind::Log, of.keys.log_key().0).expect("a key");
            board.take(&SignedCheckpoint::sign(&name, size, [1; 32], &of.keys.log), &key, &[])
        };
        for opening in 1..2_000 {
            assert_eq!(take(&log, opening, 5), None);
        }
        assert_eq!(board.all().len(), LOGS_EACH_MAX);
        take(&other, 1, 5);
        take(&log, 1_999, 6);
        let size = |name: &str| board.of(name).map(|held| held.checkpoint().size());
        assert_eq!(size(other.name.as_str()), Some(5));
        assert_eq!((size(&format!("{}/1999", log.name)), size(log.name.as_str())), (Some(6), None));
    }
}
