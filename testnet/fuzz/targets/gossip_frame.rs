//! What gossip brings.
#![no_main]

use lattice::frame::Frame;
use lattice_fuzz::{encoded, one_encoding_before_extensions, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let frame = encoded(Frame::decode(bytes), Frame::encode);
    match one_encoding_before_extensions(bytes, frame) {
        Some(Frame::Commits(commits)) => commits.into_iter().for_each(verify),
        Some(Frame::Head(head)) => drop(head.verified()),
        Some(Frame::Equivocation(pair)) => drop(pair.is_proven()),
        Some(Frame::Checkpoint(_) | Frame::Fork(_)) | None => {}
    }
});
