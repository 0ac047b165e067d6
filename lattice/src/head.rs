//! A head: what a node says of its state at one moment, signed.
//!
//! All fields are read together, so they describe one state. Heads are gossiped; a root that differs from ours
//! starts a reconcile, and the frontier digest tells whether it is lag or divergence.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, LatticeId, StateRoot};
use crate::keys::{AuthorKey, SIGNATURE_BYTES, is_signed_by};
use crate::limits::HEAD_BYTES_MAX;

const VERSION: u64 = 1;
const DOMAIN: &[u8] = b"lattice/head/v1\0";

/// A node's statement about its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The lattice.
    pub lattice: LatticeId,
    /// The node that speaks.
    pub author: AuthorId,
    /// Wall time of the statement in milliseconds since 1970.
    pub time_ms: u64,
    /// Its state root.
    pub root: StateRoot,
    /// Its number of entries, tombstones included.
    pub entries: u64,
    /// Digest of its frontier.
    pub frontier: [u8; 32],
    /// Size of its last checkpoint; 0 before the first.
    pub checkpoint_size: u64,
    /// What tells about how many entries two states differ in; read by the crate `reconcile`.
    pub estimator: [u8; ESTIMATOR_BYTES],
}

/// Bytes of the estimator in a head.
pub const ESTIMATOR_BYTES: usize = 128;

/// A head with its signature, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    head: Head,
    bytes: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

impl Head {
    /// Signs the statement.
    pub fn sign(self, key: &AuthorKey) -> SignedHead {
        let Self { lattice, author, time_ms, root, entries, frontier, checkpoint_size, estimator } = self;
        let (frontier, estimator) = (ByteArray::new(frontier), ByteArray::new(estimator));
        let wire = HeadWire(VERSION, lattice, author, time_ms, root, entries, frontier, checkpoint_size, estimator);
        let bytes = codec::encode(&wire);
        let signature = key.sign(DOMAIN, &bytes);
        SignedHead { head: self, bytes, signature }
    }
}

impl SignedHead {
    /// Canonical bytes: `[[version, lattice, author, time, root, entries, frontier, checkpoint size, estimator] as bytes,
    /// signature]`.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&(ByteBuf::from(self.bytes.clone()), ByteArray::new(self.signature)))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (bytes, signature): (ByteBuf, ByteArray<SIGNATURE_BYTES>) = codec::decode(bytes, HEAD_BYTES_MAX)?;
        let wire: HeadWire = codec::decode(&bytes, HEAD_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let head = Head {
            lattice: wire.1,
            author: wire.2,
            time_ms: wire.3,
            root: wire.4,
            entries: wire.5,
            frontier: wire.6.into_array(),
            checkpoint_size: wire.7,
            estimator: wire.8.into_array(),
        };
        Ok(Self { head, bytes: bytes.into_vec(), signature: signature.into_array() })
    }

    /// The statement, whoever signed it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The statement, if the node it names signed it.
    pub fn verified(&self) -> Option<Head> {
        is_signed_by(&self.head.author, DOMAIN, &self.bytes, &self.signature).then_some(self.head)
    }
}

#[derive(Serialize, Deserialize)]
struct HeadWire(u64, LatticeId, AuthorId, u64, StateRoot, u64, ByteArray<32>, u64, ByteArray<ESTIMATOR_BYTES>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NodeKeys;

    #[test]
    fn only_the_named_node_speaks_for_itself() {
        let keys = NodeKeys::from_seed([4; 32]);
        let head = Head {
            lattice: LatticeId([1; 32]),
            author: keys.author.id(),
            time_ms: 5,
            root: StateRoot([2; 32]),
            entries: 3,
            frontier: [4; 32],
            checkpoint_size: 0,
            estimator: [7; ESTIMATOR_BYTES],
        };
        let signed = head.sign(&keys.author);
        assert_eq!(SignedHead::decode(&signed.encode()).map(|s| s.verified()), Ok(Some(head)));
        let forged = head.sign(&NodeKeys::from_seed([5; 32]).author);
        assert_eq!(forged.verified(), None);
    }
}
