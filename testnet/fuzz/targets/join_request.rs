//! A stranger's request to join.
#![no_main]

use lattice::hello::JoinRequest;
use lattice_fuzz::{encoded, one_encoding_before_extensions};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let request = encoded(JoinRequest::decode(bytes), JoinRequest::encode);
    if let Some(request) = one_encoding_before_extensions(bytes, request) {
        request.is_signed();
    }
});
