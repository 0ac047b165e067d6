//! The seat between real processes: killed, paused, cut off and damaged nodes, a hidden shadow, conditions, quarantine.

mod conditions;
mod crowded;
mod cuts;
mod hidden;
mod losing;
mod moving;
mod operators;
mod orders;
mod quarantine;
mod restored;
mod waking;
mod world;
