//! Real processes that were down, late, paused or cut off end with the same root as the others, unasked.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::ids::{CommitId, LatticeId};
use lattice::keys::NodeKeys;
use lattice::limits::{COMMIT_BYTES_MAX, COMMIT_OPS_MAX};
use testnet::client::{Client, ClientError, Op};
use testnet::cluster::{Cluster, wait_until_equal_roots, wait_until_settled};
use testnet::network::Network;
use testnet::process::{Launch, Node, lasting_port};
use testnet::skipping::{NAMESPACES, skip};

/// Redialling pauses for up to 30 s, a silent peer is noticed after 15 s; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(120);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn client(node: &Node) -> Client {
    node.reached().expect("it runs").client
}

/// Writes `commits` commits of 20 entries each, and deletes one of each again.
async fn write_many(client: &Client, prefix: &str, commits: usize, value: &str) {
    for commit in 0..commits {
        let key = |entry: usize| format!("{prefix}/{commit:04}/{entry:02}");
        let ops: Vec<Op> = (0..20).map(|entry| Op::put(key(entry), value)).collect();
        client.commit(&ops, None).await.expect("acknowledged");
        client.commit(&[Op::delete(key(7))], None).await.expect("acknowledged");
    }
}

async fn state(node: &Node) -> BTreeMap<String, String> {
    let entries = client(node).entries("").await.expect("it answers");
    entries.into_iter().map(|(key, entry)| (key, entry.shown().to_owned())).collect()
}

/// All nodes have the same root, and it stands for the same entries.
async fn agree(cluster: &[Node]) {
    let agreement = wait_until_equal_roots(cluster, SOON).await;
    let logs = || cluster.iter().map(Node::log_tail).collect::<Vec<_>>().join("\n---\n");
    agreement.unwrap_or_else(|differ| panic!("{differ}\n{}", logs()));
    let first = state(&cluster[0]).await;
    for node in &cluster[1..] {
        assert!(state(node).await == first, "equal roots, but {} holds something else", node.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_down_catches_up_and_brings_what_it_wrote_alone() {
    let root = directory();
    let mut cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    // One node keeps its address. The others get new ports at every start, so that nothing they know of each other
    // is of use afterwards.
    let founder = &mut cluster.nodes_mut()[0];
    founder.stop().await;
    founder.launch_mut().p2p = vec![format!("127.0.0.1:{}", lasting_port())];
    founder.start().await.expect("started");
    cluster.admit().await.expect("joined");
    cluster.admit().await.expect("joined");
    write_many(&client(&cluster.nodes()[0]), "before", 5, "v").await;
    agree(cluster.nodes()).await;
    let [first, second, third] = cluster.nodes_mut() else { panic!("three nodes") };
    first.stop().await;
    second.stop().await;
    write_many(&client(third), "alone", 20, "v").await;
    third.stop().await;
    first.start().await.expect("started");
    second.start().await.expect("started");
    write_many(&client(first), "meanwhile", 20, "v").await;
    third.start().await.expect("started");
    agree(cluster.nodes()).await;
    let prefixes: Vec<usize> = counts(&cluster.nodes()[1], &["before", "alone", "meanwhile"]).await;
    assert_eq!(prefixes, [5 * 19, 20 * 19, 20 * 19]);
}

async fn counts(node: &Node, prefixes: &[&str]) -> Vec<usize> {
    let state = state(node).await;
    let under = |prefix: &&str| state.keys().filter(|key| key.starts_with(*prefix)).count();
    prefixes.iter().map(under).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_gets_everything_deletes_included() {
    let root = directory();
    let mut cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    write_many(&client(&cluster.nodes()[0]), "old", 100, "v").await;
    cluster.admit().await.expect("joined");
    agree(cluster.nodes()).await;
    assert_eq!(counts(&cluster.nodes()[2], &["old"]).await, [100 * 19]);
}

/// 1024 puts that count `bytes` in all as the commit of a young node: nearly all are tiny, the rest large.
fn commit_of(bytes: usize) -> Vec<Op> {
    let time = Timestamp::from_millis(1_700_000_000_000);
    let draft = Draft { lattice: LatticeId::ZERO, term: 0, seq: 2, prev: CommitId([1; 32]), time };
    let pairs = |last: usize| {
        let size = move |n: usize| match n {
            0..3 => 60_000,
            _ if n == COMMIT_OPS_MAX - 1 => last,
            _ => n % 9,
        };
        (0..COMMIT_OPS_MAX).map(move |n| (format!("most/{n:04}"), "v".repeat(size(n))))
    };
    let op = |(key, value): (String, String)| lattice::op::Op::put(&key, value.as_bytes()).expect("within bounds");
    // 100 bytes are past the length of a hash: from there on each byte counts.
    let counted = draft.sign(&NodeKeys::from_seed([1; 32]).author, pairs(100).map(op).collect()).counted_bytes();
    pairs(100 + bytes - counted).map(|(key, value)| Op::put(key, value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_commit_reaches_every_node_whole_and_in_part_and_a_larger_one_is_refused() {
    // A commit counted as less than it takes encoded was acknowledged, and whoever sent it was banned for it.
    let root = directory();
    let mut cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    wait_until_settled(cluster.nodes(), SOON).await.expect("settled");
    let writer = client(&cluster.nodes()[0]);
    match writer.commit(&commit_of(COMMIT_BYTES_MAX + 1), None).await {
        Err(ClientError::Refused { status: 413, detail, .. }) => {
            assert!(detail.contains("a commit's length") && detail.contains("262145"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    writer.commit(&commit_of(COMMIT_BYTES_MAX), None).await.expect("acknowledged");
    agree(cluster.nodes()).await;
    cluster.admit().await.expect("joined");
    agree(cluster.nodes()).await;
    assert_eq!(counts(&cluster.nodes()[2], &["most"]).await, [COMMIT_OPS_MAX]);
    // The large operations stay, the tiny ones die: each leaves a hash that is longer than it was.
    let overwritten: Vec<Op> = (3..COMMIT_OPS_MAX - 1).map(|n| Op::put(format!("most/{n:04}"), "v")).collect();
    writer.commit(&overwritten, None).await.expect("acknowledged");
    cluster.admit().await.expect("joined");
    agree(cluster.nodes()).await;
    wait_until_settled(cluster.nodes(), SOON).await.expect("settled: nobody is banned");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gossip_could_not_deliver_to_a_paused_node_arrives_later() {
    let root = directory();
    let cluster = Cluster::start(program(), root.path(), 3).await.expect("started");
    wait_until_settled(cluster.nodes(), SOON).await.expect("settled");
    cluster.nodes()[2].pause();
    // 24 MB: more than the buffers of a connection and the send queue of a peer hold.
    write_many(&client(&cluster.nodes()[0]), "missed", 150, &"v".repeat(8_000)).await;
    cluster.nodes()[2].resume();
    agree(cluster.nodes()).await;
    wait_until_settled(cluster.nodes(), SOON).await.expect("settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_find_each_other_again_after_all_links_were_cut_and_an_address_changed() {
    let network = match Network::new(3) {
        Ok(network) => network,
        Err(reason) => return skip(NAMESPACES, &reason),
    };
    let root = directory();
    let mut nodes = lattice_on(&network, root.path()).await;
    wait_until_settled(&nodes, SOON).await.expect("settled");
    network.cut().expect("cut");
    for node in &nodes {
        no_peers(node).await;
        client(node).put(&format!("apart/{}", node.name()), "kept").await.expect("acknowledged");
    }
    nodes[2].kill().await;
    let moved = network.readdress(3).expect("readdressed");
    listen_at(&mut nodes[2], moved);
    nodes[2].listen().await.expect("it listens");
    network.heal().expect("healed");
    wait_until_settled(&nodes, SOON).await.unwrap_or_else(|differ| panic!("{differ}"));
    agree(&nodes).await;
    assert_eq!(counts(&nodes[0], &["apart/"]).await, [3]);
}

/// Three nodes, each behind a link of its own.
async fn lattice_on(network: &Network, root: &Path) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 1..=3 {
        let name = format!("node-{number}");
        let mut launch = Launch::new(program(), name.clone(), root.join(name));
        launch.within = network.within(number);
        let mut node = Node::new(launch);
        listen_at(&mut node, network.ip(number));
        match nodes.first() {
            None => node.found("apart").await.expect("founded"),
            Some(first) => node.join(&first.invite().await.expect("invited")).await.expect("joined"),
        }
        node.start().await.expect("started");
        nodes.push(node);
    }
    nodes
}

/// Fixed ports, as an operator has them: what changes is the address.
fn listen_at(node: &mut Node, ip: std::net::Ipv4Addr) {
    node.launch_mut().p2p = vec![format!("{ip}:4801")];
    node.launch_mut().http = format!("{ip}:4800");
}

async fn no_peers(node: &Node) {
    let alone = testnet::deadline::until(SOON, async || {
        let status = client(node).status().await.map_err(|error| error.to_string())?;
        if status.peers.connected == 0 { Ok(()) } else { Err(format!("{:?}", status.peers)) }
    });
    alone.await.unwrap_or_else(|late| panic!("{}: {late}", node.name()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_changes_on_the_disk_of_a_running_node_is_never_served_and_comes_back() {
    let root = directory();
    let cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    let (first, second) = (&cluster.nodes()[0], client(&cluster.nodes()[1]));
    second.put("key", "right").await.expect("acknowledged");
    agree(cluster.nodes()).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(first.dir().join("state.db"));
    let mut database =
        <sqlx::sqlite::SqliteConnection as sqlx::Connection>::connect_with(&options).await.expect("there");
    let change = sqlx::query("UPDATE entries SET value = x'6576696c' WHERE key = 'key'");
    change.execute(&mut database).await.expect("SQL");
    let refused = client(first).entry("key").await.expect_err("it is not what was stored");
    assert!(refused.to_string().contains("has changed on its disk"), "{refused}");
    agree(cluster.nodes()).await;
    let healed = client(first).entry("key").await.expect("it answers").expect("it is there");
    assert_eq!(healed.shown(), "right");
    assert!(client(first).status().await.expect("it answers").divergences > 0, "an operator sees it");
}
