//! Strict DAG-CBOR: one value, one encoding.
//!
//! The CBOR crate refuses what DAG-CBOR forbids (indefinite lengths, long forms of short integers), unless some crate
//! of the build turns on its `less-strict-decoding`. What splits roots must not hang on that: every decoder here
//! encodes again and compares. A length that a stranger claims is never allocated: byte strings
//! borrow from the input, and lists grow as their items are read.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::fault::Fault;
use crate::limits::EXTENSION_BYTES_MAX;

/// Why bytes are not an encoded value. The sender is at fault in each case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than a value of this kind may have.
    #[error("{bytes} bytes are more than the {limit} allowed here")]
    TooLong {
        /// Bytes received.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not CBOR of the expected shape.
    #[error("not the expected CBOR: {0}")]
    Malformed(String),
    /// CBOR of the right shape, but not in its one canonical form.
    #[error("not in canonical form: encoding the value again gives other bytes")]
    NotCanonical,
    /// A version that this program does not know.
    #[error("format version {found} is not known here, only {known}")]
    UnknownVersion {
        /// Version in the bytes.
        found: u64,
        /// Version that this program knows.
        known: u64,
    },
    /// Well-formed, but a field breaks a rule of the format.
    #[error("{0}")]
    Invalid(&'static str),
}

impl DecodeError {
    /// Undecodable bytes are the sender's doing, but for a version newer than ours.
    pub fn fault(&self) -> Fault {
        match self {
            Self::UnknownVersion { .. } => Fault::Nobody,
            Self::TooLong { .. } | Self::Malformed(_) | Self::NotCanonical | Self::Invalid(_) => Fault::Sender,
        }
    }
}

/// Encodes a wire value.
///
/// # Panics
///
/// Never for the wire types of this crate: they hold integers, text, bytes, lists and maps with text keys, and a
/// `Vec` takes all of them.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).unwrap_or_else(|error| unreachable!("wire types always encode: {error}"))
}

/// Decodes a wire value of at most `limit` bytes and proves that `bytes` is its one encoding.
///
/// # Errors
///
/// [`DecodeError`] for too many bytes, another shape, or another form of the same value.
pub fn decode<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit });
    }
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|error| DecodeError::Malformed(in_words(error)))?;
    if encode(&value) != bytes {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

/// What the CBOR crate found, in words: its own text is its debug form.
fn in_words(error: serde_ipld_dagcbor::DecodeError<Infallible>) -> String {
    use serde_ipld_dagcbor::DecodeError as Found;
    match error {
        Found::Msg(text) => text,
        Found::Eof { .. } | Found::RequireLength { .. } | Found::Read(_) => "it ends too early".to_owned(),
        Found::Mismatch { name, found } => format!("byte {found:#04x} where {name} should begin"),
        Found::Unsupported { found, .. } => format!("byte {found:#04x} begins nothing that is allowed"),
        Found::LengthMismatch { expect, value, .. } => format!("{value} items instead of {expect}"),
        Found::RequireUtf8 { .. } => "a text is not UTF-8".to_owned(),
        Found::TrailingData => "bytes follow the value".to_owned(),
        Found::IndefiniteSize => "a length is left open".to_owned(),
        Found::NonMinimal { .. } => "a number is longer than it needs to be".to_owned(),
        Found::UnorderedKey => "the keys of a map are out of order".to_owned(),
        Found::DepthOverflow { .. } => "it is nested too deeply".to_owned(),
        Found::RequireBorrowed { .. }
        | Found::LengthOverflow { .. }
        | Found::CastOverflow { .. }
        | Found::ArithmeticOverflow { .. } => "a number is too large".to_owned(),
    }
}

/// Refuses any version but `known`.
///
/// # Errors
///
/// [`DecodeError::UnknownVersion`].
pub fn expect_version(found: u64, known: u64) -> Result<(), DecodeError> {
    if found == known { Ok(()) } else { Err(DecodeError::UnknownVersion { found, known }) }
}

/// Optional fields that a later version may add to a frame: kept as they came, never interpreted here.
pub type Extensions<'a> = BTreeMap<String, &'a Bytes>;

/// Refuses extension fields beyond [`EXTENSION_BYTES_MAX`].
///
/// # Errors
///
/// [`DecodeError::TooLong`].
pub fn expect_small(extensions: &Extensions<'_>) -> Result<(), DecodeError> {
    let bytes = extensions.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > EXTENSION_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes, limit: EXTENSION_BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_of_the_same_value_are_refused() {
        let canonical = encode(&(1u64, Bytes::new(b"ab")));
        assert_eq!(canonical, [0x82, 0x01, 0x42, b'a', b'b']);
        for (form, why) in [
            (vec![0x82, 0x18, 0x01, 0x42, b'a', b'b'], "long integer"),
            (vec![0x9f, 0x01, 0x42, b'a', b'b', 0xff], "indefinite list"),
            (vec![0x82, 0x01, 0x5f, 0x42, b'a', b'b', 0xff], "indefinite bytes"),
            (vec![0x82, 0x01, 0x42, b'a', b'b', 0x00], "trailing byte"),
            (vec![0x82, 0x01, 0x58, 0x02, b'a', b'b'], "long length"),
        ] {
            let error = decode::<(u64, &Bytes)>(&form, 64).expect_err(why).to_string();
            assert!(!error.contains(['{', '"']), "in words, not in the debug form of another crate: {error}");
        }
        assert!(decode::<(u64, &Bytes)>(&canonical, 64).is_ok());
    }

    #[test]
    fn a_claimed_length_is_not_allocated() {
        // A list of 2^32 items and a byte string of 2^40 bytes, in a few bytes.
        for claim in [vec![0x9b, 0, 0, 0, 1, 0, 0, 0, 0, 0x01], vec![0x5b, 0, 0, 1, 0, 0, 0, 0, 0, 0x01]] {
            assert!(decode::<Vec<u64>>(&claim, 64).is_err());
            assert!(decode::<&Bytes>(&claim, 64).is_err());
        }
    }

    #[test]
    fn unknown_extension_fields_survive_and_are_bounded() {
        let big = vec![0; EXTENSION_BYTES_MAX];
        let small: Extensions<'_> = [("later".to_owned(), Bytes::new(b"x"))].into();
        let bytes = encode(&small);
        let back: Extensions<'_> = decode(&bytes, 64).expect("one field");
        assert_eq!(back, small);
        assert!(expect_small(&back).is_ok());
        assert!(expect_small(&[("big".to_owned(), Bytes::new(&big))].into()).is_err());
    }
}
