//! Sessions between nodes in memory: conversations shown as transcripts, hostile answers, convergence, vectors.

mod convergence;
mod conversations;
mod hostile;
mod node;
mod talk;
mod vectors;
