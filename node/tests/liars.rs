//! A member that speaks our protocols and lies in them: what it sends is refused by name, changes nothing, and ends in
//! a ban; a stranger gets nothing at all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, SignedHeader};
use lattice::frame::Frame;
use lattice::genesis::{Genesis, Member};
use lattice::ids::CommitId;
use lattice::keys::NodeKeys;
use lattice::membership::Membership;
use lattice::op::Op;
use libp2p::PeerId;
use node::daemon::Node;
use node::home::{Home, Seed};
use node::net::swarm::{NetConfig, keypair, name, start};
use node::net::{Command, NetHandle, Protocol};
use node::settings::Settings;
use node::settings::typed::Typed;
use node::writer::Identity;
use node_core::peers::PeerBook;
use reconcile::message::{Request, Response};
use testnet::deadline;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Time for a state to come about; a slow machine takes a while.
const SOON: Duration = Duration::from_secs(60);

/// An honest node, and a peer that has keys but no honesty.
struct Stage {
    node: Node,
    genesis: Genesis,
    liar: NodeKeys,
    road: NetHandle,
    _stop: DropGuard,
    _dir: tempfile::TempDir,
}

fn member(keys: &NodeKeys) -> Member {
    let peer_id = libp2p::identity::Keypair::ed25519_from_bytes(keys.p2p.0).expect("32 bytes").public().to_peer_id();
    let (author, log_key) = (keys.author.id(), keys.log_key());
    Member { name: author.short(), author, log_key, peer_id: peer_id.to_bytes(), roles: [].into() }
}

async fn honest_node(dir: &Path, seed: &Seed, genesis: &Genesis) -> Node {
    Home::create(dir, seed, genesis, None).expect("an empty directory");
    let mut settings = Settings::resolve(dir.to_owned(), Typed::default(), true).expect("defaults");
    settings.p2p = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    settings.http = vec!["127.0.0.1:0".parse().expect("an address")];
    settings.mdns = false;
    Node::start(&settings).await.expect("started")
}

impl Stage {
    /// The liar is a member if `is_member`, else a stranger that knows the lattice id.
    async fn set(is_member: bool) -> Self {
        let (honest, liar_seed) = (Seed::random().expect("random"), Seed::random().expect("random"));
        let liar = liar_seed.keys();
        let founder = member(&honest.keys());
        let mut genesis = Genesis::founded_by("test", "honest", &honest.keys(), founder.peer_id);
        if is_member {
            genesis.members.push(member(&liar));
            genesis.members.sort_by_key(|member| member.author);
        }
        let dir = tempfile::tempdir().expect("a directory");
        let node = honest_node(dir.path(), &honest, &genesis).await;
        let stop = CancellationToken::new();
        let road = road_of(liar_seed.keys(), &honest.keys(), &genesis, &node, &stop).await;
        let stage = Self { node, genesis, liar, road, _stop: stop.drop_guard(), _dir: dir };
        stage.peers_become("connected", |peers| peers.connected == 1).await;
        stage
    }

    fn target(&self) -> PeerId {
        self.node.service.status().peer_id.parse().expect("a peer id")
    }

    async fn peers_become(&self, what: &str, wanted: impl Fn(node::view::PeerCounts) -> bool) {
        let counted = deadline::until(SOON, async || {
            let peers = self.node.service.status().peers;
            if wanted(peers) { Ok(()) } else { Err(format!("{peers:?}")) }
        });
        counted.await.unwrap_or_else(|late| panic!("{what}: {late}"));
    }

    async fn is_refused_for(&self, reason: &str) {
        let counted = deadline::until(SOON, async || {
            let refusals = self.node.service.status().refusals;
            if refusals.contains_key(reason) { Ok(()) } else { Err(format!("{refusals:?}")) }
        });
        counted.await.unwrap_or_else(|late| panic!("{reason}: {late}"));
    }

    fn commit(&self, genesis: &Genesis, value: &[u8]) -> Commit {
        let time = Timestamp::from_millis(1_000);
        let draft = Draft { lattice: genesis.id(), term: 0, seq: 1, prev: CommitId::ZERO, time };
        draft.sign(&self.liar.author, vec![Op::put("lie", value).expect("small")])
    }

    async fn ask(&self, protocol: Protocol, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        self.road.request(self.target(), protocol, bytes).await
    }
}

/// The swarm of `keys` with nothing behind it, connected to `node`.
async fn road_of(
    keys: NodeKeys,
    honest: &NodeKeys,
    genesis: &Genesis,
    node: &Node,
    stop: &CancellationToken,
) -> NetHandle {
    let identity = Arc::new(Identity { lattice: genesis.id(), genesis: genesis.clone(), keys });
    let own = keypair(&identity).public().to_peer_id();
    let mut book = PeerBook::new(name(&own), Arc::new(Membership::of(genesis, [])));
    let address = node.service.status().addresses[0].parse().expect("an address");
    let (bare, peer) = node::net::address::split(&address);
    assert_eq!(peer.map(|peer| peer.to_bytes()), Some(member(honest).peer_id));
    book.configure(name(&peer.expect("named")), bare.to_string());
    let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    let config = NetConfig {
        listen,
        external: Vec::new(),
        mdns: false,
        metrics: Arc::default(),
        relays: Vec::new(),
        is_relay: false,
    };
    let (task, road, mut streams) = start(identity, config, book).await.expect("a swarm");
    tokio::spawn(task.run(stop.clone()));
    tokio::spawn(async move { while streams.gossip.recv().await.is_some() {} });
    road
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_in_gossip_are_refused_by_name_and_end_in_a_ban() {
    let stage = Stage::set(true).await;
    stage.peers_become("in the mesh", |peers| peers.mesh == 1).await;
    let root = stage.node.service.status().state_root;
    let other = Genesis { name: "other".to_owned(), ..stage.genesis.clone() };
    let good = stage.commit(&stage.genesis, b"v");
    let signature = [7; 64];
    let forged = SignedHeader::decode(good.signed().header_bytes(), signature).expect("well-formed");
    let forged = Commit::from_parts(forged, good.slots().to_vec());
    let frame = |commit: Commit| Frame::Commits(vec![commit]).encode();
    let mut loose = frame(good.clone());
    loose.push(0);
    let lies = [
        ("malformed", b"noise".to_vec()),
        ("other-lattice", frame(stage.commit(&other, b"v"))),
        ("wrong-signature", frame(forged)),
        ("malformed", loose),
    ];
    for (reason, bytes) in lies {
        stage.road.command(Command::Publish(bytes)).await;
        stage.is_refused_for(reason).await;
    }
    assert_eq!(stage.node.service.status().state_root, root, "nothing of it is in the state");

    // Not everything that a liar says is a lie: what verifies is taken.
    stage.road.command(Command::Publish(frame(good))).await;
    let mut states = stage.node.service.states();
    states.wait_for(|state| state.tree.len() == 1).await.expect("running");

    for noise in 0..node_core::blame::STRIKES_MAX as u8 {
        stage.road.command(Command::Publish(vec![noise; 40])).await;
    }
    stage.peers_become("banned", |peers| peers.connected == 0).await;
    stage.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_in_requests_is_answered_with_a_refusal_and_harms_nobody() {
    let stage = Stage::set(true).await;
    stage.peers_become("of the lattice", |peers| peers.lattice == 1).await;
    let answer = stage.ask(Protocol::Reconcile, b"noise".to_vec()).await.expect("answered");
    assert!(matches!(Response::decode(&answer), Ok(Response::Refused { .. })), "{answer:?}");
    let answer = stage.ask(Protocol::Join, b"noise".to_vec()).await.expect("answered");
    let answer = lattice::hello::JoinAnswer::decode(&answer).expect("canonical");
    assert!(matches!(answer, lattice::hello::JoinAnswer::Refused(_)), "{answer:?}");
    let too_long = vec![0; reconcile::limits::MESSAGE_BYTES_MAX + 1];
    assert!(stage.ask(Protocol::Reconcile, too_long).await.is_err(), "nobody reads more than the protocol allows");
    stage.node.service.write(vec![Op::put("after", b"noise").expect("small")], None).await.expect("durable");
    stage.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_knows_the_lattice_gets_no_state() {
    let stage = Stage::set(false).await;
    let question = Request::Frontier { after: None }.encode();
    let answer = stage.ask(Protocol::Reconcile, question).await.expect("answered");
    let Ok(Response::Refused { reason }) = Response::decode(&answer) else { panic!("{answer:?}") };
    assert!(reason.contains("proved"), "{reason}");
    assert_eq!(stage.node.service.status().peers.lattice, 0);
    stage.node.stop().await;
}
