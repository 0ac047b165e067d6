//! The state tree against its definition, built anew from the set each time.

use std::collections::{BTreeMap, BTreeSet};

use lattice::ids::{KeyHash, LeafHash};
use lattice::limits::PAGE_ENTRIES_MAX;
use lattice::merkle::Digest;
use lattice::tree::prefix::Prefix;
use lattice::tree::{Leaf, StateTree, empty_root, state_root};
use proptest::prelude::*;
use sha2::Digest as _;

use crate::for_all;

type Set = BTreeMap<KeyHash, LeafHash>;

fn sha256(parts: &[&[u8]]) -> Digest {
    sha2::Sha256::digest(parts.concat()).into()
}

/// RFC 6962, section 2.1.
fn rfc6962(leaves: &[Digest]) -> Digest {
    match leaves.len() {
        0 => sha256(&[]),
        1 => leaves[0],
        n => {
            let (left, right) = leaves.split_at(n.next_power_of_two() / 2);
            sha256(&[&[1], &rfc6962(left), &rfc6962(right)])
        }
    }
}

fn bit(key: &KeyHash, depth: usize) -> bool {
    key.0[depth / 8] & (0x80 >> (depth % 8)) != 0
}

/// The hash of the subtree at `depth` that holds these leaves, as `FORMAT.md` defines it.
fn by_definition(leaves: &[(KeyHash, LeafHash)], depth: usize) -> Digest {
    if leaves.len() <= PAGE_ENTRIES_MAX {
        let hashes: Vec<_> = leaves.iter().map(|(_, leaf)| leaf.0).collect();
        return sha256(&[&[2], &(leaves.len() as u64).to_be_bytes(), &rfc6962(&hashes)]);
    }
    let (right, left): (Vec<_>, Vec<_>) = leaves.iter().partition(|(key, _)| bit(key, depth));
    sha256(&[&[1], &by_definition(&left, depth + 1), &by_definition(&right, depth + 1)])
}

fn listed(set: &Set) -> Vec<(KeyHash, LeafHash)> {
    set.iter().map(|(key, leaf)| (*key, *leaf)).collect()
}

fn assert_is(tree: &StateTree<u32>, set: &Set) {
    assert_eq!(tree.len(), set.len() as u64);
    let top = by_definition(&listed(set), 0);
    assert_eq!(tree.root(), state_root(set.len() as u64, &top));
}

fn leaf(key: KeyHash, version: u32) -> Leaf<u32> {
    let hash = LeafHash(sha256(&[&key.0, &version.to_be_bytes()]));
    Leaf { key, leaf: hash, tag: version }
}

/// The `n`th key; those of a crowd share all bits but 24, so that pages split deep below empty sides.
fn key(crowded: bool, n: u32) -> KeyHash {
    let spread = sha256(&[&n.to_be_bytes()]);
    if !crowded {
        return KeyHash(spread);
    }
    let mut key = [0b0110_1001; 32];
    key[20..23].copy_from_slice(&spread[..3]);
    KeyHash(key)
}

#[test]
fn many_places_are_found_as_one_by_one() {
    for crowded in [false, true] {
        let mut tree = StateTree::default();
        for n in 0..3_000 {
            tree.insert(leaf(key(crowded, n), n));
        }
        let bits = [0, 1, 9, 64, 168, 190, 256];
        let places: Vec<_> = (0..4_000).map(|n| Prefix::of(&key(crowded, n), bits[n as usize % bits.len()])).collect();
        let each: Vec<_> = tree.few_leaves_under_each(&places).collect();
        let singly: Vec<_> = places.iter().map(|place| tree.few_leaves_under(place)).collect();
        assert_eq!(each, singly);
        let named = |(place, found): (&Prefix, &&[Leaf<u32>])| place.bits() == 256 && found.len() == 1;
        assert!(places.iter().zip(&each).any(named), "some are there");
    }
}

/// Insert or replace (`Some`), or remove, one of `keys` keys, a part of them crowded.
fn changes(keys: u32, len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(KeyHash, Option<u32>)>> {
    let version = prop_oneof![3 => (0u32..3).prop_map(Some), 1 => Just(None)];
    let change =
        (prop::bool::weighted(0.3), 0..keys, version).prop_map(|(crowded, n, version)| (key(crowded, n), version));
    prop::collection::vec(change, len)
}

fn grown(changes: &[(KeyHash, Option<u32>)]) -> (StateTree<u32>, Set) {
    let (mut tree, mut set) = (StateTree::default(), Set::new());
    for (key, version) in changes {
        match version {
            Some(version) => {
                let leaf = leaf(*key, *version);
                let replaced = tree.insert(leaf).map(|old| old.leaf);
                assert_eq!(replaced, set.insert(*key, leaf.leaf));
            }
            None => assert_eq!(tree.remove(key).map(|old| old.leaf), set.remove(key)),
        }
    }
    (tree, set)
}

#[test]
fn the_root_is_the_definitions_after_any_inserts_and_removes() {
    for_all(120, &changes(80, 0..300), |changes| {
        let (tree, set) = grown(&changes);
        assert_is(&tree, &set);
    });
    for_all(6, &changes(4_000, 0..6_000), |changes| {
        let (tree, set) = grown(&changes);
        assert_is(&tree, &set);
    });
}

#[test]
fn every_size_around_a_full_page_up_and_down_again() {
    for crowded in [false, true] {
        let (mut tree, mut set) = (StateTree::default(), Set::new());
        assert_eq!(tree.root(), empty_root());
        for n in 0..150 {
            let leaf = leaf(key(crowded, n), 0);
            tree.insert(leaf);
            set.insert(leaf.key, leaf.leaf);
            assert_is(&tree, &set);
        }
        for n in (0..150).rev() {
            tree.remove(&key(crowded, n));
            set.remove(&key(crowded, n));
            assert_is(&tree, &set);
        }
        assert_eq!(tree.root(), empty_root());
    }
}

#[test]
fn three_thousand_entries_and_then_most_of_them_removed() {
    let (mut tree, mut set) = (StateTree::default(), Set::new());
    for n in 0..3_000 {
        let leaf = leaf(key(n % 3 == 0, n), 1);
        tree.insert(leaf);
        set.insert(leaf.key, leaf.leaf);
    }
    assert_is(&tree, &set);
    for n in 0..2_900 {
        let key = key(n % 3 == 0, n);
        assert!(tree.remove(&key).is_some() && tree.remove(&key).is_none());
        set.remove(&key);
    }
    assert_is(&tree, &set);
}

#[test]
fn keys_that_differ_in_the_last_bits_alone_stand_at_the_bottom() {
    // 64 keys with 250 bits in common: the two full pages stand 251 branches deep.
    let (mut tree, mut set) = (StateTree::default(), Set::new());
    for low in 0..64u8 {
        let mut key = [0xa5; 32];
        key[31] = 0x80 | low;
        let leaf = leaf(KeyHash(key), 0);
        tree.insert(leaf);
        set.insert(leaf.key, leaf.leaf);
    }
    assert_is(&tree, &set);
    let deepest = tree.leaves().last().map(|leaf| leaf.key).expect("64 leaves");
    assert_eq!(tree.page_of(&deepest).1.len(), 251);
    tree.remove(&deepest);
    set.remove(&deepest);
    assert_is(&tree, &set);
}

/// A prefix of a key that may be there, mostly short.
fn prefix() -> impl Strategy<Value = Prefix> {
    let bits = prop_oneof![4 => 0usize..12, 2 => 150usize..190, 1 => 0usize..=256];
    (any::<bool>(), 0u32..600, bits).prop_map(|(crowded, n, bits)| Prefix::of(&key(crowded, n), bits))
}

#[test]
fn subtrees_are_what_a_filter_finds() {
    let cases = (changes(500, 0..900), prop::collection::vec(prefix(), 30));
    for_all(30, &cases, |(changes, prefixes)| {
        let (tree, set) = grown(&changes);
        for prefix in prefixes {
            let inside: Vec<_> = listed(&set).into_iter().filter(|(key, _)| prefix.covers(key)).collect();
            assert_eq!(tree.subtree_len(&prefix), inside.len() as u64, "{prefix:?}");
            assert_eq!(tree.subtree_hash(&prefix), by_definition(&inside, prefix.bits()), "{prefix:?}");
            let under: Vec<_> = tree.leaves_under(&prefix).map(|leaf| (leaf.key, leaf.leaf)).collect();
            assert_eq!(under, inside, "{prefix:?}");
            let from: Vec<_> = tree.leaves_from(&prefix.first_key()).map(|leaf| leaf.key).collect();
            let expected: Vec<_> = set.range(prefix.first_key()..).map(|(key, _)| *key).collect();
            assert_eq!(from, expected, "{prefix:?}");
        }
    });
}

#[test]
fn a_prefix_covers_what_starts_with_its_bits() {
    let cases = (any::<[u8; 32]>(), any::<[u8; 32]>(), 0usize..=256, 0usize..=256, 0usize..10);
    for_all(300, &cases, |(a, b, bits, shared, more)| {
        let a = KeyHash(a);
        // The second key shares some first bits with the first.
        let mut b = KeyHash(b);
        for depth in 0..shared {
            let mask = 0x80 >> (depth % 8);
            b.0[depth / 8] = b.0[depth / 8] & !mask | a.0[depth / 8] & mask;
        }
        let prefix = Prefix::of(&a, bits);
        let alike = (0..bits).all(|depth| bit(&a, depth) == bit(&b, depth));
        assert_eq!(prefix.covers(&b), alike);
        assert_eq!(Prefix::try_from(&prefix.to_wire()), Ok(prefix));
        match prefix.children(more) {
            Some(children) => {
                let children: BTreeSet<_> = children.collect();
                assert_eq!(children.len(), 1 << more);
                let covering = children.iter().filter(|child| child.covers(&b)).count();
                assert_eq!(covering, usize::from(alike));
            }
            None => assert!(bits + more > 256 || more > 8),
        }
    });
}
