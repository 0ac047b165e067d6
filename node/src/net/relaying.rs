//! Nodes behind a NAT: being found at relays, and going over to a direct connection where one can be made.
//!
//! A node that nobody can dial holds a reservation at each relay it is told of, and is dialled through it (circuit relay
//! v2). Over such a connection both sides then try at the same moment to reach each other directly (DCUtR); where that
//! works, the relayed connection is closed. Relays are named in the settings, not found: whoever relays sees who speaks
//! with whom, and an operator should know.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, FromSwarm, NetworkBehaviour, NewExternalAddrCandidate};
use libp2p::{Multiaddr, PeerId, dcutr, relay};

use super::address::{is_loopback, split};
use super::punching::{Punching, beside};
use super::swarm::{SwarmTask, name};
use crate::clock::steady_ms;

/// Nodes that a relay is found at for: each costs a connection that stays. Beyond it others are refused.
const RESERVATIONS_MAX: usize = 128;

/// Connections relayed at once, and for one node: a lattice whose nodes all fail to reach each other directly.
const CIRCUITS_MAX: usize = 256;
const CIRCUITS_PER_PEER_MAX: usize = 16;

/// How long one connection is relayed before it must be made anew.
const CIRCUIT_DURATION: Duration = Duration::from_secs(3600);

/// Bytes of one relayed connection in each direction, then it is closed and made anew: the state of a small lattice goes
/// through, and a relay is no free transport for a large one.
const CIRCUIT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Pause between two attempts at a relay that has no reservation for us.
const RESERVE_PAUSE_MS: u64 = 5_000;

/// The bounds within which a node relays for others.
pub(super) fn bounds() -> relay::Config {
    relay::Config {
        max_reservations: RESERVATIONS_MAX,
        max_reservations_per_peer: 1,
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: CIRCUIT_DURATION,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        ..relay::Config::default()
    }
}

/// Where this node is found, if not at its own addresses, and what becomes of relayed connections.
#[derive(Default)]
pub(super) struct Relaying {
    /// Relays to be found at, each with its peer id.
    relays: Vec<Multiaddr>,
    /// By the listener that waits for, or has, a reservation.
    listeners: HashMap<ListenerId, Multiaddr>,
    next_try_ms: u64,
    /// Whether this node is a relay, which tells others its own addresses.
    is_relay: bool,
    pub(super) punching: Punching,
}

impl Relaying {
    pub(super) fn new(relays: Vec<Multiaddr>, is_relay: bool) -> Self {
        Self { relays, is_relay, ..Self::default() }
    }

    /// A listener is gone, and with it the reservation, if it had one.
    pub(super) fn unheard(&mut self, listener: ListenerId) {
        if let Some(relay) = self.listeners.remove(&listener) {
            tracing::debug!(%relay, "no longer found at a relay; trying again");
        }
    }

    /// Other relays, out of new settings.
    pub(super) fn set(&mut self, relays: Vec<Multiaddr>) -> Vec<ListenerId> {
        let gone = self.listeners.iter().filter(|(_, relay)| !relays.contains(relay)).map(|(id, _)| *id).collect();
        (self.relays, self.next_try_ms) = (relays, 0);
        gone
    }
}

impl SwarmTask {
    /// Asks for reservations where this node has none. A mirror of the seat is found nowhere.
    pub(super) fn reserve(&mut self) {
        let now = steady_ms();
        if self.is_hidden || now < self.relaying.next_try_ms {
            return;
        }
        self.relaying.next_try_ms = now + RESERVE_PAUSE_MS;
        let missing = |relay: &&Multiaddr| !self.relaying.listeners.values().any(|held| held == *relay);
        let missing: Vec<_> = self.relaying.relays.iter().filter(missing).cloned().collect();
        for relay in missing {
            match self.swarm.listen_on(relay.clone().with(Protocol::P2pCircuit)) {
                Ok(listener) => drop(self.relaying.listeners.insert(listener, relay)),
                Err(error) => tracing::debug!(%relay, %error, "can't ask a relay yet"),
            }
        }
    }

    /// Is found at no relay any more.
    pub(super) fn leave_relays(&mut self) {
        for (listener, _) in self.relaying.listeners.drain() {
            self.swarm.remove_listener(listener);
        }
    }

    /// New settings name other relays.
    pub(super) fn set_relays(&mut self, relays: Vec<Multiaddr>) {
        for listener in self.relaying.set(relays) {
            self.swarm.remove_listener(listener);
        }
        self.reserve();
    }

    /// New settings name other addresses; connections that there are stay.
    pub(super) fn reconfigure(
        &mut self,
        (peers_gone, peers_new): (Vec<Multiaddr>, Vec<Multiaddr>),
        (external_gone, external_new): (Vec<Multiaddr>, Vec<Multiaddr>),
        relays: Vec<Multiaddr>,
    ) {
        for address in &peers_gone {
            match split(address) {
                (_, Some(peer)) => self.book.unconfigure(&name(&peer)),
                (bare, None) => self.book.unconfigure_address(&bare.to_string()),
            }
        }
        for address in &peers_new {
            match split(address) {
                (bare, Some(peer)) => self.book.configure(name(&peer), bare.to_string()),
                (bare, None) => self.book.configure_address(bare.to_string()),
            }
        }
        external_gone.iter().for_each(|address| self.swarm.remove_external_address(address));
        external_new.into_iter().for_each(|address| self.swarm.add_external_address(address));
        self.set_relays(relays);
        self.show();
    }

    /// A relay must know where it is itself, or nobody can be found at it.
    pub(super) fn tell_relay_address(&mut self, address: &Multiaddr) {
        let is_own = !address.iter().any(|part| part == Protocol::P2pCircuit);
        if self.relaying.is_relay && is_own && !is_loopback(address) {
            self.swarm.add_external_address(address.clone());
        }
    }

    /// A peer says where it sees this node. Of two transports only one may be in use with it.
    pub(super) fn on_observed(&mut self, observed: &Multiaddr) {
        for addr in beside(observed, self.swarm.listeners()) {
            let candidate = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: &addr });
            self.swarm.behaviour_mut().dcutr.on_swarm_event(candidate);
        }
    }

    /// A connection through a relay came. One that was made for another attempt takes the place of the older one.
    pub(super) fn on_relayed(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let dialled = endpoint.is_dialer().then(|| endpoint.get_remote_address().clone());
        for older in self.relaying.punching.connected(steady_ms(), peer, connection, dialled) {
            self.swarm.close_connection(older);
        }
    }

    /// Makes another relayed connection where no direct one came, so that both sides try again.
    pub(super) fn punch_again(&mut self) {
        for (peer, address) in self.relaying.punching.due(steady_ms()) {
            let options = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![address]).build();
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(%peer, %error, "can't dial through the relay again");
            }
        }
    }

    /// Both sides tried to reach each other directly.
    pub(super) fn on_direct_attempt(&mut self, event: dcutr::Event) {
        let dcutr::Event { remote_peer_id: peer, result } = event;
        match result {
            Ok(_) => {
                tracing::info!(%peer, "a direct connection takes the place of the relayed one");
                for connection in self.relaying.punching.reached(&peer) {
                    self.swarm.close_connection(connection);
                }
            }
            Err(error) => {
                tracing::info!(%peer, %error, "no direct connection; it goes on through the relay, and tries again later")
            }
        }
    }
}
