//! The law that all targets hold decoders to: refuse the bytes, or be ready to write the very same again.

#![forbid(unsafe_code)]

pub mod sketch;

use std::fmt::Debug;
use std::sync::OnceLock;

use lattice::commit::Commit;
use lattice::genesis::Genesis;
use lattice::keys::NodeKeys;
use lattice::limits::KEY_BYTES_MAX;
use lattice::seat::{Certificate, SEAT_PREFIX};

/// Panics if `bytes` decode to something that encodes to other bytes.
pub fn one_encoding<T>(bytes: &[u8], again: Option<(T, Vec<u8>)>) -> Option<T> {
    let (value, again) = again?;
    assert_eq!(again, bytes, "decoded, but encoded again it is something else");
    Some(value)
}

/// As [`one_encoding`], for messages whose last item is a map of extensions that a decoder accepts and does not keep.
pub fn one_encoding_before_extensions<T>(bytes: &[u8], again: Option<(T, Vec<u8>)>) -> Option<T> {
    let (value, again) = again?;
    let (map, before) = again.split_last().expect("no message has no bytes");
    assert_eq!(*map, 0xa0, "what is encoded has no extensions");
    assert!(bytes.starts_with(before), "decoded, but encoded again it is something else");
    assert_eq!(bytes[before.len()] & 0xe0, 0xa0, "extensions are a map");
    Some(value)
}

/// Pairs a decoded value with its encoding; an error says something to people and names the one at fault.
pub fn encoded<T, E: Debug + ToString>(decoded: Result<T, E>, encode: impl Fn(&T) -> Vec<u8>) -> Option<(T, Vec<u8>)> {
    match decoded {
        Ok(value) => {
            let bytes = encode(&value);
            Some((value, bytes))
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// The next step of what came in: verification must not panic either, whatever it says. What it goes by is never less
/// than the encoding, so that all it accepts can be decoded.
pub fn verify(commit: Commit) {
    assert!(commit.encode().len() <= commit.counted_bytes(), "counted as less than it takes");
    static GENESIS: OnceLock<Genesis> = OnceLock::new();
    let genesis = GENESIS.get_or_init(|| {
        let keys = NodeKeys::from_seed([1; 32]);
        Genesis::founded_by("fuzzed", "one", &keys, vec![1; 38])
    });
    let lattice = commit.signed().header().lattice;
    let _ = commit.verify_for(genesis, lattice);
}

/// Whether a certificate has a key of its own, unless its seat is none that a key could hold: no genesis names such a one.
pub fn has_key(certificate: &Certificate) -> bool {
    const TERM_AND_HASH_BYTES: usize = 1 + 19 + 1 + 64;
    let seat = &certificate.body.seat;
    let fits = !seat.contains('\0') && SEAT_PREFIX.len() + seat.len() + TERM_AND_HASH_BYTES <= KEY_BYTES_MAX;
    certificate.to_op().is_ok() == fits
}
