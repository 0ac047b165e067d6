//! Nodes behind routers that let nobody in reach each other: through a relay, then directly where that is possible.

use std::path::Path;
use std::time::Duration;

use testnet::client::Client;
use testnet::cluster::{wait_until_equal_roots, wait_until_settled};
use testnet::deadline;
use testnet::network::{HTTP_PORT, Nat, Network, P2P_PORT};
use testnet::process::{Launch, Node};
use testnet::skipping::{NAMESPACES, skip};

/// A dial behind a router runs into its time-out first; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(120);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

fn client(node: &Node) -> Client {
    node.reached().expect("it runs").client
}

/// A founder that everybody reaches and that relays, and two nodes behind routers.
async fn lattice_on(network: &Network, root: &Path) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 1..=3 {
        let name = format!("node-{number}");
        let mut launch = Launch::new(program(), name.clone(), root.join(name));
        let (within, ip) = match number {
            1 => (network.within(1), network.ip(1)),
            _ => (network.within_nat(number), network.inner_ip(number)),
        };
        launch.within = within;
        (launch.p2p, launch.http) = (vec![format!("{ip}:{P2P_PORT}")], format!("{ip}:{HTTP_PORT}"));
        let mut node = Node::new(launch);
        match nodes.first() {
            None => {
                node.found("behind routers").await.expect("founded");
                node.launch_mut().options = vec!["--relay".to_owned()];
            }
            Some(first) => {
                let relay = first.reached().expect("it runs").run.p2p;
                let relay = relay.into_iter().find(|address| address.contains("/tcp/")).expect("it listens on TCP");
                node.join(&first.invite().await.expect("invited")).await.expect("joined");
                node.launch_mut().options = vec!["--use-relay".to_owned(), relay];
            }
        }
        node.start().await.unwrap_or_else(|error| panic!("{error}"));
        nodes.push(node);
    }
    nodes
}

/// Waits until `node` is connected with the node named `other` as `fits` says of the address.
async fn connected(node: &Node, other: &Node, fits: impl Fn(&str) -> bool) {
    let id = client(other).status().await.expect("it answers").peer_id;
    let found = deadline::until(SOON, async || {
        let peers = client(node).peers().await.map_err(|error| error.to_string())?;
        let peer = peers.iter().find(|peer| peer.peer_id == id).ok_or("not known")?;
        match peer.address.as_deref() {
            Some(address) if peer.lattice && peer.connections >= 1 && fits(address) => Ok(()),
            _ => Err(format!("{peer:?}")),
        }
    });
    found.await.unwrap_or_else(|late| panic!("{late}\n{}\n{}", node.log_tail(), other.log_tail()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_routers_that_keep_ports_end_up_with_a_direct_connection() {
    let network = match Network::with_nats(1, &[Nat::KeepsPorts, Nat::KeepsPorts]) {
        Ok(network) => network,
        Err(reason) => return skip(NAMESPACES, &reason),
    };
    let root = tempfile::tempdir().expect("a temporary directory");
    let nodes = lattice_on(&network, root.path()).await;
    wait_until_settled(&nodes, SOON).await.unwrap_or_else(|differ| panic!("{differ}"));
    for (node, other) in [(&nodes[1], &nodes[2]), (&nodes[2], &nodes[1])] {
        connected(node, other, |address| !address.contains("p2p-circuit")).await;
    }
    client(&nodes[1]).put("from/2", "v").await.expect("acknowledged");
    client(&nodes[2]).put("from/3", "v").await.expect("acknowledged");
    let agreed = wait_until_equal_roots(&nodes, SOON).await.unwrap_or_else(|differ| panic!("{differ}"));
    assert!(agreed.entries >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_direct_connection_can_be_made_the_relay_goes_on() {
    let network = match Network::with_nats(1, &[Nat::AnyPort, Nat::AnyPort]) {
        Ok(network) => network,
        Err(reason) => return skip(NAMESPACES, &reason),
    };
    let root = tempfile::tempdir().expect("a temporary directory");
    let nodes = lattice_on(&network, root.path()).await;
    wait_until_settled(&nodes, SOON).await.unwrap_or_else(|differ| panic!("{differ}"));
    connected(&nodes[1], &nodes[2], |address| address.contains("p2p-circuit")).await;
    client(&nodes[1]).put("from/2", "v").await.expect("acknowledged");
    client(&nodes[2]).put("from/3", "v").await.expect("acknowledged");
    wait_until_equal_roots(&nodes, SOON).await.unwrap_or_else(|differ| panic!("{differ}"));
}
