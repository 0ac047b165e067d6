//! Checkpoints (C2SP tlog-checkpoint): how long a log is and what its root is, signed by the log and cosigned by peers.
//!
//! A log signs a checkpoint only once, and never one that contradicts another. A witness cosigns (C2SP
//! tlog-cosignature) that the tree grew from the one it saw before.

use std::fmt;

use ed25519_dalek::SigningKey;

use super::note::{
    BadNote, BadSignature, KeyKind, KeyName, NOTE_SIGNATURES_MAX, Note, SignatureLine, Signed, VerifierKey,
};
use super::{LOG_SIZE_MAX, line};
use crate::ids::{AuthorId, LatticeId};
use crate::keys::SIGNATURE_BYTES;
use crate::merkle::Digest;

/// Hexadecimal digits of the lattice id and of the author in the name of a log. The name stands in every signature line,
/// and a proof must be short; it is the key that tells logs apart for certain.
const LATTICE_DIGITS: usize = 16;
const AUTHOR_DIGITS: usize = 32;

/// The name of a node's log, and of the key that signs it: the first 16 digits of the lattice id, a slash, and the first
/// 32 digits of the author, with a slash and a greater number behind it (the time, in milliseconds since 1970) for a log that
/// a node opened because it could no longer tell what it had signed. The name of the first is that of the node as a witness too; key ids tell the two apart.
pub fn origin(lattice: &LatticeId, author: &AuthorId, opening: u64) -> KeyName {
    let (mut name, author) = (lattice.to_string(), author.to_string());
    name.truncate(LATTICE_DIGITS);
    name.push('/');
    name.push_str(&author[..AUTHOR_DIGITS]);
    if opening > 1 {
        name.push_str(&format!("/{opening}"));
    }
    name.parse().unwrap_or_else(|_| unreachable!("digits and slashes, 70 bytes at most"))
}

/// The name of a seat's log: the first 16 digits of the lattice id, a slash, and the seat. No node's log is called so: those
/// have 32 digits there.
pub fn seat_origin(lattice: &LatticeId, seat: &str) -> KeyName {
    let mut name = lattice.to_string();
    name.truncate(LATTICE_DIGITS);
    name.push('/');
    // A seat is a word of the genesis, which may hold what the name of a key can't.
    name.extend(seat.chars().map(|char| if char.is_whitespace() || char == '+' { '-' } else { char }));
    name.parse().unwrap_or_else(|_| unreachable!("no spaces and at most 80 bytes"))
}

/// Whether a log of this name is of a node of the lattice.
pub fn is_of_lattice(origin: &str, lattice: &LatticeId) -> bool {
    origin.split_once('/').is_some_and(|(digits, _)| digits == &lattice.to_string()[..LATTICE_DIGITS])
}

/// A tree head, as the text of a note says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Digest,
    extensions: Vec<String>,
}

/// Why bytes are not a signed checkpoint. Whoever sent them is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// Not even a note.
    #[error("not a signed note: {0}")]
    Note(#[from] BadNote),
    /// The text lacks one of its three lines, or has an empty one.
    #[error("a checkpoint has a line each for origin, size and root, and no empty line")]
    Lines,
    /// The second line is no number of records.
    #[error("the second line of a checkpoint is its size, a decimal number up to {LOG_SIZE_MAX}")]
    Size,
    /// The third line is no hash.
    #[error("the third line of a checkpoint is the root, 32 bytes in base64")]
    Root,
}

impl Checkpoint {
    /// The log that it is about.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Records in the log.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of their tree.
    pub const fn root(&self) -> &Digest {
        &self.root
    }

    /// Lines behind the root, which have no meaning here. Ours have none.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let mut lines = text.strip_suffix('\n').ok_or(BadCheckpoint::Lines)?.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty()).ok_or(BadCheckpoint::Lines);
        let (origin, size, root) = (next()?.to_owned(), next()?, next()?);
        let size = line::decimal(size).filter(|size| *size <= LOG_SIZE_MAX).ok_or(BadCheckpoint::Size)?;
        let root = line::hash(root).ok_or(BadCheckpoint::Root)?;
        let extensions: Vec<_> = lines.map(ToOwned::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(BadCheckpoint::Lines);
        }
        Ok(Self { origin, size, root, extensions })
    }
}

/// The text of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}\n{}\n", self.origin, self.size);
        line::push_hash(&mut text, &self.root);
        f.write_str(&text)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint in a note, its signatures not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// Why a checkpoint is not one of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOfLog {
    /// It is about another log than the key signs for.
    #[error("the checkpoint is of log {found}, not of {}", log.name())]
    OtherOrigin {
        /// Origin of the checkpoint.
        found: String,
        /// The key asked about.
        log: VerifierKey,
    },
    /// The key is not one that signs checkpoints.
    #[error("{0} does not sign checkpoints: it is a witness's key")]
    NotALogKey(KeyName),
    /// No line by the key.
    #[error("the checkpoint is not signed by the key of log {0}")]
    NotSigned(KeyName),
    /// A line by the key, which does not hold.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

/// Why a signature line was not added to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// The key is not one that cosigns.
    #[error("{0} does not cosign checkpoints: it is a log's key")]
    NotAWitness(KeyName),
    /// The line does not hold over this checkpoint.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The other note is about something else.
    #[error("the cosignatures are over another checkpoint")]
    OtherText,
    /// No room for one more.
    #[error("the checkpoint has as many signatures as a note may have: {0}")]
    Full(#[from] BadNote),
}

impl SignedCheckpoint {
    /// Signs a tree head as the log `origin`. Whoever calls this has made sure that it contradicts none before it, and
    /// stores the result before anybody sees it. No log is longer than [`LOG_SIZE_MAX`].
    pub fn sign(origin: &KeyName, size: u64, root: Digest, key: &SigningKey) -> Self {
        let checkpoint = Checkpoint { origin: origin.to_string(), size, root, extensions: Vec::new() };
        let text = checkpoint.to_string();
        let line = SignatureLine::of_log(&text, origin, key);
        let note = Note::new(text, vec![line]).unwrap_or_else(|_| unreachable!("three short lines and a signature"));
        Self { checkpoint, note }
    }

    /// Reads a signed checkpoint. Nothing in it is trusted by that.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadCheckpoint> {
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// What is signed; good for nothing before [`Self::verify`].
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Text and signature lines.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Whether the log that it names signed it.
    ///
    /// # Errors
    ///
    /// [`NotOfLog`] says why not.
    pub fn verify(&self, log: &VerifierKey) -> Result<(), NotOfLog> {
        if log.kind() != KeyKind::Log {
            return Err(NotOfLog::NotALogKey(log.name().clone()));
        }
        if self.checkpoint.origin != log.name().as_str() {
            return Err(NotOfLog::OtherOrigin { found: self.checkpoint.origin.clone(), log: log.clone() });
        }
        self.note.signed_by(log)?.map(|_| ()).ok_or_else(|| NotOfLog::NotSigned(log.name().clone()))
    }

    /// When `witness` cosigned it, in seconds since 1970; `None` if it did not.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if a line claims so and does not hold.
    pub fn cosigned_by(&self, witness: &VerifierKey) -> Result<Option<u64>, BadSignature> {
        Ok(self.note.signed_by(witness)?.and_then(|signed| signed.time_s))
    }

    /// Signs as a witness: as of `time_s`, seconds since 1970, this is the longest tree of the log that it saw, and it
    /// grew from those before. Whoever calls this has checked that and stored it, see [`super::witness`].
    pub fn cosign(&self, time_s: u64, name: &KeyName, key: &SigningKey) -> SignatureLine {
        SignatureLine::of_cosigner(self.note.text(), time_s, name, key)
    }

    /// The checkpoint with the log's own signature and no other.
    ///
    /// # Errors
    ///
    /// [`NotOfLog`] if the log did not sign it.
    pub fn bare(&self, log: &VerifierKey) -> Result<Self, NotOfLog> {
        self.verify(log)?;
        let own = self.note.signatures().iter().find(|line| line.is_by(log)).cloned();
        let note = Note::new(self.note.text().to_owned(), own.into_iter().collect());
        let note = note.unwrap_or_else(|_| unreachable!("a part of a note, with the signature just verified"));
        Ok(Self { checkpoint: self.checkpoint.clone(), note })
    }

    /// Adds a cosignature by `witness`, or takes it for an older one by the same key. Returns whether anything changed.
    /// The order of lines depends on them alone: the log's first, then by name and key id.
    ///
    /// # Errors
    ///
    /// [`NotAdded`]; nothing has changed then.
    pub fn add(&mut self, line: SignatureLine, witness: &VerifierKey) -> Result<bool, NotAdded> {
        if witness.kind() != KeyKind::Cosigner {
            return Err(NotAdded::NotAWitness(witness.name().clone()));
        }
        let text = self.note.text();
        let new = line.signed_by(text, witness)?;
        let held = self.note.signatures().iter().filter(|line| line.is_by(witness));
        // A held line that does not hold came from a stranger, and yields.
        let held: Option<Signed> = held.filter_map(|line| line.signed_by(text, witness).ok()).max();
        if held >= Some(new) {
            return Ok(false);
        }
        let others = self.note.signatures().iter().filter(|line| !line.is_by(witness));
        let mut lines: Vec<_> = others.cloned().chain([line]).collect();
        lines.sort_by(|a, b| self.place_of(a).cmp(&self.place_of(b)));
        self.note = Note::new(text.to_owned(), lines)?;
        Ok(true)
    }

    /// Takes over the cosignatures of another note over the same text, by known witnesses and as far as they are new.
    /// Returns how many.
    ///
    /// # Errors
    ///
    /// [`NotAdded`] for another text, for a line by a known witness that does not hold, and if no more fit; lines
    /// before that one were added.
    pub fn merge(&mut self, other: &Self, witnesses: &[VerifierKey]) -> Result<usize, NotAdded> {
        if self.note.text() != other.note.text() {
            return Err(NotAdded::OtherText);
        }
        let mut added = 0;
        for line in other.note.signatures() {
            if let Some(witness) = witnesses.iter().find(|witness| line.is_by(witness)) {
                added += usize::from(self.add(line.clone(), witness)?);
            }
        }
        Ok(added)
    }

    fn place_of<'a>(&self, line: &'a SignatureLine) -> (bool, &'a KeyName, u32) {
        let is_of_log = line.name().as_str() == self.checkpoint.origin && line.signature_bytes() == SIGNATURE_BYTES;
        (!is_of_log, line.name(), line.key_id())
    }
}

// The bound on signatures leaves room for the log's own beside any set of witnesses that a policy can name.
const _: () = assert!(NOTE_SIGNATURES_MAX > super::policy::POLICY_WITNESSES_MAX);

/// The note, as it is served and stored.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
