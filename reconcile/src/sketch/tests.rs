//! Laws of the sketch: it follows its set, a difference of two is read out whole, its bytes are those of the vectors.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use lattice::ids::{KeyHash, LeafHash};
use lattice::tree::Leaf;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::item::Places;
use super::symbol::Way;
use super::{Decoder, Estimator, Found, Item, Malformed, Progress, Sketch, Symbol, symbols_for};
use crate::index::Index;
use crate::limits::KEPT_SYMBOLS;

fn hash(what: &str, seed: u64, n: u64) -> [u8; 32] {
    Sha256::digest(format!("{what}/{seed}/{n}")).into()
}

/// The `n`th leaf of a seeded world.
fn leaf(seed: u64, n: u64) -> Leaf<()> {
    Leaf { key: KeyHash(hash("key", seed, n)), leaf: LeafHash(hash("leaf", seed, n)), tag: () }
}

fn item(seed: u64, n: u64) -> Item {
    let Leaf { key, leaf, .. } = leaf(seed, n);
    Item::of(&key, &leaf)
}

fn items(seed: u64, range: std::ops::Range<u64>) -> Vec<Item> {
    range.map(|n| item(seed, n)).collect()
}

/// The first `count` symbols of what `a` holds more and less than `b`.
fn difference(a: &[Item], b: &[Item], count: usize) -> Vec<Symbol> {
    let walk = |items: &[Item]| Sketch::walk(items.iter().copied(), 0, count);
    walk(a).iter().zip(walk(b)).map(|(a, b)| a.less(&b)).collect()
}

fn sorted(mut found: Found) -> Found {
    found.plus.sort_unstable();
    found.minus.sort_unstable();
    found
}

fn expected(plus: &[Item], minus: &[Item]) -> Found {
    sorted(Found { plus: plus.to_vec(), minus: minus.to_vec() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Inserts, replacements and removals, in any order, of keys that are there or not.
    #[test]
    fn an_index_keeps_the_symbols_of_the_entries_it_holds(
        changes in proptest::collection::vec((0..40u64, proptest::option::weighted(0.7, 0..4u64)), 0..120),
    ) {
        let mut index = Index::default();
        let mut model = BTreeMap::new();
        for (key, value) in changes {
            let key = leaf(0, key).key;
            let leaf = value.map(|value| Leaf { key, leaf: leaf(1, value).leaf, tag: () });
            match leaf {
                Some(leaf) => prop_assert_eq!(index.insert(leaf), model.insert(key, leaf)),
                None => prop_assert_eq!(index.remove(&key), model.remove(&key)),
            }
        }
        let held = || model.values().map(|leaf| Item::of(&leaf.key, &leaf.leaf));
        let afresh = Sketch::walk(held(), 0, KEPT_SYMBOLS);
        prop_assert!(index.sketch().symbols(0, KEPT_SYMBOLS).eq(afresh.iter().copied()));
        prop_assert!(index.sketch().symbols(KEPT_SYMBOLS - 5, 10).eq(afresh[KEPT_SYMBOLS - 5..].iter().copied()));
        prop_assert_eq!(Sketch::walk(held(), 100, 50), &afresh[100..150], "from anywhere in the row");
        let mut rebuilt = Index::default();
        for leaf in model.values() {
            rebuilt.insert(*leaf);
        }
        prop_assert_eq!(index.sketch().estimator(), rebuilt.sketch().estimator());
        prop_assert_eq!(index.root(), rebuilt.root());
    }

    /// As they come, a few at a time: what is read out is the difference, whatever both hold besides.
    #[test]
    fn a_difference_is_read_out_whole(
        seed: u64,
        shared in 0..200u64,
        plus in 0..150u64,
        minus in 0..150u64,
        step in 1..80usize,
    ) {
        let (shared, plus, minus) = (
            items(seed, 0..shared),
            items(seed, 1_000..1_000 + plus),
            items(seed, 2_000..2_000 + minus),
        );
        let most = 4 * symbols_for(300) as usize;
        let row = difference(&[shared.clone(), plus.clone()].concat(), &[shared, minus.clone()].concat(), most);
        let mut decoder = Decoder::default();
        let needed = row.chunks(step).position(|more| decoder.extend(more.iter().copied()) == Ok(Progress::Done));
        prop_assert!(needed.is_some(), "{} of {} read out", decoder.found().plus.len(), plus.len());
        prop_assert_eq!(sorted(decoder.found()), expected(&plus, &minus));
    }

    /// Noise ends, tells nothing, and holds no more than it was given.
    #[test]
    fn random_symbols_are_never_read_out(
        bytes in proptest::collection::vec(any::<[u8; 32]>(), 1..60),
        counts in proptest::collection::vec(prop_oneof![Just(1u16), Just(u16::MAX), any::<u16>()], 60),
    ) {
        let symbol = |(sums, count): (&[u8; 32], &u16)| {
            let mut bytes = [0; 34];
            bytes[..32].copy_from_slice(sums);
            bytes[32..].copy_from_slice(&count.to_be_bytes());
            Symbol::from_bytes(&bytes)
        };
        let mut decoder = Decoder::default();
        let progress = decoder.extend(bytes.iter().zip(&counts).map(symbol));
        prop_assert_eq!(progress, Ok(Progress::Stuck));
        prop_assert_eq!(decoder.found(), Found::default());
        prop_assert_eq!(decoder.len(), bytes.len());
    }
}

#[test]
fn ten_thousand_differences_are_read_out_of_the_symbols_kept() {
    let (plus, minus) = (items(1, 0..5_000), items(1, 5_000..10_000));
    let mut decoder = Decoder::default();
    let row = difference(&plus, &minus, KEPT_SYMBOLS);
    assert_eq!(decoder.extend(row), Ok(Progress::Done));
    assert_eq!(sorted(decoder.found()), expected(&plus, &minus));
}

#[test]
fn equal_sets_need_one_symbol_to_say_so() {
    let set = items(2, 0..50);
    let mut decoder = Decoder::default();
    assert_eq!(decoder.extend([]), Ok(Progress::Stuck), "nothing says nothing");
    assert_eq!(decoder.extend(difference(&set, &set, 1)), Ok(Progress::Done));
    assert_eq!(decoder.found(), Found::default());
}

/// The count of a symbol is a number modulo 2^16; what two sets share goes through zero many times.
#[test]
fn one_difference_is_found_in_sets_beyond_the_width_of_a_count() {
    let set = items(3, 0..70_001);
    let mut decoder = Decoder::default();
    assert_eq!(decoder.extend(difference(&set, &set[..70_000], 4)), Ok(Progress::Done));
    assert_eq!(decoder.found(), expected(&set[70_000..], &[]));
}

#[test]
fn as_many_symbols_as_are_said_to_do_do_in_nine_of_ten_cases() {
    for differences in [1, 2, 5, 10, 30, 100, 1_000] {
        let symbols = symbols_for(differences) as usize;
        let is_read = |seed: &u64| {
            let (plus, minus) = (items(*seed, 0..differences / 2), items(*seed, differences / 2..differences));
            Decoder::default().extend(difference(&plus, &minus, symbols)) == Ok(Progress::Done)
        };
        let read = (100..200).filter(is_read).count();
        assert!(read >= 90, "{read} of 100 differences of {differences} in {symbols} symbols");
    }
}

#[test]
fn a_place_holds_an_item_with_the_probability_that_the_paper_gives() {
    const ITEMS: u64 = 20_000;
    const PLACES: usize = 1_000;
    let mut held = vec![0u64; PLACES];
    for item in items(4, 0..ITEMS) {
        let mut places = Places::new(&item.marks());
        let mut last = None;
        while let Some(at) = places.below(PLACES) {
            assert!(last.is_none_or(|last| last < at), "places go up");
            held[at] += 1;
            last = Some(at);
        }
    }
    let near = |at: usize, held: u64| {
        let mean = ITEMS as f64 / (1.0 + at as f64 / 2.0);
        let apart = (held as f64 - mean).abs();
        // Rounding gaps up to whole numbers costs the first places a little: 3 %, and five standard deviations.
        assert!(apart <= 0.03 * mean + 5.0 * mean.sqrt(), "place {at} holds {held}, expected {mean:.0}");
    };
    assert_eq!(held[0], ITEMS, "the first symbol holds everything");
    for at in [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 999] {
        near(at, held[at]);
    }
}

#[test]
fn the_estimate_is_near_the_truth_and_zero_for_equal_sets() {
    let of = |items: &[Item]| {
        let mut estimator = Estimator::default();
        items.iter().for_each(|item| estimator.take(&item.marks(), Way::In));
        estimator
    };
    for differences in [1, 10, 100, 1_000] {
        let mut estimates: Vec<u64> = (0..100)
            .map(|seed| {
                let (both, apart) = (items(seed, 0..50), items(seed, 50..50 + differences));
                let (here, there) = apart.split_at(apart.len() / 3);
                let (here, there) = (of(&[&both, here].concat()), of(&[&both, there].concat()));
                assert_eq!(here.difference(&there), there.difference(&here));
                assert_eq!(here.difference(&here), 0);
                here.difference(&there)
            })
            .collect();
        estimates.sort_unstable();
        let (low, median, high) = (estimates[2], estimates[50], estimates[97]);
        // The mean of 64 squares is off by 18 % (one standard deviation), the median of 100 of them by 2 %.
        assert!(median * 100 >= differences * 90 && median * 100 <= differences * 110, "{median} for {differences}");
        assert!(low * 100 >= differences * 50 && high * 100 <= differences * 165, "{low} to {high} for {differences}");
    }
}

#[test]
fn counters_of_an_estimator_go_round_and_the_estimate_stays() {
    let (common, apart) = (item(5, 0).marks(), items(5, 1..101));
    let (mut here, mut there) = (Estimator::default(), Estimator::default());
    // The same signs again and again move each counter once round and on.
    for _ in 0..70_000 {
        here.take(&common, Way::In);
        there.take(&common, Way::In);
    }
    assert_eq!(here.difference(&there), 0);
    let one_more_round = |estimator: &mut Estimator| (0..66_000).for_each(|_| estimator.take(&common, Way::In));
    let mut far = here;
    one_more_round(&mut far);
    assert_eq!(far.difference(&here), (66_000 - 65_536) * (66_000 - 65_536), "modulo 2^16");
    apart.iter().for_each(|item| there.take(&item.marks(), Way::In));
    assert!((50..200).contains(&here.difference(&there)));
    assert_eq!(here.difference(&there), there.difference(&here));
    apart.iter().for_each(|item| there.take(&item.marks(), Way::Out));
    assert_eq!(here, there, "taken out again");
}

#[test]
fn a_row_made_to_peel_for_ever_is_malformed() {
    // Reading the second place leaves the first with the item taken out, and reading that puts it back.
    let row = difference(&items(6, 0..1), &[], 40);
    let second = row[1..].iter().position(|symbol| !symbol.is_empty()).expect("an item has two places") + 1;
    let mut circle = vec![Symbol::default(); 40];
    circle[second] = row[second];
    let mut decoder = Decoder::default();
    assert_eq!(decoder.extend(circle), Err(Malformed));
    assert!(decoder.found().plus.len() + decoder.found().minus.len() <= 40, "no more than there are symbols");
}

#[test]
fn an_item_in_a_place_that_is_not_its_own_is_never_the_whole_difference() {
    let row = difference(&items(7, 0..1), &[], 40);
    let elsewhere = row.iter().position(Symbol::is_empty).expect("an item is not everywhere");
    let mut odd = row.clone();
    odd[elsewhere] = row[0];
    assert_eq!(Decoder::default().extend(odd), Ok(Progress::Stuck));
}

/// Sums are exclusive ors, so who may write some three hundred entries can choose a hundred whose sum is nothing, and
/// give half of them to each of two honest nodes. They must find them, and not blame each other.
#[test]
fn entries_chosen_to_sum_to_nothing_are_read_out_like_others() {
    let candidates = items(8, 0..400);
    let chosen = sum_to_nothing(&candidates);
    let (plus, minus) = chosen.split_at(chosen.len() / 2);
    assert_eq!(plus.len(), minus.len());
    let row = difference(plus, minus, 400);
    assert!(row[0].is_empty() && !row[1].is_empty(), "the first symbol says that nothing differs");
    let mut decoder = Decoder::default();
    assert_eq!(decoder.extend(row[..10].iter().copied()), Ok(Progress::Stuck));
    assert_eq!(decoder.extend(row[10..].iter().copied()), Ok(Progress::Done));
    assert_eq!(sorted(decoder.found()), expected(plus, minus));
}

/// An even number of these items whose sum, with the checks, is nothing: by Gaussian elimination.
fn sum_to_nothing(candidates: &[Item]) -> Vec<Item> {
    type Row = ([u64; 5], BTreeSet<usize>);
    let add = |(sum, of): &Row, (other, others): &Row| -> Row {
        (std::array::from_fn(|i| sum[i] ^ other[i]), of.symmetric_difference(others).copied().collect())
    };
    let mut pivots: Vec<(usize, Row)> = Vec::new();
    for (at, item) in candidates.iter().enumerate() {
        // The last word makes the number even.
        let words = [item.0[0], item.0[1], item.0[2], item.marks().check, 1];
        let mut row: Row = (words, [at].into());
        for (bit, pivot) in &pivots {
            if row.0[bit / 64] >> (bit % 64) & 1 == 1 {
                row = add(&row, pivot);
            }
        }
        match (0..5 * 64).find(|bit| row.0[bit / 64] >> (bit % 64) & 1 == 1) {
            Some(bit) => pivots.push((bit, row)),
            None => return row.1.iter().map(|at| candidates[*at]).collect(),
        }
    }
    panic!("more candidates than bits always depend on each other")
}

#[derive(serde::Deserialize)]
struct Vectors {
    cases: Vec<Set>,
}

#[derive(serde::Deserialize)]
struct Set {
    name: String,
    entries: Vec<Entry>,
    symbols: Vec<String>,
    estimator: String,
}

#[derive(serde::Deserialize)]
struct Entry {
    key_hash: String,
    leaf_hash: String,
    item: String,
    check: String,
    seed: String,
    signs: String,
    places: Vec<usize>,
}

fn hex32(text: &str) -> [u8; 32] {
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal").try_into().expect("32 bytes")
}

#[test]
fn items_places_symbols_and_estimators_are_those_in_the_file() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../vectors/sketch.json")).expect("well-formed");
    assert!(vectors.cases.iter().any(|set| set.entries.len() > 1));
    for set in vectors.cases {
        let mut index = Index::default();
        for entry in &set.entries {
            let (key, leaf) = (KeyHash(hex32(&entry.key_hash)), LeafHash(hex32(&entry.leaf_hash)));
            let item = Item::of(&key, &leaf);
            let marks = item.marks();
            assert_eq!(HEXLOWER.encode(&item.to_bytes()), entry.item, "{}", set.name);
            let words = [marks.check, marks.seed, marks.signs].map(|word| format!("{word:016x}"));
            assert_eq!(words.each_ref(), [&entry.check, &entry.seed, &entry.signs], "{}", set.name);
            let mut places = Places::new(&marks);
            let places: Vec<_> = std::iter::from_fn(|| places.below(usize::MAX)).take(entry.places.len()).collect();
            assert_eq!(places, entry.places, "{}", set.name);
            index.insert(Leaf { key, leaf, tag: () });
        }
        let symbols = index.sketch().symbols(0, set.symbols.len());
        assert!(symbols.map(|symbol| HEXLOWER.encode(&symbol.to_bytes())).eq(set.symbols), "{}", set.name);
        assert_eq!(HEXLOWER.encode(&index.sketch().estimator().encode()), set.estimator, "{}", set.name);
        let bytes = HEXLOWER.decode(set.estimator.as_bytes()).expect("hexadecimal").try_into().expect("128 bytes");
        assert_eq!(Estimator::decode(&bytes), *index.sketch().estimator(), "{}", set.name);
    }
}
