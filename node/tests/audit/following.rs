//! Nodes followed from outside: what is well is well, and each lie has its word.

use std::path::Path;
use std::process::Stdio;

use lattice::keys::NodeKeys;
use lattice::log::checkpoint::SignedCheckpoint;
use testnet::deadline;
use testnet::process::{Launch, Node};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::liar::Liar;
use crate::program::{SOON, ended, lattice, program};
use crate::stage::{Stage, size_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_grows_is_well_at_every_look() {
    let stage = Stage::set().await;
    for round in 0..3 {
        let audited = stage.audit_at(&stage.url(), &[]).await;
        assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
        let node = &audited.json()["nodes"][0];
        assert_eq!(node["size"], size_of(&stage.checkpoint().await), "{node}");
        for n in 0..300 * round {
            stage.put(&format!("{round}/{n}"), "x").await;
        }
        stage.signed().await;
    }
    let policy = stage.named("policy");
    let told = ended(lattice(&["audit", &stage.url(), "--policy", &policy, "--once"]), b"").await;
    assert!(told.code == 0 && told.stdout.ends_with("all well\n"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_neither_well_nor_an_alarm() {
    let mut stage = Stage::set().await;
    let url = stage.url();
    stage.node.stop().await;
    let audited = stage.audit_at(&url, &[]).await;
    assert_eq!((audited.code, audited.json()["pending"][0]["word"].clone()), (3, "silent".into()), "{audited:?}");
    for (words, why) in [
        (vec!["audit"], "URL"),
        (vec!["audit", "http://127.0.0.1:1"], "--policy"),
        (vec!["audit", "127.0.0.1:1", "--policy", "/dev/null"], "policy"),
        (vec!["audit", "http://127.0.0.1:1", "--policy", "/nonexistent"], "/nonexistent"),
    ] {
        let refused = ended(lattice(&words), b"").await;
        assert!(refused.code == 2 && refused.stderr.contains(why), "{words:?}: {refused:?}");
    }
}

/// Sets a machine back: the marks beside the database too, by which a node tells an older copy.
fn copy(from: &Path, to: &Path) {
    for file in ["state.db", "state.db-wal", "state.db-shm", "high-water.json"] {
        let _ = std::fs::remove_file(to.join(file));
        if from.join(file).exists() {
            std::fs::copy(from.join(file), to.join(file)).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_set_back_is_a_rollback_and_then_a_fork_that_anyone_can_check() {
    let mut stage = Stage::set().await;
    let before = Liar::before(stage.url()).await;
    let (dir, backup) = (stage.node.dir().to_owned(), stage.file("backup"));
    std::fs::create_dir(&backup).expect("made");
    stage.put("k", "0").await;
    stage.node.stop().await;
    copy(&dir, &backup);
    stage.start().await;
    before.stands_before(stage.url());
    for n in 0..5 {
        stage.put("k", &format!("before {n}")).await;
    }
    stage.signed().await;
    assert_eq!(stage.audit_at(&before.url, &[]).await.code, 0);
    stage.node.stop().await;
    copy(&backup, &dir);
    stage.start().await;
    before.stands_before(stage.url());
    let audited = stage.audit_at(&before.url, &[]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["rollback".to_owned()]), "{audited:?}");
    for n in 0..9 {
        stage.put("k", &format!("after {n}")).await;
    }
    stage.signed().await;
    let audited = stage.audit_at(&before.url, &[]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["fork".to_owned()]), "{audited:?}");
    let evidence = audited.json()["alarms"][0]["evidence"].as_str().expect("a file").to_owned();
    let policy = stage.named("policy");
    let verified = ended(lattice(&["verify", &evidence, "--policy", &policy]), b"").await;
    assert!(verified.code == 0 && verified.stdout.contains("two histories"), "{verified:?}");
    // The evidence is about this log alone.
    let elsewhere = Stage::set().await;
    let undecided = ended(lattice(&["verify", &evidence, "--policy", &elsewhere.named("policy")]), b"").await;
    assert_eq!(undecided.code, 3, "{undecided:?}");
}

/// The keys of a node.
pub(crate) fn keys(dir: &Path) -> NodeKeys {
    let text = std::fs::read_to_string(dir.join("node.key")).expect("a key");
    let seed = data_encoding::HEXLOWER.decode(text.trim().as_bytes()).expect("hex");
    NodeKeys::from_seed(seed.try_into().expect("32 bytes"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lie_has_its_word() {
    let stage = Stage::set().await;
    let liar = Liar::before(stage.url()).await;
    let expect = async |words: &[&str]| {
        let audited = stage.audit_at(&liar.url, &[]).await;
        assert_eq!(
            (audited.alarms(), audited.code),
            (words.iter().map(|w| (*w).to_owned()).collect(), i32::from(!words.is_empty())),
            "{audited:?}"
        );
    };
    let at = |path: &str, lie: fn(Vec<u8>) -> Option<Vec<u8>>| {
        let path = path.to_owned();
        liar.lies(move |asked, body| if asked.starts_with(&path) { lie(body) } else { Some(body) });
    };
    let grow = async || {
        stage.put("k", "v").await;
        stage.signed().await;
    };
    expect(&[]).await;
    let old_head = reqwest::get(format!("{}/api/lattice/state", stage.url())).await.expect("a head");
    let old_head = old_head.bytes().await.expect("a head").to_vec();
    grow().await;
    // A proof that is wrong while the tiles are right; then neither; then all is well again.
    at("/api/v1/proof/consistency", |body| {
        let text = String::from_utf8(body).expect("JSON");
        let at = text.find("\"proof\":[\"").expect("a proof") + 10;
        let other = if text[at..].starts_with('A') { "B" } else { "A" };
        Some(format!("{}{other}{}", &text[..at], &text[at + 1..]).into_bytes())
    });
    expect(&["wrong-proof"]).await;
    grow().await;
    liar.lies(|path, body| if path.contains("consistency") || path.starts_with("/tile") { None } else { Some(body) });
    expect(&["no-proof"]).await;
    at("/api/v1/proof/consistency", |_| None);
    expect(&[]).await;
    // Signatures.
    at("/checkpoint", |body| Some(String::from_utf8(body).expect("text").replacen('\n', "0\n", 1).into_bytes()));
    expect(&["unknown-log"]).await;
    at("/checkpoint", |body| {
        let text = String::from_utf8(body).expect("text");
        let size = text.lines().nth(1).expect("a size").to_owned();
        Some(text.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1).into_bytes())
    });
    expect(&["signature"]).await;
    at("/checkpoint", |_| Some(b"hello".to_vec()));
    expect(&["unreadable"]).await;
    // The head of before: it is honest about then, and then is long ago.
    let shown = old_head.clone();
    liar.lies(move |path, body| if path == "/api/lattice/state" { Some(shown.clone()) } else { Some(body) });
    deadline::until(SOON, async || {
        let audited = stage.audit_at(&liar.url, &["--max-age", "1"]).await;
        if audited.alarms() == ["stale"] { Ok(()) } else { Err(format!("{audited:?}")) }
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
    // A checkpoint over as many records, signed by the log itself.
    let signed = SignedCheckpoint::parse(stage.checkpoint().await.as_bytes()).expect("a checkpoint");
    let (name, size) = (signed.checkpoint().origin().parse().expect("a name"), signed.checkpoint().size());
    let forged = SignedCheckpoint::sign(&name, size, [7; 32], &keys(stage.node.dir()).log).to_string();
    liar.lies(move |path, body| Some(if path == "/checkpoint" { forged.clone().into_bytes() } else { body }));
    expect(&["fork"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_names_more_than_is_shown_and_another_nodes_log_are_found() {
    let (stage, other) = (Stage::set().await, Stage::set().await);
    let liar = Liar::before(stage.url()).await;
    let old = stage.checkpoint().await;
    stage.put("k", "v").await;
    stage.signed().await;
    liar.lies(move |path, body| Some(if path == "/checkpoint" { old.clone().into_bytes() } else { body }));
    let audited = stage.audit_at(&liar.url, &[]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["withheld".to_owned()]), "{audited:?}");
    let heads = other.url();
    let head = reqwest::get(format!("{heads}/api/lattice/state")).await.expect("a head").bytes().await.expect("a head");
    liar.lies(move |path, body| Some(if path == "/api/lattice/state" { head.to_vec() } else { body }));
    let audited = stage.audit_at(&liar.url, &[]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["other-node".to_owned()]), "{audited:?}");
}

/// What a listener got: the body of one POST.
async fn webhook() -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await.expect("bytes");
            got.extend_from_slice(&buffer[..read]);
            if read == 0 || got.ends_with(b"}") {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").await.expect("answered");
        String::from_utf8(got).expect("text").split("\r\n\r\n").nth(1).expect("a body").to_owned()
    });
    (url, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_told_while_it_follows_and_again_when_it_is_over() {
    let stage = Stage::set().await;
    let liar = Liar::before(stage.url()).await;
    let (hook, posted) = webhook().await;
    let (policy, state, heard) = (stage.named("policy"), stage.named("audit.json"), stage.named("heard"));
    let script = format!("cat >> '{heard}'; echo >> '{heard}'");
    let mut command = lattice(&["audit", &liar.url, "--policy", &policy, "--state", &state, "--every", "1", "--json"]);
    command.args(["--metrics", "127.0.0.1:0", "--webhook", &hook, "--on-alarm", "/bin/sh", "-c", &script]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut event = async |kind: &str| loop {
        let line =
            tokio::time::timeout(SOON, lines.next_line()).await.expect("in time").expect("text").expect("a line");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == kind {
            return event;
        }
    };
    let look = event("look").await;
    assert_eq!((&look["alarms"], &look["nodes"][0]["answered"]), (&0.into(), &true.into()));
    let metrics = tokio::time::timeout(SOON, said.next_line()).await.expect("in time").expect("text").expect("a line");
    let metrics = metrics.strip_prefix("metrics at ").expect("an address").to_owned();
    liar.lies(|path, body| Some(if path == "/checkpoint" { b"hello".to_vec() } else { body }));
    let alarm = event("alarm").await;
    assert_eq!(alarm["word"], "unreadable");
    let posted: serde_json::Value = serde_json::from_str(&posted.await.expect("a POST")).expect("JSON");
    assert_eq!((&posted["event"], &posted["word"]), (&"alarm".into(), &"unreadable".into()));
    let shown = async || reqwest::get(&metrics).await.expect("an answer").text().await.expect("text");
    let text = shown().await;
    assert!(text.contains("lattice_audit_alarms{word=\"unreadable\"} 1\n") && text.ends_with("# EOF\n"), "{text}");
    liar.lies(|_, body| Some(body));
    assert_eq!(event("over").await["word"], "unreadable");
    deadline::until(SOON, async || {
        let heard = std::fs::read_to_string(&heard).unwrap_or_default();
        let both = heard.contains("\"event\":\"alarm\"") && heard.contains("\"event\":\"over\"");
        if both { Ok(()) } else { Err(heard) }
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
    testnet::process::send(child.id().expect("it runs"), testnet::process::Signal::TERM);
    let status = tokio::time::timeout(SOON, child.wait()).await.expect("in time").expect("an end");
    assert_eq!(status.code(), Some(1), "an alarm was raised");
}

/// A node that joins the lattice of the stage's.
async fn joined(stage: &Stage, name: &str) -> Node {
    let mut node = Node::new(Launch::new(program(), name, stage.file(name)));
    node.join(&stage.node.invite().await.expect("a ticket")).await.expect("joined");
    node.start().await.expect("started");
    node
}

fn url(node: &Node) -> String {
    node.reached().expect("it runs").client.url().as_str().trim_end_matches('/').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_cosign_are_a_quorum_under_load_and_their_silence_is_an_alarm() {
    let stage = Stage::set().await;
    let mut others = [joined(&stage, "two").await, joined(&stage, "three").await];
    let shown = stage.lattice(&["policy", "show"]).await;
    std::fs::write(stage.file("policy"), &shown.stdout).expect("written");
    assert!(shown.stdout.contains("\ngroup members 1 "), "{shown:?}");
    let (client, urls) = (stage.client(), [url(&others[0]), url(&others[1])]);
    let writing = tokio::spawn(async move {
        for n in 0.. {
            if client.put(&format!("w/{}", n % 50), &format!("{n}")).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..3 {
        let audited = stage.audit_at(&stage.url(), &[&urls[0], &urls[1], "--grace", "30"]).await;
        assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
        let nodes = audited.json()["nodes"].clone();
        assert!(nodes.as_array().expect("nodes").iter().all(|node| node["witnesses"].as_u64() > Some(0)), "{nodes}");
    }
    writing.abort();
    deadline::until(SOON, async || {
        stage.lattice(&["proof", "entry", "w/0", "-o", &stage.named("proof")]).await;
        let verified = stage.verify("proof", &[]).await;
        if verified.code == 0 && verified.stdout.contains(" cosigned at ") {
            Ok(())
        } else {
            Err(format!("{verified:?}"))
        }
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
    for other in &mut others {
        other.stop().await;
    }
    stage.put("k", "v").await;
    stage.signed().await;
    let audited = stage.audit_at(&stage.url(), &["--grace", "2"]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["quorum".to_owned()]), "{audited:?}");
}
