//! One operation: put or delete of one key. What a commit signs, by hash.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::codec::{self, DecodeError};
use crate::ids::{KeyHash, OpHash, ValueHash, sha256};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::merkle::leaf_hash;

/// Bytes of an encoded operation beyond its key and value: kind, two lengths, the list's head.
const OP_OVERHEAD_BYTES: usize = 16;

/// Most bytes of one encoded operation.
pub const OP_BYTES_MAX: usize = KEY_BYTES_MAX + VALUE_BYTES_MAX + OP_OVERHEAD_BYTES;

/// A key: 1 to 512 bytes of UTF-8 without NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// Why a text can't be a key, or bytes can't be a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadOp {
    /// The empty text names nothing.
    #[error("a key must not be empty")]
    EmptyKey,
    /// Too many bytes.
    #[error("a key of {bytes} bytes is longer than the {limit} allowed")]
    LongKey {
        /// Bytes of the key.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// NUL ends strings in too many tools for a key to hold one.
    #[error("a key must not contain a NUL character")]
    NulInKey,
    /// Too many bytes.
    #[error("a value of {bytes} bytes is longer than the {limit} allowed")]
    LongValue {
        /// Bytes of the value.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

impl Key {
    /// Checks and takes a text.
    ///
    /// # Errors
    ///
    /// [`BadOp`] for an empty or long text, or one with a NUL.
    pub fn new(text: &str) -> Result<Self, BadOp> {
        match text.len() {
            0 => return Err(BadOp::EmptyKey),
            bytes if bytes > KEY_BYTES_MAX => {
                return Err(BadOp::LongKey { bytes, limit: KEY_BYTES_MAX });
            }
            _ => {}
        }
        if text.contains('\0') { Err(BadOp::NulInKey) } else { Ok(Self(text.into())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key's place in the state tree.
    pub fn hash(&self) -> KeyHash {
        KeyHash(sha256(&[self.0.as_bytes()]))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// SHA-256 of a value's bytes.
pub fn value_hash(value: &[u8]) -> ValueHash {
    ValueHash(sha256(&[value]))
}

/// A put (`Some`) or delete (`None`) of one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Op {
    key: Key,
    value: Option<Box<[u8]>>,
}

impl Op {
    /// Sets `key` to `value`.
    ///
    /// # Errors
    ///
    /// [`BadOp`] if either breaks the format's bounds.
    pub fn put(key: &str, value: &[u8]) -> Result<Self, BadOp> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(BadOp::LongValue { bytes: value.len(), limit: VALUE_BYTES_MAX });
        }
        Ok(Self { key: Key::new(key)?, value: Some(value.into()) })
    }

    /// Removes `key`, leaving a tombstone.
    ///
    /// # Errors
    ///
    /// [`BadOp`] if the key breaks the format's bounds.
    pub fn delete(key: &str) -> Result<Self, BadOp> {
        Ok(Self { key: Key::new(key)?, value: None })
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The value put; `None` for a delete.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// Canonical bytes: `[0, key, value]` or `[1, key, null]`.
    pub fn encode(&self) -> Vec<u8> {
        let kind = if self.value.is_some() { PUT } else { DELETE };
        codec::encode(&OpWire(kind, self.key.as_str(), self.value.as_deref().map(Bytes::new)))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let OpWire(kind, key, value) = codec::decode(bytes, OP_BYTES_MAX)?;
        let op = match (kind, value) {
            (PUT, Some(value)) => Self::put(key, value),
            (DELETE, None) => Self::delete(key),
            (PUT, None) => return Err(DecodeError::Invalid("a put needs a value")),
            (DELETE, Some(_)) => return Err(DecodeError::Invalid("a delete has no value")),
            _ => return Err(DecodeError::Invalid("an operation is a put (0) or a delete (1)")),
        };
        op.map_err(|bad| match bad {
            BadOp::EmptyKey => DecodeError::Invalid("a key must not be empty"),
            BadOp::NulInKey => DecodeError::Invalid("a key must not contain a NUL character"),
            BadOp::LongKey { bytes, limit } | BadOp::LongValue { bytes, limit } => {
                DecodeError::TooLong { bytes, limit }
            }
        })
    }

    /// RFC 6962 leaf hash of the canonical bytes.
    pub fn hash(&self) -> OpHash {
        OpHash(leaf_hash(&self.encode()))
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "put({:?}, {} bytes)", self.key, value.len()),
            None => write!(f, "delete({:?})", self.key),
        }
    }
}

const PUT: u64 = 0;
const DELETE: u64 = 1;

#[derive(Serialize, Deserialize)]
struct OpWire<'a>(u64, &'a str, #[serde(borrow)] Option<&'a Bytes>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_documented() {
        let put = Op::put("k", b"v").expect("small");
        assert_eq!(put.encode(), [0x83, 0x00, 0x61, b'k', 0x41, b'v']);
        let delete = Op::delete("k").expect("small");
        assert_eq!(delete.encode(), [0x83, 0x01, 0x61, b'k', 0xf6]);
        assert_ne!(put.hash(), delete.hash());
    }

    #[test]
    fn bounds_are_exact() {
        assert!(Op::put(&"k".repeat(512), &vec![0; 65_536]).is_ok());
        assert!(Op::put(&"k".repeat(513), b"").is_err());
        assert!(Op::put("k", &vec![0; 65_537]).is_err());
        assert!(Op::put("", b"").is_err());
        assert!(Op::put("a\0b", b"").is_err());
        let largest = Op::put(&"k".repeat(512), &vec![0; 65_536]).expect("at the bound");
        assert_eq!(Op::decode(&largest.encode()), Ok(largest));
    }

    #[test]
    fn invalid_utf8_in_a_key_is_refused() {
        assert!(Op::decode(&[0x83, 0x00, 0x61, 0xff, 0x41, b'v']).is_err());
    }
}
