//! An entry as a sketch sees it: 24 bytes, and the symbols they take part in.

use lattice::ids::{KeyHash, LeafHash};
use lattice::tree::prefix::Prefix;
use sha2::{Digest, Sha256};

use crate::view::KeyLeaf;

/// Bytes of an item: 8 of the key hash, 16 of the leaf hash.
pub const ITEM_BYTES: usize = 24;

/// Bytes of a key hash that name an entry in a decoded difference.
pub const SHORT_KEY_BYTES: usize = 8;

/// The first bytes of a key hash. Two entries share them by chance once in 2^64; who makes two such keys on purpose
/// (2^32 work) makes a session go on by descent, which compares whole hashes.
pub type ShortKey = [u8; SHORT_KEY_BYTES];

const DOMAIN: &[u8] = b"lattice/sketch/v1\0";

/// The first 8 bytes of an entry's key hash and the first 16 of its leaf hash, as three big-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Item(pub(super) [u64; 3]);

/// What an item's hash says: what is added to its symbols' checks, where it goes, and its signs in the estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) check: u64,
    pub(super) seed: u64,
    pub(super) signs: u64,
}

impl Item {
    /// The item of an entry.
    pub fn of(key: &KeyHash, leaf: &LeafHash) -> Self {
        Self([word(&key.0, 0), word(&leaf.0, 0), word(&leaf.0, 1)])
    }

    /// 24 bytes.
    pub fn to_bytes(self) -> [u8; ITEM_BYTES] {
        let mut bytes = [0; ITEM_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The bytes of the key hash in it.
    pub fn short_key(&self) -> ShortKey {
        self.0[0].to_be_bytes()
    }

    /// Whether this is what an entry with that leaf hash has at the item's key.
    pub fn is_leaf(&self, leaf: &LeafHash) -> bool {
        [self.0[1], self.0[2]] == [word(&leaf.0, 0), word(&leaf.0, 1)]
    }

    /// `SHA-256(domain ‖ item)`, its first three words. Items are pieces of hashes already, but the check must not
    /// be linear in them: sums of items would otherwise pass for items.
    pub(super) fn marks(&self) -> Marks {
        let hash = Sha256::new().chain_update(DOMAIN).chain_update(self.to_bytes()).finalize().into();
        Marks { check: word(&hash, 0), seed: word(&hash, 1), signs: word(&hash, 2) }
    }
}

impl From<&KeyLeaf> for Item {
    fn from(at: &KeyLeaf) -> Self {
        Self::of(&at.key, &at.leaf)
    }
}

/// The part of the tree that a short key names.
pub(crate) fn place_of(short: &ShortKey) -> Prefix {
    let mut key = KeyHash::ZERO;
    key.0[..SHORT_KEY_BYTES].copy_from_slice(short);
    Prefix::of(&key, 8 * SHORT_KEY_BYTES)
}

fn word(hash: &[u8; 32], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|i| hash[8 * at + i]))
}

/// The symbols that an item takes part in, in order: 0, then later ones so that symbol `i` holds an item with
/// probability `1 / (1 + i/2)` (the paper, section 4.2, with α = 1/2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    next: u64,
    state: u64,
}

impl Places {
    pub(super) fn new(marks: &Marks) -> Self {
        Self { next: 0, state: marks.seed }
    }

    /// The next place, if it is below `end`; else it stays the next one.
    pub(super) fn below(&mut self, end: usize) -> Option<usize> {
        let at = usize::try_from(self.next).ok().filter(|at| *at < end)?;
        self.skip();
        Some(at)
    }

    /// `⌈(i + 3/2) · (1/√u − 1)⌉` further on, at least 1, for `u` uniform in (0, 1]. Everything is exact in binary64
    /// or correctly rounded by IEEE 754, so all machines agree.
    fn skip(&mut self) {
        let u = ((self.random() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let gap = ((self.next as f64 + 1.5) * (1.0 / u.sqrt() - 1.0)).ceil().max(1.0);
        // Far beyond any symbol that is ever asked for, the conversion and the sum saturate.
        self.next = self.next.saturating_add(gap as u64);
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
