//! Proof bundles: what they prove, that nothing else is taken for one, how large they are, and their known answers.

mod canonical;
mod flips;
mod proven;
mod refused;
mod sizes;
mod vectors;
mod world;
