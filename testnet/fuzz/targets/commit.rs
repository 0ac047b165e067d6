//! A commit, as frames, reconcile and the API carry it.
#![no_main]

use lattice::commit::Commit;
use lattice_fuzz::{encoded, one_encoding, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(commit) = one_encoding(bytes, encoded(Commit::decode(bytes), Commit::encode)) {
        verify(commit);
    }
});
