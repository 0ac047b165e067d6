//! The commands `lattice testnet …` as a person or a script runs them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use testnet::deadline;
use testnet::process::{RunFile, Signal, lives, send};
use testnet::skipping::{NAMESPACES, skip};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Starting and stopping three debug builds on a slow machine.
const SOON: Duration = Duration::from_secs(90);

/// A command in `dir`, with its temporary files below `dir` too.
fn lattice(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lattice"));
    command.args(arguments).current_dir(dir).env("TMPDIR", dir).kill_on_drop(true);
    command
}

async fn convergence(dir: &Path, arguments: &[&str]) -> Output {
    let all = [&["testnet", "run", "convergence"], arguments].concat();
    lattice(dir, &all).output().await.expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_with_real_data_a_crash_and_a_late_joiner_converge() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let output = convergence(dir.path(), &["--json", "--data", lock]).await;
    let (json, progress) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{json}\n{progress}");
    let summary: serde_json::Value = serde_json::from_str(&json).expect("one JSON summary");
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["nodes"], 6);
    assert_eq!(summary["killed"], "node-5");
    assert_eq!(summary["late_joiner"], "node-6");
    assert_eq!(summary["differences"], serde_json::json!([]));
    assert!(
        summary["deleted"].as_u64() > Some(0) && summary["written"].as_u64() > summary["deleted"].as_u64(),
        "{summary}"
    );
    for node in summary["peers"].as_array().expect("a list") {
        assert_eq!(node["lattice"], 5, "{node}");
    }
    assert_eq!(left_in(dir.path()), Vec::<PathBuf>::new(), "directories are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn convergence_that_is_not_reached_in_time_says_what_differs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("data.csv"), "key,value\na,1\n").expect("written");
    let output = convergence(dir.path(), &["--json", "--nodes", "2", "--timeout", "0", "--data", "data.csv"]).await;
    let (json, progress) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{json}\n{progress}");
    let summary: serde_json::Value = serde_json::from_str(&json).expect("one JSON summary");
    assert_eq!(summary["ok"], false);
    assert!(json.contains("did not acknowledge a write"), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn convergence_without_data_says_what_to_give() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nothing = convergence(dir.path(), &[]).await;
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("--data FILE"), "{}", text(&nothing.stderr));
    let absent = convergence(dir.path(), &["--data", "absent.csv"]).await;
    assert_eq!(absent.status.code(), Some(2));
    assert!(text(&absent.stderr).contains("cannot read absent.csv"), "{}", text(&absent.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos_of_a_seed_heals_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let arguments = ["testnet", "run", "chaos", "--seconds", "20", "--seed", "3", "--json"];
    let output = lattice(dir.path(), &arguments).output().await.expect("it runs");
    let (json, progress) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{json}\n{progress}");
    let summary: serde_json::Value = serde_json::from_str(&json).expect("one JSON summary");
    assert_eq!((&summary["ok"], &summary["roots_equal"]), (&true.into(), &true.into()), "{json}");
    assert_eq!((&summary["lost"], &summary["double"]), (&0.into(), &0.into()), "{json}");
    assert!(summary["acknowledged"]["shadow"].as_u64() > Some(0), "{json}");
    assert!(summary["acknowledged"]["ordinary"].as_u64() > Some(0), "{json}");
    assert!(summary["injected"]["kill"].as_u64() > Some(0), "{json}");
    for kind in ["cut", "full-disk"] {
        if let Some(reason) = summary["missing"].get(kind) {
            skip(NAMESPACES, reason);
        }
    }
    assert_eq!(left_in(dir.path()), Vec::<PathBuf>::new(), "directories are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_of_nodes_under_load_is_calm_until_one_forks_and_proves_it() {
    for (lie, expected) in [(&["--honest"][..], None), (&[], Some("fork"))] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let arguments = [&["testnet", "run", "audit", "--nodes", "3", "--within", "120", "--json"], lie].concat();
        let output = lattice(dir.path(), &arguments).output().await.expect("it runs");
        let (json, progress) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{json}\n{progress}");
        let summary: serde_json::Value = serde_json::from_str(&json).expect("one JSON summary");
        assert_eq!((summary["ok"].as_bool(), summary["alarm"].as_str()), (Some(true), expected), "{json}");
        assert_eq!(summary["evidence_holds"].as_bool(), expected.map(|_| true), "{json}");
        assert!(summary["calm_looks"].as_u64() > Some(0) && summary["written"].as_u64() > Some(0), "{json}");
        assert_eq!(left_in(dir.path()), Vec::<PathBuf>::new(), "directories are removed");
    }
}

/// `testnet up`, once its nodes agree, and their processes.
async fn up(dir: &Path) -> (Child, Vec<u32>) {
    let mut command = lattice(dir, &["testnet", "up", "--nodes", "3"]);
    let mut up = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(up.stdout.take().expect("piped")).lines();
    let shown = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.starts_with("3 of 3 nodes answer, all roots equal") {
                return;
            }
        }
        panic!("it ended before the nodes agreed");
    };
    tokio::time::timeout(SOON, shown).await.expect("three nodes that agree");
    let home = left_in(dir).pop().expect("a directory");
    let pids = (1..=3).map(|number| pid_in(&home.join(format!("node-{number}/run.json")))).collect();
    (up, pids)
}

fn pid_in(run_file: &Path) -> u32 {
    let run = std::fs::read(run_file).expect("a running node's file");
    serde_json::from_slice::<RunFile>(&run).expect("JSON").pid
}

fn left_in(dir: &Path) -> Vec<PathBuf> {
    let left = std::fs::read_dir(dir).expect("a directory");
    left.map(|entry| entry.expect("an entry").path()).collect()
}

async fn all_gone(pids: &[u32]) {
    deadline::until(SOON, async || match pids.iter().find(|pid| lives(**pid)) {
        Some(pid) => Err(format!("process {pid} lives")),
        None => Ok(()),
    })
    .await
    .expect("no node outlives the testnet");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_shows_its_nodes_and_a_signal_stops_them_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (up, pids) = up(dir.path()).await;
        send(up.id().expect("it runs"), signal);
        let stopped = tokio::time::timeout(SOON, up.wait_with_output()).await;
        let output = stopped.expect("it stops").expect("waited");
        assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
        assert!(!text(&output.stderr).contains("killed"), "{}", text(&output.stderr));
        all_gone(&pids).await;
        assert_eq!(left_in(dir.path()), Vec::<PathBuf>::new(), "directories are removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn no_node_outlives_a_testnet_that_is_killed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut up, pids) = up(dir.path()).await;
    up.kill().await.expect("killed");
    all_gone(&pids).await;
}
