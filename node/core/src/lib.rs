//! The pure decisions of a node: what to admit, what wins, who counts as a peer, when to reconcile with whom.
//!
//! Nothing here waits, reads a clock, touches a disk or a socket, or walks a map of random order. Events come in
//! with the time they happened; decisions go out as values. The daemon in `node` carries them out.
//!
//! # Reading order
//!
//! 1. [`frames`]: what a gossip frame holds, what gossip is told of it, and why it is refused. [`blame`]: the one
//!    table from fault to gossip verdict and penalty.
//! 2. [`admission`]: may this verified commit enter now, later, or never? [`parking`]: where "later" waits.
//! 3. [`apply`]: a batch of admitted commits against the state: which operations win, what to write.
//! 4. [`logs`]: whose logs are followed, with which keys. [`confirmed`]: the root that a quorum states.
//! 5. [`peers`]: who is connected, five counts, whom to dial and to close. [`schedule`]: when to reconcile with whom.
//! 6. [`resume`]: when a node that has started signs again.
//! 7. [`seat`]: who holds the seat, who may vote for what, who takes over and when.

pub mod frames;
pub mod blame;
pub mod admission;
pub mod parking;
pub mod apply;
pub mod logs;
pub mod confirmed;
pub mod peers;
pub mod schedule;
pub mod resume;
pub mod seat;
