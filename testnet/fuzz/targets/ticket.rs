//! A ticket, pasted by a person.
#![no_main]

use lattice::ticket::Ticket;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let ticket = encoded(text.parse::<Ticket>(), |ticket| ticket.to_string().into_bytes());
        one_encoding(text.trim().as_bytes(), ticket);
    }
});
