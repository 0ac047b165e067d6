//! The value of an operation under `@member/` or `@seat/`.
#![no_main]

use lattice::membership::Change;
use lattice_fuzz::{encoded, has_key, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(change) = one_encoding(bytes, encoded(Change::decode(bytes), Change::encode)) {
        match &change {
            Change::Certify(certificate) => assert!(has_key(certificate)),
            Change::Add(_) | Change::Revoke { .. } | Change::Fall { .. } => assert!(change.to_op().is_ok()),
        }
    }
});
