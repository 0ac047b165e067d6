//! The keys that signed notes are checked with, and their text form, the *vkey*.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::base64;
use crate::ids::sha256;
use crate::keys::SIGNATURE_BYTES;

/// Bytes of a key's name, as C2SP tlog-cosignature has it for cosigners. Ours have 70 at most.
pub const KEY_NAME_BYTES_MAX: usize = 255;

/// The name of a key that signs notes: 1 to 255 bytes without spaces, control characters and `+`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A text can't be the name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name has 1 to 255 bytes, and no spaces, control characters or plus signs")]
pub struct BadKeyName;

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = BadKeyName;

    fn from_str(text: &str) -> Result<Self, BadKeyName> {
        let is_foreign = |char: char| char.is_whitespace() || char.is_ascii_control() || char == '+';
        if text.is_empty() || text.len() > KEY_NAME_BYTES_MAX || text.contains(is_foreign) {
            return Err(BadKeyName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({})", self.0)
    }
}

/// What a key signs, and how: the signature types of signed-note that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Ed25519 over the text (type 0x01): a log signs its checkpoints.
    Log,
    /// Ed25519 over the text and a time (type 0x04): a witness cosigns the checkpoints of others.
    Cosigner,
}

impl KeyKind {
    const fn signature_type(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosigner => 0x04,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "a log's key (type 0x01)",
            Self::Cosigner => "a witness's key (type 0x04)",
        })
    }
}

/// The id of a key: the first bytes of a hash over all that makes it.
pub(super) fn key_id(name: &KeyName, kind: KeyKind, public: &[u8; 32]) -> u32 {
    let [a, b, c, d, ..] = sha256(&[name.0.as_bytes(), b"\n", &[kind.signature_type()], public]);
    u32::from_be_bytes([a, b, c, d])
}

/// A key that notes are checked with, known from elsewhere than the note. Its text form is a *vkey*.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    id: u32,
    public: [u8; 32],
}

/// Why a text or bytes are not a key that can check notes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVerifierKey {
    /// Not of the form `name+id+key`.
    #[error("not a verifier key: it reads name+12ab34cd+key, with the id in lower-case hex and the key in base64")]
    Form,
    /// The first part can't be a name.
    #[error(transparent)]
    Name(#[from] BadKeyName),
    /// A signature type that is not used here.
    #[error("signature type {0:#04x} is not known here, only Ed25519 for logs (0x01) and for witnesses (0x04)")]
    Kind(u8),
    /// The key is no point of the curve, or one under which signatures prove nothing.
    #[error("the public key is not an Ed25519 key that can be trusted")]
    Point,
    /// The id is not the hash of name and key: one of the three was mistyped.
    #[error("the key id is {found:08x}, and by name and key it must be {expected:08x}")]
    Id {
        /// Id in the text.
        found: u32,
        /// Id that belongs to name and key.
        expected: u32,
    },
}

impl VerifierKey {
    /// Joins a name and a public key.
    ///
    /// # Errors
    ///
    /// [`BadVerifierKey::Point`].
    pub fn new(name: KeyName, kind: KeyKind, public: [u8; 32]) -> Result<Self, BadVerifierKey> {
        match VerifyingKey::from_bytes(&public) {
            Ok(key) if !key.is_weak() => Ok(Self { id: key_id(&name, kind, &public), name, kind, public }),
            Ok(_) | Err(_) => Err(BadVerifierKey::Point),
        }
    }

    /// The key's name; of a log, its origin.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The id that signature lines carry beside the name; it tells keys apart and proves nothing.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The Ed25519 public key.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Whether this key signed exactly these bytes, by the one rule of a lattice ([`crate::keys::is_signed_by`]).
    pub(super) fn holds(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        VerifyingKey::from_bytes(&self.public)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.signature_type()], self.public.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64.encode(&key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = BadVerifierKey;

    fn from_str(text: &str) -> Result<Self, BadVerifierKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadVerifierKey::Form);
        };
        let name: KeyName = name.parse()?;
        let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok()).ok_or(BadVerifierKey::Form)?;
        let key = base64::decode(key).ok_or(BadVerifierKey::Form)?;
        let (kind, public) = match key.split_first().ok_or(BadVerifierKey::Form)? {
            (0x01, public) => (KeyKind::Log, public),
            (0x04, public) => (KeyKind::Cosigner, public),
            (other, _) => return Err(BadVerifierKey::Kind(*other)),
        };
        let key = Self::new(name, kind, public.try_into().map_err(|_| BadVerifierKey::Form)?)?;
        let (found, expected) = (u32::from_be_bytes(id), key.id);
        if found == expected { Ok(key) } else { Err(BadVerifierKey::Id { found, expected }) }
    }
}
