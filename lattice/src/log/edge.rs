//! The right edge of a growing log: all that must be held to append to it and to know its root.
//!
//! Per level of tiles the hashes of the tile that is not full yet: at most 255 times 32 bytes on each of eight levels,
//! however long the log. What is complete leaves as a tile and is never needed again to append.

use super::LOG_SIZE_MAX;
use super::tile::{TILE_HASHES, TILE_HEIGHT, TILE_LEVELS, Tile, TileId};
use super::tree::fold_right;
use crate::merkle::{self, Digest};

/// The right edge of a log of some size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// Per level the hashes of its partial tile, fewer than 256.
    levels: [Vec<Digest>; TILE_LEVELS],
}

/// Why stored hashes are not the edge of a log of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEdge {
    /// No log is as long.
    #[error("a log has at most {LOG_SIZE_MAX} records, not {0}")]
    Size(u64),
    /// A partial tile that the size does not have, or has in another width.
    #[error("a log of {size} records has {expected} hashes in the partial tile of level {level}, not {found}")]
    Width {
        /// Records of the log.
        size: u64,
        /// Level of the tile.
        level: usize,
        /// Hashes that it must have.
        expected: usize,
        /// Hashes that it has.
        found: usize,
    },
}

/// Hashes in the partial tile of a level of a log of `size` records.
fn partial_width(size: u64, level: usize) -> usize {
    (size >> (TILE_HEIGHT as usize * level)) as usize % TILE_HASHES
}

impl Edge {
    /// The edge of a stored log: per level, from the leaves up, the hashes of its partial tile. Levels left out at the
    /// end are empty. The shape is checked; whether the hashes are right shows when the root is compared with the
    /// checkpoint that was signed.
    ///
    /// # Errors
    ///
    /// [`BadEdge`] if a log of this size has other partial tiles.
    pub fn restore(size: u64, partials: impl IntoIterator<Item = Vec<Digest>>) -> Result<Self, BadEdge> {
        if size > LOG_SIZE_MAX {
            return Err(BadEdge::Size(size));
        }
        let mut levels: [Vec<Digest>; TILE_LEVELS] = Default::default();
        for (level, hashes) in partials.into_iter().enumerate() {
            match levels.get_mut(level) {
                Some(place) => *place = hashes,
                None => return Err(BadEdge::Width { size, level, expected: 0, found: hashes.len() }),
            }
        }
        for (level, hashes) in levels.iter().enumerate() {
            let (expected, found) = (partial_width(size, level), hashes.len());
            if found != expected {
                return Err(BadEdge::Width { size, level, expected, found });
            }
        }
        Ok(Self { size, levels })
    }

    /// Appends a record by its leaf hash. Returns the tiles that are full now, from level 0 up: none mostly, one in 256
    /// times, and a second one in 65,536. Nothing grows beyond [`LOG_SIZE_MAX`]: at a million a second that is 146,000
    /// years away.
    pub fn append(&mut self, leaf: Digest) -> Vec<Tile> {
        let mut full = Vec::new();
        let mut hash = leaf;
        for (level, partial) in self.levels.iter_mut().enumerate() {
            partial.push(hash);
            if partial.len() < TILE_HASHES {
                break;
            }
            let hashes = std::mem::take(partial);
            hash = merkle::root(&hashes);
            let index = self.size >> (TILE_HEIGHT as usize * level) >> TILE_HEIGHT;
            let id = TileId::new(level as u8, index, TILE_HASHES as u16);
            // There is such a tile: this log has it.
            full.extend(id.and_then(|id| Tile::new(id, hashes).ok()));
        }
        self.size += 1;
        full
    }

    /// Records in the log.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The log's root now. At most 2,040 hashes, a millisecond at worst; some hundred at sizes that occur.
    pub fn root(&self) -> Digest {
        // From the right: the smallest complete subtrees first, each the left side of a node over all behind it.
        let mut subtrees = Vec::new();
        for partial in self.levels.iter().rev() {
            let mut rest = partial.as_slice();
            while !rest.is_empty() {
                let (subtree, behind) = rest.split_at(1 << rest.len().ilog2());
                subtrees.push(merkle::root(subtree));
                rest = behind;
            }
        }
        fold_right(&subtrees)
    }

    /// The hashes of the partial tile of `level`: fewer than 256, none if the last tile is full.
    pub fn partial(&self, level: usize) -> &[Digest] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// The partial tiles of this size that are not empty, from level 0 up; they are served once the size is signed.
    pub fn partial_tiles(&self) -> Vec<Tile> {
        let tile = |(level, hashes): (usize, &Vec<Digest>)| {
            let index = self.size >> (TILE_HEIGHT as usize * level) >> TILE_HEIGHT;
            let id = TileId::new(level as u8, index, hashes.len() as u16)?;
            Tile::new(id, hashes.clone()).ok()
        };
        self.levels.iter().enumerate().filter_map(tile).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_of_another_shape_is_refused() {
        let hashes = |n: usize| vec![[7; 32]; n];
        assert_eq!(Edge::restore(0, []), Ok(Edge::default()));
        assert!(Edge::restore(257, [hashes(1), hashes(1)]).is_ok());
        let bad = |size, partials: Vec<Vec<Digest>>| Edge::restore(size, partials).expect_err("another shape");
        assert_eq!(bad(257, vec![hashes(1)]), BadEdge::Width { size: 257, level: 1, expected: 1, found: 0 });
        assert_eq!(bad(256, vec![hashes(256)]), BadEdge::Width { size: 256, level: 0, expected: 0, found: 256 });
        assert_eq!(bad(0, vec![hashes(0); 9]), BadEdge::Width { size: 0, level: 8, expected: 0, found: 0 });
        assert_eq!(bad(LOG_SIZE_MAX + 1, vec![]), BadEdge::Size(LOG_SIZE_MAX + 1));
    }

    #[test]
    fn a_log_can_grow_to_the_longest() {
        let mut edge =
            Edge::restore(LOG_SIZE_MAX - 1, vec![vec![[7; 32]; 255]; 7].into_iter().chain([vec![[7; 32]; 63]]))
                .expect("its shape");
        edge.root();
        assert_eq!(edge.append([7; 32]).len(), 7);
        assert_eq!((edge.size(), edge.partial(7).len()), (LOG_SIZE_MAX, 64));
    }
}
