//! About how many items two sets differ in, from 128 bytes of each.
//!
//! The tug-of-war sketch of Alon, Matias and Szegedy (STOC 1996): each of 64 counters goes up by one for half of all
//! items and down for the other half. What both sets hold falls out of the difference of two counters, and its
//! square is the number of differences on average; the mean of 64 of them is off by 18 % (one standard deviation).

use super::item::Marks;
use super::symbol::Way;

const COUNTERS: usize = 64;

/// Bytes of an estimator in heads and messages.
pub const ESTIMATOR_BYTES: usize = 2 * COUNTERS;

/// 64 counters, modulo 2^16: right for up to some ten million differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimator([u16; COUNTERS]);

impl Default for Estimator {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Estimator {
    pub(super) fn take(&mut self, marks: &Marks, way: Way) {
        let (up, down) = (way.step(), way.back().step());
        for (bit, counter) in self.0.iter_mut().enumerate() {
            *counter = counter.wrapping_add(if marks.signs >> bit & 1 == 1 { up } else { down });
        }
    }

    /// About how many items the two sets differ in. 0 does not prove that they are equal.
    pub fn difference(&self, other: &Self) -> u64 {
        let square = |(a, b): (&u16, &u16)| {
            let apart = i64::from(a.wrapping_sub(*b) as i16);
            (apart * apart) as u64
        };
        self.0.iter().zip(&other.0).map(square).sum::<u64>() / COUNTERS as u64
    }

    /// 128 bytes, each counter big-endian.
    pub fn encode(&self) -> [u8; ESTIMATOR_BYTES] {
        std::array::from_fn(|i| self.0[i / 2].to_be_bytes()[i % 2])
    }

    /// Any 128 bytes are an estimator.
    pub fn decode(bytes: &[u8; ESTIMATOR_BYTES]) -> Self {
        Self(std::array::from_fn(|i| u16::from_be_bytes([bytes[2 * i], bytes[2 * i + 1]])))
    }
}
