//! Nodes whose logs lie, each in its own way: `lattice audit` catches every one, and says by which word.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use lattice::keys::NodeKeys;
use node::home::Home;
use testnet::cluster::Cluster;
use testnet::deadline;
use testnet::lying_log::{Lie, LyingLog};
use testnet::process::Node;

/// Checkpoints come each second; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(60);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// A lone node with a dozen records, a front that can lie, and an auditor's files.
struct World {
    root: tempfile::TempDir,
    cluster: Cluster,
    front: LyingLog,
}

impl World {
    async fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
        let node = &cluster.nodes()[0];
        for n in 0..12 {
            put(node, n).await;
        }
        let front = LyingLog::before(&url(node), keys(node)).await.expect("a port");
        let policy = reqwest::get(format!("{}/api/v1/policy", url(node))).await.expect("it answers");
        let policy = policy.text().await.expect("a policy");
        std::fs::write(root.path().join("policy"), policy).expect("written");
        Self { root, cluster, front }
    }

    fn node(&self) -> &Node {
        &self.cluster.nodes()[0]
    }

    /// Waits until all records of the node's log are signed.
    async fn signed(&self) {
        let signed = deadline::until(SOON, async || {
            let status = reqwest::get(format!("{}/api/v1/status", url(self.node()))).await;
            let status = status.map_err(|error| error.to_string())?.text().await.map_err(|error| error.to_string())?;
            let status: serde_json::Value = serde_json::from_str(&status).map_err(|error| error.to_string())?;
            if status["checkpoint"]["size"] == status["log_size"] { Ok(()) } else { Err(status.to_string()) }
        });
        signed.await.unwrap_or_else(|late| panic!("{late}"));
    }

    /// Looks once through the front; gives the words of the alarms.
    async fn audit(&self, options: &[&str]) -> Vec<String> {
        let (policy, state) = (self.root.path().join("policy"), self.root.path().join("audit.json"));
        let audit = tokio::process::Command::new(program())
            .args(["audit", self.front.url(), "--once", "--json", "--grace", "0", "--policy"])
            .arg(policy)
            .arg("--state")
            .arg(state)
            .args(options)
            .output();
        let Output { status, stdout, stderr } = audit.await.expect("it runs");
        let said: serde_json::Value = serde_json::from_slice(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {status} {}", String::from_utf8_lossy(&stderr)));
        let alarms = said["alarms"].as_array().expect("a list").iter();
        let words: Vec<String> = alarms.map(|alarm| alarm["word"].as_str().expect("a word").to_owned()).collect();
        assert_eq!(status.code(), Some(i32::from(!words.is_empty())), "{said}");
        words
    }
}

fn url(node: &Node) -> String {
    node.reached().expect("it runs").client.url().to_string().trim_end_matches('/').to_owned()
}

fn keys(node: &Node) -> NodeKeys {
    Home::open(node.dir()).expect("a node's").keys().expect("its keys")
}

async fn put(node: &Node, n: u32) {
    node.reached().expect("it runs").client.put(&format!("key/{n}"), "value").await.expect("acknowledged");
}

/// An audit of a node that says the truth, then of the same one with a lie.
async fn caught(lie: Lie, options: &[&str]) -> Vec<String> {
    let world = World::start().await;
    world.signed().await;
    assert_eq!(world.audit(options).await, Vec::<String>::new(), "it says the truth");
    world.front.lie(lie).await.expect("copied");
    if lie == Lie::OldCheckpoint {
        put(world.node(), 99).await;
        world.signed().await;
    }
    world.audit(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_history_of_the_same_size_is_a_fork() {
    assert_eq!(caught(Lie::SecondHistory, &[]).await, ["fork"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_rewritten_under_new_hashes_is_a_fork() {
    assert!(caught(Lie::RewrittenRecord, &[]).await.contains(&"fork".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_kept_back_are_named_by_the_head() {
    assert_eq!(caught(Lie::OldCheckpoint, &[]).await, ["withheld"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_record_under_the_right_hashes_is_found_in_depth() {
    assert_eq!(caught(Lie::AlteredRecord, &["--deep"]).await, ["records"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_record_is_found_in_depth() {
    assert_eq!(caught(Lie::DroppedRecord, &["--deep"]).await, ["records"]);
}
