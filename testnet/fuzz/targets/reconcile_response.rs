//! What the other side of a reconcile session answers.
#![no_main]

use lattice_fuzz::{encoded, one_encoding_before_extensions};
use reconcile::message::Response;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    one_encoding_before_extensions(bytes, encoded(Response::decode(bytes), Response::encode));
});
