//! What the swarm says: to the peer book, and on to the tasks that decode, verify and answer.

use std::time::Instant;

use lattice::hello::Hello;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance};
use libp2p::metrics::Recorder;
use libp2p::request_response::{self, Message, OutboundRequestId};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, identify, kad, mdns, ping};
use node_core::peers::Link;

use super::address::{split, why_not_dialled};
use super::behaviour::{BehaviourEvent, is_dialable};
use super::instances::Said;
use super::swarm::{Dialled, SwarmTask, name, random};
use super::{Command, Gossip, Protocol, Request};
use crate::clock::steady_ms;

/// Milliseconds between two hellos of one peer that are answered.
const GREETING_PAUSE_MS: u64 = 1_000;

impl SwarmTask {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.figures.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, num_established, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                if num_established == 0 {
                    // Its next connection cost it more than the greeting does us.
                    self.greeted.remove(&peer_id);
                }
                self.relaying.punching.closed(&peer_id, connection_id);
                self.instances.closed(&peer_id, connection_id);
                self.book.closed(steady_ms(), &name(&peer_id), number(connection_id), random());
                self.show();
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let why = why_not_dialled(&error);
                tracing::debug!(why, "dial failed");
                match self.dials.remove(&connection_id) {
                    Some(Dialled::Peer(peer)) => self.book.dial_failed(steady_ms(), &peer, why, random()),
                    Some(Dialled::Address(text)) => self.book.address_failed(steady_ms(), &text, why, random()),
                    None => {}
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.tell_relay_address(&address);
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => self.relaying.unheard(listener_id),
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let mut address = split(endpoint.get_remote_address()).0.to_string();
        if endpoint.is_relayed() {
            self.on_relayed(peer, connection, endpoint);
            if let ConnectedPoint::Listener { local_addr, .. } = endpoint {
                // Of whoever comes through a relay only the relay is seen.
                address = split(local_addr).0.to_string();
            }
        }
        let dialled = self.dials.remove(&connection);
        let outbound = endpoint.is_dialer();
        if let (true, Some(Dialled::Address(_) | Dialled::Peer(_))) = (outbound, &dialled) {
            self.book.learn(name(&peer), address.clone());
        }
        self.book.connected(steady_ms(), &name(&peer), number(connection), Link { address, outbound });
        if let Some(Dialled::Address(text)) = dialled {
            self.book.answered(&text, &name(&peer));
        }
        // A banned peer is closed here.
        for action in self.book.tick(steady_ms()) {
            self.act(action);
        }
        self.show();
    }

    /// Gives libp2p's own figures what it says. What peers say of themselves (identify) is left out: it would become
    /// labels, as many as a stranger likes.
    fn record(&self, event: &BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.figures.record(event),
            BehaviourEvent::Ping(event) => self.figures.record(event),
            BehaviourEvent::Kademlia(event) => self.figures.record(event),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        self.record(&event);
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.on_gossip(propagation_source, message_id, message.data);
            }
            BehaviourEvent::Ping(ping::Event { peer, result: Ok(rtt), .. }) => {
                self.book.pinged(steady_ms(), &name(&peer), rtt.as_secs_f64() * 1000.0);
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, connection_id, info }) => {
                self.book.heard(steady_ms(), &name(&peer_id));
                match self.instances.said(peer_id, connection_id, &info.agent_version) {
                    Said::Dead(connections) => {
                        for dead in connections {
                            tracing::debug!(peer = %peer_id, "a connection leads to a process that is no more");
                            self.swarm.close_connection(dead);
                        }
                    }
                    Said::Twins => {
                        tracing::warn!(
                            peer = %peer_id,
                            "two processes run under this node's key: stop one before both write (docs/RUNBOOK.md, LatticeEquivocation)"
                        );
                        self.show();
                    }
                }
                self.on_observed(&info.observed_addr);
                for address in info.listen_addrs.into_iter().filter(is_dialable) {
                    self.swarm.behaviour_mut().kademlia.add_address(&peer_id, address);
                }
            }
            BehaviourEvent::Kademlia(kad::Event::RoutingUpdated { peer, addresses, .. }) => {
                for address in addresses.iter() {
                    self.book.learn(name(&peer), split(address).0.to_string());
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.book.learn(name(&peer), split(&address).0.to_string());
                    self.swarm.behaviour_mut().kademlia.add_address(&peer, address);
                }
            }
            BehaviourEvent::Dcutr(event) => self.on_direct_attempt(event),
            BehaviourEvent::Hello(event) => self.on_hello(event),
            BehaviourEvent::Join(event) => self.on_exchange(Protocol::Join, event),
            BehaviourEvent::Reconcile(event) => self.on_exchange(Protocol::Reconcile, event),
            BehaviourEvent::Witness(event) => self.on_exchange(Protocol::Witness, event),
            BehaviourEvent::Seat(event) => self.on_exchange(Protocol::Seat, event),
            _ => {}
        }
    }

    fn on_gossip(&mut self, from: PeerId, id: gossipsub::MessageId, bytes: Vec<u8>) {
        self.book.heard(steady_ms(), &name(&from));
        let is_lattice = self.book.author(&name(&from)).is_some();
        if self.gossip.try_send(Gossip { id: id.clone(), from, is_lattice, bytes, arrived: Instant::now() }).is_err() {
            let ignore = MessageAcceptance::Ignore;
            self.swarm.behaviour_mut().gossip.report_message_validation_result(&id, &from, ignore);
        }
    }

    fn on_hello(&mut self, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        let request_response::Event::Message { peer, message, .. } = event else { return };
        self.book.heard(steady_ms(), &name(&peer));
        let bytes = match message {
            Message::Request { request, channel, .. } => {
                if !self.may_greet(peer) {
                    // The channel drops: the asker sees a failure and comes again.
                    return;
                }
                let answer = self.hello_to(&peer);
                let _ = self.swarm.behaviour_mut().hello.send_response(channel, answer);
                request
            }
            Message::Response { response, .. } => response,
        };
        self.check_hello(peer, bytes);
    }

    /// One greeting a peer and a second: each costs two signatures.
    fn may_greet(&mut self, peer: PeerId) -> bool {
        let now = steady_ms();
        self.greeted.retain(|_, at| now < *at + GREETING_PAUSE_MS);
        self.greeted.insert(peer, now).is_none()
    }

    /// Signatures are checked on another thread; the verdict comes back as a command.
    fn check_hello(&self, peer: PeerId, bytes: Vec<u8>) {
        let (lattice, own, checked) = (self.identity.lattice, self.own, self.checked.clone());
        tokio::task::spawn_blocking(move || {
            let author = match Hello::decode(&bytes) {
                Err(error) => Err(format!("its hello does not decode: {error}")),
                Ok(hello) if hello.lattice != lattice => {
                    Err(format!("it is of lattice {}, this is {}", hello.lattice.short(), lattice.short()))
                }
                Ok(hello) if !hello.is_from(&peer.to_bytes(), &own.to_bytes()) => {
                    Err("the signature of its hello is wrong".to_owned())
                }
                Ok(hello) => Ok(hello.author),
            };
            // If the queue is full the handshake comes again in a few seconds.
            let _ = checked.try_send(Command::Proved { peer, author });
        });
    }

    fn on_exchange(&mut self, protocol: Protocol, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        match event {
            request_response::Event::Message { peer, message, .. } => {
                self.book.heard(steady_ms(), &name(&peer));
                match message {
                    Message::Request { request, channel, .. } => {
                        let author = self.book.author(&name(&peer));
                        // Dropping the channel fails the request at the asker, which comes again.
                        let queue = if protocol == Protocol::Seat { &self.seat_requests } else { &self.requests };
                        let _ = queue.try_send(Request { peer, author, protocol, bytes: request, channel });
                    }
                    Message::Response { request_id, response } => self.settle(peer, protocol, request_id, Ok(response)),
                }
            }
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                self.settle(peer, protocol, request_id, Err(error.to_string()));
            }
            request_response::Event::InboundFailure { .. } | request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn settle(&mut self, peer: PeerId, protocol: Protocol, id: OutboundRequestId, answer: Result<Vec<u8>, String>) {
        let Some(reply) = self.waiting.remove(&(protocol, id)) else { return };
        // The asker may have left.
        let _ = reply.send(answer);
        if let Some(next) = self.outgoing.settled(peer, protocol) {
            self.ask(peer, protocol, next);
        }
    }
}

/// Connection ids are numbers to libp2p; it shows them only as text.
fn number(connection: ConnectionId) -> u64 {
    connection.to_string().parse().unwrap_or_default()
}
