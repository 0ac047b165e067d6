//! Proofs over a log's tree: made from tiles, and judged without them.
//!
//! The producer names the tiles that it needs and then works from those alone: a node reads them from its tables, an
//! auditor fetches them from any server of tlog-tiles. It trusts what it is given, so a proof from fetched tiles holds
//! only once the judge says so. The judge follows RFC 9162, sections 2.1.3.2 and 2.1.4.2, and uses each hash exactly
//! once: spare ones are refused.

mod judge;

use std::collections::{BTreeMap, BTreeSet};

pub use judge::{NotConsistent, NotIncluded, verify_consistency, verify_inclusion};

use super::LOG_SIZE_MAX;
use super::tile::{TILE_HASHES, TILE_HEIGHT, Tile, TileId};
use crate::merkle::{self, Digest, node_hash};

/// Hashes in a proof of inclusion or consistency (C2SP tlog-witness); enough up to [`LOG_SIZE_MAX`] leaves.
pub const PROOF_HASHES_MAX: usize = 63;

/// The root of the tree without leaves: `SHA-256("")`.
pub const EMPTY_ROOT: Digest = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The root over complete subtrees that follow each other from the left, each smaller than the one before it.
pub(super) fn fold_right(subtrees: &[Digest]) -> Digest {
    let all = subtrees.iter().rev().copied();
    all.reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
}

/// Tiles at hand, by level and index. A wider tile serves for a narrower one.
#[derive(Debug, Clone, Default)]
pub struct TileSet(BTreeMap<(u8, u64), Tile>);

impl TileSet {
    /// Adds a tile; of two at one place the wider stays.
    pub fn insert(&mut self, tile: Tile) {
        let place = (tile.id().level(), tile.id().index());
        if self.0.get(&place).is_none_or(|held| held.id().width() < tile.id().width()) {
            self.0.insert(place, tile);
        }
    }

    /// The root of a complete subtree of a log of `size` records.
    fn root_of(&self, subtree: Subtree, size: u64) -> Result<Digest, NoProof> {
        let Place { level, index, from, hashes } = subtree.place();
        self.0
            .get(&(level, index))
            .and_then(|tile| tile.hashes().get(from..from + hashes))
            .map(merkle::root)
            .ok_or_else(|| TileId::at_size(level, index, size).map_or(NoProof::TooLong(size), NoProof::MissingTile))
    }
}

impl FromIterator<Tile> for TileSet {
    fn from_iter<I: IntoIterator<Item = Tile>>(tiles: I) -> Self {
        let mut set = Self::default();
        tiles.into_iter().for_each(|tile| set.insert(tile));
        set
    }
}

/// Why there is no such proof, or no such root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// More records than a log has.
    #[error("a log has at most {LOG_SIZE_MAX} records, not {0}")]
    TooLong(u64),
    /// No such record in a log of that size.
    #[error("a log of {size} records has none at index {index}")]
    BeyondLog {
        /// Index asked for.
        index: u64,
        /// Records of the log.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("a log of {new} records cannot have grown from one of {old}")]
    Shrinks {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// A tile is not in the set, or too narrow.
    #[error("tile {0} is missing")]
    MissingTile(TileId),
}

/// Leaves `[from, to)` whose tree's root is one hash of a proof.
type Range = (u64, u64);

/// A subtree with a power of two of leaves, `2^height` from `index * 2^height` on.
#[derive(Clone, Copy)]
struct Subtree {
    height: u32,
    index: u64,
}

/// Consecutive hashes of one tile.
struct Place {
    level: u8,
    index: u64,
    from: usize,
    hashes: usize,
}

impl Subtree {
    fn place(self) -> Place {
        let (level, height) = (self.height / TILE_HEIGHT, self.height % TILE_HEIGHT);
        let first = self.index << height;
        let (index, from) = (first / TILE_HASHES as u64, first as usize % TILE_HASHES);
        Place { level: level as u8, index, from, hashes: 1 << height }
    }
}

/// The complete subtrees of a range, from the left. Ranges here begin where one of their size may, so each subtree is
/// smaller than the one before it.
fn subtrees((mut from, to): Range) -> Vec<Subtree> {
    let mut all = Vec::new();
    while from < to {
        let height = (to - from).ilog2();
        all.push(Subtree { height, index: from >> height });
        from += 1 << height;
    }
    all
}

fn tiles_for(ranges: &[Range], size: u64) -> Vec<TileId> {
    let places = ranges.iter().copied().flat_map(subtrees).map(Subtree::place);
    let ids: BTreeSet<_> = places.filter_map(|place| TileId::at_size(place.level, place.index, size)).collect();
    ids.into_iter().collect()
}

fn hashes_of(ranges: &[Range], size: u64, tiles: &TileSet) -> Result<Vec<Digest>, NoProof> {
    let hash = |range| {
        let roots = subtrees(range).into_iter().map(|subtree| tiles.root_of(subtree, size));
        Ok(fold_right(&roots.collect::<Result<Vec<_>, _>>()?))
    };
    ranges.iter().copied().map(hash).collect()
}

/// Where RFC 6962 splits the leaves `[from, to)`, of which there are two or more.
fn split((from, to): Range) -> u64 {
    from + (1 << (to - from - 1).ilog2())
}

fn size_in_bounds(size: u64) -> Result<(), NoProof> {
    if size > LOG_SIZE_MAX { Err(NoProof::TooLong(size)) } else { Ok(()) }
}

/// `PATH(index, D[size])` of RFC 6962, section 2.1.1, from the leaf's sibling up.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range>, NoProof> {
    size_in_bounds(size)?;
    if index >= size {
        return Err(NoProof::BeyondLog { index, size });
    }
    let (mut ranges, mut at) = (Vec::new(), (0, size));
    while at.1 - at.0 > 1 {
        let middle = split(at);
        let (left, right) = ((at.0, middle), (middle, at.1));
        let sibling = if index < middle { right } else { left };
        at = if index < middle { left } else { right };
        ranges.push(sibling);
    }
    ranges.reverse();
    Ok(ranges)
}

/// `PROOF(old, D[new])` of RFC 6962, section 2.1.2; empty too if `old` is 0, since all logs grow from nothing.
fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range>, NoProof> {
    size_in_bounds(new)?;
    if old > new {
        return Err(NoProof::Shrinks { old, new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut ranges, mut at) = (Vec::new(), (0, new));
    while at.1 != old {
        let middle = split(at);
        let (left, right) = ((at.0, middle), (middle, at.1));
        let other = if old <= middle { right } else { left };
        at = if old <= middle { left } else { right };
        ranges.push(other);
    }
    // The verifier knows the root of the old tree, and a subtree only if it is that tree.
    if at.0 != 0 {
        ranges.push(at);
    }
    ranges.reverse();
    Ok(ranges)
}

/// The tiles that [`root`] needs, as they are in a log of `size` records.
///
/// # Errors
///
/// [`NoProof::TooLong`].
pub fn tiles_for_root(size: u64) -> Result<Vec<TileId>, NoProof> {
    size_in_bounds(size)?;
    Ok(tiles_for(&[(0, size)], size))
}

/// The root of a log of `size` records.
///
/// # Errors
///
/// [`NoProof`] if a tile is missing, or for a size that no log has.
pub fn root(size: u64, tiles: &TileSet) -> Result<Digest, NoProof> {
    size_in_bounds(size)?;
    Ok(hashes_of(&[(0, size)], size, tiles)?[0])
}

/// The tiles that [`inclusion`] needs, as they are in a log of `size` records.
///
/// # Errors
///
/// [`NoProof`] if the log has no such record.
pub fn tiles_for_inclusion(index: u64, size: u64) -> Result<Vec<TileId>, NoProof> {
    Ok(tiles_for(&inclusion_ranges(index, size)?, size))
}

/// The audit path of the record at `index` of a log of `size` records, from the leaf's sibling up.
///
/// # Errors
///
/// [`NoProof`] if the log has no such record, or a tile is missing.
pub fn inclusion(index: u64, size: u64, tiles: &TileSet) -> Result<Vec<Digest>, NoProof> {
    hashes_of(&inclusion_ranges(index, size)?, size, tiles)
}

/// The tiles that [`consistency`] needs, as they are in a log of `new` records.
///
/// # Errors
///
/// [`NoProof`] if the log would shrink.
pub fn tiles_for_consistency(old: u64, new: u64) -> Result<Vec<TileId>, NoProof> {
    Ok(tiles_for(&consistency_ranges(old, new)?, new))
}

/// The proof that a log of `new` records begins with the one of `old`; empty if `old` is 0 or equal to `new`.
///
/// # Errors
///
/// [`NoProof`] if the log would shrink, or a tile is missing.
pub fn consistency(old: u64, new: u64, tiles: &TileSet) -> Result<Vec<Digest>, NoProof> {
    hashes_of(&consistency_ranges(old, new)?, new, tiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_that_of_no_leaves() {
        assert_eq!(EMPTY_ROOT, merkle::root(&[]));
        assert_eq!(root(0, &TileSet::default()), Ok(EMPTY_ROOT));
    }

    #[test]
    fn the_largest_log_needs_few_tiles_and_no_proof_is_longer_than_63_hashes() {
        for index in [0, 1, 1 << 61, LOG_SIZE_MAX - 1] {
            let tiles = tiles_for_inclusion(index, LOG_SIZE_MAX).expect("in the log");
            assert!(tiles.len() <= 16, "{} tiles", tiles.len());
            assert!(inclusion_ranges(index, LOG_SIZE_MAX).expect("in the log").len() <= PROOF_HASHES_MAX);
        }
        for old in [1, 2, 3, 1 << 61, (1 << 61) + 1, LOG_SIZE_MAX - 1] {
            assert!(consistency_ranges(old, LOG_SIZE_MAX).expect("it grows").len() <= PROOF_HASHES_MAX, "{old}");
        }
        assert_eq!(tiles_for_root(LOG_SIZE_MAX + 1), Err(NoProof::TooLong(LOG_SIZE_MAX + 1)));
        assert_eq!(tiles_for_inclusion(0, u64::MAX), Err(NoProof::TooLong(u64::MAX)));
    }

    #[test]
    fn a_missing_or_narrow_tile_is_named() {
        let full = TileId::new(0, 0, 256).expect("it exists");
        let wanted = TileId::new(1, 0, 1).expect("it exists");
        let tiles = TileSet::from_iter([Tile::new(full, vec![[1; 32]; 256]).expect("256")]);
        assert_eq!(root(256, &tiles), Err(NoProof::MissingTile(wanted)));
        assert!(root(255, &tiles).is_ok(), "a full tile serves for a partial one");
        let narrow = TileSet::from_iter([Tile::new(wanted, vec![[1; 32]]).expect("1")]);
        assert_eq!(root(512, &narrow), Err(NoProof::MissingTile(TileId::new(1, 0, 2).expect("it exists"))));
    }
}
