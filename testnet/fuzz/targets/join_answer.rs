//! The answer to a request to join.
#![no_main]

use lattice::hello::JoinAnswer;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    one_encoding(bytes, encoded(JoinAnswer::decode(bytes), JoinAnswer::encode));
});
