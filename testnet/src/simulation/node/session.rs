//! The asking side of reconcile at a simulated node: carries out what the initiator wants, over either road. Wired as the
//! daemon's `sync::session`.

use lattice::fault::Fault;
use lattice::head::Head;
use node_core::apply::EntryRow;
use reconcile::initiator::{Config, Effect, Event, Initiator};
use reconcile::message::{Intake, Request, Response};
use reconcile::outcome::Outcome;
use reconcile::sketch::Estimator;
use reconcile::view::View;

use super::answering::Whose;
use super::queue::Job;
use super::state::State;
use super::{Identity, Node, Now, Output};
use crate::simulation::message::{AskId, Body, NodeIndex, Road};

/// Milliseconds until a request counts as lost, as in the daemon.
const REQUEST_TIMEOUT_MS: u64 = 30_000;

/// The number of a session at the node that started it.
pub(crate) type SessionId = u64;

/// A session that this node started.
pub(crate) struct Session {
    machine: Initiator<EntryRow>,
    peer: NodeIndex,
    road: Road,
    applying: Option<Applying>,
}

/// Commits that a session gave to the writer, and what it asked the peer at the same time.
#[derive(Default)]
struct Applying {
    intake: Option<Intake>,
    is_asking: bool,
    answer: Option<Result<Response, String>>,
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    session: SessionId,
    peer: NodeIndex,
    road: Road,
    until_ms: u64,
}

/// What a node says of itself.
pub(crate) fn head_of(identity: &Identity, state: &State, wall_ms: u64) -> Head {
    Head {
        lattice: identity.lattice,
        author: identity.author,
        time_ms: wall_ms,
        root: state.tree.root(),
        entries: state.tree.len(),
        frontier: state.frontier.digest(),
        checkpoint_size: 0,
        estimator: state.tree.sketch().estimator().encode(),
    }
}

pub(crate) fn view_of(state: &State) -> View<EntryRow> {
    View { tree: state.tree.clone(), members: state.members.clone(), frontier: state.frontier.digest() }
}

impl Node {
    pub(crate) fn start_session(&mut self, now: Now, peer: NodeIndex, road: Road) {
        let id = self.next_number();
        let view = view_of(&self.state);
        let foretold = self.estimator_of(peer).map(|theirs| theirs.difference(view.tree.sketch().estimator()));
        let machine = Initiator::new(view, Config { foretold, ..Config::default() });
        self.sessions.insert(id, Session { machine, peer, road, applying: None });
        self.feed(now, id, Event::Start);
    }

    /// What the peer's last head tells about how much it differs.
    fn estimator_of(&self, peer: NodeIndex) -> Option<Estimator> {
        let name = peer.peer_name();
        let head = self.book.peers().find(|(known, _)| **known == name).and_then(|(_, peer)| peer.head);
        head.map(|(head, _)| Estimator::decode(&head.estimator))
    }

    /// Gives a session what happened and carries out what it wants, until it has to wait.
    fn feed(&mut self, now: Now, id: SessionId, event: Event<EntryRow>) {
        let mut event = Some(event);
        while let Some(happened) = event.take() {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            let (peer, road) = (session.peer, session.road);
            match session.machine.step(happened) {
                Effect::Send(request) => self.ask(now, id, peer, road, &request),
                Effect::Load { keys, max_bytes } => {
                    let (commits, served) = self.load(&keys, max_bytes);
                    event = Some(Event::Loaded { commits, served });
                }
                Effect::Apply { commits, meanwhile } => {
                    session.applying = Some(Applying { is_asking: meanwhile.is_some(), ..Applying::default() });
                    if let Some(request) = meanwhile {
                        self.ask(now, id, peer, road, &request);
                    }
                    self.take_in(commits, Whose::Session(id));
                }
                Effect::RaiseFrontier { root, chains } => self.writer.push(Job::Raise { root, chains, session: id }),
                Effect::Finish(outcome) => self.session_ended(now, id, &outcome),
            }
        }
    }

    fn ask(&mut self, now: Now, session: SessionId, peer: NodeIndex, road: Road, request: &Request) {
        let id = self.next_number();
        let until_ms = now.steady_ms + REQUEST_TIMEOUT_MS;
        self.asked.insert(id, Asked { session, peer, road, until_ms });
        let author = self.identity.author;
        self.outbox.push(Output::Send(peer, Body::Ask { road, id, author, bytes: request.encode() }));
    }

    fn session_ended(&mut self, now: Now, id: SessionId, outcome: &Outcome) {
        let Some(Session { machine, peer, road, .. }) = self.sessions.remove(&id) else { return };
        let stats = machine.stats();
        let detail = if let Outcome::PeerFault(fault) = outcome { format!(": {fault}") } else { String::new() };
        let (received, sent) = (stats.entries_received, stats.entries_sent);
        self.tell(format!(
            "session {road:?} with {peer} ended {}{detail}, {} rounds, {received} received, {sent} sent",
            outcome.word(),
            stats.rounds
        ));
        if outcome.fault() == Some(Fault::Sender) {
            self.strike(now, peer);
        }
        match road {
            Road::P2p => self.p2p_session_ended(now, peer, outcome, stats),
            Road::Http => self.http_session_ended(now, peer, outcome, stats),
        }
    }

    /// An answer came. One that nobody waits for any more is dropped.
    pub(crate) fn on_answer(&mut self, now: Now, from: NodeIndex, id: AskId, bytes: &[u8]) {
        let Some(asked) = self.asked.get(&id).copied().filter(|asked| asked.peer == from) else { return };
        self.asked.remove(&id);
        match Response::decode(bytes) {
            Ok(response) => self.answered(now, asked.session, Ok(response)),
            Err(error) => {
                if error.fault() == Fault::Sender {
                    self.strike(now, from);
                }
                self.answered(now, asked.session, Err(format!("the answer does not decode: {error}")));
            }
        }
    }

    /// The peer answered a session, or will not.
    fn answered(&mut self, now: Now, id: SessionId, answer: Result<Response, String>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(applying) = &mut session.applying {
            applying.answer = Some(answer);
            self.go_on_if_applied(now, id);
        } else {
            self.feed(now, id, answer.map_or_else(Event::SendFailed, Event::Received));
        }
    }

    /// The writer is done with the commits of a session.
    pub(crate) fn session_applied(&mut self, now: Now, id: SessionId, intake: Intake) {
        if let Some(applying) = self.sessions.get_mut(&id).and_then(|session| session.applying.as_mut()) {
            applying.intake = Some(intake);
        }
        self.go_on_if_applied(now, id);
    }

    /// Lets a session go on whose commits are in and whose peer has answered.
    fn go_on_if_applied(&mut self, now: Now, id: SessionId) {
        let view = view_of(&self.state);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let is_done =
            |applying: &mut Applying| applying.intake.is_some() && (!applying.is_asking || applying.answer.is_some());
        if let Some(Applying { intake: Some(intake), answer, .. }) = session.applying.take_if(is_done) {
            self.feed(now, id, Event::Applied { intake, view, answer });
        }
    }

    /// Gives up requests that took too long.
    pub(crate) fn tick_requests(&mut self, now: Now) {
        let late = self.asked.iter().filter(|(_, asked)| now.steady_ms >= asked.until_ms);
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        self.give_up(now, &late, "no answer in time");
    }

    /// The connection that requests to a peer went over is gone.
    pub(crate) fn fail_requests(&mut self, now: Now, peer: NodeIndex) {
        let lost = self.asked.iter().filter(|(_, asked)| asked.peer == peer && asked.road == Road::P2p);
        let lost: Vec<_> = lost.map(|(id, _)| *id).collect();
        self.give_up(now, &lost, "the connection closed");
    }

    fn give_up(&mut self, now: Now, ids: &[AskId], reason: &str) {
        for asked in ids.iter().filter_map(|id| self.asked.remove(id)).collect::<Vec<_>>() {
            self.answered(now, asked.session, Err(reason.to_owned()));
        }
    }

    /// The writer is done with raising the frontier.
    pub(crate) fn on_raised(&mut self, now: Now, id: SessionId) {
        self.feed(now, id, Event::Raised { view: view_of(&self.state) });
    }
}
