//! Real nodes, and a page of one of them.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testnet::cluster::{Cluster, wait_until_equal_roots, wait_until_settled};
use testnet::deadline;
use testnet::process::{Node, lasting_port};

use crate::browser::Browser;

/// Time for something that must come about; only a broken program takes it.
pub(crate) const SOON: Duration = Duration::from_secs(90);

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// Some nodes that run.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    _root: tempfile::TempDir,
}

impl World {
    /// Nodes that know each other over libp2p.
    pub(crate) async fn of(nodes: usize) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let cluster = Cluster::start(program(), root.path(), nodes).await.expect("started");
        wait_until_settled(cluster.nodes(), SOON).await.expect("all know all");
        Self { cluster, _root: root }
    }

    /// The same, stopped again: each with an HTTP address that lasts and libp2p ports that nobody knows.
    pub(crate) async fn apart(nodes: usize) -> Self {
        let mut world = Self::of(nodes).await;
        wait_until_equal_roots(world.cluster.nodes(), SOON).await.expect("all know all members");
        world.cluster.stop().await;
        for node in world.cluster.nodes_mut() {
            let launch = node.launch_mut();
            launch.peers.clear();
            launch.http = format!("127.0.0.1:{}", lasting_port());
        }
        world
    }

    pub(crate) fn node(&mut self, number: usize) -> &mut Node {
        &mut self.cluster.nodes_mut()[number]
    }

    /// A node's URL without a slash at its end, while it runs.
    pub(crate) fn url(&self, number: usize) -> String {
        let client = self.cluster.nodes()[number].reached().expect("it runs").client;
        client.url().as_str().trim_end_matches('/').to_owned()
    }

    pub(crate) async fn put(&self, number: usize, key: &str, value: &str) {
        let client = self.cluster.nodes()[number].reached().expect("it runs").client;
        client.put(key, value).await.expect("acknowledged");
    }
}

/// Looks again and again until a script says that it is so; `what` is told if it never is.
pub(crate) async fn until(browser: &Browser, what: &str, script: &str, arguments: Vec<Value>) -> Value {
    let seen = deadline::until(SOON, async || {
        let found = browser.run(script, arguments.clone()).await;
        if found.is_null() || found == Value::Bool(false) { Err(format!("not yet: {what}")) } else { Ok(found) }
    });
    match seen.await {
        Ok(found) => found,
        Err(late) => {
            let page = browser.run("return document.body.innerText", Vec::new()).await;
            let said = browser.log("browser").await;
            panic!("{late}\n{}\n{said:#?}", page.as_str().unwrap_or_default())
        }
    }
}

/// What a node's API answers.
pub(crate) async fn api(url: &str, path: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let answer = client.get(format!("{url}{path}")).send().await.expect("an answer");
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
}
