//! Finds what differs between two lattice states and moves it, both ways, over any road.
//!
//! Two step machines talk: an [`Initiator`] asks, a [`responder`] answers. Neither does I/O, reads a clock or knows
//! a peer; whoever carries the messages (libp2p, HTTP, a test) looks the same to them. They judge no signature
//! either: commits that come are handed to the node's one way in. `PROTOCOL.md` gives the messages byte by byte,
//! the limits, and why a session ends.
//!
//! # Reading order
//!
//! 1. [`limits`]: every bound. [`view`]: what a session sees of a state.
//! 2. [`message`]: what is said.
//! 3. [`responder`]: how a question is answered, without remembering anything.
//! 4. [`initiator`]: how a session goes. [`outcome`]: how it ends.
//!
//! # The sketch
//!
//! Between the opening and the descent there is room for a set sketch, which finds a small difference in one or two
//! round trips whatever the size of the state. It will have message kinds of its own (16 and up) and a third tree
//! walk beside members and state: its decoded difference fills the same queues of keys to fetch and to push, and
//! where it does not decode, the descent below goes on as it does now.

pub mod effect;
pub mod initiator;
pub mod limits;
pub mod message;
pub mod outcome;
pub mod responder;
pub mod view;

pub use effect::{Effect, Event};
pub use initiator::Initiator;
pub use limits::Config;
pub use message::{Intake, Refusal, RefusedFor, Request, Response};
pub use outcome::{Outcome, PeerFault, Rest, Stats};
pub use responder::Answer;
pub use view::{Summary, View};
