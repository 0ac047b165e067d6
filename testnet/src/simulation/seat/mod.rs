//! The seat in virtual time: real controllers and voters, with a disk, a network, clocks and clients drawn from a seed.
//!
//! What a node decides is the daemon's own code (`node_core::seat`, `lattice::seat`). How decisions are carried out, in the
//! daemon tasks, a writer and libp2p, is modelled here step by step: what is signed, staged, fetched, released, applied,
//! answered, and what a crash in between leaves. A run has two parts: first anything fails, and after every step an
//! `oracle` that sees all nodes looks whether a promise is broken; then all is mended, and the seat must be served, the
//! registers equal, and what clients saw linearizable.
//!
//! # Reading order
//!
//! 1. `run`: one seed. `setup`: what a seed stands for. [`rule`]: what can be switched off. `faults`: what goes wrong.
//! 2. `world`: what happens next. `message`: what travels. `client`: what is asked, and what came of it.
//! 3. `node`: one node. `disk`: what a crash leaves. `writer`: what changes it. `effects`, `answering`: what the controller
//!    wants, and what others ask. `mirror`, `holding`: both ends of copying. `forwarding`: a client's request on its way.
//! 4. `oracle`, `history`: what must hold.

mod run;
mod setup;
pub mod rule;
mod faults;
mod world;
mod message;
mod client;
mod node;
mod disk;
mod writer;
mod effects;
mod answering;
mod mirror;
mod holding;
mod forwarding;
mod oracle;
mod history;
pub(super) mod command;
mod operators;

#[cfg(test)]
mod tests;
