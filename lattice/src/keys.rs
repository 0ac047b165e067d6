//! Three keys from one seed: the network's, the author's and the log's.
//!
//! Signed notes sign bare text, so a key that signs checkpoints must never sign commits. HKDF-SHA256 (RFC 5869)
//! with one label each keeps them apart, and an operator has one secret to guard.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ids::{AuthorId, LogKey};

/// Bytes of an ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// All that a node signs with, derived from its 32-byte seed.
pub struct NodeKeys {
    /// Secret of the ed25519 key that names this node in libp2p.
    pub p2p: P2pSecret,
    /// Signs commits, heads and hellos.
    pub author: AuthorKey,
    /// Signs the checkpoints of this node's log, and as a witness those of others; nothing else.
    pub log: SigningKey,
}

impl NodeKeys {
    /// Derives the three keys; the same seed gives the same keys for ever. The seed is wiped from this copy.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let expand = |label: &str| {
            let mut secret = [0; 32];
            Hkdf::<Sha256>::new(None, &seed)
                .expand(label.as_bytes(), &mut secret)
                .unwrap_or_else(|_| unreachable!("32 bytes are within what HKDF-SHA256 gives"));
            secret
        };
        let keys = Self {
            p2p: P2pSecret(expand("lattice/p2p")),
            author: AuthorKey(SigningKey::from_bytes(&expand("lattice/author"))),
            log: SigningKey::from_bytes(&expand("lattice/log")),
        };
        seed.zeroize();
        keys
    }

    /// The public half of the log's key.
    pub fn log_key(&self) -> LogKey {
        LogKey(self.log.verifying_key().to_bytes())
    }
}

/// The secret of the libp2p identity; wiped when dropped, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct P2pSecret(pub [u8; 32]);

/// The secret that signs as an author. Its secret is wiped when dropped and never printed.
pub struct AuthorKey(SigningKey);

impl AuthorKey {
    /// The public key, which is the author's name.
    pub fn id(&self) -> AuthorId {
        AuthorId(self.0.verifying_key().to_bytes())
    }

    /// Signs `domain ‖ message`. Every statement has a domain of its own, so that none can stand for another.
    pub fn sign(&self, domain: &[u8], message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(&[domain, message].concat()).to_bytes()
    }
}

/// Checks one signature over `domain ‖ message` with `verify_strict`, the only rule in a lattice: batch
/// verification accepts signatures that this refuses, and nodes that disagree on one would split their roots.
pub fn is_signed_by(author: &AuthorId, domain: &[u8], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    VerifyingKey::from_bytes(author.as_bytes())
        .is_ok_and(|key| key.verify_strict(&[domain, message].concat(), &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_keys_differ_and_repeat() {
        let (a, b) = (NodeKeys::from_seed([1; 32]), NodeKeys::from_seed([1; 32]));
        assert_eq!(a.author.id(), b.author.id());
        assert_eq!(a.log_key(), b.log_key());
        assert_ne!(a.author.id().0, a.log_key().0);
        assert_ne!(a.p2p.0, a.author.0.to_bytes());
    }

    #[test]
    fn a_signature_holds_for_its_domain_only() {
        let key = NodeKeys::from_seed([2; 32]).author;
        let signature = key.sign(b"one\0", b"message");
        assert!(is_signed_by(&key.id(), b"one\0", b"message", &signature));
        assert!(!is_signed_by(&key.id(), b"two\0", b"message", &signature));
    }

    #[test]
    fn a_signature_under_a_small_order_key_is_refused() {
        // The identity point "signs" anything under the cofactored rule that batch verification uses.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!is_signed_by(&AuthorId(identity), b"any\0", b"thing", &signature));
    }
}
