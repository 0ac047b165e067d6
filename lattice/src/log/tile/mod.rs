//! Tiles and entry bundles: the static pieces that a log is served in (C2SP tlog-tiles).
//!
//! A tile holds up to 256 hashes of one level. Level 0 are the leaves; a hash of level `l` covers `256^l` of them and is
//! the root of a full tile of the level below. A log has at most [`LOG_SIZE_MAX`] records, so there are eight levels.

mod bundle;

use std::fmt;
use std::str::FromStr;

pub use bundle::{BUNDLE_BYTES_MAX, BadBundle, BundleId, decode_bundle, encode_bundle};

use super::{LOG_SIZE_MAX, line};
use crate::merkle::Digest;

/// Hashes in a full tile, and records in a full bundle.
pub const TILE_HASHES: usize = 256;

/// Levels of the tree that a tile spans: `2^8` is 256.
pub const TILE_HEIGHT: u32 = 8;

/// Levels of tiles: a hash of the ninth would cover more leaves than [`LOG_SIZE_MAX`].
pub const TILE_LEVELS: usize = 8;

/// Characters of the longest path: the level, seven groups of digits, a width.
const PATH_CHARS_MAX: usize = 48;

/// Names one tile of hashes that a log can have: its leaves are within [`LOG_SIZE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    /// The tile at `index` of `level` with `width` hashes; `None` if no log has it.
    pub fn new(level: u8, index: u64, width: u16) -> Option<Self> {
        let widths = 1..=TILE_HASHES as u16;
        if usize::from(level) >= TILE_LEVELS || !widths.contains(&width) {
            return None;
        }
        let end = (u128::from(index) * TILE_HASHES as u128 + u128::from(width)) << (TILE_HEIGHT * u32::from(level));
        (end <= u128::from(LOG_SIZE_MAX)).then_some(Self { level, index, width })
    }

    /// The tile as it is in a log of `size` records: full, or as wide as the log reaches; `None` if it has no hash yet.
    pub fn at_size(level: u8, index: u64, size: u64) -> Option<Self> {
        if usize::from(level) >= TILE_LEVELS {
            return None;
        }
        let hashes = size >> (TILE_HEIGHT * u32::from(level));
        let width = hashes.checked_sub(index.checked_mul(TILE_HASHES as u64)?)?.min(TILE_HASHES as u64);
        Self::new(level, index, width as u16)
    }

    /// 0 for leaves; a hash covers `256^level` of them.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Place within the level, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hashes in the tile, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Records that a log has at least if it has this tile.
    pub const fn log_size_min(&self) -> u64 {
        // Within [`LOG_SIZE_MAX`], as `new` saw.
        (self.index * TILE_HASHES as u64 + self.width as u64) << (TILE_HEIGHT * self.level as u32)
    }

    /// Whether it has all 256 hashes, and so never changes.
    pub const fn is_full(&self) -> bool {
        self.width as usize == TILE_HASHES
    }
}

/// The path behind `tile/`: `0/x001/x234/067.p/5`.
impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.level)?;
        write_place(f, self.index, self.width)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let mut above = index / 1000;
    let mut groups = Vec::new();
    while above > 0 {
        groups.push(above % 1000);
        above /= 1000;
    }
    for group in groups.iter().rev() {
        write!(f, "x{group:03}/")?;
    }
    write!(f, "{:03}", index % 1000)?;
    if usize::from(width) < TILE_HASHES { write!(f, ".p/{width}") } else { Ok(()) }
}

/// A path that names no tile or entry bundle, or in another form than the one that tlog-tiles defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no path of a tile or an entry bundle, such as 0/x001/234 or x001/067.p/5")]
pub struct BadPath;

impl FromStr for TileId {
    type Err = BadPath;

    fn from_str(path: &str) -> Result<Self, BadPath> {
        let (level, place) = path.split_once('/').ok_or(BadPath)?;
        let level = line::decimal(level).and_then(|level| level.try_into().ok()).ok_or(BadPath)?;
        let (index, width) = read_place(place)?;
        Self::new(level, index, width).filter(|id| id.to_string() == path).ok_or(BadPath)
    }
}

/// Reads more than the one form that is allowed; the caller writes the name again and compares.
fn read_place(place: &str) -> Result<(u64, u16), BadPath> {
    if place.len() > PATH_CHARS_MAX {
        return Err(BadPath);
    }
    let (groups, width) = match place.split_once(".p/") {
        Some((groups, width)) => (groups, line::decimal(width).and_then(|width| width.try_into().ok()).ok_or(BadPath)?),
        None => (place, TILE_HASHES as u16),
    };
    let mut index = 0u64;
    for group in groups.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadPath);
        }
        let group: u64 = digits.parse().map_err(|_| BadPath)?;
        index = index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(BadPath)?;
    }
    Ok((index, width))
}

/// A tile with its hashes, as many as its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    id: TileId,
    hashes: Vec<Digest>,
}

/// The number of bytes or hashes is not the one that the tile's name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tile {id} has {} bytes, and {bytes} came", usize::from(id.width()) * 32)]
pub struct BadTile {
    /// The tile that was asked for.
    pub id: TileId,
    /// Bytes that came.
    pub bytes: usize,
}

impl Tile {
    /// Joins a name and its hashes.
    ///
    /// # Errors
    ///
    /// [`BadTile`] if their number is not the tile's width.
    pub fn new(id: TileId, hashes: Vec<Digest>) -> Result<Self, BadTile> {
        if hashes.len() != usize::from(id.width) {
            return Err(BadTile { id, bytes: hashes.len().saturating_mul(32) });
        }
        Ok(Self { id, hashes })
    }

    /// Reads a served tile: its hashes one behind the other.
    ///
    /// # Errors
    ///
    /// [`BadTile`] if their number is not the tile's width.
    pub fn decode(id: TileId, bytes: &[u8]) -> Result<Self, BadTile> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() != usize::from(id.width) || !rest.is_empty() {
            return Err(BadTile { id, bytes: bytes.len() });
        }
        Ok(Self { id, hashes: hashes.to_vec() })
    }

    /// What is served under the tile's path.
    pub fn encode(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// The tile's name.
    pub const fn id(&self) -> TileId {
        self.id
    }

    /// Its hashes, from the left.
    pub fn hashes(&self) -> &[Digest] {
        &self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (level, index, width, path) in [
            (0, 1_234_067, 256, "0/x001/x234/067"),
            (0, 1_234_067, 5, "0/x001/x234/067.p/5"),
            (1, 0, 1, "1/000.p/1"),
            (2, 999, 255, "2/999.p/255"),
            (3, 1_000, 256, "3/x001/000"),
            (0, (1 << 54) - 1, 256, "0/x018/x014/x398/x509/x481/983"),
            (7, 0, 64, "7/000.p/64"),
        ] {
            let id = TileId::new(level, index, width).expect("it exists");
            assert_eq!(id.to_string(), path);
            assert_eq!(path.parse(), Ok(id));
        }
        let bundle = BundleId::new(1_067, 5).expect("it exists");
        assert_eq!(bundle.to_string(), "x001/067.p/5");
        assert_eq!("x001/067.p/5".parse(), Ok(bundle));
    }

    #[test]
    fn any_other_path_is_refused() {
        for bad in [
            "",
            "0",
            "0/",
            "/000",
            "00/000",
            "+0/000",
            "0/0",
            "0/00",
            "0/0000",
            "0/x000/001",
            "0/001/000",
            "0/x001/x000",
            "0/x001000",
            "0/x001/000/",
            "0//000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/05",
            "0/000.p/",
            "0/000.p",
            "0/000.p/1/",
            "0/000.p/1.p/1",
            "8/000",
            "63/000",
            "64/000",
            "7/000",
            "7/001.p/1",
            "0/-01",
            "0/00a",
            "entries/000",
            "0/٠٠٠",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/x018/x014/x398/x509/x481/984.p/1",
            "7/000.p/65",
            "0/000 ",
            "0/000\n",
            "0/X001/000",
        ] {
            assert_eq!(bad.parse::<TileId>(), Err(BadPath), "{bad:?}");
        }
        for bad in ["", "0/000", "000.p/0", "x000/000", "000.p/256", "000/", "/000"] {
            assert_eq!(bad.parse::<BundleId>(), Err(BadPath), "{bad:?}");
        }
    }

    #[test]
    fn widths_follow_the_size_of_the_log() {
        // The example of the specification: 70,000 records.
        let width = |level, index| TileId::at_size(level, index, 70_000).map(|id| id.width());
        assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [Some(256), Some(112), None]);
        assert_eq!([width(1, 0), width(1, 1), width(1, 2)], [Some(256), Some(17), None]);
        assert_eq!([width(2, 0), width(2, 1), width(3, 0), width(8, 0)], [Some(1), None, None, None]);
        assert_eq!(TileId::at_size(1, 0, 256), TileId::new(1, 0, 1));
        assert_eq!(TileId::at_size(0, u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_tile_has_as_many_hashes_as_its_name_says() {
        let id = TileId::new(0, 3, 2).expect("it exists");
        let tile = Tile::new(id, vec![[1; 32], [2; 32]]).expect("two");
        assert_eq!(Tile::decode(id, &tile.encode()), Ok(tile));
        for bytes in [0, 32, 63, 65, 96] {
            assert_eq!(Tile::decode(id, &vec![0; bytes]), Err(BadTile { id, bytes }));
        }
        assert!(Tile::new(id, vec![[1; 32]]).is_err());
    }
}
