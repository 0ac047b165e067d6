//! Signed notes (C2SP signed-note): a text and lines that sign it, and the keys that such lines are checked with.
//!
//! A note that was read is not yet worth anything: [`Note::signed_by`] asks it about one key that the caller knows.
//! Lines by other keys are kept and mean nothing. A line by that key which does not hold condemns the whole note.

mod key;

use std::collections::HashSet;
use std::fmt;

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};

pub use key::{BadKeyName, BadVerifierKey, KEY_NAME_BYTES_MAX, KeyKind, KeyName, VerifierKey};

use crate::base64;
use crate::keys::SIGNATURE_BYTES;
use key::key_id;

/// Bytes of a note: sixteen post-quantum signatures of 5 kB in base64, which signed-note wants read, or
/// [`NOTE_SIGNATURES_MAX`] lines of ours.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;

/// Signature lines of a note: the log's, those of all witnesses of the largest policy, and some by strangers.
pub const NOTE_SIGNATURES_MAX: usize = 288;

/// What a signature line starts with.
const LINE_START: &str = "— ";

/// Bytes of a cosignature: the time before an Ed25519 signature.
const COSIGNATURE_BYTES: usize = 8 + SIGNATURE_BYTES;

/// The latest time of a cosignature, in seconds (C2SP tlog-cosignature).
const TIME_MAX_S: u64 = i64::MAX as u64;

/// One signature line: who claims to have signed, and bytes that may prove it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignatureLine {
    name: KeyName,
    key_id: u32,
    signature: Vec<u8>,
}

/// Why bytes are not a note, or can't become one. Whoever sent them is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// More bytes than a note may have.
    #[error("a note has at most {NOTE_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Not text, or text with control characters.
    #[error("a note is UTF-8 text without control characters")]
    Text,
    /// Text and signatures are not apart, or one of them is missing.
    #[error("a note is a text, an empty line and signature lines, and ends with a newline")]
    Parts,
    /// A line among the signatures is none.
    #[error("line {0} behind the text is not a signature: it reads — name base64")]
    Line(usize),
    /// More signatures than a note may have.
    #[error("a note has at most {NOTE_SIGNATURES_MAX} signatures")]
    TooManySignatures,
}

impl SignatureLine {
    /// Signs `text` as a log does.
    pub(super) fn of_log(text: &str, name: &KeyName, key: &SigningKey) -> Self {
        let signature = key.sign(text.as_bytes()).to_bytes().to_vec();
        let key_id = key_id(name, KeyKind::Log, key.verifying_key().as_bytes());
        Self { name: name.clone(), key_id, signature }
    }

    /// Signs `text` and the time, in seconds since 1970, as a witness does. A time of 0 says nothing: it becomes 1.
    pub(crate) fn of_cosigner(text: &str, time_s: u64, name: &KeyName, key: &SigningKey) -> Self {
        let time_s = time_s.clamp(1, TIME_MAX_S);
        let signature = key.sign(cosigned_message(text, time_s).as_bytes()).to_bytes();
        let key_id = key_id(name, KeyKind::Cosigner, key.verifying_key().as_bytes());
        Self { name: name.clone(), key_id, signature: [time_s.to_be_bytes().as_slice(), &signature].concat() }
    }

    /// Reads one line without the newline behind it; `None` if it is no signature.
    pub fn parse(line: &str) -> Option<Self> {
        if line.len() > NOTE_BYTES_MAX {
            return None;
        }
        let (name, signature) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let name = name.parse().ok()?;
        let bytes = base64::decode(signature)?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        let key_id = u32::from_be_bytes(*key_id);
        (!signature.is_empty()).then(|| Self { name, key_id, signature: signature.to_vec() })
    }

    /// The name of the key that is claimed to have signed.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of that key.
    pub const fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Bytes of the signature.
    pub(super) fn signature_bytes(&self) -> usize {
        self.signature.len()
    }

    /// Whether this line claims to be by `key`.
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.key_id == key.id() && self.name == *key.name()
    }

    /// Checks the line, which claims to be by `key`, over a text; `None` if it does not hold.
    fn check(&self, text: &str, key: &VerifierKey) -> Option<Signed> {
        match key.kind() {
            KeyKind::Log => {
                let signature = self.signature.as_slice().try_into().ok()?;
                key.holds(text.as_bytes(), signature).then_some(Signed { time_s: None })
            }
            KeyKind::Cosigner => {
                let signature: &[u8; COSIGNATURE_BYTES] = self.signature.as_slice().try_into().ok()?;
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time_s = u64::from_be_bytes(*time);
                let holds = (1..=TIME_MAX_S).contains(&time_s)
                    && key.holds(cosigned_message(text, time_s).as_bytes(), signature.try_into().ok()?);
                holds.then_some(Signed { time_s: Some(time_s) })
            }
        }
    }

    /// What the line says if `key` signed it over `text`.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if it is by another key, or does not hold.
    pub(super) fn signed_by(&self, text: &str, key: &VerifierKey) -> Result<Signed, BadSignature> {
        let bad = || BadSignature(key.name().clone());
        if self.is_by(key) { self.check(text, key).ok_or_else(bad) } else { Err(bad()) }
    }
}

/// The line without the newline behind it.
impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.to_be_bytes().as_slice(), &self.signature].concat();
        write!(f, "{LINE_START}{} {}", self.name, BASE64.encode(&bytes))
    }
}

/// What a witness signs (C2SP tlog-cosignature). No checkpoint and no text of ours begins like it.
fn cosigned_message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// What a signature that holds says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signed {
    /// When a witness signed, in seconds since 1970; logs don't say.
    pub time_s: Option<u64>,
}

/// A signature line by a known key does not hold: the note was altered or made up, and is worth nothing as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature by {0} does not hold")]
pub struct BadSignature(pub KeyName);

/// A text with its signature lines, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Joins a text, which ends with a newline, and at least one signature line.
    ///
    /// # Errors
    ///
    /// [`BadNote`] if the two don't make a note.
    pub fn new(text: String, signatures: Vec<SignatureLine>) -> Result<Self, BadNote> {
        if text.contains(|char: char| char < ' ' && char != '\n') {
            return Err(BadNote::Text);
        }
        if !text.ends_with('\n') || signatures.is_empty() {
            return Err(BadNote::Parts);
        }
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(BadNote::TooManySignatures);
        }
        let note = Self { text, signatures };
        let bytes = note.to_string().len();
        if bytes > NOTE_BYTES_MAX { Err(BadNote::TooLong(bytes)) } else { Ok(note) }
    }

    /// Reads a note. Nothing in it is trusted by that.
    ///
    /// # Errors
    ///
    /// [`BadNote`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadNote> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(BadNote::TooLong(bytes.len()));
        }
        let all = std::str::from_utf8(bytes).map_err(|_| BadNote::Text)?;
        // The last empty line parts them: the text may have such lines, the signatures have none.
        let at = all.rfind("\n\n").ok_or(BadNote::Parts)?;
        let (text, signatures) = (&all[..=at], &all[at + 2..]);
        let mut lines = Vec::new();
        for (number, line) in signatures.strip_suffix('\n').ok_or(BadNote::Parts)?.split('\n').enumerate() {
            if number == NOTE_SIGNATURES_MAX {
                return Err(BadNote::TooManySignatures);
            }
            lines.push(SignatureLine::parse(line).ok_or(BadNote::Line(number + 1))?);
        }
        Self::new(text.to_owned(), lines)
    }

    /// The text that is signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, none of them checked.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// What the note says if `key` signed it; `None` if no line claims to be by it. Of several lines by one key all must
    /// hold; the latest time counts. A line that is there again is checked once: anybody can repeat one.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if a line claims to be by `key` and does not hold.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<Option<Signed>, BadSignature> {
        let lines = self.lines_by(key);
        let mut signed = lines.iter().map(|line| line.signed_by(&self.text, key));
        signed.try_fold(None, |latest, signed| Ok(latest.max(Some(signed?))))
    }

    /// The lines that claim to be by `key`, each once.
    fn lines_by(&self, key: &VerifierKey) -> Vec<&SignatureLine> {
        let mut seen = HashSet::new();
        self.signatures.iter().filter(|line| line.is_by(key) && seen.insert(&line.signature)).collect()
    }
}

/// The note as it is served and stored.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was checked: with the log's own line in all places anybody could have a witness check 288 signatures.
    #[test]
    fn a_line_that_is_repeated_is_checked_once() {
        let (name, secret): (KeyName, _) = ("a".parse().expect("a name"), SigningKey::from_bytes(&[1; 32]));
        let key = VerifierKey::new(name.clone(), KeyKind::Log, secret.verifying_key().to_bytes()).expect("a key");
        let good = SignatureLine::of_log("text\n", &name, &secret);
        let mut lines = vec![good; NOTE_SIGNATURES_MAX];
        let repeated = Note::new("text\n".to_owned(), lines.clone()).expect("a note");
        assert_eq!(repeated.lines_by(&key).len(), 1);
        assert_eq!(repeated.signed_by(&key), Ok(Some(Signed { time_s: None })));
        // One that differs is another line, and all must hold.
        lines[200].signature[0] ^= 1;
        let spoiled = Note::new("text\n".to_owned(), lines).expect("a note");
        assert_eq!((spoiled.lines_by(&key).len(), spoiled.signed_by(&key)), (2, Err(BadSignature(name))));
    }
}
