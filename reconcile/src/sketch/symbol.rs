//! One symbol: the sum of the items in it, the sum of their checks, and how many they are.

use super::item::{ITEM_BYTES, Item, Marks};

/// Bytes of a symbol in a message: 24 of items, 8 of checks, 2 of the count.
pub const SYMBOL_BYTES: usize = ITEM_BYTES + 8 + 2;

/// A sum of items. Sums are exclusive ors, so taking an item out is the same as putting it in; only the count,
/// modulo 2^16, tells the two apart. Of a difference only counts near zero matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Symbol {
    items: [u64; 3],
    checks: u64,
    count: u16,
}

/// Which way an item goes into a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

impl Way {
    /// 1 or -1, modulo 2^16.
    pub(super) fn step(self) -> u16 {
        match self {
            Self::In => 1,
            Self::Out => u16::MAX,
        }
    }

    pub(super) fn back(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }
}

impl Symbol {
    pub(super) fn take(&mut self, item: &Item, marks: &Marks, way: Way) {
        self.add(&Self { items: item.0, checks: marks.check, count: way.step() });
    }

    fn add(&mut self, other: &Self) {
        for (sum, items) in self.items.iter_mut().zip(other.items) {
            *sum ^= items;
        }
        self.checks ^= other.checks;
        self.count = self.count.wrapping_add(other.count);
    }

    /// What `self` holds more than `other`; what it lacks counts as taken out.
    pub(crate) fn less(&self, other: &Self) -> Self {
        let mut difference = *self;
        difference.add(&Self { count: other.count.wrapping_neg(), ..*other });
        difference
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the count says that one item could be read from it.
    pub(super) fn may_be_single(&self) -> bool {
        self.count == Way::In.step() || self.count == Way::Out.step()
    }

    /// The item in it, if it is exactly one.
    pub(super) fn single(&self) -> Option<(Item, Marks, Way)> {
        let way = [Way::In, Way::Out].into_iter().find(|way| way.step() == self.count)?;
        let item = Item(self.items);
        let marks = item.marks();
        (marks.check == self.checks).then_some((item, marks, way))
    }

    /// 34 bytes, all numbers big-endian.
    pub fn to_bytes(&self) -> [u8; SYMBOL_BYTES] {
        let mut bytes = [0; SYMBOL_BYTES];
        bytes[..ITEM_BYTES].copy_from_slice(&Item(self.items).to_bytes());
        bytes[ITEM_BYTES..ITEM_BYTES + 8].copy_from_slice(&self.checks.to_be_bytes());
        bytes[ITEM_BYTES + 8..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// Any 34 bytes are a symbol.
    pub fn from_bytes(bytes: &[u8; SYMBOL_BYTES]) -> Self {
        let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[8 * at + i]));
        Self {
            items: [word(0), word(1), word(2)],
            checks: word(3),
            count: u16::from_be_bytes([bytes[SYMBOL_BYTES - 2], bytes[SYMBOL_BYTES - 1]]),
        }
    }
}
