//! A seat: a named position that one node holds per term, and the certificates that say who.
//!
//! The keys under a seat's prefix are written by the holder of a term alone. A [`Certificate`] names holder, shadow,
//! spares and voters of one term and is signed by a majority of the voters before it, or by the operators. It stands in
//! the state like a membership change, so everybody can check offline who held the seat when, and [`Seats`] is a function
//! of the set of certificates: it does not matter in which order they came.

mod approval;
mod body;
mod certificate;
mod history;
pub mod message;

pub use approval::{Approvals, approval_text};
pub use body::{BadBody, Body, BodyHash, SPARES_MAX, VOTERS_MAX, VOTERS_MIN};
pub(crate) use certificate::CERTIFY;
pub use certificate::{CERTIFICATE_BYTES_MAX, Certificate, NotWarranted, SEAT_PREFIX, Warrant};
pub use history::{Seats, Term};

/// How many of `all` are a majority: more than half.
pub const fn majority(all: usize) -> usize {
    all / 2 + 1
}

#[cfg(test)]
mod tests;
