//! Fork evidence: two checkpoints of one log that contradict each other, so that anyone sees that it lied.
//!
//! Both are signed by the log. Either they have one size and two roots; or the smaller one's root is not that of the
//! beginning of the larger tree, which a consistency proof from the true beginning shows. That a log showed a smaller
//! size after a larger one proves nothing: an old checkpoint may be shown at any time.
//!
//! No public format holds this, so it has one of its own (`FORMAT.md`), made of theirs.

use std::fmt;

use super::checkpoint::{BadCheckpoint, Checkpoint, NotOfLog, SignedCheckpoint};
use super::line;
use super::note::{KEY_NAME_BYTES_MAX, VerifierKey};
use super::tree::{self, NotConsistent, PROOF_HASHES_MAX};
use crate::merkle::Digest;

/// What the first line of fork evidence reads.
const FIRST_LINE: &str = "lattice-fork/v1";

/// Bytes of fork evidence: two checkpoints like ours and 63 hashes are 5 KiB; the rest is for others' origins.
pub const FORK_EVIDENCE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a checkpoint's text of which any two fit into evidence. Ours have 170; lines behind the root, which mean nothing
/// here, must not let a log escape what proves that it lied.
pub const EVIDENCE_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a log's signature line: the longest name, and key id and signature in base64.
const SIGNATURE_LINE_BYTES_MAX: usize = "— ".len() + KEY_NAME_BYTES_MAX + " ".len() + 92 + "\n".len();

/// Bytes before the checkpoints: two lines, and a root and a proof.
const BEGINNING_BYTES_MAX: usize =
    FIRST_LINE.len() + "\nbeginning ".len() + (PROOF_HASHES_MAX + 1) * (line::HASH_CHARS + 1);

const _: () = assert!(
    BEGINNING_BYTES_MAX + 2 * ("\n".len() + EVIDENCE_TEXT_BYTES_MAX + "\n".len() + SIGNATURE_LINE_BYTES_MAX)
        <= FORK_EVIDENCE_BYTES_MAX
);

/// Whether evidence has room for a checkpoint and any other such: whoever follows logs takes in no other.
pub fn has_room_for(signed: &SignedCheckpoint) -> bool {
    signed.note().text().len() <= EVIDENCE_TEXT_BYTES_MAX
}

/// How a log's larger tree truly begins: proof that a smaller checkpoint is none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Root of the larger tree's first leaves, as many as the smaller checkpoint counts.
    pub root: Digest,
    /// Consistency proof from there to the larger tree; at most 63 hashes.
    pub proof: Vec<Digest>,
}

/// Two checkpoints that claim to contradict each other, their signatures and the proof not checked. The one with the
/// smaller size comes first; of equal sizes the one with the smaller root. Each carries one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkEvidence {
    first: SignedCheckpoint,
    second: SignedCheckpoint,
    beginning: Option<Beginning>,
}

/// Why bytes are not fork evidence. Whoever sent them is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEvidence {
    /// More bytes than fork evidence may have.
    #[error("fork evidence has at most {FORK_EVIDENCE_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Another kind of file, or another version.
    #[error("not fork evidence: its first line must read {FIRST_LINE}")]
    FirstLine,
    /// Not text, or cut short.
    #[error("fork evidence is UTF-8 text: perhaps a root and hashes, then two checkpoints, each behind an empty line")]
    Text,
    /// A line before the checkpoints is no hash.
    #[error("the lines before the checkpoints are a root and at most 63 hashes: 32 bytes in base64 each")]
    Hash,
    /// A checkpoint that is none.
    #[error(transparent)]
    Checkpoint(#[from] BadCheckpoint),
    /// What it holds contradicts nothing, or stands in another order or form than it must.
    #[error(transparent)]
    NoFork(#[from] NoFork),
}

/// Why two checkpoints are not evidence of a fork.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFork {
    /// They are about two logs.
    #[error("the checkpoints are of two logs")]
    TwoLogs,
    /// They say the same.
    #[error("the checkpoints say the same")]
    Same,
    /// The proof shows that the smaller tree is the beginning of the larger one.
    #[error("the larger log begins with the smaller one, as it should")]
    Grown,
    /// Of unequal sizes, without proof that the smaller tree is not the beginning of the larger one; or of equal sizes,
    /// with a proof that shows nothing.
    #[error("checkpoints of unequal sizes need the true beginning of the larger log, and those of equal sizes none")]
    Beginning,
    /// Not in the one order and form that evidence has.
    #[error("fork evidence has the smaller checkpoint first, and one signature with each")]
    Form,
    /// One of them is not signed by the log.
    #[error(transparent)]
    NotOfLog(#[from] NotOfLog),
    /// The proof of the true beginning does not hold.
    #[error("the true beginning is not shown: {0}")]
    Inconsistent(#[from] NotConsistent),
    /// The checkpoints have too long lines for evidence.
    #[error("fork evidence has at most {FORK_EVIDENCE_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
}

/// Two roots of one size, both as the log's: evidence, or why none can be made of them.
pub type Contradiction = Result<ForkEvidence, NoFork>;

impl ForkEvidence {
    /// Joins two checkpoints of one log, in any order and with any other signatures, to evidence that holds. Of unequal
    /// sizes the true `beginning` of the larger tree must be there, of equal sizes not.
    ///
    /// # Errors
    ///
    /// [`NoFork`] if the two prove nothing against the log.
    pub fn new(
        one: &SignedCheckpoint,
        other: &SignedCheckpoint,
        beginning: Option<Beginning>,
        log: &VerifierKey,
    ) -> Result<Self, NoFork> {
        let (one, other) = (one.bare(log)?, other.bare(log)?);
        let (first, second) = if place(&one) <= place(&other) { (one, other) } else { (other, one) };
        let evidence = Self { first, second, beginning };
        evidence.expect_contradiction()?;
        evidence.verify(log)?;
        let bytes = evidence.to_string().len();
        if bytes > FORK_EVIDENCE_BYTES_MAX { Err(NoFork::TooLong(bytes)) } else { Ok(evidence) }
    }

    /// What two checkpoints show if they have one size and two roots; `None` otherwise.
    pub fn of_contradiction(
        one: &SignedCheckpoint,
        other: &SignedCheckpoint,
        log: &VerifierKey,
    ) -> Option<Contradiction> {
        let (first, second) = (one.checkpoint(), other.checkpoint());
        let contradicts = first.size() == second.size() && first.root() != second.root();
        contradicts.then(|| Self::new(one, other, None, log))
    }

    /// Reads fork evidence. Nothing in it is trusted by that.
    ///
    /// # Errors
    ///
    /// [`BadEvidence`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadEvidence> {
        if bytes.len() > FORK_EVIDENCE_BYTES_MAX {
            return Err(BadEvidence::TooLong(bytes.len()));
        }
        let mut rest = std::str::from_utf8(bytes).map_err(|_| BadEvidence::Text)?;
        if line::take(&mut rest) != Some(FIRST_LINE) {
            return Err(BadEvidence::FirstLine);
        }
        let beginning = read_beginning(&mut rest)?;
        // No text of a checkpoint has an empty line, so the second note begins behind the second one from here.
        let signatures = rest.find("\n\n").ok_or(BadEvidence::Text)? + 2;
        let end = rest[signatures..].find("\n\n").ok_or(BadEvidence::Text)? + signatures + 1;
        let first = SignedCheckpoint::parse(&rest.as_bytes()[..end])?;
        let second = SignedCheckpoint::parse(&rest.as_bytes()[end + 1..])?;
        let evidence = Self { first, second, beginning };
        evidence.expect_contradiction()?;
        Ok(evidence)
    }

    /// The checkpoint of the smaller size or root.
    pub const fn first(&self) -> &SignedCheckpoint {
        &self.first
    }

    /// The other one.
    pub const fn second(&self) -> &SignedCheckpoint {
        &self.second
    }

    /// How the larger tree truly begins, if the sizes are unequal.
    pub const fn beginning(&self) -> Option<&Beginning> {
        self.beginning.as_ref()
    }

    /// The log that is accused.
    pub fn origin(&self) -> &str {
        self.first.checkpoint().origin()
    }

    /// Whether the owner of `log` signed two histories.
    ///
    /// # Errors
    ///
    /// [`NoFork`] says why that is not shown.
    pub fn verify(&self, log: &VerifierKey) -> Result<(), NoFork> {
        self.first.verify(log)?;
        self.second.verify(log)?;
        if let Some(Beginning { root, proof }) = &self.beginning {
            let (first, second) = (self.first.checkpoint(), self.second.checkpoint());
            tree::verify_consistency(first.size(), second.size(), root, second.root(), proof)?;
        }
        Ok(())
    }

    /// The rules that need no key.
    fn expect_contradiction(&self) -> Result<(), NoFork> {
        let (first, second) = (self.first.checkpoint(), self.second.checkpoint());
        if first.origin() != second.origin() {
            return Err(NoFork::TwoLogs);
        }
        if (first.size(), first.root()) == (second.size(), second.root()) {
            return Err(NoFork::Same);
        }
        let has_one_signature = |signed: &SignedCheckpoint| signed.note().signatures().len() == 1;
        if place(&self.first) > place(&self.second) || ![&self.first, &self.second].into_iter().all(has_one_signature) {
            return Err(NoFork::Form);
        }
        match &self.beginning {
            Some(beginning) if first.size() != second.size() && beginning.root == *first.root() => Err(NoFork::Grown),
            Some(_) if first.size() != second.size() => Ok(()),
            None if first.size() == second.size() => Ok(()),
            Some(_) | None => Err(NoFork::Beginning),
        }
    }
}

fn place(signed: &SignedCheckpoint) -> (u64, &Digest) {
    let checkpoint: &Checkpoint = signed.checkpoint();
    (checkpoint.size(), checkpoint.root())
}

/// The root and the hashes before the checkpoints, and the empty line behind them; none if that line comes at once.
fn read_beginning(rest: &mut &str) -> Result<Option<Beginning>, BadEvidence> {
    let first = line::take(rest).ok_or(BadEvidence::Text)?;
    if first.is_empty() {
        return Ok(None);
    }
    let root = first.strip_prefix("beginning ").and_then(line::hash).ok_or(BadEvidence::Hash)?;
    let proof = line::take_hashes(rest).map_err(|bad| match bad {
        line::BadHashes::CutShort => BadEvidence::Text,
        line::BadHashes::Hash(_) | line::BadHashes::TooMany => BadEvidence::Hash,
    })?;
    Ok(Some(Beginning { root, proof }))
}

/// The file.
impl fmt::Display for ForkEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = format!("{FIRST_LINE}\n");
        if let Some(Beginning { root, proof }) = &self.beginning {
            head.push_str("beginning ");
            line::push_hash(&mut head, root);
            proof.iter().for_each(|hash| line::push_hash(&mut head, hash));
        }
        write!(f, "{head}\n{}\n{}", self.first, self.second)
    }
}
