//! The handshake of two nodes.
#![no_main]

use lattice::hello::Hello;
use lattice_fuzz::{encoded, one_encoding_before_extensions};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let hello = encoded(Hello::decode(bytes), Hello::encode);
    if let Some(hello) = one_encoding_before_extensions(bytes, hello) {
        hello.is_from(b"from", b"to");
    }
});
