//! The seat between real processes: killed, paused and woken holders, a hidden shadow, conditions, quarantine.

mod conditions;
mod hidden;
mod moving;
mod quarantine;
mod waking;
mod world;
