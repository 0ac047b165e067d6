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
//! 2. [`sketch`]: how a small difference is found without walking anything. [`index`]: the tree and the sketch of one
//!    state, kept in step.
//! 3. [`message`]: what is said; [`chains`]: what a page of a frontier may be. [`effect`]: what a session wants of its node.
//! 4. [`responder`]: how a question is answered, without remembering anything.
//! 5. [`initiator`]: how a session goes. [`outcome`]: how it ends.
//!
//! # Example
//!
//! A session of two nodes in one process; a real one carries `Request` and `Response` over a road, as bytes.
//!
//! ```
//! use lattice::tree::StateTree;
//! use reconcile::{Answer, Config, Effect, Event, Index, Initiator, Outcome, View, responder};
//!
//! let view = || View { tree: Index::<()>::default(), members: StateTree::default(), frontier: [0; 32] };
//! let (ours, theirs) = (view(), view());
//! let mut session = Initiator::new(ours, Config::default());
//! let mut event = Event::Start;
//! let outcome = loop {
//!     event = match session.step(event) {
//!         Effect::Send(request) => match responder::answer(request, &theirs) {
//!             Answer::Reply(response) => Event::Received(response),
//!             // Read or write, then `responder::loaded`, `applied` or `read`.
//!             Answer::Load { .. } | Answer::Apply { .. } | Answer::ReadFrontier { .. } => unreachable!(),
//!         },
//!         Effect::Finish(outcome) => break outcome,
//!         // Ask the store, then `Event::Loaded`, `Applied` or `Raised`.
//!         Effect::Load { .. } | Effect::Apply { .. } | Effect::RaiseFrontier { .. } => unreachable!(),
//!     };
//! };
//! assert!(matches!(outcome, Outcome::Equal { .. }));
//! ```

pub mod limits;
pub mod view;
pub mod sketch;
pub mod index;
pub mod message;
pub mod chains;
pub mod effect;
pub mod responder;
pub mod initiator;
pub mod outcome;

pub use effect::{Effect, Event};
pub use index::Index;
pub use initiator::Initiator;
pub use limits::{Config, Method};
pub use message::{Intake, Refusal, RefusedFor, Request, Response};
pub use outcome::{Outcome, PeerFault, Rest, Stats};
pub use responder::Answer;
pub use view::{Summary, View};
