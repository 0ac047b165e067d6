//! How far a peer says that an author's chain is in its state.
#![no_main]

use lattice::frontier::Chain;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(mut chain) = one_encoding(bytes, encoded(Chain::decode(bytes), Chain::encode)) {
        let highest = chain.highest();
        if let Some(last) = chain.beyond.last().map(|run| run.last.clone()) {
            chain.note(&last);
        }
        chain.raise_to(&chain.clone());
        assert_eq!(Chain::decode(&chain.encode()).as_ref(), Ok(&chain));
        assert_eq!(chain.highest(), highest);
    }
});
