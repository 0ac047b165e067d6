//! Sessions between nodes in memory: conversations shown as transcripts, hostile answers, convergence, vectors.

// A lie changes one kind of message and passes on all others, whatever they are.
#![allow(clippy::wildcard_enum_match_arm)]

mod bounds;
mod convergence;
mod conversations;
mod hostile;
mod interrupted;
mod liars;
mod messages;
mod node;
mod noise;
mod sketches;
mod spoiled;
mod talk;
mod twins;
mod vectors;
