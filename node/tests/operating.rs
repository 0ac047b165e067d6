//! What an operator does with a running node: reload it, look at it, stop it under load.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use testnet::client::{Client, ClientError};
use testnet::cluster::Cluster;
use testnet::deadline;
use testnet::process::{Launch, Node, Stopped};

/// Answers come at once; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(60);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

async fn alone(root: &Path) -> Node {
    let mut node = Node::new(Launch::new(program(), "alone", root.join("node")));
    node.found("alone").await.expect("founded");
    node.start().await.expect("started");
    node
}

fn client(node: &Node) -> Client {
    node.reached().expect("it runs").client
}

async fn lattice(words: &[&str]) -> Output {
    let run = tokio::process::Command::new(program()).args(words).output();
    tokio::time::timeout(SOON, run).await.expect("in time").expect("it runs")
}

async fn json(words: &[&str]) -> (i32, Value) {
    let output = lattice(words).await;
    let said = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().expect("it ended"), value)
}

fn dir(node: &Node) -> &str {
    node.dir().to_str().expect("text")
}

fn configure(node: &Node, text: &str) {
    let text = format!("name = \"{}\"\n{text}", node.name());
    std::fs::write(node.dir().join("lattice.toml"), text).expect("ours");
}

fn log(node: &Node) -> String {
    std::fs::read_to_string(node.dir().join("stderr.log")).expect("it logs")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_change_is_taken_on_and_what_cannot_is_refused_with_a_reason() {
    let root = tempfile::tempdir().expect("a directory");
    let node = alone(root.path()).await;
    configure(
        &node,
        "log = \"info,node=debug\"\nnodes = [\"http://127.0.0.1:1\"]\nmdns = true\nsynchronous = \"normal\"\n",
    );
    let (code, told) = json(&["reload", "--json", "--dir", dir(&node)]).await;
    assert_eq!((code, &told["taken"]), (1, &serde_json::json!(["log", "nodes"])), "{told}");
    let refused = told["refused"].as_array().expect("a list");
    assert!(
        refused.len() == 1 && refused[0].as_str().is_some_and(|why| why.starts_with("synchronous needs a new start"))
    );
    assert_eq!(json(&["log", "--json", "--dir", dir(&node)]).await.1["filter"], "info,node=debug");
    deadline::until(SOON, async || {
        let asked = client(&node).fallback().await.map_err(|error| error.to_string())?.peers;
        if asked.iter().any(|peer| peer.url == "http://127.0.0.1:1") { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_has_the_file_read_again_and_a_bad_file_changes_nothing() {
    let root = tempfile::tempdir().expect("a directory");
    let node = alone(root.path()).await;
    let pid =
        rustix::process::Pid::from_raw(i32::try_from(node.pid().expect("it runs")).expect("a pid")).expect("a pid");
    let hangup = || rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("ours");
    let says = async |words: &str| {
        let seen =
            deadline::until(SOON, async || if log(&node).contains(words) { Ok(()) } else { Err(words.to_owned()) });
        seen.await.unwrap_or_else(|late| panic!("{late}: {}", node.log_tail()));
    };
    configure(&node, "checkpoint_ms = 500\n");
    hangup();
    says("checkpoint_ms").await;
    configure(&node, "checkpoint_ms = 300\nno_such_option = 1\n");
    hangup();
    says("no_such_option").await;
    says("those so far stay in force").await;
    client(&node).put("k", "v").await.expect("it runs on");
    let bad = lattice(&["reload", "--dir", dir(&node)]).await;
    assert!(bad.status.code() == Some(1) && String::from_utf8_lossy(&bad.stderr).contains("line 3"), "{bad:?}");
    configure(&node, "checkpoint_ms = 500\n");
    let (code, told) = json(&["reload", "--json", "--dir", dir(&node)]).await;
    assert_eq!((code, told["taken"].as_array().map(Vec::len)), (0, Some(0)), "500 is in force: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_filter_changes_by_order_until_the_next_reload() {
    let root = tempfile::tempdir().expect("a directory");
    let node = alone(root.path()).await;
    let (_, before) = json(&["log", "--json", "--dir", dir(&node)]).await;
    assert!(lattice(&["log", "warn,node=trace", "--dir", dir(&node)]).await.status.success());
    assert_eq!(json(&["log", "--json", "--dir", dir(&node)]).await.1["filter"], "warn,node=trace");
    assert_eq!(lattice(&["log", "a=b=c", "--dir", dir(&node)]).await.status.code(), Some(2));
    assert!(lattice(&["reload", "--dir", dir(&node)]).await.status.success());
    assert_eq!(json(&["log", "--json", "--dir", dir(&node)]).await.1, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_wrong_with_a_lattice_that_is_well_and_names_what_is() {
    let root = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    client(&cluster.nodes()[0]).put("k", "v").await.expect("acknowledged");
    let checks = |told: &Value, level: &str| -> Vec<String> {
        let findings = told["findings"].as_array().expect("a list").iter();
        findings
            .filter(|one| one["level"] == level)
            .map(|one| one["check"].as_str().unwrap_or("?").to_owned())
            .collect()
    };
    let url = client(&cluster.nodes()[1]).url().to_string();
    // They are in step within seconds.
    for node in [dir(&cluster.nodes()[0]), url.trim_end_matches('/')] {
        deadline::until(SOON, async || match json(&["doctor", "--json", node]).await {
            (0, _) => Ok(()),
            (code, told) => Err(format!("{code}: {told}")),
        })
        .await
        .unwrap_or_else(|late| panic!("{late}"));
    }

    cluster.nodes_mut()[1].stop().await;
    let gone = deadline::until(SOON, async || match json(&["doctor", "--json", dir(&cluster.nodes()[0])]).await {
        (1, told) if checks(&told, "wrong").contains(&"peers".to_owned()) => Ok(()),
        (code, told) => Err(format!("{code}: {told}")),
    });
    gone.await.unwrap_or_else(|late| panic!("{late}"));

    // Of the stopped one: an exposed key, a file that can't be meant, and a row that the disk changed.
    let stopped = &cluster.nodes()[1];
    assert_eq!(json(&["doctor", "--json", dir(stopped)]).await.0, 0);
    use std::os::unix::fs::PermissionsExt;
    let token = stopped.dir().join("api.token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("ours");
    configure(stopped, "no_such_option = 1\n");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}/state.db", dir(stopped))).await.expect("opened");
    sqlx::query("UPDATE entries SET value = x'00' WHERE key = 'k'").execute(&pool).await.expect("written");
    pool.close().await;
    let (code, told) = json(&["doctor", "--json", dir(stopped)]).await;
    assert_eq!(
        (code, checks(&told, "wrong")),
        (1, ["permissions", "settings", "rows"].map(str::to_owned).to_vec()),
        "{told}"
    );
    assert_eq!(lattice(&["doctor", "/there/is/no/such/node"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_ends_in_order_and_loses_nothing_acknowledged() {
    let root = tempfile::tempdir().expect("a directory");
    let mut node = alone(root.path()).await;
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers = (0..16).map(|writer| {
        let (client, stop, acknowledged) = (client(&node), stop.clone(), acknowledged.clone());
        tokio::spawn(async move {
            let mut done = Vec::new();
            for n in 0.. {
                let key = format!("w{writer}/{n}");
                match client.put(&key, &"v".repeat(2_000)).await {
                    Ok(_) => done.push(key),
                    // Refused or cut off: it is on its way out.
                    Err(
                        ClientError::Refused { .. } | ClientError::Unreachable { .. } | ClientError::Unreadable { .. },
                    ) => break,
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            done
        })
    });
    let writers: Vec<_> = writers.collect();
    deadline::until(SOON, async || match acknowledged.load(Ordering::Relaxed) {
        200.. => Ok(()),
        few => Err(format!("{few} writes")),
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
    let stopped = node.stop().await;
    assert!(matches!(stopped, Stopped::Cleanly(status) if status.success()), "{stopped:?}");
    let said = log(&node);
    for step in ["tasks", "reads", "writer"] {
        assert!(said.lines().any(|line| line.contains("ended") && line.contains(step)), "{step}: {}", node.log_tail());
    }
    assert!(!said.contains("did not end in time"), "{}", node.log_tail());
    stop.store(true, Ordering::Relaxed);
    node.start().await.expect("started");
    let mut checked = 0;
    for writer in writers {
        let written = writer.await.expect("no panic");
        let stored = client(&node).entries(&format!("w{checked}/")).await.expect("it answers");
        assert!(written.iter().all(|key| stored.contains_key(key)), "of {} some are gone", written.len());
        checked += 1;
    }
    assert_eq!(checked, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_banner_says_where_the_node_is_and_its_ticket_lets_one_in() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let root = tempfile::tempdir().expect("a directory");
    let node = Node::new(Launch::new(program(), "founder", root.path().join("node")));
    node.found("alone").await.expect("founded");
    let words = ["run", "--dir", dir(&node), "--no-mdns", "--p2p", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ticket"];
    let mut command = tokio::process::Command::new(program());
    command.args(words).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().expect("it runs");
    let mut lines = BufReader::new(running.stdout.take().expect("piped")).lines();
    let mut banner = String::new();
    let ticket = loop {
        let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("in time").expect("text").expect(&banner);
        if let Some(ticket) = line.strip_prefix("ticket ") {
            break ticket.split_whitespace().next().expect("a ticket").to_owned();
        }
        banner.push_str(&line);
        banner.push('\n');
    };
    for part in ["lattice ", "http://127.0.0.1:", "the dashboard", "/ip4/127.0.0.1/tcp/", "lattice.toml"] {
        assert!(banner.contains(part), "{part}: {banner}");
    }
    let mut second = Node::new(Launch::new(program(), "second", root.path().join("second")));
    second.join(&ticket).await.expect("let in");
    second.start().await.expect("started");
    let pid =
        rustix::process::Pid::from_raw(i32::try_from(running.id().expect("it runs")).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("ours");
    let output = tokio::time::timeout(SOON, running.wait_with_output()).await.expect("in time").expect("ended");
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !logged.contains(&ticket), "a ticket is a secret: {logged}");
}
