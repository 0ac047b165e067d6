//! A place in the state tree: the first bits that a set of key hashes share.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::codec::DecodeError;
use crate::ids::KeyHash;

/// The bit of `key` at `depth`, most significant first.
pub(super) fn bit(key: &KeyHash, depth: usize) -> usize {
    usize::from(key.0[depth / 8] >> (7 - depth % 8) & 1)
}

/// The first `bits` bits of key hashes, 0 to 256 of them; the rest is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    key: KeyHash,
    bits: u16,
}

/// The bytes that hold the bits, in hexadecimal, and the number of bits: `a3f0/12`; `/0` for the whole tree.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", HEXLOWER.encode(&self.key.0[..self.bits().div_ceil(8)]), self.bits)
    }
}

impl Prefix {
    /// The whole tree.
    pub const ALL: Self = Self { key: KeyHash::ZERO, bits: 0 };

    /// The first `bits` bits of `key`; more than 256 are 256.
    pub fn of(key: &KeyHash, bits: usize) -> Self {
        let bits = bits.min(256);
        let mut cut = [0; 32];
        cut[..bits / 8].copy_from_slice(&key.0[..bits / 8]);
        if !bits.is_multiple_of(8) {
            cut[bits / 8] = key.0[bits / 8] & (0xff << (8 - bits % 8));
        }
        Self { key: KeyHash(cut), bits: bits as u16 }
    }

    /// Number of bits.
    pub fn bits(&self) -> usize {
        usize::from(self.bits)
    }

    /// The bit at `depth`, which must be below [`Prefix::bits`].
    pub(super) fn bit(&self, depth: usize) -> usize {
        bit(&self.key, depth)
    }

    /// Whether `key` starts with these bits.
    pub fn covers(&self, key: &KeyHash) -> bool {
        Self::of(key, self.bits()).key == self.key
    }

    /// The smallest key hash that starts with these bits.
    pub fn first_key(&self) -> KeyHash {
        self.key
    }

    /// The `2^more` prefixes that are `more` bits longer, in order; `None` if that is beyond 256 bits or `more > 8`.
    pub fn children(&self, more: usize) -> Option<impl Iterator<Item = Self> + use<>> {
        let (parent, bits) = (*self, self.bits() + more);
        (bits <= 256 && more <= 8).then(|| {
            (0..1u16 << more).map(move |child| {
                let mut key = parent.key;
                for i in 0..more {
                    let at = parent.bits() + i;
                    if child >> (more - 1 - i) & 1 == 1 {
                        key.0[at / 8] |= 1 << (7 - at % 8);
                    }
                }
                Self { key, bits: bits as u16 }
            })
        })
    }

    /// The wire form: `[bits, the bytes that hold them]`.
    pub fn to_wire(&self) -> PrefixWire<'_> {
        PrefixWire(u64::from(self.bits), Bytes::new(&self.key.0[..self.bits().div_ceil(8)]))
    }
}

/// `[bits, bytes]`, as messages carry a prefix.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrefixWire<'a>(u64, #[serde(borrow)] &'a Bytes);

impl TryFrom<&PrefixWire<'_>> for Prefix {
    type Error = DecodeError;

    fn try_from(wire: &PrefixWire<'_>) -> Result<Self, DecodeError> {
        let invalid = DecodeError::Invalid("a prefix is up to 256 bits in as many bytes as hold them, the rest zero");
        if wire.0 > 256 || wire.1.len() != (wire.0 as usize).div_ceil(8) {
            return Err(invalid);
        }
        let mut key = [0; 32];
        key[..wire.1.len()].copy_from_slice(wire.1);
        let prefix = Self::of(&KeyHash(key), wire.0 as usize);
        if prefix.key.0 == key { Ok(prefix) } else { Err(invalid) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_partition_their_parent() {
        let key = KeyHash([0b1010_1100; 32]);
        for bits in [0, 3, 8, 13, 250] {
            let parent = Prefix::of(&key, bits);
            let children: Vec<_> = parent.children(4).expect("within 256 bits").collect();
            assert_eq!(children.len(), 16);
            assert_eq!(children.iter().filter(|child| child.covers(&key)).count(), 1, "{bits}");
            assert!(children.windows(2).all(|pair| pair[0] < pair[1]), "in order");
            assert!(children.iter().all(|child| parent.covers(&child.first_key())));
        }
        assert!(Prefix::of(&key, 253).children(4).is_none());
    }

    #[test]
    fn wire_form_is_strict() {
        let prefix = Prefix::of(&KeyHash([0xff; 32]), 12);
        assert_eq!(Prefix::try_from(&prefix.to_wire()), Ok(prefix));
        for bad in [
            PrefixWire(12, Bytes::new(&[0xff, 0xff])),
            PrefixWire(12, Bytes::new(&[0xff])),
            PrefixWire(257, Bytes::new(&[0; 33])),
        ] {
            assert!(Prefix::try_from(&bad).is_err(), "{bad:?}");
        }
    }
}
