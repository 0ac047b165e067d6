//! Evidence that an author signed two commits for one place in its chain.

use serde_bytes::{ByteArray, ByteBuf};

use crate::codec::{self, DecodeError};
use crate::commit::SignedHeader;
use crate::keys::SIGNATURE_BYTES;
use crate::limits::HEADER_BYTES_MAX;

/// Two headers of one author with the same term and number: proof that it broke its chain. Evidence changes
/// nothing in the join; it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// The header with the smaller id.
    pub first: SignedHeader,
    /// The other.
    pub second: SignedHeader,
}

impl Equivocation {
    /// The evidence in two headers; `None` unless author, term and number match and the ids differ.
    pub fn of(a: &SignedHeader, b: &SignedHeader) -> Option<Self> {
        let place = |s: &SignedHeader| (s.header().author, s.header().term, s.header().seq);
        let differ = place(a) == place(b) && a.id() != b.id();
        let (first, second) = if a.id() < b.id() { (a, b) } else { (b, a) };
        differ.then(|| Self {
            first: first.clone(),
            second: second.clone(),
        })
    }

    /// Whether the author signed both: what an outsider checks.
    pub fn is_proven(&self) -> bool {
        Self::of(&self.first, &self.second).is_some() && self.first.is_signed() && self.second.is_signed()
    }

    /// Canonical bytes: `[header, signature, header, signature]`.
    pub fn encode(&self) -> Vec<u8> {
        let half = |s: &SignedHeader| {
            (
                ByteBuf::from(s.header_bytes().to_vec()),
                ByteArray::<SIGNATURE_BYTES>::new(*s.signature()),
            )
        };
        let ((a, b), (c, d)) = (half(&self.first), half(&self.second));
        codec::encode(&(a, b, c, d))
    }

    /// Reads canonical bytes; the signatures are for [`Equivocation::is_proven`].
    ///
    /// # Errors
    ///
    /// [`DecodeError`], also if the two headers contradict nothing.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        type Wire = (
            ByteBuf,
            ByteArray<SIGNATURE_BYTES>,
            ByteBuf,
            ByteArray<SIGNATURE_BYTES>,
        );
        let (a, b, c, d): Wire = codec::decode(bytes, 2 * HEADER_BYTES_MAX)?;
        let first = SignedHeader::decode(&a, b.into_array())?;
        let second = SignedHeader::decode(&c, d.into_array())?;
        match Self::of(&first, &second) {
            Some(pair) if pair.first == first => Ok(pair),
            _ => Err(DecodeError::Invalid(
                "not two headers of one place in a chain, the smaller id first",
            )),
        }
    }
}
