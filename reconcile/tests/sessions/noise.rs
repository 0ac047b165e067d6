//! Symbols that no set has: random ones, and sums of rows made by hand.

use lattice::ids::LeafHash;
use lattice::tree::Leaf;
use reconcile::Index;
use reconcile::sketch::{ESTIMATOR_BYTES, Estimator, SYMBOL_BYTES, Symbol};
use reconcile::view::KeyLeaf;

/// Random bytes, the same for each seed (SplitMix64).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn symbols(&mut self, count: usize) -> Vec<Symbol> {
        let mut symbol = || {
            let mut bytes = [0; SYMBOL_BYTES];
            bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.word().to_be_bytes()[..chunk.len()]));
            Symbol::from_bytes(&bytes)
        };
        (0..count).map(|_| symbol()).collect()
    }

    /// Some hundreds of millions from any other.
    pub(crate) fn estimator(&mut self) -> Box<Estimator> {
        let mut bytes = [0; ESTIMATOR_BYTES];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.word().to_be_bytes()));
        Box::new(Estimator::decode(&bytes))
    }

    /// Some twelve thousand from that of a set that differs little: beyond the symbols that are kept, and not by much.
    pub(crate) fn far_estimator(&mut self, near: &Estimator) -> Box<Estimator> {
        let near = near.encode();
        let counter =
            |i: usize| u16::from_be_bytes([near[2 * i], near[2 * i + 1]]).wrapping_add((self.word() % 190) as u16);
        let bytes: Vec<u8> = (0..ESTIMATOR_BYTES / 2).map(counter).flat_map(u16::to_be_bytes).collect();
        Box::new(Estimator::decode(&bytes.try_into().expect("two bytes each")))
    }
}

/// The first `count` symbols of a set of these entries.
pub(crate) fn row(entries: &[KeyLeaf], count: usize) -> Vec<Symbol> {
    let mut index = Index::default();
    for at in entries {
        index.insert(Leaf { key: at.key, leaf: at.leaf, tag: () });
    }
    index.sketch().symbols(0, count).collect()
}

/// Two rows of symbols added up.
pub(crate) fn plus(a: &[Symbol], b: &[Symbol]) -> Vec<Symbol> {
    combined(a, b, u16::wrapping_add)
}

/// What a row holds without another.
pub(crate) fn minus(a: &[Symbol], b: &[Symbol]) -> Vec<Symbol> {
    combined(a, b, u16::wrapping_sub)
}

fn combined(a: &[Symbol], b: &[Symbol], count: fn(u16, u16) -> u16) -> Vec<Symbol> {
    const COUNT: usize = SYMBOL_BYTES - 2;
    let counted = |bytes: &[u8; SYMBOL_BYTES]| u16::from_be_bytes([bytes[COUNT], bytes[COUNT + 1]]);
    let one = |(a, b): (&Symbol, &Symbol)| {
        let (a, b) = (a.to_bytes(), b.to_bytes());
        let mut sum: [u8; SYMBOL_BYTES] = std::array::from_fn(|i| a[i] ^ b[i]);
        sum[COUNT..].copy_from_slice(&count(counted(&a), counted(&b)).to_be_bytes());
        Symbol::from_bytes(&sum)
    };
    a.iter().zip(b).map(one).collect()
}

/// An entry that nobody wrote.
pub(crate) fn made_up(n: u8) -> KeyLeaf {
    KeyLeaf { key: lattice::ids::KeyHash([n; 32]), leaf: LeafHash([n ^ 0x55; 32]) }
}
