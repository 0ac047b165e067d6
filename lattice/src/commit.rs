//! A commit: one signed, atomic batch of operations by one author.
//!
//! The signature covers the header; the header covers the operations by an RFC 6962 root over their hashes. So one
//! operation can be shown with the author's signature without the others, and one that no longer wins can be
//! replaced by its hash: a commit *in part* is still signed by its author.
//!
//! Bytes become trust in two steps, each a type: [`Commit`] (well-formed) and [`VerifiedCommit`] (signed, of this
//! lattice, within its limits). Whether the author may write at all is for [`crate::membership`].

mod measure;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, Bytes};

use crate::clock::Timestamp;
use crate::codec::{self, DecodeError};
use crate::fault::Fault;
use crate::genesis::Genesis;
use crate::ids::{AuthorId, CommitId, LatticeId, OpHash, sha256};
use crate::keys::{AuthorKey, SIGNATURE_BYTES, is_signed_by};
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_OPS_MAX, HEADER_BYTES_MAX};
use crate::merkle;
use crate::op::Op;

const VERSION: u64 = 1;
const DOMAIN: &[u8] = b"lattice/commit/v1\0";

/// What an author signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The lattice that the commit belongs to.
    pub lattice: LatticeId,
    /// Who signs.
    pub author: AuthorId,
    /// 0, or the term in which the author holds a seat.
    pub term: u64,
    /// 1, 2, 3… per author and term.
    pub seq: u64,
    /// Id of the commit before in that chain; zero before the first.
    pub prev: CommitId,
    /// When, by the author's hybrid clock.
    pub time: Timestamp,
    /// Number of operations, at least 1.
    pub op_count: u32,
    /// RFC 6962 root over the operations' hashes.
    pub ops_root: [u8; 32],
}

impl Header {
    /// Canonical bytes: `[version, lattice, author, term, seq, prev, time, op count, ops root]`.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&HeaderWire(
            VERSION,
            self.lattice,
            self.author,
            self.term,
            self.seq,
            self.prev,
            self.time.0,
            u64::from(self.op_count),
            ByteArray::new(self.ops_root),
        ))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], also for a sequence number of 0 or a count of operations outside 1..=1024.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: HeaderWire = codec::decode(bytes, HEADER_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let op_count = u32::try_from(wire.7).ok().filter(|n| (1..=COMMIT_OPS_MAX as u32).contains(n));
        let header = Self {
            lattice: wire.1,
            author: wire.2,
            term: wire.3,
            seq: wire.4,
            prev: wire.5,
            time: Timestamp(wire.6),
            op_count: op_count.ok_or(DecodeError::Invalid("a commit has 1 to 1024 operations"))?,
            ops_root: wire.8.into_array(),
        };
        match header.seq {
            0 => Err(DecodeError::Invalid("sequence numbers start at 1")),
            1 if header.prev != CommitId::ZERO => {
                Err(DecodeError::Invalid("the first commit of a chain has no commit before it"))
            }
            // SQLite and JSON readers hold signed 64-bit integers at most.
            seq if seq > i64::MAX as u64 || header.term > i64::MAX as u64 || header.time.0 > i64::MAX as u64 => {
                Err(DecodeError::Invalid("sequence number, term and time must be below 2^63"))
            }
            _ => Ok(header),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct HeaderWire(u64, LatticeId, AuthorId, u64, u64, CommitId, u64, u64, ByteArray<32>);

/// A header with its signature, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    header: Header,
    bytes: Box<[u8]>,
    id: CommitId,
    signature: [u8; SIGNATURE_BYTES],
}

impl SignedHeader {
    /// Reads a header's canonical bytes and keeps them beside the signature.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(header: &[u8], signature: [u8; SIGNATURE_BYTES]) -> Result<Self, DecodeError> {
        let id = CommitId(sha256(&[header]));
        Ok(Self { header: Header::decode(header)?, bytes: header.into(), id, signature })
    }

    /// The fields.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The canonical bytes of the header.
    pub fn header_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The commit id: SHA-256 of the header.
    pub fn id(&self) -> CommitId {
        self.id
    }

    /// The signature, over `"lattice/commit/v1\0" ‖ header`.
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.signature
    }

    /// Whether the author named in the header signed it.
    pub fn is_signed(&self) -> bool {
        is_signed_by(&self.header.author, DOMAIN, &self.bytes, &self.signature)
    }
}

/// An operation of a commit, or its hash where the operation no longer wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpSlot {
    /// The operation itself.
    Live(Op),
    /// Only its hash.
    Dead(OpHash),
}

impl OpSlot {
    /// The operation's hash, which the ops root covers.
    pub fn hash(&self) -> OpHash {
        match self {
            Self::Live(op) => op.hash(),
            Self::Dead(hash) => *hash,
        }
    }
}

/// A well-formed commit, nothing of it checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    signed: SignedHeader,
    slots: Vec<OpSlot>,
}

/// A commit is not acceptable in this lattice, whoever sent it. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Signed for another lattice.
    #[error("commit of lattice {}, this is lattice {}; check that both nodes joined the same one", found.short(), ours.short())]
    OtherLattice {
        /// The lattice it names.
        found: LatticeId,
        /// This lattice.
        ours: LatticeId,
    },
    /// Not signed by the author it names.
    #[error("the signature of commit {} is not its author's", id.short())]
    WrongSignature {
        /// The commit.
        id: CommitId,
    },
    /// The operations are not those that the header covers.
    #[error("the operations of commit {} are not those that its author signed", id.short())]
    WrongOps {
        /// The commit.
        id: CommitId,
    },
    /// Beyond a limit of the genesis.
    #[error("{what} of {found} is beyond the {limit} that this lattice allows")]
    BeyondLimit {
        /// What is measured.
        what: &'static str,
        /// The measure.
        found: u64,
        /// The limit of the genesis.
        limit: u64,
    },
    /// The same key twice: which operation would count?
    #[error("key {0:?} appears twice in one commit; write it once")]
    RepeatedKey(String),
}

impl VerifyError {
    /// No honest member makes such a commit, and no honest peer forwards it.
    pub fn fault(&self) -> Fault {
        Fault::Sender
    }
}

impl Commit {
    /// Joins a signed header with its operations.
    pub fn from_parts(signed: SignedHeader, slots: Vec<OpSlot>) -> Self {
        Self { signed, slots }
    }

    /// The header and its signature.
    pub fn signed(&self) -> &SignedHeader {
        &self.signed
    }

    /// The commit id.
    pub fn id(&self) -> CommitId {
        self.signed.id
    }

    /// The operations in order, dead ones by hash.
    pub fn slots(&self) -> &[OpSlot] {
        &self.slots
    }

    /// Canonical bytes: `[header bytes, signature, [[0, op bytes] | [1, op hash], …]]`.
    pub fn encode(&self) -> Vec<u8> {
        let bytes: Vec<(u64, Vec<u8>)> = self
            .slots
            .iter()
            .map(|slot| match slot {
                OpSlot::Live(op) => (LIVE, op.encode()),
                OpSlot::Dead(hash) => (DEAD, hash.0.to_vec()),
            })
            .collect();
        codec::encode(&CommitWire(
            Bytes::new(&self.signed.bytes),
            ByteArray::new(self.signed.signature),
            bytes.iter().map(|(kind, bytes)| (*kind, Bytes::new(bytes))).collect(),
        ))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], also if the number of operations is not the header's, or beyond 256 KiB in all. What
    /// [`Commit::verify`] accepts is never longer, whole or in part.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: CommitWire<'_> = codec::decode(bytes, COMMIT_BYTES_MAX)?;
        let signed = SignedHeader::decode(wire.0, wire.1.into_array())?;
        if wire.2.len() != signed.header.op_count as usize {
            return Err(DecodeError::Invalid("a commit must hold as many operations as its header says"));
        }
        let slots = wire
            .2
            .iter()
            .map(|(kind, bytes)| match *kind {
                LIVE => Op::decode(bytes).map(OpSlot::Live),
                DEAD => OpHash::from_slice(bytes)
                    .map(OpSlot::Dead)
                    .ok_or(DecodeError::Invalid("the hash of an operation has 32 bytes")),
                _ => Err(DecodeError::Invalid("an operation is given whole (0) or by hash (1)")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { signed, slots })
    }

    /// Checks all that can be checked without knowing the members: lattice, limits, operations, signature.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]; the sender is at fault.
    pub fn verify(self, genesis: &Genesis) -> Result<VerifiedCommit, VerifyError> {
        self.verify_for(genesis, genesis.id())
    }

    /// As [`Commit::verify`], for callers that hold the lattice id already: hashing the genesis costs as much as
    /// hashing the commit.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]; the sender is at fault.
    pub fn verify_for(self, genesis: &Genesis, lattice: LatticeId) -> Result<VerifiedCommit, VerifyError> {
        let header = &self.signed.header;
        let id = self.signed.id;
        if header.lattice != lattice {
            return Err(VerifyError::OtherLattice { found: header.lattice, ours: lattice });
        }
        self.check_limits(genesis)?;
        let hashes: Vec<_> = self.slots.iter().map(|slot| slot.hash().0).collect();
        // The count as well: of four operations, two inner hashes given as dead operations have the same root.
        if hashes.len() != header.op_count as usize || merkle::root(&hashes) != header.ops_root {
            return Err(VerifyError::WrongOps { id });
        }
        if !self.signed.is_signed() {
            return Err(VerifyError::WrongSignature { id });
        }
        Ok(VerifiedCommit { commit: self })
    }
}

const LIVE: u64 = 0;
const DEAD: u64 = 1;

#[derive(Serialize, Deserialize)]
struct CommitWire<'a>(#[serde(borrow)] &'a Bytes, ByteArray<SIGNATURE_BYTES>, #[serde(borrow)] Vec<(u64, &'a Bytes)>);

/// A commit of this lattice, within its limits, signed by the author it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCommit {
    commit: Commit,
}

impl VerifiedCommit {
    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The commit id.
    pub fn id(&self) -> CommitId {
        self.commit.id()
    }

    /// The fields of the header.
    pub fn header(&self) -> &Header {
        &self.commit.signed.header
    }

    /// Whether every operation is there, none by hash alone.
    pub fn is_whole(&self) -> bool {
        self.commit.slots.iter().all(|slot| matches!(slot, OpSlot::Live(_)))
    }

    /// The operations that are there, with their index in the commit.
    pub fn live_ops(&self) -> impl Iterator<Item = (u32, &Op)> {
        (0..).zip(&self.commit.slots).filter_map(|(index, slot)| match slot {
            OpSlot::Live(op) => Some((index, op)),
            OpSlot::Dead(_) => None,
        })
    }
}

/// A header about to be signed; the operations fill in the rest.
#[derive(Debug, Clone, Copy)]
pub struct Draft {
    /// The lattice to write to.
    pub lattice: LatticeId,
    /// 0 unless written by a seat's holder.
    pub term: u64,
    /// The next number of the author's chain.
    pub seq: u64,
    /// Id of the author's commit before.
    pub prev: CommitId,
    /// From the author's clock.
    pub time: Timestamp,
}

impl Draft {
    /// Signs the header over `ops`. Limits are for [`Commit::verify`], which own commits pass as well.
    pub fn sign(&self, author: &AuthorKey, ops: Vec<Op>) -> Commit {
        let hashes: Vec<_> = ops.iter().map(|op| op.hash().0).collect();
        let header = Header {
            lattice: self.lattice,
            author: author.id(),
            term: self.term,
            seq: self.seq,
            prev: self.prev,
            time: self.time,
            op_count: u32::try_from(ops.len()).unwrap_or(u32::MAX),
            ops_root: merkle::root(&hashes),
        };
        let bytes = header.encode();
        let signature = author.sign(DOMAIN, &bytes);
        let signed = SignedHeader { header, id: CommitId(sha256(&[&bytes])), bytes: bytes.into(), signature };
        Commit { signed, slots: ops.into_iter().map(OpSlot::Live).collect() }
    }
}

#[cfg(test)]
mod tests;
