//! Directories of earlier versions, kept: this version opens them, and what they hold still holds.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use testnet::process::{Launch, Node};
use tokio::process::Command;

#[derive(Deserialize)]
struct Expected {
    state_root: String,
    entries: u64,
    log_size: u64,
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// One directory for each version that stored something else.
fn fixtures() -> Vec<PathBuf> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<_> = kept.read_dir().expect("kept").map(|entry| entry.expect("readable").path()).collect();
    found.sort();
    assert!(!found.is_empty(), "scripts/make-fixture makes them");
    found
}

fn expected(fixture: &Path) -> Expected {
    let text = std::fs::read(fixture.join("expected.json")).expect("kept");
    serde_json::from_slice(&text).expect("JSON")
}

async fn lattice(words: &[&str]) -> std::process::Output {
    Command::new(program()).args(words).output().await.expect("it runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A node directory with what the fixture's node left.
fn copied(fixture: &Path, dir: &Path) {
    std::fs::create_dir_all(dir).expect("made");
    for file in ["state.db", "genesis.cbor", "lattice.toml", "node.key"] {
        std::fs::copy(fixture.join(file), dir.join(file)).expect("copied");
    }
    // A repository keeps no modes.
    std::fs::set_permissions(dir.join("node.key"), std::fs::Permissions::from_mode(0o600)).expect("ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_every_version_opens_with_its_root_and_its_log_and_takes_writes() {
    for fixture in fixtures() {
        let root = tempfile::tempdir().expect("a directory");
        let (dir, expected) = (root.path().join("node"), expected(&fixture));
        copied(&fixture, &dir);
        let mut node = Node::new(Launch::new(program(), "old", &dir));
        let client = node.start().await.unwrap_or_else(|error| panic!("{}: {error}", fixture.display())).client;
        let status = client.status().await.expect("it answers");
        assert_eq!((&status.state_root, status.entries), (&expected.state_root, expected.entries));
        assert!(status.log_size >= expected.log_size, "{} of {}", status.log_size, expected.log_size);
        assert_eq!(client.entry("greeting").await.expect("it answers").expect("there").shown(), "hello from the past");
        assert_eq!(client.entry("fruit/1").await.expect("it answers").expect("there").shown(), "overwritten");
        assert!(client.entry("fruit/2").await.expect("it answers").is_none(), "it was deleted");
        client.put("from/now", "taken").await.expect("acknowledged");
        node.stop().await;
        let audit = lattice(&["audit", "--db", text(&dir), "--deep"]).await;
        assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_and_backups_of_every_version_hold() {
    for fixture in fixtures() {
        let root = tempfile::tempdir().expect("a directory");
        let (proof, policy) = (fixture.join("greeting.proof"), fixture.join("policy"));
        let verified = lattice(&["verify", text(&proof), "--policy", text(&policy)]).await;
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let restored = lattice(&["restore", text(&fixture), "--dir", text(&root.path().join("node"))]).await;
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    }
}
