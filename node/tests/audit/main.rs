//! Auditors of real nodes: proofs fetched and judged offline, nodes followed from outside, files looked through.

mod deep;
mod files;
mod flips;
mod following;
mod gone;
mod hearsay;
mod lasting;
mod liar;
mod others;
mod proving;
mod resuming;
mod seated;
mod stage;

#[path = "../program/mod.rs"]
mod program;
