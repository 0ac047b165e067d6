//! Nodes that can't reach each other over libp2p, only over HTTP.

use std::path::Path;
use std::time::Duration;

use testnet::client::{Client, Happening};
use testnet::cluster::{Cluster, wait_until_equal_roots};
use testnet::deadline;
use testnet::process::{Node, lasting_port};

/// Beats are five a second here; the rest is for a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Beats that tests need not wait for.
pub(crate) const BEAT: [&str; 2] = ["--heartbeat-ms", "200"];

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// A lattice of stopped nodes: each joined over libp2p and has an HTTP address that lasts. When they start again they
/// listen for libp2p on ports that nobody knows.
pub(crate) struct Apart {
    pub(crate) cluster: Cluster,
    _root: tempfile::TempDir,
}

impl Apart {
    pub(crate) async fn of(nodes: usize) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut cluster = Cluster::start(program(), root.path(), nodes).await.expect("started");
        wait_until_equal_roots(cluster.nodes(), SOON).await.expect("all know all members");
        cluster.stop().await;
        for node in cluster.nodes_mut() {
            let launch = node.launch_mut();
            launch.peers.clear();
            launch.http = format!("127.0.0.1:{}", lasting_port());
            launch.options = BEAT.map(String::from).to_vec();
        }
        Self { cluster, _root: root }
    }

    pub(crate) fn node(&mut self, number: usize) -> &mut Node {
        &mut self.cluster.nodes_mut()[number]
    }

    /// The node's URL, running or not.
    pub(crate) fn url(&mut self, number: usize) -> String {
        format!("http://{}", self.node(number).launch_mut().http)
    }

    pub(crate) async fn start(&mut self, number: usize, options: &[&str]) -> Client {
        let node = self.node(number);
        node.launch_mut().options.extend(options.iter().map(|option| (*option).to_owned()));
        node.start().await.expect("started").client
    }

    pub(crate) async fn metrics(&mut self, number: usize) -> String {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        let answer = http.get(format!("{}/metrics", self.url(number))).send().await.expect("an answer");
        answer.text().await.expect("text")
    }

    pub(crate) async fn equal_roots(&self) -> String {
        let agreement = wait_until_equal_roots(self.cluster.nodes(), SOON).await;
        let logs = || self.cluster.nodes().iter().map(Node::log_tail).collect::<Vec<_>>().join("\n---\n");
        agreement.unwrap_or_else(|differ| panic!("{differ}\n{}", logs())).root
    }
}

/// Waits until a node's events show what is looked for.
pub(crate) async fn event(node: &Client, is_it: impl Fn(&Happening) -> bool) -> Happening {
    let seen = deadline::until(SOON, async || {
        let events = node.events(0).await.map_err(|error| error.to_string())?;
        let found = events.iter().find(|event| is_it(event)).cloned();
        found.ok_or_else(|| format!("{:#?}", events.iter().map(|event| &event.text).collect::<Vec<_>>()))
    });
    seen.await.unwrap_or_else(|late| panic!("{late}"))
}

/// Waits until a node's log has a line with all of these.
pub(crate) async fn logs(node: &Node, parts: &[&str]) {
    let seen = deadline::until(SOON, async || {
        let text = std::fs::read_to_string(node.dir().join("stderr.log")).map_err(|error| error.to_string())?;
        let found = text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        if found { Ok(()) } else { Err(format!("no {parts:?} in {text}")) }
    });
    seen.await.unwrap_or_else(|late| panic!("{late}"));
}

/// Waits until a node holds a key.
pub(crate) async fn holds(node: &Client, key: &str) {
    let seen = deadline::until(SOON, async || match node.entry(key).await {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{key}: {other:?}")),
    });
    seen.await.unwrap_or_else(|late| panic!("{late}"));
}
