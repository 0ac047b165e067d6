//! What a log, a witness or an auditor is sent as text; the first byte says what it claims to be.
#![no_main]

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::{KeyKind, Note, SignatureLine, VerifierKey};
use lattice::log::policy::Policy;
use lattice::log::proof::Proof;
use lattice::log::witness::{AddCheckpoint, judge, parse_conflict, parse_cosignatures};
use lattice_fuzz::{encoded, one_encoding};

/// What the text is asked about: a log and a witness whose names stand in the seeds.
fn keys() -> (VerifierKey, VerifierKey) {
    let public = lattice::keys::NodeKeys::from_seed([1; 32]).log_key().0;
    let key = |name: &str, kind| VerifierKey::new(name.parse().expect("a name"), kind, public).expect("a key");
    (key("example.org/log", KeyKind::Log), key("witness2.example", KeyKind::Cosigner))
}

fn bytes(value: &impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, text)) = input.split_first() else { return };
    let (log, witness) = keys();
    match kind % 6 {
        0 => {
            let note = one_encoding(text, encoded(Note::parse(text), bytes));
            note.map(|note| (note.signed_by(&log), note.signed_by(&witness)));
        }
        1 => {
            if let Some(mut signed) = one_encoding(text, encoded(SignedCheckpoint::parse(text), bytes)) {
                let _ = (signed.verify(&log), signed.bare(&log), signed.cosigned_by(&witness));
                let again = signed.clone();
                let _ = signed.merge(&again, std::slice::from_ref(&witness));
            }
        }
        2 => {
            let policy = Policy::of_members(vec![log], vec![("w".to_owned(), witness)], 1).expect("a policy");
            let proof = one_encoding(text, encoded(Proof::parse(text), bytes));
            proof.map(|proof| proof.verify(&[7; 32], &policy));
        }
        3 => {
            let request = one_encoding(text, encoded(AddCheckpoint::parse(text), bytes));
            request.map(|request| judge(&request, &[log], None));
        }
        4 => {
            let evidence = one_encoding(text, encoded(ForkEvidence::parse(text), bytes));
            evidence.map(|evidence| evidence.verify(&log));
        }
        _ => {
            let _ = (parse_cosignatures(text), parse_conflict(text));
            let Ok(text) = std::str::from_utf8(text) else { return };
            one_encoding(text.as_bytes(), encoded(text.parse::<VerifierKey>(), bytes));
            one_encoding(text.as_bytes(), SignatureLine::parse(text).map(|line| (line.clone(), bytes(&line))));
        }
    }
});
