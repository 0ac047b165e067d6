//! The seat's pure machines: votes, leases, who takes over when.
//!
//! # Reading order
//!
//! 1. [`timing`]: the clock and the intervals. [`named`]: a body with its name.
//! 2. [`voter`]: what one node voted for and granted, and why it refuses ([`refusal`]).
//! 3. [`lease`]: until when the holder may serve. [`candidacy`]: what a node may stand for.
//! 4. [`controller`]: what a node does in the place that a certificate gives it: [`event`]s and orders in, [`effect`]s out.
//! 5. [`health`]: how the other side looks. [`takeover`]: what would be lost if the holder died now.

pub mod timing;
pub mod named;
pub mod voter;
pub mod refusal;
pub mod lease;
pub mod candidacy;
pub mod controller;
pub mod event;
pub mod effect;
pub mod health;
pub mod takeover;
mod candidate;
mod holder;
pub mod own;
mod standby;
