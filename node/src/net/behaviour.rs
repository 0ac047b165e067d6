//! Which protocols a node speaks, and their bounds.

use std::collections::HashSet;
use std::time::Duration;

use lattice::ids::LatticeId;
use lattice::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX};
use lattice::seat::message::SEAT_MESSAGE_BYTES_MAX;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentTopic, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, ValidationMode,
    WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::metrics::Registry;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, dcutr, identify, mdns, noise, ping, relay, tcp, yamux,
};
use sha2::{Digest, Sha256};

use super::exchange::WholeMessages;
use super::instances::agent_version;
use super::swarm::random;
use super::{Protocol, relaying};
use crate::audit::asked::WITNESS_BYTES_MAX;

/// Connections in all, incoming ones, half-open incoming ones, and per peer: a lattice of some hundred nodes, a few
/// strangers, no more than four file descriptors for anyone, and room for honest nodes beside some hundred who
/// connect and say nothing.
const CONNECTIONS_MAX: u32 = 512;
const INCOMING_MAX: u32 = 384;
const PENDING_INCOMING_MAX: u32 = 256;
const PER_PEER_MAX: u32 = 4;

/// Messages queued for one slow peer. At about 128 KiB each this is at most 16 MB, then its frames are dropped and
/// it reconciles.
const SEND_QUEUE_MESSAGES: usize = 128;

/// A ping every 5 s, and 10 s to answer: three chances before a silent peer is closed.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence that ends a QUIC connection, and how often one is said to live: three chances. A peer that was killed says no
/// goodbye over QUIC. Once it runs again, questions would go down the dead connection beside the new one.
const QUIC_IDLE_MS: u32 = 4_000;
const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Connections stay open by themselves; the peer book closes silent ones and strangers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a peer may take to answer a request. A push of a message's worth of commits is durable long before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Streams of one request protocol open at once per connection, both ways together.
const REQUEST_STREAMS_MAX: usize = 8;

/// The same for the seat: writes that clients made elsewhere are forwarded one by one.
pub(crate) const SEAT_STREAMS_MAX: usize = 64;

/// How often Kademlia looks for peers it does not know.
const FIND_PEERS_INTERVAL: Duration = Duration::from_secs(60);

/// All protocols of a node. Limits come first: what they refuse, no other protocol sees.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) gossip: gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>,
    pub(super) kademlia: kad::Behaviour<MemoryStore>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    relay_client: relay::client::Behaviour,
    relay: Toggle<relay::Behaviour>,
    pub(super) dcutr: dcutr::Behaviour,
    pub(super) hello: request_response::Behaviour<WholeMessages>,
    pub(super) join: request_response::Behaviour<WholeMessages>,
    pub(super) reconcile: request_response::Behaviour<WholeMessages>,
    pub(super) witness: request_response::Behaviour<WholeMessages>,
    pub(super) seat: request_response::Behaviour<WholeMessages>,
}

/// Streams of a protocol open at once per connection, both ways together. A peer drops what comes beyond.
pub(super) const fn streams_max(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Join | Protocol::Reconcile | Protocol::Witness => REQUEST_STREAMS_MAX,
        Protocol::Seat => SEAT_STREAMS_MAX,
    }
}

/// The topic of all frames of a lattice.
pub(super) fn topic(lattice: LatticeId) -> IdentTopic {
    IdentTopic::new(format!("/lattice/{lattice}/frames/1"))
}

/// Builds the swarm of a node, which shows its figures in `registry`.
///
/// # Errors
///
/// If a transport can't be set up on this machine; the error says which.
pub(super) fn swarm(
    keypair: Keypair,
    lattice: LatticeId,
    with_mdns: bool,
    is_relay: bool,
    registry: &mut Registry,
) -> anyhow::Result<Swarm<Behaviour>> {
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic_config(|mut config| {
            (config.max_idle_timeout, config.keep_alive_interval) = (QUIC_IDLE_MS, QUIC_KEEP_ALIVE);
            config
        })
        .with_dns()?
        .with_relay_client(noise::Config::new, yamux::Config::default)?
        .with_bandwidth_metrics(registry)
        .with_behaviour(|keypair, relay_client| {
            behaviour(keypair, lattice, with_mdns, is_relay, relay_client, registry).map_err(Into::into)
        })
        .map_err(|error| anyhow::anyhow!("a protocol can't be set up: {error}"))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
        .build();
    Ok(swarm)
}

fn behaviour(
    keypair: &Keypair,
    lattice: LatticeId,
    with_mdns: bool,
    is_relay: bool,
    relay_client: relay::client::Behaviour,
    registry: &mut Registry,
) -> anyhow::Result<Behaviour> {
    let own = keypair.public().to_peer_id();
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INCOMING_MAX))
        .with_max_established_incoming(Some(INCOMING_MAX))
        .with_max_established(Some(CONNECTIONS_MAX))
        .with_max_established_per_peer(Some(PER_PEER_MAX));
    let identify = identify::Config::new("/lattice/1".to_owned(), keypair.public())
        .with_agent_version(agent_version(random()))
        .with_push_listen_addr_updates(true);
    let mdns = if with_mdns { Some(mdns::tokio::Behaviour::new(mdns::Config::default(), own)?) } else { None };
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
        gossip: gossip(lattice, registry)?,
        kademlia: kademlia(own, lattice)?,
        mdns: mdns.into(),
        relay_client,
        relay: is_relay.then(|| relay::Behaviour::new(own, relaying::bounds())).into(),
        dcutr: dcutr::Behaviour::new(own),
        hello: exchange("/lattice/hello/1", HELLO_BYTES_MAX, REQUEST_STREAMS_MAX),
        join: exchange("/lattice/join/1", HELLO_BYTES_MAX, streams_max(Protocol::Join)),
        reconcile: exchange(
            "/lattice/reconcile/1",
            reconcile::limits::MESSAGE_BYTES_MAX,
            streams_max(Protocol::Reconcile),
        ),
        witness: exchange("/lattice/witness/1", WITNESS_BYTES_MAX, streams_max(Protocol::Witness)),
        seat: exchange("/lattice/seat/1", SEAT_MESSAGE_BYTES_MAX, streams_max(Protocol::Seat)),
    })
}

type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

fn gossip(lattice: LatticeId, registry: &mut Registry) -> anyhow::Result<Gossip> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix("/lattice/gossip")
        // Commits are signed; a second signature by gossip would cost four times as much as the rest.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::from(Sha256::digest(&message.data).to_vec()))
        .max_transmit_size(FRAME_BYTES_MAX + 1024)
        .connection_handler_queue_len(SEND_QUEUE_MESSAGES)
        .heartbeat_interval(Duration::from_millis(700))
        .history_length(3)
        .history_gossip(2)
        .duplicate_cache_time(Duration::from_secs(30))
        .prune_backoff(Duration::from_secs(10))
        .flood_publish(true)
        .build()
        .map_err(|error| anyhow::anyhow!("gossip settings: {error}"))?;
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic(lattice).hash()]));
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .map_err(|error| anyhow::anyhow!("gossip: {error}"))?
        // Before it subscribes: else its figures take leaving the topic for a bug.
        .with_metrics(registry.sub_registry_with_prefix("libp2p_gossipsub"), gossipsub::MetricsConfig::default());
    gossip
        .with_peer_score(slow_peer_score(), PEER_SCORE_THRESHOLDS)
        .map_err(|error| anyhow::anyhow!("gossip: {error}"))?;
    gossip.subscribe(&topic(lattice))?;
    Ok(gossip)
}

/// A peer below zero leaves the mesh; far below it is not gossiped to at all. It comes back as the score decays, and
/// reconciles what it missed.
const PEER_SCORE_THRESHOLDS: PeerScoreThresholds = PeerScoreThresholds {
    gossip_threshold: -100.0,
    publish_threshold: -1_000.0,
    graylist_threshold: -1e9,
    accept_px_threshold: 0.0,
    opportunistic_graft_threshold: 0.0,
};

/// Scores nothing but frames that a peer's full queue refused. Gossip's other scores suit large public networks:
/// they punish quiet topics and neighbours on one address, which small lattices are made of. Frames that no honest
/// peer sends are counted by the peer book.
fn slow_peer_score() -> PeerScoreParams {
    PeerScoreParams {
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: 0.0,
        slow_peer_weight: -1.0,
        slow_peer_threshold: 8.0,
        slow_peer_decay: 0.8,
        ..PeerScoreParams::default()
    }
}

fn kademlia(own: PeerId, lattice: LatticeId) -> anyhow::Result<kad::Behaviour<MemoryStore>> {
    // The lattice id in the name keeps the tables of different lattices apart.
    let protocol = StreamProtocol::try_from_owned(format!("/lattice/{lattice}/kad/1"))?;
    let mut config = kad::Config::new(protocol);
    config.set_periodic_bootstrap_interval(Some(FIND_PEERS_INTERVAL));
    config.set_query_timeout(Duration::from_secs(20));
    let mut kademlia = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    kademlia.set_mode(Some(kad::Mode::Server));
    Ok(kademlia)
}

fn exchange(protocol: &'static str, limit: usize, streams: usize) -> request_response::Behaviour<WholeMessages> {
    let config =
        request_response::Config::default().with_request_timeout(REQUEST_TIMEOUT).with_max_concurrent_streams(streams);
    let protocols = [(StreamProtocol::new(protocol), ProtocolSupport::Full)];
    request_response::Behaviour::with_codec(WholeMessages { limit }, protocols, config)
}

/// Whether an address is worth remembering: unspecified ones lead nowhere.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    !address.iter().any(|part| match part {
        libp2p::multiaddr::Protocol::Ip4(ip) => ip.is_unspecified(),
        libp2p::multiaddr::Protocol::Ip6(ip) => ip.is_unspecified(),
        _ => false,
    })
}
