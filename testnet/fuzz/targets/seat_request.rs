//! What nodes of a seat ask each other.
#![no_main]

use lattice::commit::Commit;
use lattice::seat::Body;
use lattice::seat::message::SeatRequest;
use lattice_fuzz::{encoded, one_encoding, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let carrier = match one_encoding(bytes, encoded(SeatRequest::decode(bytes), SeatRequest::encode)) {
        Some(SeatRequest::Vote { body, carrier }) => {
            let _ = Body::decode(&body);
            carrier
        }
        Some(SeatRequest::Renew { carrier, .. } | SeatRequest::Probe { carrier }) => carrier,
        Some(
            SeatRequest::Release { .. }
            | SeatRequest::Inquire
            | SeatRequest::HandOver { .. }
            | SeatRequest::Stood { .. }
            | SeatRequest::Fetch { .. }
            | SeatRequest::Write(_)
            | SeatRequest::Read { .. }
            | SeatRequest::Await { .. },
        )
        | None => None,
    };
    if let Some(Ok(commit)) = carrier.map(|carrier| Commit::decode(&carrier)) {
        verify(commit);
    }
});
