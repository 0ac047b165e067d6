//! A genesis, as tickets carry it.
#![no_main]

use lattice::genesis::Genesis;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(genesis) = one_encoding(bytes, encoded(Genesis::decode(bytes), Genesis::encode)) {
        assert!(genesis.check().is_ok());
    }
});
