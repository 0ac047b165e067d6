//! The tree as its users see it: snapshots that stay as they were, shapes that depend on the set alone.

use super::*;
use crate::limits::PAGE_ENTRIES_MAX;

fn leaf(n: u32) -> Leaf<u32> {
    Leaf { key: KeyHash(sha256(&[&n.to_be_bytes()])), leaf: LeafHash(sha256(&[b"leaf", &n.to_be_bytes()])), tag: n }
}

fn tree(numbers: impl IntoIterator<Item = u32>) -> StateTree<u32> {
    let mut tree = StateTree::default();
    for n in numbers {
        tree.insert(leaf(n));
    }
    tree
}

fn tags<'a>(leaves: impl Iterator<Item = &'a Leaf<u32>>) -> Vec<u32> {
    let mut tags: Vec<_> = leaves.map(|leaf| leaf.tag).collect();
    tags.sort_unstable();
    tags
}

#[test]
fn a_snapshot_does_not_see_what_happens_later() {
    let mut live = tree(0..500);
    let snapshot = live.clone();
    let (root, page) = (snapshot.root(), snapshot.page_of(&leaf(7).key).0.to_vec());
    for n in 0..500 {
        live.remove(&leaf(n).key);
        live.insert(leaf(n + 1_000));
    }
    assert_ne!(live.root(), root);
    assert_eq!(snapshot.root(), root);
    assert_eq!(snapshot.len(), 500);
    assert_eq!(tags(snapshot.leaves()), (0..500).collect::<Vec<_>>());
    assert_eq!(snapshot.page_of(&leaf(7).key).0, page);
    assert_eq!(tree(0..500).root(), root, "the hashes kept in shared nodes are still the set's");
}

#[test]
fn a_change_that_is_given_up_leaves_no_trace() {
    for size in [0, 1, PAGE_ENTRIES_MAX as u32, 400] {
        let published = tree(0..size);
        let mut given_up = published.clone();
        for n in 0..200 {
            given_up.insert(leaf(n + 200));
            given_up.remove(&leaf(n).key);
        }
        // The draft's root is asked for first, so that a hash kept in a shared node would show.
        given_up.root();
        drop(given_up);
        assert_eq!(published.root(), tree(0..size).root(), "{size} entries");
        assert_eq!(tags(published.leaves()), (0..size).collect::<Vec<_>>());
    }
}

#[test]
fn a_tree_of_many_leaves_at_once_is_the_one_of_each_put_in() {
    for size in [0, 1, PAGE_ENTRIES_MAX as u32, PAGE_ENTRIES_MAX as u32 + 1, 1_000] {
        let again = || (0..size).filter(|n| n % 7 == 0).map(|n| Leaf { leaf: leaf(n + 1).leaf, ..leaf(n) });
        let leaves: Vec<_> = (0..size).rev().map(leaf).chain(again()).collect();
        let mut one_by_one = StateTree::default();
        for leaf in &leaves {
            one_by_one.insert(*leaf);
        }
        let at_once: StateTree<_> = leaves.into_iter().collect();
        assert_eq!((at_once.len(), at_once.root()), (one_by_one.len(), one_by_one.root()), "{size} entries");
        assert!(at_once.leaves().eq(one_by_one.leaves()), "{size} entries");
    }
}

#[test]
fn two_drafts_of_one_snapshot_do_not_meet() {
    let base = tree(0..100);
    let (mut left, mut right) = (base.clone(), base.clone());
    left.insert(leaf(100));
    right.remove(&leaf(0).key);
    assert_eq!(left.root(), tree(0..101).root());
    assert_eq!(right.root(), tree(1..100).root());
    assert_eq!(base.root(), tree(0..100).root());
}

#[test]
fn the_root_depends_on_the_set_alone() {
    let root = tree(0..200).root();
    assert_eq!(tree((0..200).rev()).root(), root, "backwards");
    assert_eq!(tree((0..200).chain(50..150)).root(), root, "with repeats");
    let mut detour = tree(0..400);
    (200..400).for_each(|n| assert!(detour.remove(&leaf(n).key).is_some()));
    assert_eq!(detour.root(), root, "by a larger set");
    let mut back = tree(0..200);
    let mut other = leaf(3);
    other.leaf = LeafHash::ZERO;
    assert_eq!(back.insert(other), Some(leaf(3)), "the one replaced comes back");
    assert_ne!(back.root(), root);
    back.insert(leaf(3));
    assert_eq!(back.root(), root);
}

#[test]
fn the_callers_tag_takes_part_in_no_hash() {
    let mut tagged = tree(0..100);
    for n in 0..100 {
        tagged.insert(Leaf { tag: 9, ..leaf(n) });
    }
    assert_eq!(tagged.root(), tree(0..100).root());
    assert!(tagged.leaves().all(|leaf| leaf.tag == 9));
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut small = tree(0..10);
    let mut large = tree(0..PAGE_ENTRIES_MAX as u32 + 1);
    for tree in [&mut small, &mut large] {
        let (root, len) = (tree.root(), tree.len());
        assert_eq!(tree.remove(&leaf(999).key), None);
        assert_eq!((tree.root(), tree.len()), (root, len));
    }
}

#[test]
fn a_page_splits_when_it_is_full_and_comes_back_as_one() {
    let full = PAGE_ENTRIES_MAX as u32;
    let mut tree = tree(0..full);
    let depth = |tree: &StateTree<u32>| tree.page_of(&leaf(0).key).1.len();
    let root = tree.root();
    assert_eq!(depth(&tree), 0);
    tree.insert(leaf(full));
    assert!(depth(&tree) > 0);
    tree.remove(&leaf(full).key);
    assert_eq!((depth(&tree), tree.root()), (0, root));
}

#[test]
fn roots_of_equal_tops_differ_by_their_count() {
    assert_ne!(state_root(1, &[0; 32]), state_root(2, &[0; 32]));
    assert_eq!(empty_root(), StateTree::<u32>::default().root());
    assert_ne!(tree(0..1).root(), empty_root());
}

#[test]
fn the_whole_tree_and_one_leaf_are_prefixes_too() {
    let tree = tree(0..100);
    assert_eq!(tree.subtree_len(&Prefix::ALL), 100);
    assert_eq!(state_root(100, &tree.subtree_hash(&Prefix::ALL)), tree.root());
    let one = leaf(42);
    let exact = Prefix::of(&one.key, 256);
    assert_eq!(tree.leaves_under(&exact).collect::<Vec<_>>(), [&one]);
    assert_eq!(tree.subtree_hash(&exact), node::page_hash(&[one.leaf.0]));
    let nowhere = Prefix::of(&leaf(999).key, 256);
    assert_eq!(tree.subtree_hash(&nowhere), node::page_hash(&[]), "an empty side is a page of no entries");
    assert_eq!(tree.leaves_from(&KeyHash([0xff; 32])).count(), 0);
}
