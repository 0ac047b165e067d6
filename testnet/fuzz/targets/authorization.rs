//! The credentials of a request over plain HTTP.
#![no_main]

use lattice::authorization::Authorization;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = one_encoding(bytes, encoded(Authorization::decode(bytes), Authorization::encode)) {
        assert_eq!(Authorization::from_text(&request.to_text()), Ok(request));
    }
    let _ = std::str::from_utf8(bytes).map(Authorization::from_text);
});
