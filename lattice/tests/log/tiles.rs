//! Our tiles, read and checked by `tlog_tiles` as from any server, and its paths beside ours.

use lattice::log::tile::{Tile, TileId};
use lattice::log::tree;
use lattice::merkle::{self, Digest};
use tlog_tiles::tile::{Tile as TheirTile, TileHashReader, TileReader};
use tlog_tiles::tlog::{Error, prove_record, prove_tree, tree_hash};

use super::{all_tiles, leaves, tile_set};

/// A server of our tiles that has each as it is at one size of the log.
struct Served(Vec<Tile>);

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, wanted: &[TheirTile]) -> Result<Vec<Vec<u8>>, Error> {
        let find = |wanted: &TheirTile| {
            let path = ours(wanted);
            let id: TileId = path.parse().unwrap_or_else(|_| panic!("they ask for {path}"));
            let tile = self.0.iter().find(|tile| tile.id() == id);
            tile.unwrap_or_else(|| panic!("no tile {path}")).encode()
        };
        Ok(wanted.iter().map(find).collect())
    }

    fn save_tiles(&self, _: &[TheirTile], _: &[Vec<u8>]) {}
}

/// Their paths begin with the height of the tiles, which tlog-tiles fixes.
fn ours(tile: &TheirTile) -> String {
    tile.path().strip_prefix("tile/8/").expect("tiles of height 8").to_owned()
}

#[test]
fn tiles_are_accepted_and_proofs_are_equal() {
    let all = leaves(66_000);
    for size in [1u64, 2, 70, 255, 256, 257, 1_000, 65_536, 66_000] {
        let some: &[Digest] = &all[..size as usize];
        let (served, root, tiles) = (Served(all_tiles(some)), merkle::root(some), tile_set(some));
        let reader = TileHashReader::new(size, tlog_tiles::tlog::Hash(root), &served);
        assert_eq!(tree_hash(size, &reader).expect("they read our tiles").0, root, "{size}");
        for index in [0, size / 3, size / 2, size - 1] {
            let theirs: Vec<_> = prove_record(size, index, &reader).expect("in the log").iter().map(|h| h.0).collect();
            assert_eq!(tree::inclusion(index, size, &tiles), Ok(theirs), "{index} of {size}");
            let old = index + 1;
            let theirs: Vec<_> = prove_tree(size, old, &reader).expect("it grew").iter().map(|h| h.0).collect();
            assert_eq!(tree::consistency(old, size, &tiles), Ok(theirs), "{old} to {size}");
        }
    }
}

#[test]
fn the_tiles_of_a_log_are_those_that_others_would_publish() {
    let all = leaves(66_000);
    for size in [1u64, 255, 256, 257, 65_535, 65_536, 66_000] {
        let mut theirs: Vec<_> = TheirTile::new_tiles(8, 0, size).iter().map(ours).collect();
        let mut mine: Vec<_> = all_tiles(&all[..size as usize]).iter().map(|tile| tile.id().to_string()).collect();
        theirs.sort();
        mine.sort();
        assert_eq!(mine, theirs, "{size}");
    }
}

#[test]
fn paths_are_read_as_others_read_them() {
    for path in ["0/000", "0/x001/x234/067", "0/x001/x234/067.p/5", "1/999.p/255", "7/000.p/1", "3/x016/777"] {
        let theirs = TheirTile::from_path(&format!("tile/8/{path}")).expect("a path");
        let mine: TileId = path.parse().expect("a path");
        let parts = (mine.level(), mine.index(), u32::from(mine.width()));
        assert_eq!(parts, (theirs.level(), theirs.level_index(), theirs.width()), "{path}");
    }
}
