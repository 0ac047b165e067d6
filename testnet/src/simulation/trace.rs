//! What happened, line by line: shown on demand, and always summed up in one number that a repeated run must give.

use std::fmt::{self, Write};
use std::io::Write as _;

/// The trace of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Fnv,
    is_shown: bool,
}

/// FNV-1a of 64 bits: two runs that differ are not to be mistaken for equal by accident; nobody tries to on purpose.
#[derive(Debug)]
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(is_shown: bool) -> Self {
        Self { hash: Fnv(0xcbf2_9ce4_8422_2325), is_shown }
    }

    /// Takes note of what happened at this virtual time.
    pub(crate) fn note(&mut self, now_ms: u64, what: fmt::Arguments<'_>) {
        // Writing into a number can't fail.
        let _ = writeln!(self.hash, "{now_ms} {what}");
        if self.is_shown {
            // Whoever reads the lines may have seen enough and be gone.
            let _ = writeln!(std::io::stdout(), "{:>4}.{:03}  {what}", now_ms / 1000, now_ms % 1000);
        }
    }

    /// The number.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }
}
