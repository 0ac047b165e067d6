//! A whole state as a stream: one part, and parts one after the other.
#![no_main]

use lattice::transfer::{Part, Parts};
use lattice_fuzz::{encoded, one_encoding, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let part = encoded(Part::decode(bytes), |part| part.encode().split_off(4));
    if let Some(Part::Commit { commit, .. }) = one_encoding(bytes, part) {
        verify(*commit);
    }
    let mut parts = Parts::default();
    for piece in bytes.chunks(100) {
        parts.push(piece);
        while let Ok(Some(_)) = parts.next_part() {}
    }
});
