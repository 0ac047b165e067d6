//! No byte of a bundle can change without being noticed.

use lattice::bundle::Bundle;

use super::world::{WITNESSES, one_of_each, policy, resealed};

/// Every byte with all its bits turned, one at a time; with other bundles one bit of each byte, another one each time.
fn flips(len: usize, all_bits: bool) -> impl Iterator<Item = (usize, u8)> {
    let bits = move |at: usize| if all_bits { 0..8 } else { at as u8 % 8..at as u8 % 8 + 1 };
    (0..len).flat_map(move |at| bits(at).map(move |bit| (at, bit)))
}

/// A bit of a cosignature's name or key id made it a stranger's, which a note may carry: a bundle with more cosignatures
/// than the policy asks for was accepted.
#[test]
fn no_flipped_bit_is_accepted_however_few_witnesses_are_needed() {
    for (number, (what, bundle)) in one_of_each().into_iter().enumerate() {
        for needed in [1, WITNESSES] {
            let proven = bundle.verify(&policy(needed)).expect(what);
            assert_eq!(proven.judged.witnesses.len(), WITNESSES, "{what}");
        }
        let bytes = bundle.to_string().into_bytes();
        for (at, bit) in flips(bytes.len(), number == 0) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(Bundle::parse(&flipped).is_err(), "{what}: byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_flipped_bit_that_is_bound_anew_proves_nothing_else() {
    let (all, most) = (policy(WITNESSES), policy(WITNESSES - 1));
    for (number, (what, bundle)) in one_of_each().into_iter().enumerate() {
        let proven = bundle.verify(&all).expect(what);
        let text = bundle.to_string();
        let proof_at = text.find("\n\n").expect("two parts") + 2;
        let (mut still_read, mut one_witness_less) = (0, 0);
        for (at, bit) in flips(text.len(), number == 0).filter(|(at, _)| *at >= proof_at) {
            let mut flipped = text.clone().into_bytes();
            flipped[at] ^= 1 << bit;
            let Ok(flipped) = String::from_utf8(flipped).map(|flipped| resealed(&flipped)) else { continue };
            let Ok(other) = Bundle::parse(flipped.as_bytes()) else { continue };
            still_read += 1;
            assert!(other.to_string() == flipped, "{what}: byte {at}, bit {bit}: one encoding");
            assert!(other.verify(&all).is_err(), "{what}: byte {at}, bit {bit}");
            // A line whose name or key id changed is by a stranger: a note may carry such, and it means nothing.
            if let Ok(less) = other.verify(&most) {
                one_witness_less += 1;
                assert_eq!(other.shown(), bundle.shown(), "{what}: byte {at}, bit {bit}");
                assert_eq!((&less.fact, less.index, less.root), (&proven.fact, proven.index, proven.root));
                assert_eq!(less.judged.witnesses.len(), proven.judged.witnesses.len() - 1);
            }
        }
        assert!(still_read > one_witness_less && one_witness_less > 20, "{what}: {still_read}, {one_witness_less}");
    }
}

#[test]
fn no_cut_doubled_or_added_line_is_read_as_a_bundle() {
    for (what, bundle) in one_of_each() {
        let text = bundle.to_string();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let without = [&lines[..at], &lines[at + 1..]].concat().concat();
            let doubled = [&lines[..=at], &lines[at..]].concat().concat();
            let mut swapped = lines.clone();
            swapped.swap(at, (at + 1) % lines.len());
            for (other, how) in [(without, "left out"), (doubled, "doubled"), (swapped.concat(), "swapped")] {
                assert!(Bundle::parse(other.as_bytes()).is_err(), "{what}: line {at} {how}: {}", lines[at]);
            }
        }
        for at in 0..text.len() {
            assert!(Bundle::parse(&text.as_bytes()[..at]).is_err(), "{what}: {at}");
        }
        for tail in ["\n", "x", "\0"] {
            assert!(Bundle::parse(format!("{text}{tail}").as_bytes()).is_err(), "{what}");
        }
    }
}
