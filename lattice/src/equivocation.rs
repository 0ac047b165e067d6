//! Evidence that an author signed two commits for one place in its chain.

use serde_bytes::{ByteArray, ByteBuf};

use crate::codec::{self, DecodeError};
use crate::commit::SignedHeader;
use crate::keys::SIGNATURE_BYTES;
use crate::limits::HEADER_BYTES_MAX;

/// Two headers of one author with the same lattice, term and number: proof that it broke its chain. Evidence changes
/// nothing in the join; it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// The header with the smaller id.
    pub first: SignedHeader,
    /// The other.
    pub second: SignedHeader,
}

impl Equivocation {
    /// The evidence in two headers; `None` unless lattice, author, term and number match and the ids differ.
    pub fn of(a: &SignedHeader, b: &SignedHeader) -> Option<Self> {
        // An author may write to two lattices: both chains start at 1, and neither contradicts the other.
        let place = |s: &SignedHeader| {
            let header = s.header();
            (header.lattice, header.author, header.term, header.seq)
        };
        let differ = place(a) == place(b) && a.id() != b.id();
        let (first, second) = if a.id() < b.id() { (a, b) } else { (b, a) };
        differ.then(|| Self { first: first.clone(), second: second.clone() })
    }

    /// Whether the author signed both: what an outsider checks.
    pub fn is_proven(&self) -> bool {
        Self::of(&self.first, &self.second).is_some() && self.first.is_signed() && self.second.is_signed()
    }

    /// Canonical bytes: `[header, signature, header, signature]`.
    pub fn encode(&self) -> Vec<u8> {
        let half = |s: &SignedHeader| {
            (ByteBuf::from(s.header_bytes().to_vec()), ByteArray::<SIGNATURE_BYTES>::new(*s.signature()))
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
        type Wire = (ByteBuf, ByteArray<SIGNATURE_BYTES>, ByteBuf, ByteArray<SIGNATURE_BYTES>);
        let (a, b, c, d): Wire = codec::decode(bytes, 2 * HEADER_BYTES_MAX)?;
        let first = SignedHeader::decode(&a, b.into_array())?;
        let second = SignedHeader::decode(&c, d.into_array())?;
        match Self::of(&first, &second) {
            Some(pair) if pair.first == first => Ok(pair),
            _ => Err(DecodeError::Invalid("not two headers of one place in a chain, the smaller id first")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::commit::Draft;
    use crate::ids::{CommitId, LatticeId};
    use crate::keys::NodeKeys;
    use crate::op::Op;

    fn header(author: u8, lattice: u8, seq: u64, key: &str) -> SignedHeader {
        let draft = Draft {
            lattice: LatticeId([lattice; 32]),
            term: 0,
            seq,
            prev: CommitId([u8::from(seq > 1); 32]),
            time: Timestamp::from_millis(1),
        };
        let author = NodeKeys::from_seed([author; 32]).author;
        draft.sign(&author, vec![Op::delete(key).expect("small")]).signed().clone()
    }

    #[test]
    fn two_headers_for_one_place_are_evidence_whoever_shows_them_first() {
        let (a, b) = (header(1, 1, 5, "a"), header(1, 1, 5, "b"));
        let pair = Equivocation::of(&a, &b).expect("one place");
        assert_eq!(Equivocation::of(&b, &a), Some(pair.clone()));
        assert!(pair.is_proven());
        let swapped = Equivocation { first: pair.second.clone(), second: pair.first.clone() };
        assert!(Equivocation::decode(&swapped.encode()).is_err(), "one value, one encoding");
    }

    #[test]
    fn nothing_else_is_evidence() {
        let a = header(1, 1, 5, "a");
        for (other, what) in [
            (a.clone(), "the same header"),
            (header(2, 1, 5, "b"), "another author"),
            (header(1, 1, 6, "b"), "another place"),
            // One seed may serve two lattices; each has a first commit, and neither contradicts the other.
            (header(1, 2, 5, "b"), "another lattice"),
        ] {
            assert_eq!(Equivocation::of(&a, &other), None, "{what}");
        }
        let unsigned = SignedHeader::decode(header(1, 1, 5, "b").header_bytes(), [0; 64]).expect("well-formed");
        let accusation = Equivocation::of(&a, &unsigned).expect("one place");
        assert!(!accusation.is_proven(), "the author did not sign it");
    }
}
