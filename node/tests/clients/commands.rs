//! The commands that read and write, with what they print and how they end.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::program::{Ended, SOON, ended, lattice};
use crate::running::Running;

fn as_json(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_put_read_listed_and_deleted() {
    let node = Running::alone().await;
    for key in ["apple", "../up", "a b", "-dash"] {
        // `--` ends the options, so the directory is named before it.
        let mut command = lattice(&["put", "--json", "--dir"]);
        command.arg(node.node.dir()).args(["--", key, "größer"]);
        let receipt = as_json(&ended(command, b"").await);
        assert_eq!(receipt["state_root"], node.get("/api/v1/status").await["state_root"]);
    }
    let got = node.lattice(&["get", "../up"]).await;
    assert_eq!((got.code, got.stdout.as_str()), (0, "größer"), "exactly the value, nothing after it");
    let listed = node.lattice(&["list"]).await;
    assert_eq!(listed.stdout, "-dash  größer\n../up  größer\na b    größer\napple  größer\n");
    let page = as_json(&node.lattice(&["list", "--limit", "2", "--json"]).await);
    assert_eq!((&page["entries"][1]["key"], &page["next"]), (&json!("../up"), &json!("../up")));
    let page = as_json(&node.lattice(&["list", "a", "--after", "a b", "--json"]).await);
    assert_eq!((page["entries"].as_array().map(Vec::len), &page["next"]), (Some(1), &Value::Null));
    let deleted = node.lattice(&["delete", "apple"]).await;
    assert!(deleted.code == 0 && deleted.stdout.contains("durable"), "{}", deleted.stdout);
    let gone = node.lattice(&["get", "apple"]).await;
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""));
    assert!(gone.stderr.contains("there is no entry \"apple\""), "{}", gone.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_from_files_and_pipes_byte_for_byte() {
    let node = Running::alone().await;
    let bytes = b"\xff\x00line\n\x1b[2J";
    assert_eq!(node.lattice_with(&["put", "piped", "-"], bytes).await.code, 0);
    let file = node.file("value");
    std::fs::write(&file, bytes).expect("written");
    assert_eq!(node.lattice(&["put", "filed", &format!("@{}", file.display())]).await.code, 0);
    for key in ["piped", "filed"] {
        let output = node.command(&["get", key]).output().await.expect("run");
        assert_eq!(output.stdout, bytes, "{key}");
    }
    node.lattice(&["put", "control\u{1b}[2J", "\u{1b}[31mred"]).await;
    let listed = node.lattice(&["list"]).await.stdout;
    assert!(!listed.contains('\u{1b}') && listed.contains("control\\u{1b}[2J  \\u{1b}[31mred"), "{listed:?}");
    let long = node.lattice_with(&["put", "k", "-"], &vec![b'v'; 65_537]).await;
    assert!(long.code == 2 && long.stderr.contains("65536 bytes"), "{}", long.stderr);
    let absent = node.lattice(&["put", "k", "@/nonexistent"]).await;
    assert!(absent.code == 2 && absent.stderr.contains("/nonexistent"), "{}", absent.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_peers_are_for_people_and_for_programs() {
    let node = Running::alone().await;
    let status = node.lattice(&["status"]).await.stdout;
    assert!(status.starts_with("node         alone (ready)\n"), "{status}");
    assert!(status.contains("\npeers        configured 0, connected 0, lattice 0, mesh 0, in sync 0\n"), "{status}");
    let json = as_json(&node.lattice(&["status", "--json"]).await);
    assert_eq!(json["state_root"], node.get("/api/v1/status").await["state_root"]);
    assert!(node.lattice(&["peers"]).await.stdout.starts_with("no peers"));
    assert_eq!(as_json(&node.lattice(&["peers", "--json"]).await), json!({"peers": [], "unanswered": []}));
    let ticket = node.lattice(&["invite"]).await;
    assert!(ticket.stdout.starts_with("lattice1") && ticket.stdout.lines().count() == 1, "{}", ticket.stderr);
    assert!(ticket.stderr.contains("leads to this machine only"), "{}", ticket.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_by_a_signal_is_told_from_one_that_does_not_run() {
    let node = Running::alone().await;
    node.node.pause();
    let silent = node.lattice(&["status"]).await;
    assert!(silent.code == 3 && silent.stderr.contains("runs but does not answer"), "{}", silent.stderr);
    let pid = node.node.pid().expect("it runs");
    assert!(silent.stderr.contains(&format!("process {pid} ")), "{}", silent.stderr);
    node.node.resume();
    assert_eq!(node.lattice(&["status"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_found_by_its_url_and_a_token_file_too() {
    let node = Running::alone().await;
    let token = node.node.dir().join("api.token");
    let token = token.to_str().expect("text");
    let with_token = ["--url", &node.base, "--token-file", token];
    let put = lattice(&[&["put", "k", "v"], with_token.as_slice()].concat());
    assert_eq!(ended(put, b"").await.code, 0);
    let read = lattice(&["get", "k", "--url", &node.base]);
    assert_eq!(ended(read, b"").await.stdout, "v", "reading takes no token");
    let mut without = lattice(&["put", "k", "v", "--url", &node.base]);
    without.env("LATTICE_DIR", node.file("elsewhere"));
    let refused = ended(without, b"").await;
    assert!(refused.code == 2 && refused.stderr.contains("api.token"), "{}", refused.stderr);
    let other = node.file("other.token");
    std::fs::write(&other, "0".repeat(64)).expect("written");
    let wrong = lattice(&["put", "k", "v", "--url", &node.base, "--token-file", other.to_str().expect("text")]);
    let refused = ended(wrong, b"").await;
    assert!(refused.code == 2 && refused.stderr.contains("not this node's token"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_prints_changes_until_the_node_stops() {
    let mut node = Running::alone().await;
    node.put("/api/v1/entries/w/0", "before").await;
    let mut child = node.command(&["watch", "w/", "--from", "0"]).spawn().expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = async || tokio::time::timeout(SOON, lines.next_line()).await.expect("in time").expect("text");
    assert_eq!(next().await.as_deref(), Some("+ w/0 = before"));
    node.put("/api/v1/entries/x", "elsewhere").await;
    node.put("/api/v1/entries/w/1", "two\nlines").await;
    assert_eq!(next().await.as_deref(), Some("+ w/1 = two\\nlines"));
    assert_eq!(node.lattice(&["delete", "w/0"]).await.code, 0);
    assert_eq!(next().await.as_deref(), Some("- w/0"));
    let position = node.get("/api/v1/status").await["log_size"].clone();
    node.node.stop().await;
    assert_eq!(next().await, None);
    let output = child.wait_with_output().await.expect("an end");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("--from {position}")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_and_logs_say_holds_no_secret() {
    let node = Running::alone().await;
    let dir = node.node.dir();
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).expect("a file");
    let secrets = [read("api.token"), read("node.key")];
    let mut said = read("stderr.log");
    for words in [&["status", "--json"][..], &["peers"], &["put", "k", "v", "--json"], &["invite"], &["list"]] {
        let ended = node.lattice(words).await;
        said.push_str(&ended.stdout);
        said.push_str(&ended.stderr);
    }
    for path in ["/api/v1/status", "/api/lattice/state", "/openapi.json"] {
        said.push_str(&node.get(path).await.to_string());
    }
    for secret in secrets {
        assert!(secret.trim().len() == 64 && !said.contains(secret.trim()));
    }
}
