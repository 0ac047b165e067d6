//! The command `lattice testnet run http-heal` as a script runs it.

use std::path::PathBuf;

use testnet::skipping::{NAMESPACES, skip};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn http_heal_shows_the_second_road_and_says_yes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lattice"));
    command.args(["testnet", "run", "http-heal", "--json", "--nodes", "4"]);
    let output = command.env("TMPDIR", dir.path()).kill_on_drop(true).output().await.expect("it runs");
    let (json, progress) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_str(&json).expect("one JSON summary");
    if output.status.code() == Some(3) {
        return skip(NAMESPACES, &summary["differences"]);
    }
    assert_eq!(output.status.code(), Some(0), "{json}\n{progress}");
    assert_eq!((&summary["ok"], &summary["nodes"]), (&true.into(), &4.into()));
    assert_eq!(summary["differences"], serde_json::json!([]));
    assert!(summary["written"].as_u64() > Some(0), "{summary}");
    let cut_off = summary["cut_off"].as_array().expect("a list");
    let names: Vec<_> = cut_off.iter().map(|node| node["node"].as_str().expect("a name")).collect();
    assert_eq!(names, ["node-3", "node-4"]);
    for node in cut_off {
        assert_eq!(node["mismatches"], 3, "{node}");
        assert!(node["seconds_to_equal"].is_f64() && node["sessions_in_http_mode"].as_u64() > Some(0), "{node}");
        assert_eq!(node["push_seconds"].as_array().map(Vec::len), Some(3), "{node}");
        assert_eq!(node["pull_seconds"].as_array().map(Vec::len), Some(3), "{node}");
        let name = node["node"].as_str().expect("a name");
        let told = |what: &str| progress.lines().any(|line| line.contains(&format!("{name}  {what}")));
        for what in ["divergence 1 with", "divergence 2 with", "divergence 3 with", "peers 0", "mode http", "mode p2p"]
        {
            assert!(told(what), "{name}: {what} in\n{progress}");
        }
    }
    let left: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).expect("a directory").map(|e| e.expect("an entry").path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "directories are removed");
}
