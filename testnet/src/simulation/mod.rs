//! The deterministic simulator: many nodes in one thread with virtual time, everything drawn from one seed.
//!
//! A simulated node makes its decisions with the code that the daemon makes them with: `lattice`, `reconcile`,
//! `node_core` and the pure parts of `http_fallback`. Disk, network and clocks are simulated, and so is the wiring that
//! the daemon has in tasks and channels. A run has two parts, after TigerBeetle's VOPR:
//!
//! 1. *Safety*: messages are late, lost, doubled and overtaken; nodes are cut off, on one road or both; machines crash
//!    and lose what was not durable; clocks are wrong; disks are slow or full; a member lies. After every step an
//!    `oracle` that sees everything checks that nothing acknowledged is lost and nothing invalid is in.
//! 2. *Liveness*: all is mended, or all but one of the two roads, and within a bounded virtual time the honest nodes
//!    must have one root.
//!
//! The same seed is the same run, to the last message. A simulator that finds nothing may be blind, so any [`rule`] can
//! be switched off in its nodes, and it must notice.
//!
//! # Reading order
//!
//! 1. [`command`]: `lattice testnet simulate`. `search`: many seeds. `run`: one, from start to end. `setup`: what it stands
//!    for.
//! 2. `world`, `machine`: what happens next, and to what. `faults`: what goes wrong. `network`, `message`: who hears what. `liar`.
//! 3. `node`: one node. `oracle`: what must hold. `trace`, `random`: what makes a run repeatable.

pub mod command;
mod search;
mod run;
mod setup;
mod world;
mod machine;
mod faults;
mod network;
mod message;
mod liar;
mod node;
mod oracle;
mod trace;
pub(crate) mod random;
pub mod rule;
pub mod seat;

#[cfg(test)]
mod tests;
