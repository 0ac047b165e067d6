//! A record of another node's log.
#![no_main]

use lattice::record::Record;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    one_encoding(bytes, encoded(Record::decode(bytes), Record::encode));
});
