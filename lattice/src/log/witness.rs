//! Witnessing (C2SP tlog-witness): a log asks with `add-checkpoint`, and this decides whether to cosign.
//!
//! The decision is pure: the caller holds what it cosigned last, compares and stores in one transaction, and answers
//! only then.

use std::fmt;

use super::checkpoint::{BadCheckpoint, NotOfLog, SignedCheckpoint};
use super::evidence::{EVIDENCE_TEXT_BYTES_MAX, has_room_for};
use super::line;
use super::note::{KeyName, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, SignatureLine, VerifierKey};
use super::tree::{self, EMPTY_ROOT, NotConsistent, PROOF_HASHES_MAX};
use crate::merkle::Digest;

/// Bytes of an `add-checkpoint` request: a size, 63 hashes and a note.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 32 + PROOF_HASHES_MAX * (line::HASH_CHARS + 1) + NOTE_BYTES_MAX;

/// A request to cosign: a checkpoint, and the proof that it grew from the one cosigned before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the log when the witness cosigned it last, as the log believes; 0 for never.
    pub old: u64,
    /// Consistency proof from that size to the checkpoint's; at most 63 hashes.
    pub proof: Vec<Digest>,
    /// The checkpoint to cosign.
    pub checkpoint: SignedCheckpoint,
}

/// Why a body is not an `add-checkpoint` request: 400, the sender is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// More bytes than such a request may have.
    #[error("a request has at most {ADD_CHECKPOINT_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Not text, or cut short.
    #[error("a request is UTF-8 text: an old size, hashes, an empty line and a checkpoint")]
    Text,
    /// The first line is no old size.
    #[error("the first line reads old and a decimal number")]
    Old,
    /// A line of the proof is no hash.
    #[error("line {0} of the proof is not a hash: 32 bytes in base64")]
    Hash(usize),
    /// More hashes than lead to any root.
    #[error("a proof has at most {PROOF_HASHES_MAX} hashes")]
    TooManyHashes,
    /// The rest is no checkpoint.
    #[error("behind the empty line: {0}")]
    Checkpoint(#[from] BadCheckpoint),
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// [`BadRequest`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadRequest> {
        if bytes.len() > ADD_CHECKPOINT_BYTES_MAX {
            return Err(BadRequest::TooLong(bytes.len()));
        }
        let mut rest = std::str::from_utf8(bytes).map_err(|_| BadRequest::Text)?;
        let first = line::take(&mut rest).ok_or(BadRequest::Text)?;
        let old = first.strip_prefix("old ").and_then(line::decimal).ok_or(BadRequest::Old)?;
        let proof = line::take_hashes(&mut rest).map_err(|bad| match bad {
            line::BadHashes::CutShort => BadRequest::Text,
            line::BadHashes::Hash(number) => BadRequest::Hash(number),
            line::BadHashes::TooMany => BadRequest::TooManyHashes,
        })?;
        Ok(Self { old, proof, checkpoint: SignedCheckpoint::parse(rest.as_bytes())? })
    }
}

/// The body of the request.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = format!("old {}\n", self.old);
        self.proof.iter().for_each(|hash| line::push_hash(&mut lines, hash));
        writeln!(f, "{lines}")?;
        self.checkpoint.fmt(f)
    }
}

/// Reads the answer of a witness that cosigned: signature lines, by it or by others, none of them checked. Each goes to
/// [`SignedCheckpoint::add`] with the key that it claims to be by. `None` if the body is anything else.
pub fn parse_cosignatures(bytes: &[u8]) -> Option<Vec<SignatureLine>> {
    if bytes.len() > NOTE_BYTES_MAX {
        return None;
    }
    let lines = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split('\n');
    let parsed: Vec<_> = lines.take(NOTE_SIGNATURES_MAX + 1).map(SignatureLine::parse).collect::<Option<_>>()?;
    (parsed.len() <= NOTE_SIGNATURES_MAX).then_some(parsed)
}

/// Reads the answer 409 of a witness: the size that it cosigned last. `None` if the body is anything else.
pub fn parse_conflict(bytes: &[u8]) -> Option<u64> {
    line::decimal(std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?)
}

/// A tree of some log: what a witness keeps of the last checkpoint that it cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Records in the log.
    pub size: u64,
    /// Root of their tree.
    pub root: Digest,
}

impl Seen {
    /// What is known of a log before its first checkpoint.
    const NOTHING: Self = Self { size: 0, root: EMPTY_ROOT };
}

/// What a witness does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Store this tree as the one cosigned last, then cosign and answer 200.
    Cosign(Seen),
    /// Refuse, and if it contradicts what was cosigned last, keep both as evidence.
    Refuse {
        /// What the log is told.
        why: Refusal,
        /// Whether the checkpoint, which the log signed, has the size of the one seen last and another root. The two
        /// together prove that the log forked.
        is_fork: bool,
    },
}

/// Why a witness does not cosign, in the order in which it looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404: no key is known for the origin.
    #[error("the log {0:?} is not known here")]
    UnknownLog(String),
    /// 403: no known key of the log signed it.
    #[error("the checkpoint is not signed by a key that is known for its log")]
    NotSigned,
    /// 403: a line of a known key does not hold.
    #[error("the signature by {0} does not hold")]
    Signature(KeyName),
    /// 400: two such checkpoints would not fit into evidence.
    #[error("the text of a checkpoint has at most {EVIDENCE_TEXT_BYTES_MAX} bytes here, not {0}")]
    TooLong(usize),
    /// 400: the log would shrink.
    #[error("the old size {old} is beyond the checkpoint's {size}")]
    OldBeyondSize {
        /// Old size of the request.
        old: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// 409: the log is mistaken about what was cosigned last; the answer is the size alone, see [`Refusal::body`].
    #[error("the checkpoint cosigned last has {latest} records, not {old}")]
    Conflict {
        /// Old size of the request.
        old: u64,
        /// Size cosigned last.
        latest: u64,
    },
    /// 422: a log without records has one root only.
    #[error("a log without records has the root of the empty tree")]
    EmptyRoot,
    /// 422: the proof does not hold.
    #[error(transparent)]
    Inconsistent(#[from] NotConsistent),
}

impl Refusal {
    /// The HTTP status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLong(_) | Self::OldBeyondSize { .. } => 400,
            Self::NotSigned | Self::Signature(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict { .. } => 409,
            Self::EmptyRoot | Self::Inconsistent(_) => 422,
        }
    }

    /// The body of the answer, in one line; with 409 the size cosigned last, of content type `text/x.tlog.size`.
    pub fn body(&self) -> String {
        match self {
            Self::Conflict { latest, .. } => format!("{latest}\n"),
            Self::UnknownLog(_)
            | Self::NotSigned
            | Self::Signature(_)
            | Self::TooLong(_)
            | Self::OldBeyondSize { .. }
            | Self::EmptyRoot
            | Self::Inconsistent(_) => format!("{self}\n"),
        }
    }
}

/// Decides about a request. `logs` are the keys that checkpoints are accepted of, each named as its log's origin;
/// `latest` is what was cosigned last for the origin of this one.
pub fn judge(request: &AddCheckpoint, logs: &[VerifierKey], latest: Option<Seen>) -> Verdict {
    if let Err(why) = expect_signed(&request.checkpoint, logs) {
        return Verdict::Refuse { why, is_fork: false };
    }
    let head = request.checkpoint.checkpoint();
    let new = Seen { size: head.size(), root: *head.root() };
    let seen = latest.unwrap_or(Seen::NOTHING);
    match expect_growth(request, seen, new) {
        Ok(()) => Verdict::Cosign(new),
        Err(why) => {
            Verdict::Refuse { why, is_fork: latest.is_some() && new.size == seen.size && new.root != seen.root }
        }
    }
}

/// The part of the decision that needs no memory: whether one of the known logs signed the checkpoint, and whether a
/// contradiction of it could be shown.
///
/// # Errors
///
/// The [`Refusal`] with which [`judge`] answers it.
pub fn expect_signed(checkpoint: &SignedCheckpoint, logs: &[VerifierKey]) -> Result<(), Refusal> {
    let origin = checkpoint.checkpoint().origin();
    let (mut is_known, mut is_signed) = (false, false);
    for log in logs.iter().filter(|log| log.name().as_str() == origin) {
        is_known = true;
        match checkpoint.verify(log) {
            Ok(()) => is_signed = true,
            Err(NotOfLog::Signature(bad)) => return Err(Refusal::Signature(bad.0)),
            Err(NotOfLog::NotSigned(_) | NotOfLog::NotALogKey(_) | NotOfLog::OtherOrigin { .. }) => (),
        }
    }
    match (is_known, is_signed) {
        (true, true) if !has_room_for(checkpoint) => Err(Refusal::TooLong(checkpoint.note().text().len())),
        (true, true) => Ok(()),
        (true, false) => Err(Refusal::NotSigned),
        (false, _) => Err(Refusal::UnknownLog(origin.to_owned())),
    }
}

fn expect_growth(request: &AddCheckpoint, seen: Seen, new: Seen) -> Result<(), Refusal> {
    let old = request.old;
    if old > new.size {
        return Err(Refusal::OldBeyondSize { old, size: new.size });
    }
    if old != seen.size {
        return Err(Refusal::Conflict { old, latest: seen.size });
    }
    if new.size == 0 && new.root != EMPTY_ROOT {
        return Err(Refusal::EmptyRoot);
    }
    Ok(tree::verify_consistency(old, new.size, &seen.root, &new.root, &request.proof)?)
}
