//! The second road: what nodes say to each other over plain HTTP, for the day on which libp2p fails.
//!
//! Today it holds the first question of that road, `GET /api/lattice/state`: what a node says of its state to
//! anyone who asks, other nodes and people with `curl` alike. The rest stands here when it comes: a
//! *heartbeat* that asks the configured peers and counts mismatches (a pure tracker, in a module of its own),
//! `GET /api/lattice/state/full` that streams the whole state, and `POST /api/lattice/reconcile` that carries
//! the messages of the `reconcile` crate.
//!
//! The crate knows neither storage nor libp2p: the daemon hands it what to say.
//!
//! # Reading order
//!
//! 1. [`state`]: the answer. 2. [`router`]: the route that gives it.

pub mod state;

pub mod router;
