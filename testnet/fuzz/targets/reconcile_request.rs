//! What the other side of a reconcile session asks.
#![no_main]

use lattice_fuzz::{encoded, one_encoding_before_extensions};
use reconcile::message::Request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    one_encoding_before_extensions(bytes, encoded(Request::decode(bytes), Request::encode));
});
