//! Auditors of real nodes: proofs fetched and judged offline, nodes followed from outside, files looked through.

mod deep;
mod files;
mod following;
mod liar;
mod proving;
mod stage;

#[path = "../program/mod.rs"]
mod program;
