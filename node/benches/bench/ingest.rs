//! Ingest: ready-made frames from a peer over libp2p until they are durable and in the root.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lattice::commit::Commit;
use lattice::frame::pack_commits;
use lattice::ids::{KeyHash, LeafHash};
use lattice::membership::Membership;
use lattice::op::value_hash;
use lattice::tree::{Leaf, StateTree};
use node::net::Command;
use node::net::swarm::{NetConfig, name, start};
use node::writer::Identity;
use node_core::peers::PeerBook;
use reconcile::Index;
use tokio_util::sync::CancellationToken;

use crate::probes::Probes;
use crate::row;
use crate::world::World;

/// Frames on the way at once: enough to keep the node busy, few enough that no queue overflows.
const FRAMES_ON_THE_WAY: usize = 24;

/// Measures single-operation commits and commits of 64 operations.
pub(crate) async fn measure(probes: &Probes) -> anyhow::Result<()> {
    let alone = replay(60_000, 1).await?;
    // One row for the commit, one for the entry.
    row("ingest: commits of 1 op, 200 B, from a peer", alone, "commits/s", probes.verifies.min(probes.rows / 2.0));
    let rate = replay(3_000, 64).await? * 64.0;
    row("ingest: commits of 64 ops, from a peer", rate, "entries/s", probes.rows);
    // Transactions of that ingest hold some 1024 entries.
    row("sketch upkeep, share of the time of 1 op", 100.0 * upkeep() * alone, "%", 5.0);
    row("sketch upkeep, share of the time of 64 ops", 100.0 * upkeep() * rate, "%", 5.0);
    Ok(())
}

/// Seconds for an entry that the sketch takes beside the tree, in batches of 1024 between two published states.
fn upkeep() -> f64 {
    const ENTRIES: u64 = 65_536;
    const BATCH: u64 = 1024;
    let leaf = |i: u64| {
        let hash = value_hash(&i.to_be_bytes()).0;
        Leaf { key: KeyHash(hash), leaf: LeafHash(hash), tag: () }
    };
    let leaves: Vec<_> = (0..ENTRIES).map(leaf).collect();
    let (mut tree, mut index) = (StateTree::default(), Index::default());
    let (mut alone, mut both) = (Duration::ZERO, Duration::ZERO);
    for batch in leaves.chunks(BATCH as usize) {
        let published = (tree.clone(), index.clone());
        let started = Instant::now();
        for leaf in batch {
            tree.insert(*leaf);
        }
        alone += started.elapsed();
        let started = Instant::now();
        for leaf in batch {
            index.insert(*leaf);
        }
        both += started.elapsed();
        drop(published);
    }
    both.saturating_sub(alone).as_secs_f64() / ENTRIES as f64
}

/// Commits per second of a node that gets `count` commits of `ops` operations from a replaying peer.
async fn replay(count: u64, ops: u64) -> anyhow::Result<f64> {
    let world = World::new(2);
    let dir = tempfile::tempdir()?;
    let node = world.start(0, dir.path(), &[]).await?;
    let address = node.service.status().addresses[0].clone();
    let (peer, stop) = replayer(&world, &address).await?;
    let commits = world.commits(1, 1, count, ops);
    let encoded: Vec<_> = commits.iter().map(Commit::encode).collect();
    let frames = pack_commits(&encoded);
    let per_frame = (count as f64 / frames.len() as f64).max(1.0);

    let mut states = node.service.states();
    while node.service.status().peers.mesh == 0 {
        tokio::task::yield_now().await;
    }
    let author = world.seeds[1].keys().author.id();
    let done = |states: &tokio::sync::watch::Receiver<Arc<node::writer::Published>>| {
        states.borrow().frontier.chain(&author, 0).highest()
    };
    let started = Instant::now();
    for (sent, frame) in frames.into_iter().enumerate() {
        while sent as f64 - done(&states) as f64 / per_frame > FRAMES_ON_THE_WAY as f64 {
            states.changed().await?;
        }
        peer.command(Command::Publish(frame)).await;
    }
    while states.borrow_and_update().frontier.chain(&author, 0).seq() < count {
        tokio::time::timeout(std::time::Duration::from_secs(20), states.changed()).await??;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    stop.cancel();
    node.stop().await;
    Ok(rate)
}

/// The swarm of member 1 with no state behind it: it publishes what it is told.
async fn replayer(world: &World, address: &str) -> anyhow::Result<(node::net::NetHandle, CancellationToken)> {
    let keys = world.seeds[1].keys();
    let identity = Arc::new(Identity { lattice: world.genesis.id(), genesis: world.genesis.clone(), keys });
    let membership = Arc::new(Membership::of(&world.genesis, []));
    let own = node::net::swarm::keypair(&identity).public().to_peer_id();
    let mut book = PeerBook::new(name(&own), membership);
    let (bare, peer) = node::net::address::split(&address.parse()?);
    book.configure(name(&peer.expect("an address with its peer id")), bare.to_string());
    let config = NetConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        external: Vec::new(),
        mdns: false,
        metrics: Arc::default(),
        relays: Vec::new(),
        is_relay: false,
    };
    let (task, handle, mut streams) = start(identity, config, book).await?;
    let stop = CancellationToken::new();
    tokio::spawn(task.run(stop.clone()));
    tokio::spawn(async move {
        // Nothing that others say matters here, but their queues must drain.
        loop {
            tokio::select! {
                gossip = streams.gossip.recv() => if gossip.is_none() { return },
                request = streams.requests.recv() => if request.is_none() { return },
            }
        }
    });
    Ok((handle, stop))
}
