//! Rateless set sketches: what two sets differ in, found by messages in the size of the difference.
//!
//! Yang, Gilad and Alizadeh, "Practical Rateless Set Reconciliation" (SIGCOMM 2024). A set is coded into an endless
//! row of *symbols*; each item takes part in symbol 0 and in later ones with falling frequency. The symbols of two
//! sets, one subtracted from the other, are the symbols of what they differ in, and as soon as there are about 1.4
//! times as many as differences, all of these can be read out. How many that will be need not be known: a peer asks
//! for more of the same row.
//!
//! Each node keeps the first [`KEPT_SYMBOLS`](crate::limits::KEPT_SYMBOLS) symbols of its state as entries come and
//! go ([`Sketch`]), so that nobody walks a state to find a small difference. Beside them stands an [`Estimator`]
//! that tells about how many differences there are.
//!
//! # Reading order
//!
//! `item` (24 bytes for an entry, and where they go), `symbol`, `kept` (the row that follows a state), `decoder`
//! (what a difference of symbols says), `estimator`.

mod decoder;
mod estimator;
mod item;
mod kept;
mod symbol;

pub use decoder::{Decoder, Found, Malformed, Progress};
pub use estimator::{ESTIMATOR_BYTES, Estimator};
pub(crate) use item::place_of;
pub use item::{ITEM_BYTES, Item, SHORT_KEY_BYTES, ShortKey};
pub use kept::Sketch;
pub use symbol::{SYMBOL_BYTES, Symbol};

/// Symbols that read out `differences` of them in nine of ten cases and more (measured up to 10,000).
pub fn symbols_for(differences: u64) -> u64 {
    let d = differences.max(1);
    // 1.37 d in the limit; the rest is what small sketches scatter.
    (d.saturating_mul(137) / 100).saturating_add(3 * d.isqrt()).saturating_add(3)
}

#[cfg(test)]
mod tests;
