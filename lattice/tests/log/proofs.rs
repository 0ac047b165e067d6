//! Proof files: from log to verdict, and everything that must not be taken for one.

use data_encoding::BASE64;
use lattice::log::note::KeyKind;
use lattice::log::policy::{Policy, Refused};
use lattice::log::proof::{BadProof, NotProven, PROOF_BYTES_MAX, PROOF_EXTRA_BYTES_MAX, Proof};
use lattice::log::tree::{self, NotIncluded};

use super::{checkpoint, key, leaves, log_key, name, secret, tile_set};

/// A proof of record 3 of 11, cosigned by a witness, and the policy that wants both.
fn proven() -> (Proof, Policy) {
    let all = leaves(11);
    let witness = key("witness.example/w1", KeyKind::Cosigner, 9);
    let mut signed = checkpoint(&all);
    signed.add(signed.cosign(1_700_000_000, &name("witness.example/w1"), &secret(9)), &witness).expect("it holds");
    let path = tree::inclusion(3, 11, &tile_set(&all)).expect("all tiles");
    let proof = Proof::new(b"the record".to_vec(), 3, path, signed).expect("small");
    let policy = Policy::of_members(vec![log_key()], vec![("w1".into(), witness)], 1).expect("a policy");
    (proof, policy)
}

#[test]
fn a_proof_file_is_made_read_and_verified() {
    let (proof, policy) = proven();
    let judged = proof.verify(&leaves(11)[3], &policy).expect("it holds");
    assert_eq!((judged.log, judged.witnesses[0].time_s), (log_key(), 1_700_000_000));
    let text = proof.to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra dGhlIHJlY29yZA==\nindex 3\n"), "{text}");
    assert_eq!(text.lines().count(), 3 + 4 + 1 + 3 + 1 + 2);
    assert_eq!(Proof::parse(text.as_bytes()), Ok(proof.clone()));
    let plain = Proof::new(Vec::new(), 3, proof.path().to_vec(), proof.checkpoint().clone()).expect("small");
    assert!(plain.to_string().starts_with("c2sp.org/tlog-proof@v1\nindex 3\n"));
    assert_eq!(Proof::parse(plain.to_string().as_bytes()), Ok(plain));
}

#[test]
fn a_proof_for_another_record_or_without_the_quorum_proves_nothing() {
    let (proof, policy) = proven();
    let all = leaves(11);
    assert_eq!(proof.verify(&all[4], &policy), Err(NotProven::Inclusion(NotIncluded::OtherRoot)));
    let moved = Proof::new(Vec::new(), 11, proof.path().to_vec(), proof.checkpoint().clone()).expect("small");
    let beyond = NotIncluded::BeyondLog { index: 11, size: 11 };
    assert_eq!(moved.verify(&all[3], &policy), Err(NotProven::Inclusion(beyond)));
    let bare = proof.checkpoint().bare(&log_key()).expect("signed");
    let bare = Proof::new(Vec::new(), 3, proof.path().to_vec(), bare).expect("small");
    assert!(matches!(bare.verify(&all[3], &policy), Err(NotProven::Checkpoint(Refused::Quorum { .. }))));
}

#[test]
fn no_flipped_bit_of_a_proof_is_accepted_but_in_the_extra_data() {
    let (proof, policy) = proven();
    let leaf = leaves(11)[3];
    let bytes = proof.to_string().into_bytes();
    let mut read = 0;
    for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        let Ok(other) = Proof::parse(&flipped) else { continue };
        read += 1;
        assert_eq!(other.to_string().as_bytes(), flipped, "one encoding");
        let is_same =
            (other.index(), other.path()) == (proof.index(), proof.path()) && other.checkpoint() == proof.checkpoint();
        assert_eq!(other.verify(&leaf, &policy).is_ok(), is_same, "byte {at}, bit {bit}");
    }
    assert!(read > 100, "some flips still read as a proof: {read}");
}

#[test]
fn what_is_no_proof_file_is_refused() {
    let (proof, _) = proven();
    let text = proof.to_string();
    let hash = format!("{}\n", BASE64.encode(&[7; 32]));
    let with = |from: &str, to: &str| text.replacen(from, to, 1);
    for (bad, why) in [
        (String::new(), BadProof::FirstLine),
        (with("@v1", "@v2"), BadProof::FirstLine),
        (with("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\r\n"), BadProof::FirstLine),
        (with("extra dGhlIHJlY29yZA==", "extra "), BadProof::Extra),
        (with("extra dGhlIHJlY29yZA==", "extra dGhlIHJlY29yZB=="), BadProof::Extra),
        (with("extra dGhlIHJlY29yZA==", "extra dGhlIHJlY29yZA"), BadProof::Extra),
        (with("extra ", "extra  "), BadProof::Extra),
        (with("extra ", "Extra "), BadProof::Index),
        (with("index 3", "index 03"), BadProof::Index),
        (with("index 3", "index -3"), BadProof::Index),
        (with("index 3\n", ""), BadProof::Index),
        (with("index 3\n", "index 3\nextra AA==\n"), BadProof::Hash(1)),
        (with("index 3\n", &format!("index 3\n{}", hash.repeat(60))), BadProof::TooManyHashes),
        ("c2sp.org/tlog-proof@v1\nindex 3\n".to_owned(), BadProof::Text),
        ("c2sp.org/tlog-proof@v1\n".to_owned(), BadProof::Text),
        ("c2sp.org/tlog-proof@v1\nextra AA==\n".to_owned(), BadProof::Text),
        ("c".repeat(PROOF_BYTES_MAX + 1), BadProof::TooLong(PROOF_BYTES_MAX + 1)),
    ] {
        let head: String = bad.chars().take(60).collect();
        assert_eq!(Proof::parse(bad.as_bytes()), Err(why), "{head:?}");
    }
    let without_checkpoint = text.split_once("\n\n").map(|(head, _)| format!("{head}\n\n")).expect("two parts");
    assert!(matches!(Proof::parse(without_checkpoint.as_bytes()), Err(BadProof::Checkpoint(_))));
    let spare_line = with("\n\nexample.org/log", "\n\n\nexample.org/log");
    assert!(matches!(Proof::parse(spare_line.as_bytes()), Err(BadProof::Checkpoint(_))));
}

#[test]
fn the_largest_proof_fits_its_bound_and_a_larger_one_is_not_made() {
    let signed = checkpoint(&leaves(11));
    let largest = Proof::new(vec![7; PROOF_EXTRA_BYTES_MAX], u64::MAX, vec![[7; 32]; 63], signed.clone());
    let largest = largest.expect("within the bounds");
    assert_eq!(Proof::parse(largest.to_string().as_bytes()), Ok(largest));
    let long = Proof::new(vec![7; PROOF_EXTRA_BYTES_MAX + 1], 0, Vec::new(), signed.clone());
    assert_eq!(long, Err(BadProof::Extra));
    assert_eq!(Proof::new(Vec::new(), 0, vec![[7; 32]; 64], signed), Err(BadProof::TooManyHashes));
}
