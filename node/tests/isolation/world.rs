//! Nodes behind firewalls of their own.

use std::path::Path;
use std::time::Duration;

use testnet::client::{Client, Happening, Status};
use testnet::cluster::{wait_until_equal_roots, wait_until_settled};
use testnet::deadline;
use testnet::network::{Block, Network, found_and_join};
use testnet::process::Node;
use testnet::skipping::{NAMESPACES, skip};

/// A silent peer is given up after 15 s, redialling pauses for up to 30 s; the rest is for a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// A lattice with a namespace for each node. Nodes count from 0, as in a list.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    _root: tempfile::TempDir,
}

impl World {
    /// All connected with all, each with the URLs of all others; `None`, with the reason printed, where there are no
    /// network namespaces.
    pub(crate) async fn of(nodes: u8, options: &[&str]) -> Option<Self> {
        let network = match Network::with_firewalls(nodes) {
            Ok(network) => network,
            Err(reason) => {
                skip(NAMESPACES, &reason);
                return None;
            }
        };
        let root = tempfile::tempdir().expect("a temporary directory");
        let program = Path::new(env!("CARGO_BIN_EXE_lattice"));
        let nodes = found_and_join(&network, program, root.path(), options).await.expect("started");
        let world = Self { nodes, network, _root: root };
        world.settled().await;
        Some(world)
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        self.nodes[node].reached().expect("it runs").client
    }

    pub(crate) fn block(&self, node: usize, block: Block) {
        self.network.block(number(node), block).expect("blocked");
    }

    pub(crate) fn unblock(&self, node: usize) {
        self.network.unblock(number(node)).expect("healed");
    }

    /// Writes one key at each node.
    pub(crate) async fn write_everywhere(&self, prefix: &str) {
        for node in 0..self.nodes.len() {
            self.client(node).put(&format!("{prefix}/{node}"), "kept").await.expect("acknowledged");
        }
    }

    /// All nodes have the same root, and it stands for a key of each node.
    pub(crate) async fn all_hold_of_each(&self, prefix: &str) {
        let agreement = wait_until_equal_roots(&self.nodes, SOON).await;
        agreement.unwrap_or_else(|differ| panic!("{differ}\n{}", self.logs()));
        for node in 0..self.nodes.len() {
            let held = self.client(node).entries(prefix).await.expect("it answers");
            assert_eq!(held.len(), self.nodes.len(), "node {node}: {held:?}");
        }
    }

    /// All nodes have the same root and are connected with all.
    pub(crate) async fn settled(&self) {
        let settled = wait_until_settled(&self.nodes, SOON).await;
        settled.unwrap_or_else(|differ| panic!("{differ}\n{}", self.logs()));
    }

    /// Waits until a node's status is as wanted.
    pub(crate) async fn status(&self, node: usize, is_it: impl Fn(&Status) -> bool) -> Status {
        let client = self.client(node);
        let seen = deadline::until(SOON, async || {
            let status = client.status().await.map_err(|error| error.to_string())?;
            if is_it(&status) { Ok(status) } else { Err(format!("{status:?}")) }
        });
        seen.await.unwrap_or_else(|late| panic!("node {node}: {late}"))
    }

    /// Waits until a node tells an event behind number `after`.
    pub(crate) async fn event(&self, node: usize, after: u64, is_it: impl Fn(&Happening) -> bool) -> Happening {
        let client = self.client(node);
        let seen = deadline::until(SOON, async || {
            let events = client.events(after).await.map_err(|error| error.to_string())?;
            let found = events.iter().find(|event| is_it(event)).cloned();
            found.ok_or_else(|| format!("{:#?}", events.iter().map(|event| &event.text).collect::<Vec<_>>()))
        });
        seen.await.unwrap_or_else(|late| panic!("node {node}: {late}\n{}", self.logs()))
    }

    /// The number of a node's last event so far.
    pub(crate) async fn last_event(&self, node: usize) -> u64 {
        let (client, mut last) = (self.client(node), 0);
        while let Some(event) = client.events(last).await.expect("it answers").last() {
            last = event.number;
        }
        last
    }

    /// Beats of a node that brought no answer so far.
    pub(crate) async fn silent_beats(&self, node: usize) -> u64 {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        let url = format!("{}/metrics", self.network.url(number(node)));
        let text = http.get(url).send().await.expect("an answer").text().await.expect("text");
        let beats = text.lines().filter(|line| line.starts_with("lattice_http_beats_total{"));
        let silent = beats.filter(|line| line.contains("result=\"silent\""));
        silent.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number")).sum()
    }

    fn logs(&self) -> String {
        self.nodes.iter().map(Node::log_tail).collect::<Vec<_>>().join("\n---\n")
    }
}

/// A network counts its nodes from 1.
pub(crate) fn number(node: usize) -> u8 {
    u8::try_from(node + 1).expect("few nodes")
}

/// Whether an event is the switch to a mode.
pub(crate) fn mode(word: &str) -> impl Fn(&Happening) -> bool {
    let text = format!("mode {word}");
    move |event| event.text == text
}
