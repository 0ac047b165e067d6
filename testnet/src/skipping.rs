//! Tests that need what not every machine has: they say in one line why they are skipped, unless it must be there.

use std::fmt::Display;

/// Variable that is set where namespaces and small disks can be made.
pub const NAMESPACES: &str = "LATTICE_TEST_NAMESPACES";

/// Variable that is set where there is a browser with its driver.
pub const BROWSER: &str = "LATTICE_TEST_BROWSER";

/// Variable that is set where Prometheus is installed.
pub const PROMETHEUS: &str = "LATTICE_TEST_PROMETHEUS";

/// Says why a test is skipped.
///
/// # Panics
///
/// Where the variable says that what the test needs is there: a test that is skipped would hide something.
pub fn skip(required: &str, reason: &dyn Display) {
    assert!(std::env::var_os(required).is_none(), "{required} is set, and a test would be skipped: {reason}");
    println!("skipped: {reason}");
}
