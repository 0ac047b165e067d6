//! Directories that a node must not run on, and disks that stop taking writes: a clear line, and nothing lost.

use std::path::Path;
use std::time::Duration;

use testnet::client::{Client, ClientError};
use testnet::deadline;
use testnet::disk::SmallDisk;
use testnet::process::{Launch, Node, StartError};
use testnet::skipping::{NAMESPACES, skip};

/// A full disk is looked at again after some seconds; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(60);

/// 64 KiB, the largest value.
const LARGE: usize = 64 * 1024;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn founded(dir: &Path, log: &Path) -> Node {
    let mut launch = Launch::new(program(), "alone", dir);
    launch.log = log.into();
    let node = Node::new(launch);
    node.found("alone").await.expect("founded");
    node
}

/// The node ends by itself with a failure, and its log says `words`.
async fn refuses_to_start(node: &mut Node, words: &[&str]) {
    let error = node.start().await.expect_err("it must not start");
    let StartError::Ended { status, tail, .. } = error else { panic!("{error}") };
    assert!(!status.success(), "{status}");
    for word in words {
        assert!(tail.contains(word), "{word:?} is missing in: {tail}");
    }
    assert!(!tail.contains("panicked"), "{tail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_directory_refuses() {
    let root = directory();
    let dir = root.path().join("node");
    let mut first = founded(&dir, &root.path().join("first.log")).await;
    let client = first.start().await.expect("started").client;
    let mut launch = Launch::new(program(), "second", &dir);
    launch.log = root.path().join("second.log");
    refuses_to_start(&mut Node::new(launch), &["another", dir.to_str().expect("text")]).await;
    client.put("the first", "goes on").await.expect("acknowledged");
    first.kill().await;
    first.start().await.expect("a lock that a killed process left behind does not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_refused() {
    let root = directory();
    let mut node = founded(&root.path().join("node"), &root.path().join("log")).await;
    node.start().await.expect("started");
    node.stop().await;
    let url = format!("sqlite://{}", node.dir().join("state.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.expect("opened");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         VALUES (9999, 'from the future', CURRENT_TIMESTAMP, TRUE, x'00', 0)",
    )
    .execute(&pool)
    .await
    .expect("written");
    pool.close().await;
    refuses_to_start(&mut node, &["newer version", "state.db"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_directory_is_refused() {
    let root = directory();
    let dir = root.path().join("disk");
    std::fs::create_dir(&dir).expect("made");
    let disk = match SmallDisk::mount(&dir, 16) {
        Ok(disk) => disk,
        Err(reason) => return skip(NAMESPACES, &reason),
    };
    let mut node = founded(&disk.path().join("node"), &root.path().join("log")).await;
    disk.make_read_only().expect("read-only");
    refuses_to_start(&mut node, &["Read-only", "can be written"]).await;
}

/// Fills the disk with writes, and returns how many were acknowledged and why the next was not.
async fn write_until_refused(client: &Client) -> (usize, u16, String) {
    let value = "v".repeat(LARGE);
    for number in 0.. {
        match client.put(&format!("large/{number:04}"), &value).await {
            Ok(_) => assert!(number < 10_000, "a small disk takes no 600 MB"),
            Err(ClientError::Refused { status, detail, .. }) => return (number, status, detail),
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the loop ends with the disk")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_serves_reads_and_goes_on_when_there_is_room() {
    let root = directory();
    let dir = root.path().join("disk");
    std::fs::create_dir(&dir).expect("made");
    let disk = match SmallDisk::mount(&dir, 8) {
        Ok(disk) => disk,
        Err(reason) => return skip(NAMESPACES, &reason),
    };
    let mut node = founded(&disk.path().join("node"), &root.path().join("log")).await;
    let client = node.start().await.expect("started").client;
    let (acknowledged, status, detail) = write_until_refused(&client).await;
    assert!(matches!(status, 503 | 507), "{status}: {detail}");
    assert!(detail.contains("disk is full"), "{detail}");
    assert!(acknowledged > 10, "only {acknowledged} values fit 8 MiB");
    let said = client.status().await.expect("it answers");
    assert!(said.write_refusal.is_some_and(|why| why.contains("full")));
    holds_exactly(&client, acknowledged).await;

    disk.resize(64).expect("resized");
    deadline::until(SOON, async || client.put("later", "taken").await.map_err(|error| error.to_string()))
        .await
        .expect("writes go on by themselves");
    assert_eq!(client.status().await.expect("it answers").write_refusal, None);
    node.kill().await;
    let client = node.start().await.expect("the stored root is proven at the start").client;
    holds_exactly(&client, acknowledged).await;
    assert!(client.entry("later").await.expect("it answers").is_some());
}

/// Everything acknowledged is there; of the refused write, nothing.
async fn holds_exactly(client: &Client, acknowledged: usize) {
    let entries = client.entries("large/").await.expect("reads go on");
    assert_eq!(entries.len(), acknowledged);
    assert!(entries.values().all(|entry| entry.shown().len() == LARGE));
}
