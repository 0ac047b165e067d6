//! Entry bundles: the records behind the leaf hashes of one tile of level 0.

use std::fmt;
use std::str::FromStr;

use super::{BadPath, TILE_HASHES, TileId, read_place, write_place};
use crate::limits::RECORD_BYTES_MAX;

/// Bytes of an entry bundle: 256 of the longest records, each with its length.
pub const BUNDLE_BYTES_MAX: usize = TILE_HASHES * (2 + RECORD_BYTES_MAX);

/// Names one entry bundle: the records whose leaf hashes are in the tile of level 0 at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(TileId);

impl BundleId {
    /// The bundle at `index` with `width` records; `None` if no log has it.
    pub fn new(index: u64, width: u16) -> Option<Self> {
        TileId::new(0, index, width).map(Self)
    }

    /// The tile with the leaf hashes of these records.
    pub const fn leaves(&self) -> TileId {
        self.0
    }
}

/// The path behind `tile/entries/`: `x001/067.p/5`.
impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.0.index(), self.0.width())
    }
}

impl FromStr for BundleId {
    type Err = BadPath;

    fn from_str(path: &str) -> Result<Self, BadPath> {
        let (index, width) = read_place(path)?;
        Self::new(index, width).filter(|id| id.to_string() == path).ok_or(BadPath)
    }
}

/// Why records and a bundle don't fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// None, or more than 256.
    #[error("a bundle has 1 to 256 records, not {0}")]
    Count(usize),
    /// Its length does not fit 16 bits.
    #[error("a record has at most 65535 bytes, not {0}")]
    Record(usize),
    /// A length reaches beyond the end, or fewer records came than were promised.
    #[error("the bundle ends within record {0} of it")]
    Short(usize),
    /// Bytes follow the last record.
    #[error("{0} bytes follow the last record of the bundle")]
    Trailing(usize),
}

/// An entry bundle: each record behind its length in two bytes, the higher first.
///
/// # Errors
///
/// [`BadBundle`] for another number of records than 1 to 256, or one beyond 65,535 bytes.
pub fn encode_bundle<R: AsRef<[u8]>>(records: &[R]) -> Result<Vec<u8>, BadBundle> {
    if records.is_empty() || records.len() > TILE_HASHES {
        return Err(BadBundle::Count(records.len()));
    }
    let mut bytes = Vec::with_capacity(records.iter().map(|record| 2 + record.as_ref().len()).sum());
    for record in records.iter().map(AsRef::as_ref) {
        let length = u16::try_from(record.len()).map_err(|_| BadBundle::Record(record.len()))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(record);
    }
    Ok(bytes)
}

/// The records of an entry bundle, which has exactly as many as its name says.
///
/// # Errors
///
/// [`BadBundle`] if the bytes end too early or too late.
pub fn decode_bundle(id: BundleId, bytes: &[u8]) -> Result<Vec<&[u8]>, BadBundle> {
    let mut rest = bytes;
    let mut records = Vec::with_capacity(usize::from(id.0.width()));
    for number in 0..usize::from(id.0.width()) {
        let (length, behind) = rest.split_first_chunk::<2>().ok_or(BadBundle::Short(number))?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (record, behind) = behind.split_at_checked(length).ok_or(BadBundle::Short(number))?;
        records.push(record);
        rest = behind;
    }
    if rest.is_empty() { Ok(records) } else { Err(BadBundle::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_its_records_and_nothing_more() {
        let long = vec![7; RECORD_BYTES_MAX];
        let records: [&[u8]; 3] = [b"", b"ab", &long];
        let bytes = encode_bundle(&records).expect("three records");
        let id = |width| BundleId::new(0, width).expect("it exists");
        assert_eq!(bytes[..6], [0, 0, 0, 2, b'a', b'b']);
        assert_eq!(decode_bundle(id(3), &bytes), Ok(records.to_vec()));
        assert_eq!(decode_bundle(id(2), &bytes), Err(BadBundle::Trailing(2 + RECORD_BYTES_MAX)));
        assert_eq!(decode_bundle(id(4), &bytes), Err(BadBundle::Short(3)));
        assert_eq!(decode_bundle(id(3), &bytes[..bytes.len() - 1]), Err(BadBundle::Short(2)));
        assert_eq!(encode_bundle::<&[u8]>(&[]), Err(BadBundle::Count(0)));
        assert_eq!(encode_bundle(&[[0; 1]; 257]), Err(BadBundle::Count(257)));
        assert_eq!(encode_bundle(&[vec![0; RECORD_BYTES_MAX + 1]]), Err(BadBundle::Record(65_536)));
    }
}
