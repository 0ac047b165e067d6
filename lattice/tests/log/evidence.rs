//! Fork evidence: what proves that a log lied, and what does not.

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{BadEvidence, Beginning, FORK_EVIDENCE_BYTES_MAX, ForkEvidence, NoFork};
use lattice::log::note::KeyKind;
use lattice::log::tree;
use lattice::merkle::{Digest, leaf_hash};

use super::{checkpoint, key, leaves, log_key, name, root_of, secret, signed, tile_set};

/// The same log with its third record rewritten.
fn rewritten(count: u64) -> Vec<Digest> {
    let mut leaves = leaves(count);
    leaves[2] = leaf_hash(b"something else");
    leaves
}

fn beginning(leaves: &[Digest], at: u64) -> Beginning {
    let proof = tree::consistency(at, leaves.len() as u64, &tile_set(leaves)).expect("all tiles");
    Beginning { root: root_of(&leaves[..at as usize]), proof }
}

fn of_one_size() -> ForkEvidence {
    ForkEvidence::new(&checkpoint(&leaves(7)), &checkpoint(&rewritten(7)), None, &log_key()).expect("two roots")
}

fn of_two_sizes(small: u64, large: u64) -> ForkEvidence {
    let (told, later) = (checkpoint(&leaves(small)), checkpoint(&rewritten(large)));
    let beginning = beginning(&rewritten(large), small);
    ForkEvidence::new(&told, &later, Some(beginning), &log_key()).expect("another beginning")
}

#[test]
fn two_roots_of_one_size_prove_a_fork() {
    let evidence = of_one_size();
    assert_eq!(evidence.verify(&log_key()), Ok(()));
    assert_eq!(ForkEvidence::parse(evidence.to_string().as_bytes()), Ok(evidence.clone()));
    let swapped = ForkEvidence::new(&checkpoint(&rewritten(7)), &checkpoint(&leaves(7)), None, &log_key());
    assert_eq!(swapped, Ok(evidence.clone()), "one fork, one file");
    assert!(evidence.to_string().starts_with("lattice-fork/v1\n\nexample.org/log\n7\n"));
}

#[test]
fn another_beginning_proves_a_fork_whatever_the_sizes() {
    for (small, large) in [(3, 4), (4, 8), (5, 7), (8, 9), (8, 300), (100, 300), (256, 257)] {
        let evidence = of_two_sizes(small, large);
        assert_eq!(evidence.verify(&log_key()), Ok(()), "{small}, {large}");
        assert_eq!(ForkEvidence::parse(evidence.to_string().as_bytes()), Ok(evidence), "{small}, {large}");
    }
    let lied = signed(0, [7; 32]);
    let nothing = Beginning { root: tree::EMPTY_ROOT, proof: Vec::new() };
    let evidence = ForkEvidence::new(&lied, &checkpoint(&leaves(5)), Some(nothing), &log_key());
    assert!(evidence.is_ok(), "an empty log with a root of its own");
}

#[test]
fn honest_checkpoints_prove_nothing_in_any_order() {
    let (early, late) = (checkpoint(&leaves(4)), checkpoint(&leaves(9)));
    let new = |one, other, beginning| ForkEvidence::new(one, other, beginning, &log_key()).expect_err("no fork");
    assert_eq!(new(&early, &early, None), NoFork::Same);
    assert_eq!(new(&early, &late, None), NoFork::Beginning, "growth");
    assert_eq!(new(&late, &early, None), NoFork::Beginning, "an old checkpoint shown again");
    assert_eq!(new(&early, &late, Some(beginning(&leaves(9), 4))), NoFork::Grown);
    let mut made_up = beginning(&leaves(9), 4);
    made_up.root = [7; 32];
    assert!(matches!(new(&early, &late, Some(made_up)), NoFork::Inconsistent(_)));
    let mut spare = beginning(&leaves(9), 4);
    spare.proof.push([0; 32]);
    spare.root = [7; 32];
    assert!(matches!(new(&early, &late, Some(spare)), NoFork::Inconsistent(_)));
}

#[test]
fn evidence_needs_the_logs_own_signature_on_both() {
    let honest = checkpoint(&leaves(7));
    let by_stranger = SignedCheckpoint::sign(&name("example.org/log"), 7, [7; 32], &secret(2));
    let new = |one, other| ForkEvidence::new(one, other, None, &log_key());
    assert!(matches!(new(&honest, &by_stranger), Err(NoFork::NotOfLog(_))));
    let of_other = SignedCheckpoint::sign(&name("example.org/other"), 7, [7; 32], &secret(1));
    assert!(matches!(new(&honest, &of_other), Err(NoFork::NotOfLog(_))));
    let text = of_one_size().to_string();
    let mixed =
        text.replacen(&honest.note().signatures()[0].to_string(), &by_stranger.note().signatures()[0].to_string(), 1);
    let mixed = ForkEvidence::parse(mixed.as_bytes()).expect("it reads");
    assert!(mixed.verify(&log_key()).is_err());
    assert!(of_one_size().verify(&key("example.org/log", KeyKind::Log, 2)).is_err());
    assert!(of_one_size().verify(&key("example.org/other", KeyKind::Log, 1)).is_err());
}

#[test]
fn cosignatures_do_not_make_another_file_of_the_same_fork() {
    let mut cosigned = checkpoint(&leaves(7));
    let witness = key("w", KeyKind::Cosigner, 9);
    cosigned.add(cosigned.cosign(1, &name("w"), &secret(9)), &witness).expect("it holds");
    assert_eq!(ForkEvidence::new(&cosigned, &checkpoint(&rewritten(7)), None, &log_key()), Ok(of_one_size()));
    let text = of_one_size().to_string();
    let own = checkpoint(&leaves(7)).to_string();
    let with_cosignature = text.replacen(&own, &cosigned.to_string(), 1);
    assert_ne!(text, with_cosignature);
    assert_eq!(ForkEvidence::parse(with_cosignature.as_bytes()), Err(BadEvidence::NoFork(NoFork::Form)));
}

#[test]
fn no_flipped_bit_of_evidence_is_accepted() {
    for evidence in [of_one_size(), of_two_sizes(5, 7)] {
        let bytes = evidence.to_string().into_bytes();
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let Ok(other) = ForkEvidence::parse(&flipped) else { continue };
            assert_eq!(other.to_string().as_bytes(), flipped, "one encoding");
            assert!(other.verify(&log_key()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn what_is_no_evidence_is_refused() {
    let text = of_two_sizes(5, 7).to_string();
    let with = |from: &str, to: &str| text.replacen(from, to, 1);
    for (bad, why) in [
        (String::new(), BadEvidence::FirstLine),
        (with("/v1", "/v2"), BadEvidence::FirstLine),
        ("lattice-fork/v1\n".to_owned(), BadEvidence::Text),
        ("lattice-fork/v1\n\n".to_owned(), BadEvidence::Text),
        (with("beginning ", "begins "), BadEvidence::Hash),
        (with("beginning ", "beginning  "), BadEvidence::Hash),
        ("x".repeat(FORK_EVIDENCE_BYTES_MAX + 1), BadEvidence::TooLong(FORK_EVIDENCE_BYTES_MAX + 1)),
    ] {
        let head: String = bad.chars().take(60).collect();
        assert_eq!(ForkEvidence::parse(bad.as_bytes()), Err(why), "{head:?}");
    }
    let (one, other) = (checkpoint(&leaves(7)), checkpoint(&rewritten(7)));
    let (first, second) = if one.checkpoint().root() < other.checkpoint().root() { (one, other) } else { (other, one) };
    let refused = |text: String| ForkEvidence::parse(text.as_bytes()).expect_err("no evidence");
    assert_eq!(refused(format!("lattice-fork/v1\n\n{second}\n{first}")), BadEvidence::NoFork(NoFork::Form));
    assert_eq!(refused(format!("lattice-fork/v1\n\n{first}\n{first}")), BadEvidence::NoFork(NoFork::Same));
    let elsewhere = SignedCheckpoint::sign(&name("z"), 9, [7; 32], &secret(1));
    assert_eq!(refused(format!("lattice-fork/v1\n\n{first}\n{elsewhere}")), BadEvidence::NoFork(NoFork::TwoLogs));
    assert!(matches!(refused(format!("lattice-fork/v1\n\n{first}\n\n{second}")), BadEvidence::Checkpoint(_)));
    assert!(matches!(refused(format!("lattice-fork/v1\n\n{first}{second}")), BadEvidence::Checkpoint(_)));
    assert!(matches!(refused(format!("lattice-fork/v1\n\n{first}\n{second}\n{second}")), BadEvidence::Checkpoint(_)));
}
