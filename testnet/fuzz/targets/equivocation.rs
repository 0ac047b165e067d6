//! Evidence against an author.
#![no_main]

use lattice::equivocation::Equivocation;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(pair) = one_encoding(bytes, encoded(Equivocation::decode(bytes), Equivocation::encode)) {
        pair.is_proven();
    }
});
