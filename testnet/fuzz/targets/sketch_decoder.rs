//! What a peer's symbols can make of a sketch's decoder: any symbols at all, in any portions; and the true symbols of a
//! difference with errors in them.
#![no_main]

use lattice_fuzz::sketch::{check_found, portions, row, spoil};
use reconcile::sketch::{Decoder, Malformed, Progress};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, entries, step, rest @ ..] = bytes else { return };
    let (entries, step) = (usize::from(*entries), usize::from(*step));
    let symbols = if kind & 1 == 0 { portions(rest) } else { spoil(row(entries, kind & 2 != 0), rest) };
    let mut decoder = Decoder::default();
    let mut taken = 0;
    for more in symbols.chunks(step.max(1)) {
        taken += more.len();
        let progress = decoder.extend(more.iter().copied());
        let found = decoder.found();
        assert!(found.plus.len() + found.minus.len() <= taken, "more items than symbols");
        assert_eq!(decoder.len(), taken);
        match progress {
            Ok(Progress::Done) => return check_found(&symbols[..taken], &found),
            Ok(Progress::Stuck) => {}
            Err(Malformed) => return,
        }
    }
});
