//! The dashboard in a real browser, against real nodes: what it shows is what the API says, what happens shows, a proof is
//! checked, it is usable without a mouse and without eyes, and nothing leaves for elsewhere.

use std::fmt::Display;

mod browser;
mod loading;
mod looks;
mod modules;
mod page;
mod proof;
mod reading;
mod values;
mod world;

/// Set where a browser can be had and a test that is skipped would hide something.
const REQUIRED: &str = "LATTICE_TEST_BROWSER";

/// Says why a test is skipped, where that is allowed.
pub(crate) fn skip(reason: &dyn Display) {
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and a test would be skipped: {reason}");
    println!("skipped: {reason}");
}
