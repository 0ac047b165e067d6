//! What a session and its node tell each other: an event in, an effect out.

use lattice::commit::Commit;
use lattice::frontier::Chain;
use lattice::ids::{KeyHash, StateRoot};

use crate::message::{ChainId, Intake, Request, Response};
use crate::outcome::Outcome;
use crate::view::View;

/// What happened at the node since the last effect.
#[derive(Debug, Clone)]
pub enum Event<T> {
    /// Nothing yet: the session may begin. Only the first event.
    Start,
    /// The peer answered [`Effect::Send`].
    Received(Response),
    /// The request or its answer was lost.
    SendFailed(String),
    /// [`Effect::Load`] is done; `served` keys, from the first, are answered.
    Loaded {
        /// The commits.
        commits: Vec<Commit>,
        /// At least one.
        served: usize,
    },
    /// [`Effect::Apply`] is done and durable.
    Applied {
        /// What became of the commits.
        intake: Intake,
        /// The state after it.
        view: View<T>,
        /// What the peer answered meanwhile, or why it did not, if it was asked.
        answer: Option<Result<Response, String>>,
    },
    /// [`Effect::RaiseFrontier`] is done, or was left because the root had moved on.
    Raised {
        /// The state after it.
        view: View<T>,
    },
    /// The node could not load, apply or raise.
    Failed(String),
}

/// What the node does next. Exactly one is outstanding at any time, and each is answered by one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this to the peer; answer with [`Event::Received`] or [`Event::SendFailed`].
    Send(Request),
    /// Read the commits that hold our entries at these keys; answer with [`Event::Loaded`].
    ///
    /// The rules are those of [`crate::responder::Answer::Load`].
    Load {
        /// Keys.
        keys: Vec<KeyHash>,
        /// Bytes of all commits together.
        max_bytes: usize,
    },
    /// Give these to the one way in (verify, admit, apply), and ask the peer at the same time, so that neither the
    /// road nor the store waits for the other; answer with [`Event::Applied`] once both are done.
    Apply {
        /// Commits, nothing of them verified.
        commits: Vec<Commit>,
        /// What to ask the peer.
        meanwhile: Option<Request>,
    },
    /// In one transaction: if our state root is still `root`, raise our chains to these, each after checking the
    /// signatures of its headers; answer with [`Event::Raised`].
    RaiseFrontier {
        /// The root that both states had.
        root: StateRoot,
        /// The peer's chains.
        chains: Vec<(ChainId, Chain)>,
    },
    /// The session is over.
    Finish(Outcome),
}
