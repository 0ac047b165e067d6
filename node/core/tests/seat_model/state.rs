//! What the model remembers: the real voters and leases of each node, the network, and what clients have seen.

use lattice::ids::{AuthorId, LatticeId};
use lattice::seat::Body;
use node_core::seat::lease::HeldLease;
use node_core::seat::named::NamedBody;
use node_core::seat::voter::{Ticket, Voter};

use crate::switch::Switch;

/// Terms are 1 to 4 at most; index 0 is unused.
pub(crate) const TERMS: usize = 5;

/// One node. Its index in the state is its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) voter: Voter,
    pub(crate) lease: Option<HeldLease>,
    /// The request for a lease that is on its way: when it was sent, for which term, and its ticket. It reaches any voter
    /// at any later time, any number of times.
    pub(crate) asked: Option<(u8, NamedBody, Ticket)>,
    /// Answers on their way to this node, by voter: to the request sent when. Only where a model lets them travel.
    pub(crate) answers: Vec<Option<(u8, Ticket)>>,
    /// The last lease request that was released. It reaches any voter at any later time, any number of times.
    pub(crate) released: Option<Ticket>,
    pub(crate) ticket: Ticket,
    /// By term, how many commits of its holder's chain are durable here.
    pub(crate) held: [u8; TERMS],
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) now: u8,
    pub(crate) nodes: Vec<Node>,
    /// Bodies that were stood for, with the votes sent, as bits. All messages: nothing is ever removed.
    pub(crate) stood: Vec<(NamedBody, u8)>,
    /// Bodies with a majority of votes, in the order of terms; the first is the founding one.
    pub(crate) certified: Vec<NamedBody>,
    pub(crate) restarts: u8,
    pub(crate) releases: u8,
    /// By term, how many commits of it a client was told are safe at `shadow`.
    pub(crate) acknowledged: [u8; TERMS],
    /// By term, how many commits of it were in a state, and so were read or gossiped.
    pub(crate) shown: [u8; TERMS],
    /// Whether any node ever went back to a lower term.
    pub(crate) went_back: bool,
}

pub(crate) fn name(node: u8) -> AuthorId {
    AuthorId([node + 1; 32])
}

pub(crate) fn index(name: &AuthorId) -> u8 {
    name.0[0] - 1
}

/// The founding body: node 0 holds, node 1 is its shadow.
pub(crate) fn founding(voters: &[u8], spares: &[u8]) -> NamedBody {
    let names = |nodes: &[u8]| nodes.iter().map(|node| name(*node)).collect();
    let body = Body {
        lattice: LatticeId::ZERO,
        seat: "green".to_owned(),
        term: 1,
        holder: name(0),
        shadow: Some(name(1)),
        spares: names(spares),
        voters: names(voters),
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 0,
        reason: String::new(),
    };
    body.into()
}

impl State {
    /// The certified body with this name.
    pub(crate) fn before(&self, body: &Body) -> Option<&NamedBody> {
        self.certified.iter().find(|known| Some(known.name()) == body.follows)
    }

    /// Whether a node holds all that a certified body goes on from.
    pub(crate) fn holds_opening(&self, node: u8, body: &NamedBody) -> bool {
        let held = &self.nodes[node as usize].held;
        self.before(body)
            .is_none_or(|before| u64::from(held[before.term as usize]) >= body.cut && self.holds_opening(node, before))
    }

    /// Gives a node all that a certified body goes on from.
    pub(crate) fn give_opening(&mut self, node: u8, body: &NamedBody) {
        let mut body = body.clone();
        while let Some(before) = self.before(&body).cloned() {
            let held = &mut self.nodes[node as usize].held[before.term as usize];
            *held = (*held).max(body.cut as u8);
            body = before;
        }
    }

    /// What clients are told and shown as soon as it may be: later would only be less.
    pub(crate) fn show(&mut self, off: Option<Switch>) {
        for node in 0..self.nodes.len() as u8 {
            let Some(body) = self.nodes[node as usize].voter.state().certified.clone() else { continue };
            let term = body.term as usize;
            let serves =
                self.nodes[node as usize].voter.may_serve(body.term) || off == Some(Switch::AcknowledgeAfterStanding);
            if body.holder != name(node) || !serves {
                continue;
            }
            let own = self.nodes[node as usize].held[term];
            let staged = match body.shadow.map(|shadow| index(&shadow)) {
                None => Some(own),
                Some(shadow) if self.knows(shadow, &body) && self.holds_opening(shadow, &body) => {
                    Some(own.min(self.nodes[shadow as usize].held[term]))
                }
                Some(_) => None,
            };
            if let Some(staged) = staged {
                self.acknowledged[term] = self.acknowledged[term].max(staged);
                self.shown[term] = self.shown[term].max(staged);
            }
            let is_known_to_majority = self.nodes[node as usize]
                .lease
                .as_ref()
                .is_some_and(|lease| lease.term() == body.term && lease.was_granted());
            if staged.is_some() || is_known_to_majority || off == Some(Switch::OpenAtOnce) {
                self.show_opening(&body);
            }
        }
    }

    fn knows(&self, node: u8, body: &NamedBody) -> bool {
        self.nodes[node as usize].voter.state().certified.as_ref().is_some_and(|known| known.term >= body.term)
    }

    fn show_opening(&mut self, body: &NamedBody) {
        let mut body = body.clone();
        while let Some(before) = self.before(&body).cloned() {
            let shown = &mut self.shown[before.term as usize];
            *shown = (*shown).max(body.cut as u8);
            body = before;
        }
    }
}
