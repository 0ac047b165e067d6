//! Proof bundles: the whole file, as it is and with the line anew that binds its proof; or what it shows joined with a proof
//! of its record. The first byte says which.
#![no_main]

use lattice::bundle::Bundle;
use lattice::bundle::shown::Shown;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::log::policy::Policy;
use lattice::log::proof::Proof;
use lattice::merkle::leaf_hash;
use lattice_fuzz::{encoded, one_encoding};

/// The log whose name the seeds have, with the key of the first node in them.
const ORIGIN: &str = "a7a7a7a7a7a7a7a7/0467fcafc66d9b8ab04755d8453af680";

fn policy() -> Policy {
    let public = lattice::keys::NodeKeys::from_seed([1; 32]).log_key().0;
    let key = VerifierKey::new(ORIGIN.parse().expect("a name"), KeyKind::Log, public).expect("a key");
    Policy::of_members(vec![key], Vec::new(), 0).expect("a policy")
}

/// With the hash that the proof has, which no change at random meets.
fn bound(bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, proof) = std::str::from_utf8(bytes).ok()?.split_once("\n\n")?;
    let (rest, hash) = head.split_at_checked(head.len().checked_sub(32)?)?;
    let right = lattice::op::value_hash(proof.as_bytes()).to_string();
    (hash.len() == 32).then(|| format!("{rest}{}\n\n{proof}", &right[..32]).into_bytes())
}

fn whole(bytes: &[u8]) {
    let bundle = one_encoding(bytes, encoded(Bundle::parse(bytes), |bundle| bundle.to_string().into_bytes()));
    let _ = bundle.map(|bundle| bundle.verify(&policy()));
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    if kind % 2 == 0 {
        whole(bytes);
        bound(bytes).inspect(|bytes| whole(bytes));
        return;
    }
    let Some(shown) = one_encoding(bytes, encoded(Shown::decode(bytes), Shown::encode)) else { return };
    let log = lattice::keys::NodeKeys::from_seed([1; 32]).log;
    let signed = SignedCheckpoint::sign(&ORIGIN.parse().expect("a name"), 1, leaf_hash(&shown.record), &log);
    let proof = Proof::new(Vec::new(), 0, Vec::new(), signed).expect("small");
    let Ok(bundle) = Bundle::new(shown, &proof) else { return };
    let text = bundle.to_string();
    assert_eq!(Bundle::parse(text.as_bytes()).as_ref(), Ok(&bundle), "what was made is not what is read");
    let (head, _) = text.split_once("\n\n").expect("two parts");
    assert!(head.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "the lines for people are plain");
    let _ = bundle.verify(&policy());
});
