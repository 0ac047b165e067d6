//! The value of an operation under `@member/`.
#![no_main]

use lattice::membership::Change;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(change) = one_encoding(bytes, encoded(Change::decode(bytes), Change::encode)) {
        assert!(change.to_op().is_ok());
    }
});
