//! A policy file: what was read has one canonical form, which reads as the same.
#![no_main]

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::policy::Policy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match Policy::parse(bytes) {
        Ok(policy) => {
            let canonical = policy.encode();
            assert!(canonical.len() <= bytes.len() + 1, "the canonical form is no longer, but for a last newline");
            assert_eq!(Policy::parse(&canonical).as_ref(), Ok(&policy), "the canonical form reads as another policy");
            let keys = lattice::keys::NodeKeys::from_seed([1; 32]);
            let origin = "example.org/log".parse().expect("a name");
            let _ = policy.judge(&SignedCheckpoint::sign(&origin, 5, [7; 32], &keys.log));
        }
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
});
