//! What a voter is asked to sign, and what operators sign as text.
#![no_main]

use lattice::log::note::Note;
use lattice::seat::{Approvals, Body, approval_text};
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes) {
        if let Ok(body) = Approvals::body_of(&note) {
            let _ = Approvals::from_note(&body, &note);
        }
        return;
    }
    let Some(body) = one_encoding(bytes, encoded(Body::decode(bytes), Body::encode)) else { return };
    assert_eq!(body.check(), Ok(()));
    let text = approval_text(&body);
    // A seat that the genesis can't name may hold a line's end; `Certificate::verify` refuses it.
    let expected = 8 + body.seat.matches('\n').count();
    assert_eq!(text.matches('\n').count(), expected, "the text for operators says more than the body");
});
