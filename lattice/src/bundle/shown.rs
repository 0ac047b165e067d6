//! What a bundle shows beside the log's proof, and the bytes that carry it: the extra data of the tlog-proof.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::BadBundle;
use crate::clock::Timestamp;
use crate::codec::{self, DecodeError};
use crate::commit::SignedHeader;
use crate::entry::{Entry, Version};
use crate::ids::{AuthorId, CommitId, ValueHash};
use crate::keys::SIGNATURE_BYTES;
use crate::limits::PAGE_ENTRIES_MAX;
use crate::log::proof::PROOF_EXTRA_BYTES_MAX;
use crate::merkle::Digest;
use crate::op::{Key, Op};
use crate::record::Record;
use crate::tree::proof::{AbsenceProof, EntryProof};

const VERSION: u64 = 1;

/// A record of the log, and what is to be seen at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Canonical bytes of the record, as the log holds them.
    pub record: Vec<u8>,
    /// What is claimed.
    pub claim: Claim,
}

/// What a bundle claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A key has the value that an operation put there, or is deleted.
    Entry(Box<EntryShown>),
    /// A key has no entry, not even a deleted one.
    Absence {
        /// The key.
        key: Key,
        /// The page where it would stand.
        proof: AbsenceProof,
    },
    /// A commit was applied.
    Commit(SignedHeader),
}

/// From an operation to the state: the author's signature, the operation under it, the entry that it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryShown {
    /// What the author signed.
    pub signed: SignedHeader,
    /// The operation's place in the commit.
    pub op_index: u32,
    /// The operation.
    pub op: Op,
    /// Audit path from the operation's hash to the ops root.
    pub op_path: Vec<Digest>,
    /// From the entry to the state root.
    pub proof: EntryProof,
}

impl Shown {
    /// What the record says, if it is one.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decoded_record(&self) -> Result<Record, DecodeError> {
        Record::decode(&self.record)
    }

    /// Canonical bytes: `[version, kind, record, claim]`.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, claim) = match &self.claim {
            Claim::Entry(shown) => (ENTRY, shown.encode()),
            Claim::Absence { key, proof } => (ABSENCE, encode_absence(key, proof)),
            Claim::Commit(signed) => (COMMIT, codec::encode(&wire_of(signed))),
        };
        codec::encode(&ShownWire(VERSION, kind, self.record.clone().into(), claim.into()))
    }

    /// Reads canonical bytes. Nothing is checked by that.
    ///
    /// # Errors
    ///
    /// [`BadBundle`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBundle> {
        let wire: ShownWire = codec::decode(bytes, PROOF_EXTRA_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let claim = match wire.1 {
            ENTRY => Claim::Entry(Box::new(EntryShown::decode(&wire.3)?)),
            ABSENCE => decode_absence(&wire.3)?,
            COMMIT => {
                let (header, signature): SignedWire = codec::decode(&wire.3, PROOF_EXTRA_BYTES_MAX)?;
                Claim::Commit(SignedHeader::decode(&header, signature.into_array())?)
            }
            _ => return Err(DecodeError::Invalid("a claim of unknown kind").into()),
        };
        Ok(Self { record: wire.2.into_vec(), claim })
    }
}

impl EntryShown {
    /// Canonical bytes: `[header, signature, op index, op, [op path], entries, page length, page index, [page path],
    /// [siblings]]`.
    fn encode(&self) -> Vec<u8> {
        let (header, signature) = wire_of(&self.signed);
        let EntryProof { entries, page_len, page_index, page_path, siblings } = &self.proof;
        codec::encode(&EntryWire(
            header,
            signature,
            self.op_index,
            self.op.encode().into(),
            arrays(&self.op_path),
            *entries,
            *page_len,
            *page_index,
            arrays(page_path),
            arrays(siblings),
        ))
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBundle> {
        let wire: EntryWire = codec::decode(bytes, PROOF_EXTRA_BYTES_MAX)?;
        Ok(Self {
            signed: SignedHeader::decode(&wire.0, wire.1.into_array())?,
            op_index: wire.2,
            op: Op::decode(&wire.3)?,
            op_path: digests(wire.4),
            proof: EntryProof {
                entries: wire.5,
                page_len: wire.6,
                page_index: wire.7,
                page_path: digests(wire.8),
                siblings: digests(wire.9),
            },
        })
    }
}

/// Canonical bytes: `[key, entries, [author], [[key, time, author's place, term, seq, commit, op index, value hash |
/// null]], [siblings]]`. Authors stand once, in order: a page has few.
fn encode_absence(key: &Key, proof: &AbsenceProof) -> Vec<u8> {
    let mut authors: Vec<AuthorId> = proof.page.iter().map(|entry| entry.version.author).collect();
    authors.sort_unstable();
    authors.dedup();
    let place = |author| authors.binary_search(author).map_or(0, |place| place as u64);
    let page = proof.page.iter().map(|Entry { key, version, value }| {
        let Version { time, author, term, seq, commit, op_index } = version;
        PageWire(key.to_string(), time.0, place(author), *term, *seq, *commit, *op_index, *value)
    });
    let page = page.collect();
    codec::encode(&AbsenceWire(key.to_string(), proof.entries, authors.clone(), page, arrays(&proof.siblings)))
}

fn decode_absence(bytes: &[u8]) -> Result<Claim, BadBundle> {
    let wire: AbsenceWire = codec::decode(bytes, PROOF_EXTRA_BYTES_MAX)?;
    if wire.3.len() > PAGE_ENTRIES_MAX {
        return Err(DecodeError::Invalid("a page has at most 32 entries").into());
    }
    let entry = |PageWire(key, time, place, term, seq, commit, op_index, value)| {
        let author = usize::try_from(place).ok().and_then(|place| wire.2.get(place).copied());
        let author = author.ok_or(DecodeError::Invalid("an entry names an author that is not listed"))?;
        let version = Version { time: Timestamp(time), author, term, seq, commit, op_index };
        Ok(Entry { key: key_of(&key)?, version, value })
    };
    let page = wire.3.into_iter().map(entry).collect::<Result<Vec<Entry>, BadBundle>>()?;
    let shown = AbsenceProof { entries: wire.1, page, siblings: digests(wire.4) };
    let claim = Claim::Absence { key: key_of(&wire.0)?, proof: shown };
    match &claim {
        // Authors in another order, twice, or of no entry would be a second form of the same page.
        Claim::Absence { key, proof } if encode_absence(key, proof) == bytes => Ok(claim),
        Claim::Absence { .. } | Claim::Entry(_) | Claim::Commit(_) => Err(DecodeError::NotCanonical.into()),
    }
}

fn key_of(text: &str) -> Result<Key, DecodeError> {
    Key::new(text).map_err(|_| DecodeError::Invalid("a key that breaks the rules for keys"))
}

fn wire_of(signed: &SignedHeader) -> SignedWire {
    (signed.header_bytes().to_vec().into(), ByteArray::new(*signed.signature()))
}

fn arrays(digests: &[Digest]) -> Vec<ByteArray<32>> {
    digests.iter().copied().map(ByteArray::new).collect()
}

fn digests(arrays: Vec<ByteArray<32>>) -> Vec<Digest> {
    arrays.into_iter().map(ByteArray::into_array).collect()
}

const ENTRY: u64 = 0;
const ABSENCE: u64 = 1;
const COMMIT: u64 = 2;

type SignedWire = (ByteBuf, ByteArray<SIGNATURE_BYTES>);

#[derive(Serialize, Deserialize)]
struct ShownWire(u64, u64, ByteBuf, ByteBuf);

#[derive(Serialize, Deserialize)]
struct EntryWire(
    ByteBuf,
    ByteArray<SIGNATURE_BYTES>,
    u32,
    ByteBuf,
    Vec<ByteArray<32>>,
    u64,
    u64,
    u64,
    Vec<ByteArray<32>>,
    Vec<ByteArray<32>>,
);

#[derive(Serialize, Deserialize)]
struct AbsenceWire(String, u64, Vec<AuthorId>, Vec<PageWire>, Vec<ByteArray<32>>);

#[derive(Serialize, Deserialize)]
struct PageWire(String, u64, u64, u64, u64, CommitId, u32, Option<ValueHash>);
