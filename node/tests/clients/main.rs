//! Clients of a real node: its HTTP API request by request, and the command line word by word.

// The API.
mod connections;
mod damage;
mod elsewhere;
mod entries;
mod facts;
mod log;
mod refusals;
mod watching;

// The command line.
mod commands;
mod importing;
mod usage;

mod running;

#[path = "../program/mod.rs"]
mod program;
