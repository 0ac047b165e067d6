//! Rows of symbols for the decoder of sketches, and what must hold of the items that it reads out of them.

use lattice::ids::{KeyHash, LeafHash};
use lattice::tree::Leaf;
use reconcile::Index;
use reconcile::sketch::{Found, ITEM_BYTES, Item, SYMBOL_BYTES, Symbol};

/// Symbols in a row with errors: three times what the most entries of one need.
const ROW: usize = 1_200;

/// Bytes cut into symbols.
pub fn portions(bytes: &[u8]) -> Vec<Symbol> {
    bytes.as_chunks().0.iter().map(Symbol::from_bytes).collect()
}

/// The row of a set of so many entries; of what another set lacks, if it is turned round.
pub fn row(entries: usize, is_turned: bool) -> Vec<Symbol> {
    let items = (0..entries).map(|n| {
        let mut bytes = [0; ITEM_BYTES];
        bytes[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes
    });
    let symbols = of(items);
    if is_turned { minus(&[Symbol::default(); ROW], &symbols) } else { symbols }
}

/// Errors: each three bytes say where, and what is added there.
pub fn spoil(mut symbols: Vec<Symbol>, errors: &[u8]) -> Vec<Symbol> {
    for [at, byte, error] in errors.as_chunks().0 {
        let symbol = &mut symbols[usize::from(*at)];
        let mut bytes = symbol.to_bytes();
        bytes[usize::from(*byte) % SYMBOL_BYTES] ^= error;
        *symbol = Symbol::from_bytes(&bytes);
    }
    symbols
}

/// Everything that was read out, put into a sketch again, is the row that it was read from.
pub fn check_found(symbols: &[Symbol], found: &Found) {
    let again = |items: &[Item]| of(items.iter().map(|item| item.to_bytes()));
    let (plus, minus_items) = (again(&found.plus), again(&found.minus));
    assert_eq!(minus(&plus, &minus_items)[..symbols.len().min(ROW)], symbols[..symbols.len().min(ROW)]);
}

/// The row of a set of items. Keys differ behind the bytes that an item shows, so that none replaces another.
fn of(items: impl Iterator<Item = [u8; ITEM_BYTES]>) -> Vec<Symbol> {
    let mut index = Index::default();
    for (n, bytes) in items.enumerate() {
        let (mut key, mut leaf) = (KeyHash::ZERO, LeafHash::ZERO);
        key.0[..8].copy_from_slice(&bytes[..8]);
        key.0[24..].copy_from_slice(&(n as u64).to_be_bytes());
        leaf.0[..16].copy_from_slice(&bytes[8..]);
        index.insert(Leaf { key, leaf, tag: () });
    }
    index.sketch().symbols(0, ROW).collect()
}

fn minus(a: &[Symbol], b: &[Symbol]) -> Vec<Symbol> {
    const COUNT: usize = SYMBOL_BYTES - 2;
    let count = |bytes: &[u8; SYMBOL_BYTES]| u16::from_be_bytes([bytes[COUNT], bytes[COUNT + 1]]);
    let one = |(a, b): (&Symbol, &Symbol)| {
        let (a, b) = (a.to_bytes(), b.to_bytes());
        let mut difference: [u8; SYMBOL_BYTES] = std::array::from_fn(|i| a[i] ^ b[i]);
        difference[COUNT..].copy_from_slice(&count(&a).wrapping_sub(count(&b)).to_be_bytes());
        Symbol::from_bytes(&difference)
    };
    a.iter().zip(b).map(one).collect()
}
