//! Proof files (C2SP tlog-proof): one record is in a log, checked offline with a policy and nothing else.

use std::fmt;

use data_encoding::BASE64;

use super::checkpoint::{BadCheckpoint, SignedCheckpoint};
use super::line;
use super::note::NOTE_BYTES_MAX;
use super::policy::{Judged, Policy, Refused};
use super::tree::{self, NotIncluded, PROOF_HASHES_MAX};
use crate::base64;
use crate::merkle::Digest;

/// What the first line of a proof file reads.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Bytes of the extra data: a record, the largest operation and what leads from one to the other, twice over.
pub const PROOF_EXTRA_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a proof file: extra data in base64, 63 hashes, a note, and the lines that say what is what.
pub const PROOF_BYTES_MAX: usize =
    PROOF_EXTRA_BYTES_MAX.div_ceil(3) * 4 + PROOF_HASHES_MAX * (line::HASH_CHARS + 1) + NOTE_BYTES_MAX + 128;

/// A proof that some record is in a log, not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    extra: Vec<u8>,
    index: u64,
    path: Vec<Digest>,
    checkpoint: SignedCheckpoint,
}

/// Why bytes are not a proof file, or why none can be written. Whoever sent or made them is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// More bytes than such a file may have.
    #[error("a proof file has at most {PROOF_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Another kind of file, or another version.
    #[error("not a proof file: its first line must read {FIRST_LINE}")]
    FirstLine,
    /// Not text, or cut short.
    #[error("a proof file is UTF-8 text: an index, hashes, an empty line and a checkpoint")]
    Text,
    /// Extra data that is empty, too long or no base64.
    #[error("extra data is 1 to {PROOF_EXTRA_BYTES_MAX} bytes in base64")]
    Extra,
    /// No index where it belongs.
    #[error("the line before the hashes reads index and a decimal number")]
    Index,
    /// A line of the path is no hash.
    #[error("line {0} of the path is not a hash: 32 bytes in base64")]
    Hash(usize),
    /// More hashes than lead to any root.
    #[error("a path has at most {PROOF_HASHES_MAX} hashes")]
    TooManyHashes,
    /// The rest is no checkpoint.
    #[error("behind the empty line: {0}")]
    Checkpoint(#[from] BadCheckpoint),
}

/// Why a proof does not prove what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// The policy does not accept the checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] Refused),
    /// The record is not in the log of that checkpoint.
    #[error(transparent)]
    Inclusion(#[from] NotIncluded),
}

impl Proof {
    /// Joins the parts of a proof; `extra` may be empty.
    ///
    /// # Errors
    ///
    /// [`BadProof`] if extra data or path are too long.
    pub fn new(extra: Vec<u8>, index: u64, path: Vec<Digest>, checkpoint: SignedCheckpoint) -> Result<Self, BadProof> {
        if extra.len() > PROOF_EXTRA_BYTES_MAX {
            return Err(BadProof::Extra);
        }
        if path.len() > PROOF_HASHES_MAX {
            return Err(BadProof::TooManyHashes);
        }
        Ok(Self { extra, index, path, checkpoint })
    }

    /// Reads a proof file. Nothing in it is trusted by that.
    ///
    /// # Errors
    ///
    /// [`BadProof`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadProof> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(BadProof::TooLong(bytes.len()));
        }
        let mut rest = std::str::from_utf8(bytes).map_err(|_| BadProof::Text)?;
        if line::take(&mut rest) != Some(FIRST_LINE) {
            return Err(BadProof::FirstLine);
        }
        let mut next = line::take(&mut rest).ok_or(BadProof::Text)?;
        let mut extra = Vec::new();
        if let Some(text) = next.strip_prefix("extra ") {
            extra = base64::decode(text).filter(|extra| !extra.is_empty()).ok_or(BadProof::Extra)?;
            next = line::take(&mut rest).ok_or(BadProof::Text)?;
        }
        let index = next.strip_prefix("index ").and_then(line::decimal).ok_or(BadProof::Index)?;
        let path = line::take_hashes(&mut rest).map_err(|bad| match bad {
            line::BadHashes::CutShort => BadProof::Text,
            line::BadHashes::Hash(number) => BadProof::Hash(number),
            line::BadHashes::TooMany => BadProof::TooManyHashes,
        })?;
        Self::new(extra, index, path, SignedCheckpoint::parse(rest.as_bytes())?)
    }

    /// Whatever the application put beside the proof; not authenticated by it.
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// Index of the record in the log.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hashes from the record's sibling up to below the root.
    pub fn path(&self) -> &[Digest] {
        &self.path
    }

    /// The tree head that the path leads to.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Whether the record with this leaf hash is in a log that the policy accepts. Who signed is judged first: a path
    /// to a root that nobody vouches for means nothing.
    ///
    /// # Errors
    ///
    /// [`NotProven`] says why not.
    pub fn verify(&self, leaf: &Digest, policy: &Policy) -> Result<Judged, NotProven> {
        let judged = policy.judge(&self.checkpoint)?;
        let head = self.checkpoint.checkpoint();
        tree::verify_inclusion(leaf, self.index, head.size(), &self.path, head.root())?;
        Ok(judged)
    }
}

/// The file.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", BASE64.encode(&self.extra))?;
        }
        let mut lines = format!("index {}\n", self.index);
        self.path.iter().for_each(|hash| line::push_hash(&mut lines, hash));
        writeln!(f, "{lines}")?;
        self.checkpoint.fmt(f)
    }
}
