//! The peers of a simulated node: the daemon's peer book over simulated connections.

use lattice::hello::Hello;
use lattice::ids::AuthorId;
use node_core::peers::{Action, Link, PeerName};

use super::{Node, Now, Output};
use crate::simulation::message::{Body, NodeIndex};

/// Milliseconds between two pings of a connection, as in the daemon.
const PING_MS: u64 = 5_000;

impl Node {
    /// Peers with an established connection.
    pub(crate) fn linked_peers(&self) -> Vec<NodeIndex> {
        let linked = self.book.peers().filter(|(_, peer)| !peer.links.is_empty());
        linked.map(|(name, _)| NodeIndex::of(name)).collect()
    }

    /// Whether there is a connection to a peer.
    pub(crate) fn is_linked(&self, peer: NodeIndex) -> bool {
        let name = peer.peer_name();
        self.book.peers().any(|(known, peer)| *known == name && !peer.links.is_empty())
    }

    /// Whether a peer is connected and has proved the lattice.
    pub(crate) fn is_with(&self, peer: NodeIndex) -> bool {
        self.author_behind(peer).is_some()
    }

    /// The member behind a connected peer, if its handshake proved it.
    pub(crate) fn author_behind(&self, peer: NodeIndex) -> Option<AuthorId> {
        self.book.author(&peer.peer_name())
    }

    /// Asks the book what to do.
    pub(crate) fn tick_peers(&mut self, now: Now) {
        let linked = self.linked_peers().into_iter().map(NodeIndex::peer_name).collect();
        // Gossip's mesh is not simulated: in a lattice this small it is everybody.
        self.book.set_gossip(now.steady_ms, &linked, &linked);
        if now.steady_ms >= self.ping_at_ms {
            self.ping_at_ms = now.steady_ms + PING_MS;
            let pings = self.linked_peers().into_iter().map(|peer| Output::Send(peer, Body::Ping));
            self.outbox.extend(pings);
        }
        self.tick_book(now);
        self.look_who_is_there();
    }

    fn tick_book(&mut self, now: Now) {
        for action in self.book.tick(now.steady_ms) {
            match action {
                Action::Close(name, _) => self.hang_up(now, NodeIndex::of(&name)),
                Action::Dial(name, _) => self.outbox.push(Output::Dial(NodeIndex::of(&name))),
                Action::Hello(name) => self.greet(NodeIndex::of(&name), false),
                // Peers are configured by their ids.
                Action::DialAddress(_) => {}
            }
        }
    }

    fn greet(&mut self, peer: NodeIndex, is_answer: bool) {
        let (key, lattice) = (&self.identity.keys.author, self.identity.lattice);
        let hello = Hello::sign(key, lattice, &self.identity.index.peer_id(), &peer.peer_id());
        self.outbox.push(Output::Send(peer, Body::Hello { bytes: hello.encode(), is_answer }));
    }

    /// A peer's hello, or its answer to ours.
    pub(crate) fn on_hello(&mut self, from: NodeIndex, bytes: &[u8], is_answer: bool) {
        if !is_answer {
            self.greet(from, true);
        }
        let proves = |hello: &Hello| {
            hello.lattice == self.identity.lattice && hello.is_from(&from.peer_id(), &self.identity.index.peer_id())
        };
        match Hello::decode(bytes).ok().filter(proves) {
            Some(hello) => self.book.proved(&from.peer_name(), hello.author),
            None => self.book.refused(&from.peer_name(), "its hello proves nothing".to_owned()),
        }
        self.look_who_is_there();
    }

    /// A connection was made.
    pub(crate) fn connected(&mut self, now: Now, peer: NodeIndex, outbound: bool) {
        let link = Link { address: peer.to_string(), outbound };
        self.next_link += 1;
        self.book.connected(now.steady_ms, &peer.peer_name(), self.next_link, link);
        // A banned peer is closed here.
        self.tick_book(now);
    }

    /// A dial led nowhere.
    pub(crate) fn dial_failed(&mut self, now: Now, peer: NodeIndex) {
        let random = self.random.next();
        self.book.dial_failed(now.steady_ms, &peer.peer_name(), "no link".to_owned(), random);
    }

    /// All connections to a peer are gone.
    pub(crate) fn disconnected(&mut self, now: Now, peer: NodeIndex) {
        let name = peer.peer_name();
        let of_peer = self.book.peers().filter(|(known, _)| **known == name);
        let links: Vec<u64> = of_peer.flat_map(|(_, peer)| peer.links.keys().copied()).collect();
        for link in links {
            let random = self.random.next();
            self.book.closed(now.steady_ms, &name, link, random);
        }
        self.fail_requests(now, peer);
        self.look_who_is_there();
    }

    fn hang_up(&mut self, now: Now, peer: NodeIndex) {
        self.disconnected(now, peer);
        self.outbox.push(Output::Send(peer, Body::Reset));
    }

    /// A peer sent what no honest peer sends.
    pub(crate) fn strike(&mut self, now: Now, peer: NodeIndex) {
        self.book.strike(now.steady_ms, &peer.peer_name());
        self.outbox.push(Output::Struck(peer));
    }

    /// Tells the schedule who came and who went.
    pub(crate) fn look_who_is_there(&mut self) {
        let proved = self.book.peers().map(|(name, _)| name).filter(|name| self.book.author(name).is_some());
        let there: std::collections::BTreeSet<PeerName> = proved.cloned().collect();
        there.difference(&self.present).for_each(|peer| self.schedule.joined(peer.clone()));
        self.present.difference(&there).for_each(|peer| self.schedule.left(peer));
        self.present = there;
    }
}
