//! The second road: what nodes say to each other over plain HTTP, for the day on which libp2p fails.
//!
//! A *heartbeat* asks each known peer what it holds. Roots that differ are counted; three in a row, or in HTTP mode the
//! first, have the node reconcile over HTTP: with the messages of the `reconcile` crate, and where those don't help
//! with the whole state as a stream. `PROTOCOL.md` gives the requests byte by byte.
//!
//! The crate knows neither storage nor libp2p: what a node holds and does is behind two traits,
//! [`router::Source`] for the answering side and [`heartbeat::Node`] for the asking one.
//!
//! # Reading order
//!
//! 1. [`tracker`], [`mode`]: the decisions, pure. [`nonces`], [`rate`]: bounds on what strangers cause, pure too.
//! 2. [`state`]: the answer to a beat. [`router`]: the routes; `gate`, `refusal`: who may ask, and how the rest is told.
//! 3. [`client`]: the asking side. [`heartbeat`]: the loop that carries out the decisions.

pub mod tracker;
pub mod mode;
pub mod nonces;
pub mod rate;
pub mod state;
pub mod router;
mod gate;
mod refusal;
pub mod client;
pub mod heartbeat;
