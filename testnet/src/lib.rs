//! Lattices of real processes on one machine, started, broken on purpose and compared.
//!
//! Nothing here runs in production, and nothing here knows how a node works inside: it starts the `lattice`
//! program, sends it signals and asks it over HTTP, as an operator would. The scenarios behind
//! `lattice testnet` and the process tests of the node crate use the same pieces.
//!
//! # Reading order
//!
//! 1. [`deadline`]: how everything here waits, for a state and never for a time.
//! 2. [`client`]: what is asked of a node over HTTP. [`process`]: one node, started, paused, killed. [`guard`]: why none
//!    outlives us.
//! 3. [`lying_log`]: a node whose log lies. [`cluster`]: several nodes that found and joined one lattice. [`seat`]: the same
//!    with a seat, and orders about it. [`network`], [`disk`]: links that can be cut, a disk that can be full;
//!    [`skipping`]: tests without them.
//! 4. [`dataset`], [`model`]: real data to write, and what the nodes must hold afterwards.
//! 5. [`scenario`]: the unattended runs, one file each. [`up`], [`table`]: a lattice to look at.
//! 6. [`simulation`]: many nodes in one thread, with virtual time and every fault that a seed can think of.
//! 7. [`compose`]: a lattice in containers. [`interrupt`], [`cli`]: how all of it is stopped, and what `lattice testnet` takes.

pub mod deadline;
pub mod client;
pub mod process;
pub mod guard;
pub mod lying_log;
pub mod cluster;
pub mod seat;
pub mod network;
pub mod disk;
pub mod skipping;
pub mod dataset;
pub mod model;
pub mod scenario;
pub mod up;
pub mod table;
pub mod simulation;
pub mod compose;
pub mod interrupt;
pub mod cli;
