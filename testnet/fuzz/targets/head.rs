//! What a peer says of its state.
#![no_main]

use lattice::head::SignedHead;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(head) = one_encoding(bytes, encoded(SignedHead::decode(bytes), SignedHead::encode)) {
        head.verified();
    }
});
