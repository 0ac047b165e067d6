//! A node that is put back, in whatever way, never gives a number twice and never signs a second history.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use testnet::client::{Client, ClientError, Status};
use testnet::cluster::{Cluster, wait_until_equal_roots};
use testnet::deadline;
use testnet::process::{Launch, Node, lasting_port};

/// Answers come at once; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(60);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// Three nodes at addresses that last.
async fn cluster() -> (tempfile::TempDir, Cluster) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    lasting(&mut cluster.nodes_mut()[0]).await;
    for _ in 0..2 {
        let index = cluster.admit().await.expect("joined");
        lasting(&mut cluster.nodes_mut()[index]).await;
    }
    (root, cluster)
}

/// A copy of the third node's directory; what it wrote `before` is in it, and what it writes next will be `lost` with it.
async fn copied(root: &Path, cluster: &mut Cluster) -> PathBuf {
    write(&cluster.nodes()[2], "before", 3).await;
    agreed(cluster).await;
    let copied = root.join("copied");
    let node = &mut cluster.nodes_mut()[2];
    node.stop().await;
    copy(node.dir(), &copied);
    node.start().await.expect("started");
    write(node, "lost", 20).await;
    agreed(cluster).await;
    copied
}

/// A running node of a lattice of its own.
async fn alone(root: &Path) -> Node {
    let mut node = Node::new(Launch::new(program(), "alone", root.join("node")));
    node.found("alone").await.expect("founded");
    node.start().await.expect("started");
    node
}

async fn lasting(node: &mut Node) {
    node.stop().await;
    node.launch_mut().p2p = vec![format!("127.0.0.1:{}", lasting_port())];
    node.start().await.expect("started");
}

fn client(node: &Node) -> Client {
    node.reached().expect("it runs").client
}

async fn write(node: &Node, prefix: &str, count: usize) {
    let client = client(node);
    for n in 0..count {
        client.put(&format!("{prefix}/{n}"), "v").await.expect("acknowledged");
    }
}

async fn agreed(cluster: &Cluster) -> Vec<Status> {
    wait_until_equal_roots(cluster.nodes(), SOON).await.unwrap_or_else(|differ| panic!("{differ}")).statuses
}

/// All hold the same, and nobody caught anybody with two commits for one place, or two histories.
async fn nothing_was_signed_twice(cluster: &Cluster, entries: &[(&str, usize)]) {
    for status in agreed(cluster).await {
        assert!(status.equivocations.is_empty(), "{status:?}");
    }
    for node in cluster.nodes() {
        for (prefix, count) in entries {
            assert_eq!(client(node).entries(prefix).await.expect("it answers").len(), *count, "{prefix}");
        }
        let url = format!("{}api/v1/forks", client(node).url());
        let forks: serde_json::Value =
            serde_json::from_str(&reqwest::get(url).await.expect("an answer").text().await.expect("text"))
                .expect("JSON");
        assert_eq!(forks["forks"].as_array().map(Vec::len), Some(0), "{forks}");
    }
}

/// Copies a directory as `cp -r` does.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a directory").filter_map(Result::ok) {
        // The socket of a node that ran is no file.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

fn put_back(copied: &Path, dir: &Path) {
    std::fs::remove_dir_all(dir).expect("ours");
    copy(copied, dir);
}

async fn lattice(words: &[&str]) -> Output {
    let run = tokio::process::Command::new(program()).args(words).output();
    tokio::time::timeout(SOON, run).await.expect("in time").expect("it runs")
}

async fn succeeds(words: &[&str]) -> String {
    let output = lattice(words).await;
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_copied_back_goes_on_behind_what_others_hold_of_it() {
    let (root, mut cluster) = cluster().await;
    let copied = copied(root.path(), &mut cluster).await;
    let before = agreed(&cluster).await[2].seq;
    let node = &mut cluster.nodes_mut()[2];
    node.stop().await;
    put_back(&copied, node.dir());
    // Ready only once it knows where its chain ends.
    node.start().await.expect("started");
    write(node, "after", 5).await;
    nothing_was_signed_twice(&cluster, &[("before/", 3), ("lost/", 20), ("after/", 5)]).await;
    assert_eq!(agreed(&cluster).await[2].seq, before + 5);
}

/// The third node was put back while all were stopped: it writes nothing until others have said what it signed, and says why.
async fn waits_for_others(cluster: &mut Cluster, why: &str) {
    let alone = cluster.nodes_mut()[2].listen().await.expect("it listens").client;
    let refused = alone.put("after/0", "too early").await.expect_err("nobody has said what it signed");
    let ClientError::Refused { status, detail, .. } = refused else { panic!("{refused}") };
    assert!(status == 503 && detail.contains(why), "{status} {detail}");
    assert!(alone.ready().await.expect("it answers").is_err_and(|reason| reason.contains(why)));
    // All others start at once, and each of them asks the others as well.
    let (others, node) = cluster.nodes_mut().split_at_mut(2);
    let (first, second) = others.split_at_mut(1);
    let (first, second) = tokio::join!(first[0].start(), second[0].start());
    first.and(second).expect("started");
    deadline::until(SOON, async || alone.put("after/0", "v").await.map_err(|error| error.to_string()))
        .await
        .unwrap_or_else(|late| panic!("{late}\n{}", node[0].log_tail()));
    nothing_was_signed_twice(cluster, &[("before/", 3), ("lost/", 20), ("after/", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_copied_back_writes_nothing_while_nobody_answers() {
    let (root, mut cluster) = cluster().await;
    let copied = copied(root.path(), &mut cluster).await;
    for node in cluster.nodes_mut() {
        node.stop().await;
    }
    put_back(&copied, cluster.nodes()[2].dir());
    waits_for_others(&mut cluster, "half of the other members").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_writes_nothing_while_nobody_answers() {
    let (root, mut cluster) = cluster().await;
    write(&cluster.nodes()[2], "before", 3).await;
    agreed(&cluster).await;
    let (backup, dir) = (root.path().join("backup"), cluster.nodes()[2].dir().to_owned());
    succeeds(&["backup", text(&dir), "-o", text(&backup)]).await;
    write(&cluster.nodes()[2], "lost", 20).await;
    agreed(&cluster).await;
    for node in cluster.nodes_mut() {
        node.stop().await;
    }
    succeeds(&["restore", text(&backup), "--dir", text(&dir), "--replace"]).await;
    waits_for_others(&mut cluster, "must learn from others what it signed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_node_is_restored_without_signing_anything_twice() {
    let (root, mut cluster) = cluster().await;
    write(&cluster.nodes()[2], "before", 3).await;
    agreed(&cluster).await;
    let (backup, dir) = (root.path().join("backup"), cluster.nodes()[2].dir().to_owned());
    let said = succeeds(&["backup", text(&dir), "-o", text(&backup)]).await;
    assert!(said.contains("hashed again"), "{said}");
    write(&cluster.nodes()[2], "lost", 20).await;
    let status = agreed(&cluster).await[2].clone();
    let taken = lattice(&["restore", text(&backup), "--dir", text(&dir), "--replace"]).await;
    assert_eq!(taken.status.code(), Some(1), "it runs");
    let node = &mut cluster.nodes_mut()[2];
    node.stop().await;
    let stands = lattice(&["restore", text(&backup), "--dir", text(&dir)]).await;
    assert!(String::from_utf8_lossy(&stands.stderr).contains("--replace"), "{stands:?}");
    // The disk is gone, and with it all but the backup.
    let gone = root.path().join("gone");
    std::fs::rename(&dir, &gone).expect("ours");
    succeeds(&["restore", text(&backup), "--dir", text(&dir)]).await;
    let node = &mut cluster.nodes_mut()[2];
    node.start().await.expect("started");
    write(node, "after", 5).await;
    nothing_was_signed_twice(&cluster, &[("before/", 3), ("lost/", 20), ("after/", 5)]).await;
    let restored = agreed(&cluster).await[2].clone();
    assert_eq!(restored.seq, status.seq + 5);
    let origin = |text: String| {
        let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        status["checkpoint"]["origin"].as_str().expect("a name").to_owned()
    };
    let other = origin(succeeds(&["status", "--json", "--dir", text(cluster.nodes()[1].dir())]).await);
    let own = origin(succeeds(&["status", "--json", "--dir", text(&dir)]).await);
    assert_eq!((other.matches('/').count(), own.matches('/').count()), (1, 2), "the log has a new name: {own}");
    assert!(dir.join("abstaining").exists(), "it may have voted after the backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restored_under_a_new_key_is_another_author() {
    let (root, cluster) = cluster().await;
    write(&cluster.nodes()[2], "before", 3).await;
    agreed(&cluster).await;
    let (backup, dir) = (root.path().join("backup"), root.path().join("node-4"));
    succeeds(&["backup", text(cluster.nodes()[2].dir()), "-o", text(&backup), "--without-key"]).await;
    assert!(!backup.join("node.key").exists());
    let keyless = lattice(&["restore", text(&backup), "--dir", text(&dir)]).await;
    assert!(String::from_utf8_lossy(&keyless.stderr).contains("--ticket"), "{keyless:?}");
    let ticket = cluster.nodes()[0].invite().await.expect("invited");
    let said = succeeds(&["restore", text(&backup), "--dir", text(&dir), "--ticket", &ticket, "--name", "four"]).await;
    assert!(said.contains("a new node with a fresh key"), "{said}");
    let mut fourth = Node::new(Launch::new(program(), "four", &dir));
    fourth.start().await.expect("started");
    // The node that was backed up goes on beside it.
    write(&fourth, "new", 4).await;
    write(&cluster.nodes()[2], "old", 4).await;
    deadline::until(SOON, async || {
        let count = client(&cluster.nodes()[2]).entries("new/").await.map_err(|error| error.to_string())?.len();
        if count == 4 { Ok(()) } else { Err(format!("{count} of 4")) }
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
    nothing_was_signed_twice(&cluster, &[("before/", 3), ("new/", 4), ("old/", 4)]).await;
    fourth.stop().await;
    succeeds(&["audit", "--db", text(&dir), "--deep"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_bytes_changed_is_not_restored_and_a_damaged_node_gives_none() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut node = alone(root.path()).await;
    write(&node, "k", 5).await;
    let (backup, dir) = (root.path().join("backup"), root.path().join("restored"));
    succeeds(&["backup", text(node.dir()), "-o", text(&backup)]).await;
    let key = std::fs::read(backup.join("genesis.cbor")).expect("there");
    std::fs::write(backup.join("genesis.cbor"), &key[1..]).expect("ours");
    let changed = lattice(&["restore", text(&backup), "--dir", text(&dir)]).await;
    assert_eq!(changed.status.code(), Some(1), "{changed:?}");
    assert!(!dir.exists(), "nothing was written");
    node.stop().await;
    let url = format!("sqlite://{}", node.dir().join("state.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.expect("opened");
    sqlx::query("UPDATE entries SET value = x'00' WHERE key = 'k/1'").execute(&pool).await.expect("written");
    pool.close().await;
    let damaged = lattice(&["backup", text(node.dir()), "-o", text(&root.path().join("other"))]).await;
    assert_eq!(damaged.status.code(), Some(1), "{damaged:?}");
    assert!(!root.path().join("other").exists() && root.path().join("other.unfinished").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_alone_goes_on_by_itself_wherever_its_directory_is() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut node = alone(root.path()).await;
    write(&node, "before", 3).await;
    node.stop().await;
    let moved = root.path().join("moved");
    copy(node.dir(), &moved);
    let mut node = Node::new(Launch::new(program(), "moved", &moved));
    node.start().await.expect("nobody is there to wait for");
    write(&node, "after", 3).await;
    assert!(client(&node).status().await.expect("it answers").equivocations.is_empty());
}
