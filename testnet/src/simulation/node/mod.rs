//! One simulated node: the daemon's pure decisions, with inputs instead of sockets, disk and clock.
//!
//! [`Node::handle`] takes what happened and leaves what it wants in the outbox. The order of reading: [`database`] and
//! [`state`] (what is durable, what a transaction does to it), [`queue`] and [`writer`] (the one way in), [`gossip`], [`peers`],
//! [`sync`] (heads, and when to reconcile), [`session`] and [`answering`] (reconcile, over either road), [`heartbeat`]
//! (HTTP).

mod answering;
pub(crate) mod database;
mod evidence;
mod gossip;
mod heartbeat;
mod peers;
mod queue;
mod session;
pub(crate) mod state;
mod sync;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http_fallback::mode::{HTTP_AFTER_MS, Switch};
use http_fallback::tracker::{Config, Tracker};
use lattice::commit::VerifiedCommit;
use lattice::genesis::Genesis;
use lattice::ids::{AuthorId, KeyHash, LatticeId, StateRoot};
use lattice::keys::NodeKeys;
use lattice::op::Op;
use node_core::parking::Parking;
use node_core::peers::{PeerBook, PeerName};
use node_core::schedule::{Roots, Schedule};

use super::message::{AskId, Body, NodeIndex};
use super::random::Random;
use super::rule::SafetyRule;
use database::Database;
use queue::{Job, Settled, Writer};
use session::{Asked, Session, SessionId};
use state::{Damaged, State};

/// Milliseconds between two ticks of a node, as the daemon's schedule.
pub(crate) const TICK_MS: u64 = 100;

/// Ticks between two looks at the peer book.
const PEERS_EACH_TICKS: u64 = 2;

/// Who a node is, whether it runs or not.
pub(crate) struct Identity {
    pub(crate) index: NodeIndex,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) lattice: LatticeId,
    pub(crate) keys: NodeKeys,
    pub(crate) author: AuthorId,
}

/// A node's two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Milliseconds that never jump.
    pub(crate) steady_ms: u64,
    /// Milliseconds since 1970, as the machine believes.
    pub(crate) wall_ms: u64,
}

/// What happens to a node.
#[derive(Debug)]
pub(crate) enum Input {
    Tick,
    Arrived {
        from: NodeIndex,
        body: Body,
    },
    Connected {
        peer: NodeIndex,
        outbound: bool,
    },
    DialFailed(NodeIndex),
    Disconnected(NodeIndex),
    /// The disk is done with the last transaction, well or not.
    Flushed {
        is_durable: bool,
    },
    /// A client writes.
    Write(Vec<Op>),
}

/// What a node wants, or lets its observer know.
#[derive(Debug)]
pub(crate) enum Output {
    Send(NodeIndex, Body),
    Dial(NodeIndex),
    /// A transaction is ready; answered by [`Input::Flushed`].
    Flush,
    /// A commit of our own was signed.
    Signed(VerifiedCommit),
    /// A client was told that its write is in.
    Acknowledged(VerifiedCommit),
    /// A transaction became durable.
    Stored {
        /// Each with what the wall clock said when it was judged.
        commits: Vec<(VerifiedCommit, u64)>,
        /// Keys whose entries came though the node's frontier says that it had them.
        damaged: Vec<KeyHash>,
    },
    /// A peer did what no honest peer does.
    Struck(NodeIndex),
    /// The alarm that nothing explains why roots differ.
    Unexplained(NodeIndex, Roots),
    /// A line for the trace.
    Told(String),
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) identity: Arc<Identity>,
    pub(crate) database: Database,
    pub(crate) state: State,
    pub(crate) outbox: Vec<Output>,
    /// The root before the last change of the state, for breaking a rule on purpose.
    root_before: StateRoot,
    without: Option<SafetyRule>,
    random: Random,
    writer: Writer,
    parking: Parking,
    seen: gossip::Seen,
    book: PeerBook,
    next_link: u64,
    present: BTreeSet<PeerName>,
    schedule: Schedule,
    sessions: BTreeMap<SessionId, Session>,
    asked: BTreeMap<AskId, Asked>,
    answering: usize,
    switch: Switch,
    tracker: Tracker,
    beats: BTreeMap<AskId, heartbeat::Beat>,
    next_number: u64,
    ticks: u64,
    ping_at_ms: u64,
    sample_at_ms: u64,
    head_at_ms: u64,
    head_is_old: bool,
}

impl Node {
    /// Starts a node from what is durable.
    pub(crate) fn start(
        identity: Arc<Identity>,
        database: Database,
        now: Now,
        mut random: Random,
        without: Option<SafetyRule>,
    ) -> Result<Self, Damaged> {
        let state = State::rebuilt(&identity, &database)?;
        let mut node = Self {
            book: PeerBook::new(identity.index.peer_name(), state.membership.clone()),
            // Numbers of a life before must not be taken for ours.
            next_number: random.next() >> 16,
            root_before: state.tree.root(),
            identity,
            database,
            state,
            outbox: Vec::new(),
            without,
            random,
            writer: Writer::default(),
            parking: Parking::default(),
            seen: gossip::Seen::default(),
            next_link: 0,
            present: BTreeSet::new(),
            schedule: Schedule::default(),
            sessions: BTreeMap::new(),
            asked: BTreeMap::new(),
            answering: 0,
            switch: Switch::new(now.steady_ms, HTTP_AFTER_MS),
            tracker: Tracker::new(Config::default()),
            beats: BTreeMap::new(),
            ticks: 0,
            ping_at_ms: now.steady_ms,
            sample_at_ms: now.steady_ms,
            head_at_ms: now.steady_ms,
            head_is_old: true,
        };
        node.schedule.ours(node.state.tree.root());
        node.expect_http_peers(now);
        Ok(node)
    }

    /// Takes what happened; what it leads to stands in the outbox.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => self.tick(now),
            Input::Arrived { from, body } => self.arrived(now, from, body),
            Input::Connected { peer, outbound } => self.connected(now, peer, outbound),
            Input::DialFailed(peer) => self.dial_failed(now, peer),
            Input::Disconnected(peer) => self.disconnected(now, peer),
            Input::Flushed { is_durable } => self.flushed(is_durable),
            Input::Write(ops) => self.writer.push(Job::Write { ops }),
        }
        self.settle(now);
    }

    /// Lets the writer work and those who waited for it go on, until all wait for something else.
    fn settle(&mut self, now: Now) {
        loop {
            self.work(now);
            match self.writer.settled.pop_front() {
                Some(Settled::Taken(waiting, taken)) => self.on_taken(now, waiting, taken),
                Some(Settled::Raised(session)) => self.on_raised(now, session),
                None => return,
            }
        }
    }

    fn tick(&mut self, now: Now) {
        self.ticks += 1;
        self.release_due(now);
        self.tick_requests(now);
        if self.ticks.is_multiple_of(PEERS_EACH_TICKS) {
            self.tick_peers(now);
        }
        self.tick_heads(now);
        self.tick_schedule(now);
        self.tick_heartbeat(now);
    }

    fn arrived(&mut self, now: Now, from: NodeIndex, body: Body) {
        if body.road() == super::message::Road::P2p {
            if !self.is_linked(from) {
                if !matches!(body, Body::Reset) {
                    self.outbox.push(Output::Send(from, Body::Reset));
                }
                return;
            }
            self.book.heard(now.steady_ms, &from.peer_name());
        }
        match body {
            Body::Ping => self.outbox.push(Output::Send(from, Body::Pong)),
            Body::Pong => {}
            Body::Hello { bytes, is_answer } => self.on_hello(from, &bytes, is_answer),
            Body::Frame(frame) => self.on_frame(now, from, &frame),
            Body::Ask { road, id, author, bytes } => self.on_ask(now, from, road, id, &author, &bytes),
            Body::Answer { id, bytes, .. } => self.on_answer(now, from, id, &bytes),
            Body::AskState { id } => self.on_ask_state(from, id),
            Body::State { id, summary } => self.on_state(now, from, id, &summary),
            Body::Reset => self.disconnected(now, from),
        }
    }

    /// Whether the writer has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.writer.is_idle()
    }

    /// What is worth knowing of a node that does not come to the others' root.
    pub(crate) fn shown(&self) -> String {
        format!(
            "root {} entries {} peers {} of the lattice {} waiting {} sessions {} mode {}",
            self.state.tree.root().short(),
            self.state.tree.len(),
            self.linked_peers().len(),
            self.present.len(),
            self.parking.len(),
            self.sessions.len(),
            self.mode()
        )
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn tell(&mut self, line: String) {
        self.outbox.push(Output::Told(line));
    }
}
