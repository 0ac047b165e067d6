//! What nodes of a seat answer each other.
#![no_main]

use lattice::commit::Commit;
use lattice::record::Record;
use lattice::seat::message::SeatAnswer;
use lattice_fuzz::{encoded, one_encoding, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match one_encoding(bytes, encoded(SeatAnswer::decode(bytes), SeatAnswer::encode)) {
        Some(SeatAnswer::Batch(batch)) => {
            let named = batch.records.iter().flat_map(|record| &record.commits);
            let commits = named.chain(batch.staged.iter().map(|staged| &staged.commit));
            commits.filter_map(|commit| Commit::decode(commit).ok()).for_each(verify);
            batch.records.iter().for_each(|record| drop(Record::decode(&record.record)));
        }
        Some(SeatAnswer::Refused(refusal)) => {
            if let Some(Ok(commit)) = refusal.carrier.as_ref().map(|carrier| Commit::decode(carrier)) {
                verify(commit);
            }
        }
        Some(
            SeatAnswer::Voted(_)
            | SeatAnswer::Done
            | SeatAnswer::Lease { .. }
            | SeatAnswer::Probed { .. }
            | SeatAnswer::Written { .. }
            | SeatAnswer::Entry(_),
        )
        | None => {}
    }
});
