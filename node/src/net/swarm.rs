//! The swarm task: events to the peer book, the book's wishes to the swarm, bytes to and from other tasks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lattice::hello::Hello;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{IdentTopic, MessageAcceptance, PublishError};
use libp2p::kad::Mode;
use libp2p::request_response::{OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use node_core::blame::Verdict;
use node_core::peers::{Action, PeerBook, PeerName};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::address::{cause, kind_of, listen_hint, why_not_dialled, with_peer};
use super::behaviour::{Behaviour, swarm, topic};
use super::instances::Instances;
use super::outgoing::{Asked, Outgoing, Reply};
use super::relaying::Relaying;
use super::{
    COMMANDS_MAX, Command, GOSSIP_MAX, Gossip, NetHandle, NetStreams, NetView, Protocol, REQUESTS_MAX, Request,
};
use crate::clock::steady_ms;
use crate::metrics::Metrics;
use crate::writer::Identity;

/// How often the book is asked what to do, and changes are shown.
const TICK: Duration = Duration::from_millis(200);

/// How long a start may wait for its listeners.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Refused peers of which it is remembered that they were logged. Beyond it some are logged once more.
const TOLD_MAX: usize = 256;

/// What the swarm needs to start.
pub struct NetConfig {
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Addresses that others should use, beside those listened on.
    pub external: Vec<Multiaddr>,
    /// Whether to find and be found on the local network.
    pub mdns: bool,
    /// Where libp2p shows its figures.
    pub metrics: Arc<Metrics>,
    /// Relays to be found at, each with its peer id.
    pub relays: Vec<Multiaddr>,
    /// Whether others are found here.
    pub is_relay: bool,
}

/// The swarm before it runs.
pub struct SwarmTask {
    pub(super) identity: Arc<Identity>,
    pub(super) own: PeerId,
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) topic: IdentTopic,
    pub(super) book: PeerBook,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) checked: mpsc::Sender<Command>,
    pub(super) gossip: mpsc::Sender<Gossip>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) seat_requests: mpsc::Sender<Request>,
    pub(super) view: watch::Sender<NetView>,
    /// Where this node listened when it was not hidden.
    listened: Vec<Multiaddr>,
    listeners: Vec<ListenerId>,
    /// Addresses that this node is to listen on and could not yet.
    unheard: Vec<Multiaddr>,
    pub(super) is_hidden: bool,
    pub(super) relaying: Relaying,
    pub(super) outgoing: Outgoing,
    pub(super) waiting: HashMap<(Protocol, OutboundRequestId), Reply>,
    pub(super) dials: HashMap<ConnectionId, Dialled>,
    /// Peers whose hello was answered within the last second.
    pub(super) greeted: HashMap<PeerId, u64>,
    pub(super) instances: Instances,
    /// What was logged of refused peers.
    told: HashMap<PeerId, String>,
    pub(super) figures: libp2p::metrics::Metrics,
}

pub(super) enum Dialled {
    Peer(PeerName),
    Address(String),
}

/// The libp2p identity of a node.
///
/// # Panics
///
/// Never: any 32 bytes are an ed25519 secret.
pub fn keypair(identity: &Identity) -> libp2p::identity::Keypair {
    libp2p::identity::Keypair::ed25519_from_bytes(identity.keys.p2p.0)
        .unwrap_or_else(|_| unreachable!("32 bytes are an ed25519 secret"))
}

/// A peer id as the book names it.
pub fn name(peer: &PeerId) -> PeerName {
    PeerName(peer.to_bytes().into())
}

fn peer_id(name: &PeerName) -> Option<PeerId> {
    PeerId::from_bytes(&name.0).ok()
}

/// Binds all listeners and sets up the task.
///
/// # Errors
///
/// If an address can't be listened on, or a transport can't be set up.
pub async fn start(
    identity: Arc<Identity>,
    config: NetConfig,
    book: PeerBook,
) -> anyhow::Result<(SwarmTask, NetHandle, NetStreams)> {
    let keypair = keypair(&identity);
    let own = keypair.public().to_peer_id();
    let (mut swarm, figures) = config.metrics.with_registry(|registry| {
        let swarm = swarm(keypair, identity.lattice, config.mdns, config.is_relay, registry)?;
        anyhow::Ok((swarm, libp2p::metrics::Metrics::new(registry)))
    })?;
    let (listeners, listening) = listen(&mut swarm, &config.listen).await?;
    let listened = listening.clone();
    for address in config.external {
        swarm.add_external_address(address);
    }
    let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
    let (gossip, gossip_out) = mpsc::channel(GOSSIP_MAX);
    let (requests, requests_out) = mpsc::channel(REQUESTS_MAX);
    let (seat_requests, seat_requests_out) = mpsc::channel(REQUESTS_MAX);
    let (view, view_out) = watch::channel(NetView { book: Arc::new(book.clone()), listening, twins: BTreeSet::new() });
    let handle = NetHandle { own, commands: commands_in.clone(), view: view_out };
    let streams = NetStreams { gossip: gossip_out, requests: requests_out, seat_requests: seat_requests_out };
    let topic = topic(identity.lattice);
    let mut task = SwarmTask {
        identity,
        own,
        swarm,
        topic,
        book,
        commands,
        checked: commands_in,
        gossip,
        requests,
        seat_requests,
        view,
        listened,
        listeners,
        unheard: Vec::new(),
        is_hidden: false,
        relaying: Relaying::new(config.relays, config.is_relay),
        outgoing: Outgoing::default(),
        waiting: HashMap::new(),
        dials: HashMap::new(),
        greeted: HashMap::new(),
        instances: Instances::default(),
        told: HashMap::new(),
        figures,
    };
    let own: Vec<_> = task.listened.clone();
    own.iter().for_each(|address| task.tell_relay_address(address));
    Ok((task, handle, streams))
}

/// Listens on all addresses and waits until each has a port.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    addresses: &[Multiaddr],
) -> anyhow::Result<(Vec<ListenerId>, Vec<Multiaddr>)> {
    let mut pending = HashMap::new();
    for address in addresses {
        let listener = swarm.listen_on(address.clone()).map_err(|error| not_listened(address, &error))?;
        pending.insert(listener, address);
    }
    let listeners = pending.keys().copied().collect();
    let mut listening = Vec::new();
    let all_bound = async {
        while !pending.is_empty() {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    pending.remove(&listener_id);
                    listening.push(address);
                }
                SwarmEvent::ListenerClosed { reason: Err(error), listener_id, .. } => {
                    if let Some(address) = pending.get(&listener_id) {
                        return Err(not_listened(address, &error));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    };
    tokio::time::timeout(LISTEN_TIMEOUT, all_bound)
        .await
        .map_err(|_| anyhow::anyhow!("no address to listen on within 10 s; check --p2p"))??;
    Ok((listeners, listening))
}

fn not_listened(address: &Multiaddr, error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    let cause = cause(error);
    anyhow::anyhow!("can't listen on {address}: {cause}; {}", listen_hint(kind_of(cause), "--p2p"))
}

impl SwarmTask {
    /// Runs until `stop` fires, then closes all connections.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(command) = self.commands.recv() => self.on_command(command),
                _ = tick.tick() => self.on_tick(),
                () = stop.cancelled() => break,
            }
        }
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // Already gone is as good as closed.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        // Lets the goodbyes out, so that peers see a close and not a silence.
        let drained = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), drained).await;
    }

    fn on_tick(&mut self) {
        let (gossip, topic) = (&self.swarm.behaviour().gossip, self.topic.hash());
        let mesh = gossip.mesh_peers(&topic).map(name).collect();
        let subscribed = gossip.all_peers().filter(|(_, topics)| topics.contains(&&topic)).map(|(peer, _)| name(peer));
        let mut subscribed: BTreeSet<_> = subscribed.collect();
        if self.is_hidden {
            // Who is in no mesh itself can't tell who left it.
            subscribed.extend(self.swarm.connected_peers().map(name));
        }
        self.book.set_gossip(steady_ms(), &mesh, &subscribed);
        for action in self.book.tick(steady_ms()) {
            self.act(action);
        }
        if !self.unheard.is_empty() {
            self.listen_again();
        }
        self.reserve();
        self.punch_again();
        self.show();
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Close(name, reason) => {
                let Some(peer) = peer_id(&name) else { return };
                tracing::info!(%peer, reason, "closing a peer");
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            Action::Dial(name, addresses) => self.dial(name, &addresses),
            Action::DialAddress(text) => self.dial_address(text),
            Action::Hello(name) => {
                let Some(peer) = peer_id(&name) else { return };
                let hello = self.hello_to(&peer);
                self.swarm.behaviour_mut().hello.send_request(&peer, hello);
            }
        }
    }

    fn dial(&mut self, name: PeerName, addresses: &[String]) {
        let Some(peer) = peer_id(&name) else { return };
        let addresses = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        let options = DialOpts::peer_id(peer)
            // Beside a dial that a protocol makes for its own question: that one may hang at an address where nobody listened.
            .condition(PeerCondition::Disconnected)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        let connection = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            let why = why_not_dialled(&error);
            tracing::debug!(%peer, why, "can't dial; trying again later");
            self.book.dial_failed(steady_ms(), &name, why, random());
            // Whoever has no address of a member asks those that may.
            self.swarm.behaviour_mut().kademlia.get_closest_peers(peer);
        } else {
            self.dials.insert(connection, Dialled::Peer(name));
        }
    }

    fn dial_address(&mut self, text: String) {
        let Ok(address) = text.parse::<Multiaddr>() else { return };
        let options = DialOpts::unknown_peer_id().address(address).build();
        let connection = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            let why = match &error {
                // Our own addresses are left out.
                DialError::NoAddresses => "that is an address of this node itself".to_owned(),
                _ => why_not_dialled(&error),
            };
            tracing::debug!(address = text, why, "can't dial; trying again later");
            self.book.address_failed(steady_ms(), &text, why, random());
        } else {
            self.dials.insert(connection, Dialled::Address(text));
        }
    }

    pub(super) fn hello_to(&self, peer: &PeerId) -> Vec<u8> {
        let (key, lattice) = (&self.identity.keys.author, self.identity.lattice);
        Hello::sign(key, lattice, &self.own.to_bytes(), &peer.to_bytes()).encode()
    }

    /// Publishes what the network looks like now.
    pub(super) fn show(&self) {
        let listening = self.swarm.listeners().chain(self.swarm.external_addresses()).cloned().collect();
        self.view.send_replace(NetView {
            book: Arc::new(self.book.clone()),
            listening,
            twins: self.instances.twins().collect(),
        });
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(bytes) => self.publish(bytes),
            Command::Report { id, from, verdict } => {
                let acceptance = match verdict {
                    Verdict::Accept => MessageAcceptance::Accept,
                    Verdict::Ignore => MessageAcceptance::Ignore,
                    Verdict::Reject => MessageAcceptance::Reject,
                };
                if verdict == Verdict::Reject {
                    self.book.strike(steady_ms(), &name(&from));
                }
                self.swarm.behaviour_mut().gossip.report_message_validation_result(&id, &from, acceptance);
            }
            Command::Request { peer, protocol, bytes, reply } => {
                if let Some(asked) = self.outgoing.ask(peer, protocol, Asked { bytes, reply }) {
                    self.ask(peer, protocol, asked);
                }
            }
            Command::Respond { protocol, channel, bytes } => self.respond(protocol, channel, bytes),
            Command::Proved { peer, author } => {
                match author {
                    Ok(author) => {
                        self.told.remove(&peer);
                        self.book.proved(&name(&peer), author);
                    }
                    Err(reason) => {
                        self.tell_refusal(peer, &reason);
                        self.book.refused(&name(&peer), reason);
                    }
                }
                self.show();
            }
            Command::Head { head, known } => self.book.head(steady_ms(), head, known),
            Command::Synced(peer) => self.book.synced(steady_ms(), &name(&peer)),
            Command::Strike(peer) => self.book.strike(steady_ms(), &name(&peer)),
            Command::Membership(membership) => {
                self.book.set_membership(membership);
                // A new holder of the seat is dialled at once: its mirrors are waited for.
                self.on_tick();
            }
            Command::Want(peer) => {
                self.book.want(&name(&peer));
                self.on_tick();
            }
            Command::Reconfigure { peers, external, relays } => self.reconfigure(peers, external, relays),
            Command::Hide(is_hidden) => self.hide(is_hidden),
        }
    }

    /// Listens where this node did before it hid. An address that is not free yet is tried again at each tick.
    fn listen_again(&mut self) {
        for address in std::mem::take(&mut self.unheard) {
            match self.swarm.listen_on(address.clone()) {
                Ok(listener) => self.listeners.push(listener),
                Err(error) => {
                    tracing::debug!(%address, %error, "can't listen there again yet");
                    self.unheard.push(address);
                }
            }
        }
    }

    /// A mirror of the seat is in no mesh, listens nowhere and is announced by nobody; it keeps the connections that it
    /// makes. Shown again, it listens where it did.
    fn hide(&mut self, is_hidden: bool) {
        if self.is_hidden == is_hidden {
            return;
        }
        self.is_hidden = is_hidden;
        let behaviour = self.swarm.behaviour_mut();
        if is_hidden {
            behaviour.gossip.unsubscribe(&self.topic);
            behaviour.kademlia.set_mode(Some(Mode::Client));
            self.unheard.clear();
            self.leave_relays();
            for listener in self.listeners.drain(..) {
                self.swarm.remove_listener(listener);
            }
        } else {
            if let Err(error) = behaviour.gossip.subscribe(&self.topic) {
                tracing::warn!(%error, "gossip is not joined again; peers will reconcile");
            }
            behaviour.kademlia.set_mode(Some(Mode::Server));
            self.unheard.clone_from(&self.listened);
            self.listen_again();
        }
        self.show();
    }

    /// Once for each peer and reason: both sides try again, and each try says the same.
    fn tell_refusal(&mut self, peer: PeerId, reason: &str) {
        if self.told.get(&peer).is_some_and(|told| told == reason) {
            return;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(peer, reason.to_owned());
        tracing::info!(%peer, reason, "handshake refused; this is said once");
    }

    fn publish(&mut self, bytes: Vec<u8>) {
        if self.is_hidden {
            return;
        }
        match self.swarm.behaviour_mut().gossip.publish(self.topic.clone(), bytes) {
            // Alone, the state is right all the same; whoever comes later reconciles.
            Ok(_) | Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => tracing::debug!(%error, "a frame was not gossiped; peers will reconcile"),
        }
    }

    pub(super) fn ask(&mut self, peer: PeerId, protocol: Protocol, Asked { bytes, reply }: Asked) {
        let behaviour = self.swarm.behaviour_mut();
        let id = match protocol {
            Protocol::Join => behaviour.join.send_request(&peer, bytes),
            Protocol::Reconcile => behaviour.reconcile.send_request(&peer, bytes),
            Protocol::Witness => behaviour.witness.send_request(&peer, bytes),
            Protocol::Seat => behaviour.seat.send_request(&peer, bytes),
        };
        self.waiting.insert((protocol, id), reply);
    }

    fn respond(&mut self, protocol: Protocol, channel: ResponseChannel<Vec<u8>>, bytes: Vec<u8>) {
        let behaviour = self.swarm.behaviour_mut();
        // An error means that the asker is gone.
        let _ = match protocol {
            Protocol::Join => behaviour.join.send_response(channel, bytes),
            Protocol::Reconcile => behaviour.reconcile.send_response(channel, bytes),
            Protocol::Witness => behaviour.witness.send_response(channel, bytes),
            Protocol::Seat => behaviour.seat.send_response(channel, bytes),
        };
    }
}

pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    // Only spreads dials; without randomness they are merely in step.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Addresses that a ticket should hold: all but loopback ones, unless there are no others.
pub fn public_addresses(view: &NetView, own: PeerId) -> Vec<Multiaddr> {
    let reachable = |address: &&Multiaddr| !super::address::is_loopback(address);
    let (wide, narrow): (Vec<_>, Vec<_>) = view.listening.iter().partition(reachable);
    let chosen = if wide.is_empty() { narrow } else { wide };
    chosen.into_iter().map(|address| with_peer(address, own)).collect()
}
