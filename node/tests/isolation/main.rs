//! Real processes in network namespaces of their own: libp2p blocked while HTTP passes, both blocked, one direction
//! blocked; and states that were damaged by hand.

use std::fmt::Display;

mod damage;
mod roads;
mod scenario;
mod world;

/// Set where namespaces can be made and a test that is skipped would hide something.
const REQUIRED: &str = "LATTICE_TEST_NAMESPACES";

/// Says why a test is skipped, where that is allowed.
pub(crate) fn skip(reason: &dyn Display) {
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and a test would be skipped: {reason}");
    println!("skipped: {reason}");
}
