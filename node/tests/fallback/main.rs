//! The HTTP road between real processes on the loopback: found, counted, healed both ways, and safe from strangers.

mod cut;
mod healing;
mod requests;
mod world;
