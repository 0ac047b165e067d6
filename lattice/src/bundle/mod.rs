//! The proof bundle: one file that shows an auditor a fact about the state, to be checked offline.
//!
//! ```text
//! operation ─► commit, signed by its author ─► entry ─► page ─► state root ─► log record ─► checkpoint ─► cosignatures
//! ```
//!
//! A bundle is a few lines for people, an empty line, and a `.tlog-proof` (C2SP) of one record. What leads from the
//! claim to that record is the proof's extra data. Bytes are a function of what is shown: the readable lines too, so
//! that they can't say anything else. Keys never come out of a bundle; whom to believe is the policy's.
//!
//! [`shown`] is what the extra data holds, `head` the lines for people.

mod head;
pub mod shown;

pub use head::time;

use std::fmt;

use shown::{Claim, EntryShown, Shown};

use crate::codec::DecodeError;
use crate::commit::SignedHeader;
use crate::entry::{Entry, Version};
use crate::ids::{AuthorId, CommitId, StateRoot};
use crate::log::note::KEY_NAME_BYTES_MAX;
use crate::log::policy::{Judged, Policy, Refused};
use crate::log::proof::{BadProof, NotProven, PROOF_BYTES_MAX, Proof};
use crate::log::tree::verify_inclusion;
use crate::merkle::{self, leaf_hash};
use crate::op::Key;
use crate::record::{Event, Record};
use crate::tree::proof::Refuted;

/// Bytes of the lines for people: a key and a log's name of which every character is escaped, in six for each byte at
/// worst, and a dozen short values.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a bundle.
pub const BUNDLE_BYTES_MAX: usize = HEAD_BYTES_MAX + PROOF_BYTES_MAX;

/// A bundle, nothing of it checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    shown: Shown,
    record: Record,
    proof: Proof,
}

/// Why bytes are no bundle, or why none can be made. Whoever made them is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// More bytes than any bundle has.
    #[error("a proof bundle has at most {BUNDLE_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Another kind of file.
    #[error("not a proof bundle: its first line must read {}", head::FIRST_LINE)]
    FirstLine,
    /// No empty line, or no text.
    #[error("a proof bundle is lines of UTF-8 text, an empty line, and a tlog-proof")]
    Text,
    /// The part behind the empty line.
    #[error("behind the first empty line: {0}")]
    Proof(#[from] BadProof),
    /// The extra data of that part.
    #[error("what the bundle shows does not decode: {0}")]
    Shown(#[from] DecodeError),
    /// A log's name that no key has.
    #[error(
        "the checkpoint's origin is longer than the name of any log's key, which has at most {KEY_NAME_BYTES_MAX} bytes"
    )]
    Origin,
    /// The lines for people are not those that the rest gives.
    #[error("the readable lines are not those of what the bundle shows: one or the other was changed")]
    Head,
}

/// Why a bundle does not show what it claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// The commit's signature.
    #[error("the commit is not signed by the author that it names")]
    Signature,
    /// The operation's path.
    #[error("the operation is not part of the commit")]
    Operation,
    /// From the entry to the state root of the record.
    #[error("the state of the record does not hold that: {0}")]
    State(#[from] Refuted),
    /// The record counts other entries than the proof.
    #[error("the record counts {record} entries, the proof {proof}")]
    Entries {
        /// In the record.
        record: u64,
        /// In the proof.
        proof: u64,
    },
    /// A commit of another lattice than the log's.
    #[error("the commit is of another lattice than the log")]
    OtherLattice,
    /// The record is not about the commit.
    #[error("the record does not say that the commit was applied")]
    OtherRecord,
    /// Records follow, so the state may be another by now.
    #[error("record {index} is not the last of {size}: the state at the checkpoint is another's to show")]
    NotLast {
        /// Index of the record.
        index: u64,
        /// Records under the checkpoint.
        size: u64,
    },
    /// From the record to a log that the policy accepts.
    #[error(transparent)]
    Log(#[from] NotProven),
}

impl NotShown {
    /// Whether nothing is wrong with the bundle itself, and only the policy does not reach as far: it knows another log,
    /// or wants more cosignatures.
    pub fn is_undecided(&self) -> bool {
        matches!(self, Self::Log(NotProven::Checkpoint(Refused::UnknownLog(_) | Refused::Quorum { .. })))
    }
}

/// A fact that a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// At the checkpoint, the key had this value; `None` if it was deleted.
    Value {
        /// The key.
        key: Key,
        /// The value.
        value: Option<Vec<u8>>,
        /// Who wrote it.
        by: Written,
    },
    /// At the checkpoint, the key had no entry.
    Absent {
        /// The key.
        key: Key,
    },
    /// The node applied the commit.
    Applied {
        /// The commit.
        by: Written,
    },
}

/// A commit and who signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The author.
    pub author: AuthorId,
    /// The commit.
    pub commit: CommitId,
    /// Its number in the author's chain.
    pub seq: u64,
    /// Its time in milliseconds since 1970, by the author's clock.
    pub time_ms: u64,
}

/// What was proven, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The fact.
    pub fact: Fact,
    /// State root of the record.
    pub root: StateRoot,
    /// Entries under it.
    pub entries: u64,
    /// Index of the record in the log.
    pub index: u64,
    /// When the node wrote the record, in milliseconds since 1970, by its clock.
    pub written_ms: u64,
    /// The log and the witnesses.
    pub judged: Judged,
}

impl Bundle {
    /// Joins what is shown with the proof of its record; the proof's extra data is replaced.
    ///
    /// # Errors
    ///
    /// [`BadBundle`] if the record does not decode or all of it is too long.
    pub fn new(shown: Shown, proof: &Proof) -> Result<Self, BadBundle> {
        let proof = Proof::new(shown.encode(), proof.index(), proof.path().to_vec(), proof.checkpoint().clone())?;
        Self::join(shown, proof)
    }

    fn join(shown: Shown, proof: Proof) -> Result<Self, BadBundle> {
        let record = shown.decoded_record()?;
        if proof.checkpoint().checkpoint().origin().len() > KEY_NAME_BYTES_MAX {
            return Err(BadBundle::Origin);
        }
        Ok(Self { shown, record, proof })
    }

    /// Reads a bundle. Nothing in it is trusted by that.
    ///
    /// # Errors
    ///
    /// [`BadBundle`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBundle> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BadBundle::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadBundle::Text)?;
        if !Self::is_one(bytes) {
            return Err(BadBundle::FirstLine);
        }
        let (readable, proof) = text.split_once("\n\n").ok_or(BadBundle::Text)?;
        let proof = Proof::parse(proof.as_bytes())?;
        let bundle = Self::join(Shown::decode(proof.extra())?, proof)?;
        let lines = head::text(&bundle.shown, &bundle.record, &bundle.proof);
        if lines.strip_suffix('\n') == Some(readable) { Ok(bundle) } else { Err(BadBundle::Head) }
    }

    /// Whether a file's first line is that of a bundle.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.strip_prefix(head::FIRST_LINE.as_bytes()).is_some_and(|rest| rest.starts_with(b"\n"))
    }

    /// What it shows.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The proof of its record.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Checks every step, from the claim up to the signatures that the policy asks for.
    ///
    /// # Errors
    ///
    /// [`NotShown`] says which step does not hold.
    pub fn verify(&self, policy: &Policy) -> Result<Proven, NotShown> {
        let fact = match &self.shown.claim {
            Claim::Entry(entry) => self.entry(entry)?,
            Claim::Absence { key, proof } => {
                self.expect_state(proof.entries)?;
                proof.verify(&self.record.after, &key.hash())?;
                Fact::Absent { key: key.clone() }
            }
            Claim::Commit(signed) => {
                let by = self.commit(signed)?;
                match &self.record.event {
                    Event::Applied { commits } if commits.contains(&by.commit) => Fact::Applied { by },
                    Event::Applied { .. }
                    | Event::Opened { .. }
                    | Event::Reconciled { .. }
                    | Event::Mode { .. }
                    | Event::Membership { .. }
                    | Event::Stated
                    | Event::Renamed { .. }
                    | Event::Seat { .. }
                    | Event::Damaged { .. } => return Err(NotShown::OtherRecord),
                }
            }
        };
        let judged = self.judge(policy)?;
        let Record { after: root, entries, time_ms: written_ms, .. } = self.record;
        Ok(Proven { fact, root, entries, index: self.proof.index(), written_ms, judged })
    }

    /// The policy comes last: whoever is told that it does not reach as far knows that nothing else is wrong.
    fn judge(&self, policy: &Policy) -> Result<Judged, NotProven> {
        let head = self.proof.checkpoint().checkpoint();
        let leaf = leaf_hash(&self.shown.record);
        verify_inclusion(&leaf, self.proof.index(), head.size(), self.proof.path(), head.root())?;
        Ok(policy.judge(self.proof.checkpoint())?)
    }

    fn entry(&self, shown: &EntryShown) -> Result<Fact, NotShown> {
        let by = self.commit(&shown.signed)?;
        let header = shown.signed.header();
        let (index, count) = (u64::from(shown.op_index), u64::from(header.op_count));
        if merkle::root_from_path(&shown.op.hash().0, index, count, &shown.op_path) != Some(header.ops_root) {
            return Err(NotShown::Operation);
        }
        self.expect_state(shown.proof.entries)?;
        let entry = Entry::of(&shown.op, Version::of(header, by.commit, shown.op_index));
        shown.proof.verify(&self.record.after, &entry)?;
        Ok(Fact::Value { key: entry.key, value: shown.op.value().map(<[u8]>::to_vec), by })
    }

    /// Whether the record tells what the state is at the checkpoint: it is the last one, and counts the same entries.
    fn expect_state(&self, entries: u64) -> Result<(), NotShown> {
        let (index, size) = (self.proof.index(), self.proof.checkpoint().checkpoint().size());
        if index.checked_add(1) != Some(size) {
            return Err(NotShown::NotLast { index, size });
        }
        if entries != self.record.entries {
            return Err(NotShown::Entries { record: self.record.entries, proof: entries });
        }
        Ok(())
    }

    fn commit(&self, signed: &SignedHeader) -> Result<Written, NotShown> {
        let header = signed.header();
        if !crate::log::checkpoint::is_of_lattice(self.proof.checkpoint().checkpoint().origin(), &header.lattice) {
            return Err(NotShown::OtherLattice);
        }
        if !signed.is_signed() {
            return Err(NotShown::Signature);
        }
        Ok(Written { author: header.author, commit: signed.id(), seq: header.seq, time_ms: header.time.millis() })
    }
}

/// The file.
impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", head::text(&self.shown, &self.record, &self.proof))?;
        self.proof.fmt(f)
    }
}
