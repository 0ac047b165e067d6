//! Peer counts of real processes: killed, paused, doubled and foreign peers are all counted as what they are.

mod stray;

use std::path::Path;
use std::time::Duration;

use testnet::client::PeerCounts;
use testnet::cluster::{Cluster, wait_until_equal_roots};
use testnet::deadline;
use testnet::process::{Launch, Node};

/// A silent peer is closed after 15 s; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(90);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn counts(node: &Node) -> PeerCounts {
    let reached = node.reached().expect("it runs");
    reached.client.status().await.expect("it answers").peers
}

/// Waits until the counts of `node` are as wanted and fails with the last ones if that does not happen.
async fn counts_become(node: &Node, wanted: impl Fn(PeerCounts) -> bool) -> PeerCounts {
    let counted = deadline::until(SOON, async || {
        let counts = counts(node).await;
        if wanted(counts) { Ok(counts) } else { Err(format!("{counts:?}")) }
    });
    counted.await.unwrap_or_else(|late| panic!("{}: {late}\n{}", node.name(), node.log_tail()))
}

fn all_are(number: u64) -> impl Fn(PeerCounts) -> bool {
    move |PeerCounts { configured: _, connected, lattice, mesh, in_sync }| {
        [connected, lattice, mesh, in_sync] == [number; 4]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_zero_alone_and_the_number_of_the_others_with_them() {
    let root = directory();
    let mut cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    let founder = cluster.nodes()[0].reached().expect("it runs").client;
    assert_eq!(counts(&cluster.nodes()[0]).await, PeerCounts::default());
    founder.put("alone", "writes without an error").await.expect("acknowledged");
    for others in 1..=2 {
        cluster.admit().await.expect("joined");
        for node in cluster.nodes() {
            counts_become(node, all_are(others)).await;
        }
    }
    let last = cluster.nodes()[2].reached().expect("it runs").client;
    last.put("first after the join", "arrives").await.expect("acknowledged");
    deadline::until(SOON, async || match founder.entry("first after the join").await {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .expect("delivered");
    wait_until_equal_roots(cluster.nodes(), SOON).await.expect("equal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_peer_leaves_every_count() {
    let root = directory();
    let mut cluster = Cluster::start(program(), root.path(), 3).await.expect("started");
    for node in cluster.nodes() {
        counts_become(node, all_are(2)).await;
    }
    cluster.nodes_mut()[0].kill().await;
    for node in &cluster.nodes()[1..] {
        counts_become(node, all_are(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_peer_is_one_peer_whether_it_lives_or_not() {
    let root = directory();
    let mut cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    let [first, second] = cluster.nodes_mut() else { panic!("two nodes") };
    second.stop().await;
    // Its TCP and its QUIC address: two addresses, one peer.
    second.launch_mut().peers = first.reached().expect("it runs").run.p2p;
    second.start().await.expect("started");
    let counts = counts_become(second, all_are(1)).await;
    assert_eq!(counts.configured, 1);
    first.kill().await;
    let counts = counts_become(second, all_are(0)).await;
    assert_eq!(counts.configured, 1, "configured is not a count of the living");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_peer_leaves_every_count_and_returns_when_it_goes_on() {
    let root = directory();
    let cluster = Cluster::start(program(), root.path(), 3).await.expect("started");
    for node in cluster.nodes() {
        counts_become(node, all_are(2)).await;
    }
    // Its connections stay open: only its silence tells.
    cluster.nodes()[2].pause();
    for node in &cluster.nodes()[..2] {
        counts_become(node, all_are(1)).await;
    }
    cluster.nodes()[2].resume();
    for node in cluster.nodes() {
        counts_become(node, all_are(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_is_counts_as_configured_only() {
    let root = directory();
    let mut launch = Launch::new(program(), "lonely", root.path().join("lonely"));
    // Port 1 of the loopback: nothing listens there.
    launch.peers = vec!["/ip4/127.0.0.1/tcp/1".into()];
    let mut node = Node::new(launch);
    node.found("lonely").await.expect("founded");
    node.start().await.expect("started");
    assert_eq!(counts(&node).await, PeerCounts { configured: 1, ..PeerCounts::default() });
    // It was in no row of `peers`, so that a wrong address looked like none.
    deadline::until(SOON, async || {
        let said = node.output(&["peers"]).await.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let row = said.lines().find(|line| line.contains("/ip4/127.0.0.1/tcp/1 ")).unwrap_or_default();
        let is_told = row.contains("Connection refused") && row.contains("next try in");
        if is_told { Ok(()) } else { Err(said) }
    })
    .await
    .expect("one row, with the reason and the next try");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_lattice_is_never_a_lattice_peer() {
    let root = directory();
    let ours = Cluster::start(program(), &root.path().join("ours"), 1).await.expect("started");
    let mut launch = Launch::new(program(), "foreign", root.path().join("foreign"));
    launch.peers = ours.nodes()[0].reached().expect("it runs").run.p2p;
    let mut foreign = Node::new(launch);
    foreign.found("another").await.expect("founded");
    let reached = foreign.start().await.expect("started");
    // Both sides met once the foreign node knows why it was refused.
    deadline::until(SOON, async || {
        for node in [&ours.nodes()[0], &foreign] {
            let PeerCounts { lattice, mesh, in_sync, .. } = counts(node).await;
            assert_eq!([lattice, mesh, in_sync], [0; 3], "{}", node.name());
        }
        let peers = reached.client.peers().await.map_err(|error| error.to_string())?;
        peers.iter().find_map(|peer| peer.refusal.clone()).ok_or_else(|| format!("{peers:?}"))
    })
    .await
    .expect("refused with a reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_libp2p_client_is_connected_and_nothing_more() {
    let root = directory();
    let cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    let reached = cluster.nodes()[0].reached().expect("it runs");
    let stray = stray::connect(&reached.run.p2p, 1).await;
    let counts = counts_become(&cluster.nodes()[0], |counts| counts.connected == 1).await;
    assert_eq!(counts, PeerCounts { connected: 1, ..PeerCounts::default() });
    drop(stray);
    counts_become(&cluster.nodes()[0], |counts| counts == PeerCounts::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connections_to_one_peer_count_as_one_peer() {
    let root = directory();
    let cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    let reached = cluster.nodes()[0].reached().expect("it runs");
    let _stray = stray::connect(&reached.run.p2p, 2).await;
    deadline::until(SOON, async || {
        let peers = reached.client.peers().await.map_err(|error| error.to_string())?;
        let connections: Vec<u64> = peers.iter().map(|peer| peer.connections).collect();
        if connections == [2] { Ok(()) } else { Err(format!("connections {connections:?}")) }
    })
    .await
    .expect("two connections to one peer");
    assert_eq!(counts(&cluster.nodes()[0]).await.connected, 1);
}
