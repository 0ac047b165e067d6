//! Proof that a member sent an HTTP request: the credentials of `Authorization: Lattice …`.
//!
//! A signature by the author key binds the request to one receiver, method, path and body, and to a moment. It is
//! checked before a byte of the body is read; the body is then held against its hash. Remembering nonces is for the
//! receiver: a request that comes twice within [`FRESH_MS`] is a replay.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, Bytes};

use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, LatticeId, sha256};
use crate::keys::{AuthorKey, SIGNATURE_BYTES, is_signed_by};

const VERSION: u64 = 1;
const DOMAIN: &[u8] = b"lattice/http/v1\0";

/// The scheme in the `Authorization` header, before the credentials.
pub const SCHEME: &str = "Lattice";

/// Milliseconds by which the clocks of sender and receiver may differ: the drift that a lattice allows by default.
pub const FRESH_MS: u64 = 60_000;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

/// Bytes of encoded credentials: seven fields of known size, with room.
pub const AUTHORIZATION_BYTES_MAX: usize = 256;

/// What is asked of whom: all that a signature covers beside sender, moment and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The lattice.
    pub lattice: LatticeId,
    /// The node that is to answer.
    pub receiver: AuthorId,
    /// The HTTP method.
    pub method: &'a str,
    /// The path with its query, as the receiver sees it.
    pub path: &'a str,
}

/// Credentials of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorization {
    /// Who asks.
    pub author: AuthorId,
    /// When, by its wall clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// Random, never used twice.
    pub nonce: [u8; NONCE_BYTES],
    /// SHA-256 of the body.
    pub body: [u8; 32],
    signature: [u8; SIGNATURE_BYTES],
}

impl Authorization {
    /// Signs a request with this body.
    pub fn sign(key: &AuthorKey, asked: &Asked<'_>, body: &[u8], time_ms: u64, nonce: [u8; NONCE_BYTES]) -> Self {
        let body = sha256(&[body]);
        let signature = key.sign(DOMAIN, &message(asked, &body, time_ms, &nonce));
        Self { author: key.id(), time_ms, nonce, body, signature }
    }

    /// Whether the author it names asked exactly this.
    pub fn is_for(&self, asked: &Asked<'_>) -> bool {
        is_signed_by(&self.author, DOMAIN, &message(asked, &self.body, self.time_ms, &self.nonce), &self.signature)
    }

    /// Whether these bytes are the body that was signed.
    pub fn is_body(&self, body: &[u8]) -> bool {
        sha256(&[body]) == self.body
    }

    /// Whether the sender's clock, when it signed, was near enough to ours now.
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.time_ms.abs_diff(now_ms) <= FRESH_MS
    }

    /// Canonical bytes: `[version, author, time, nonce, body hash, signature]`.
    pub fn encode(&self) -> Vec<u8> {
        let (nonce, body) = (ByteArray::new(self.nonce), ByteArray::new(self.body));
        codec::encode(&Wire(VERSION, self.author, self.time_ms, nonce, body, ByteArray::new(self.signature)))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: Wire = codec::decode(bytes, AUTHORIZATION_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        Ok(Self {
            author: wire.1,
            time_ms: wire.2,
            nonce: wire.3.into_array(),
            body: wire.4.into_array(),
            signature: wire.5.into_array(),
        })
    }

    /// The text after the scheme: canonical bytes in base64url without padding.
    pub fn to_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.encode())
    }

    /// Reads the text after the scheme.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn from_text(text: &str) -> Result<Self, DecodeError> {
        if text.len() > AUTHORIZATION_BYTES_MAX * 4 / 3 + 1 {
            return Err(DecodeError::TooLong { bytes: text.len(), limit: AUTHORIZATION_BYTES_MAX * 4 / 3 + 1 });
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        Self::decode(&bytes.map_err(|_| DecodeError::Invalid("credentials are base64url without padding"))?)
    }
}

/// `[lattice id, receiver, method, path, body hash, time, nonce]`; lengths first, so that nothing shifts between fields.
fn message(asked: &Asked<'_>, body: &[u8; 32], time_ms: u64, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let Asked { lattice, receiver, method, path } = asked;
    codec::encode(&(lattice, receiver, method, path, Bytes::new(body), time_ms, Bytes::new(nonce)))
}

#[derive(Serialize, Deserialize)]
struct Wire(u64, AuthorId, u64, ByteArray<NONCE_BYTES>, ByteArray<32>, ByteArray<SIGNATURE_BYTES>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NodeKeys;

    const ASKED: Asked<'_> = Asked {
        lattice: LatticeId([1; 32]),
        receiver: AuthorId([2; 32]),
        method: "POST",
        path: "/api/lattice/reconcile",
    };

    fn signed() -> Authorization {
        Authorization::sign(&NodeKeys::from_seed([8; 32]).author, &ASKED, b"body", 100_000, [7; 16])
    }

    #[test]
    fn credentials_hold_for_one_receiver_method_path_body_and_moment() {
        let signed = Authorization::from_text(&signed().to_text()).expect("its own text");
        assert!(signed.is_for(&ASKED) && signed.is_body(b"body"));
        assert!(!signed.is_body(b"bodY"));
        for other in [
            Asked { lattice: LatticeId([9; 32]), ..ASKED },
            Asked { receiver: AuthorId([9; 32]), ..ASKED },
            Asked { method: "GET", ..ASKED },
            Asked { path: "/api/lattice/reconcile?", ..ASKED },
        ] {
            assert!(!signed.is_for(&other), "{other:?}");
        }
        for other in [
            Authorization { time_ms: 100_001, ..signed },
            Authorization { nonce: [8; 16], ..signed },
            Authorization { body: [0; 32], ..signed },
            Authorization { author: NodeKeys::from_seed([9; 32]).author.id(), ..signed },
        ] {
            assert!(!other.is_for(&ASKED), "{other:?}");
        }
    }

    #[test]
    fn credentials_are_fresh_for_a_minute_either_way() {
        let table = [(100_000, true), (40_000, true), (160_000, true), (39_999, false), (160_001, false), (0, false)];
        for (now_ms, fresh) in table {
            assert_eq!(signed().is_fresh(now_ms), fresh, "{now_ms}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = signed().to_text();
        let padded = format!("{text}=");
        let long = "A".repeat(10_000);
        for bad in ["", "A", "!!!!", &text[1..], &padded, &long] {
            assert!(Authorization::from_text(bad).is_err(), "{bad:.40}");
        }
    }
}
