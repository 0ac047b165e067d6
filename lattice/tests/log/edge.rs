//! The growing edge against the naive tree, at random sizes and where tiles end.

use std::collections::BTreeMap;

use lattice::log::edge::Edge;
use lattice::log::tile::{Tile, TileId};
use lattice::log::tree::{self, TileSet, verify_consistency, verify_inclusion};
use lattice::merkle::{self, Digest};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{all_tiles, leaves, tile_set};

/// Appends the leaves one by one; returns the edge and all tiles that were full on the way.
fn grown(leaves: &[Digest]) -> (Edge, Vec<Tile>) {
    let mut edge = Edge::default();
    let full = leaves.iter().flat_map(|leaf| edge.append(*leaf)).collect();
    (edge, full)
}

/// Full tiles as they came and the partial ones of the end are all tiles of the log.
fn assert_tiles(leaves: &[Digest], edge: &Edge, full: Vec<Tile>) {
    let by_id = |tiles: Vec<Tile>| tiles.into_iter().map(|tile| (tile.id(), tile)).collect::<BTreeMap<TileId, Tile>>();
    let grown = by_id(full.into_iter().chain(edge.partial_tiles()).collect());
    assert!(grown == by_id(all_tiles(leaves)), "other tiles at {}", leaves.len());
}

/// As a node does after a start: the hashes of its partial tiles and the size.
fn restored(edge: &Edge) -> Edge {
    Edge::restore(edge.size(), (0..8).map(|level| edge.partial(level).to_vec())).expect("its own shape")
}

#[test]
fn the_edge_has_root_and_tiles_of_the_naive_tree_where_tiles_end() {
    let all = leaves(65_537 + 300);
    for size in [0, 1, 2, 254, 255, 256, 257, 258, 511, 512, 513, 65_279, 65_280, 65_535, 65_536, 65_537, 65_800] {
        let some = &all[..size];
        let (edge, full) = grown(some);
        assert_eq!(edge.size(), size as u64);
        assert_eq!(edge.root(), merkle::root(some), "{size}");
        assert_tiles(some, &edge, full);
        assert_eq!(restored(&edge), edge, "{size}");
    }
}

#[test]
fn a_tile_is_reported_by_the_very_leaf_that_completes_it() {
    let mut edge = Edge::default();
    for (at, leaf) in leaves(65_536).into_iter().enumerate() {
        let full: Vec<_> = edge.append(leaf).iter().map(Tile::id).collect();
        let id = |level, index| TileId::new(level, index, 256).expect("it exists");
        let expected = match (at + 1, (at + 1) % 256) {
            (65_536, _) => vec![id(0, 255), id(1, 0)],
            (size, 0) => vec![id(0, size as u64 / 256 - 1)],
            (_, _) => vec![],
        };
        assert_eq!(full, expected, "leaf {at}");
    }
}

#[test]
fn at_random_sizes_a_restored_edge_goes_on_as_if_never_stopped() {
    let mut config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => u64::from(std::process::id()),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    println!("PROPTEST_RNG_SEED={seed} repeats this run");
    let all = leaves(4_000);
    let outcome = TestRunner::new(config).run(&(0usize..2_000, 0usize..2_000), |(first, more)| {
        let (stopped, mut full) = grown(&all[..first]);
        let mut edge = restored(&stopped);
        for leaf in &all[first..first + more] {
            full.extend(edge.append(*leaf));
        }
        let some = &all[..first + more];
        prop_assert_eq!(edge.root(), merkle::root(some));
        assert_tiles(some, &edge, full);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn proofs_across_tiles_need_only_the_tiles_they_name_and_hold() {
    let all = leaves(65_537 + 300);
    for size in [255u64, 256, 257, 512, 513, 1_000, 65_535, 65_536, 65_537, 65_800] {
        let some = &all[..size as usize];
        let (held, root) = (tile_set_by_id(some), merkle::root(some));
        for index in [0, 1, 254, 255, 256, 257, size / 2, size - 2, size - 1].into_iter().filter(|index| *index < size)
        {
            let named = tree::tiles_for_inclusion(index, size).expect("in the log");
            let tiles: TileSet = named.iter().map(|id| held[id].clone()).collect();
            let path = tree::inclusion(index, size, &tiles).expect("the tiles named");
            assert_eq!(verify_inclusion(&some[index as usize], index, size, &path, &root), Ok(()), "{index} of {size}");
            if index < 1_000 {
                assert_eq!(Some(path), merkle::path(some, index as usize), "{index} of {size}");
            }
            assert_each_is_needed(&named, &held, |tiles| tree::inclusion(index, size, tiles).is_ok());
        }
        for old in [1, 2, 255, 256, 257, 512, size / 2, size - 1, size].into_iter().filter(|old| *old <= size) {
            let named = tree::tiles_for_consistency(old, size).expect("it grew");
            let tiles: TileSet = named.iter().map(|id| held[id].clone()).collect();
            let proof = tree::consistency(old, size, &tiles).expect("the tiles named");
            let old_root = merkle::root(&some[..old as usize]);
            assert_eq!(verify_consistency(old, size, &old_root, &root, &proof), Ok(()), "{old} to {size}");
            assert_each_is_needed(&named, &held, |tiles| tree::consistency(old, size, tiles).is_ok());
        }
        let named = tree::tiles_for_root(size).expect("a size");
        let tiles: TileSet = named.iter().map(|id| held[id].clone()).collect();
        assert_eq!(tree::root(size, &tiles), Ok(root), "{size}");
    }
}

fn tile_set_by_id(leaves: &[Digest]) -> BTreeMap<TileId, Tile> {
    all_tiles(leaves).into_iter().map(|tile| (tile.id(), tile)).collect()
}

fn assert_each_is_needed(named: &[TileId], held: &BTreeMap<TileId, Tile>, works: impl Fn(&TileSet) -> bool) {
    for without in named {
        let tiles: TileSet = named.iter().filter(|id| *id != without).map(|id| held[id].clone()).collect();
        assert!(!works(&tiles), "{without} was named and not needed");
    }
}

#[test]
fn full_tiles_of_a_longer_log_serve_for_the_partial_ones_of_a_shorter() {
    let all = leaves(1_024);
    let longer = tile_set(&all);
    for size in [1u64, 100, 255, 256, 257, 700, 1_000] {
        assert_eq!(tree::root(size, &longer), Ok(merkle::root(&all[..size as usize])), "{size}");
        assert!(tree::inclusion(size - 1, size, &longer).is_ok());
    }
}
