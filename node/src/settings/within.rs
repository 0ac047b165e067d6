//! Whole numbers within bounds, checked where they are typed.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Within<const LEAST: u64, const MOST: u64>(u64);

/// Milliseconds between two checkpoints of a log that grows: no more than ten a second, no fewer than one an hour.
pub type CheckpointMs = Within<100, 3_600_000>;

impl<const LEAST: u64, const MOST: u64> Within<LEAST, MOST> {
    /// The least and the most that is taken.
    pub const RANGE: (u64, u64) = (LEAST, MOST);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const LEAST: u64, const MOST: u64> TryFrom<u64> for Within<LEAST, MOST> {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&number) { Ok(Self(number)) } else { Err(bad(&number, LEAST, MOST)) }
    }
}

impl<const LEAST: u64, const MOST: u64> FromStr for Within<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<u64>().map_err(|_| bad(&format!("{text:?}"), LEAST, MOST))?.try_into()
    }
}

fn bad(found: &dyn fmt::Display, least: u64, most: u64) -> String {
    format!("{found} is not a whole number from {least} to {most}")
}
