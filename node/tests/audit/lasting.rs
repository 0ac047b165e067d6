//! An auditor that goes on: alarms that last, a state file of its own, and what becomes of it when that can't be written.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::liar::Liar;
use crate::program::{SOON, ended, lattice};
use crate::stage::{Stage, evidence};

/// A follower that prints JSON. Dropping it kills the process.
struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn of(stage: &Stage, url: &str, state: &str) -> Self {
        Self::with(stage, url, state, &[])
    }

    fn with(stage: &Stage, url: &str, state: &str, more: &[&str]) -> Self {
        let policy = stage.named("policy");
        let words = ["audit", url, "--policy", &policy, "--state", state, "--every", "1", "--json", "--grace", "1"];
        let mut command = lattice(&[&words[..], more].concat());
        let mut child = command.stderr(Stdio::null()).kill_on_drop(true).spawn().expect("it runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(SOON, self.lines.next_line()).await.expect("in time");
        serde_json::from_str(&line.expect("text").expect("a line")).expect("JSON")
    }

    /// The next event but looks, with its word.
    async fn happening(&mut self) -> (String, String) {
        loop {
            let event = self.next().await;
            if event["event"] != "look" {
                let text = |name: &str| event[name].as_str().expect("text").to_owned();
                return (text("event"), text("word"));
            }
        }
    }

    /// The next look.
    async fn look(&mut self) -> Value {
        loop {
            let event = self.next().await;
            if event["event"] == "look" {
                return event;
            }
            assert_ne!(event["event"], "over", "{event}");
        }
    }

    /// The next event of this kind.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["event"] == kind {
                return event;
            }
        }
    }

    async fn end(mut self) -> Option<i32> {
        testnet::process::send(self.child.id().expect("it runs"), testnet::process::Signal::TERM);
        let status = tokio::time::timeout(SOON, self.child.wait()).await.expect("in time").expect("an end");
        status.code()
    }
}

fn happened(event: &str, word: &str) -> (String, String) {
    (event.to_owned(), word.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_about_a_node_that_is_away_is_not_over_and_a_fork_never_is() {
    let stage = Stage::set().await;
    let liar = Liar::before(stage.url()).await;
    let mut follower = Follower::of(&stage, &liar.url, &stage.named("audit.json"));
    follower.look().await;
    liar.lies(|path, body| Some(if path == "/checkpoint" { b"hello".to_vec() } else { body }));
    assert_eq!(follower.happening().await, happened("alarm", "unreadable"));
    // Nothing answers behind it: the alarm stands, and is no second time told.
    liar.stands_before("http://127.0.0.1:1".to_owned());
    let away = loop {
        let look = follower.look().await;
        if look["nodes"][0]["answered"] == false {
            break look;
        }
    };
    assert_eq!(away["alarms"], 1, "{away}");
    assert_eq!(follower.look().await["alarms"], 1);
    liar.lies(|_, body| Some(body));
    liar.stands_before(stage.url());
    assert_eq!(follower.happening().await, happened("over", "unreadable"));
    let listed = serde_json::json!({"forks": [evidence(&stage, 5).to_string()]}).to_string().into_bytes();
    liar.lies(move |path, body| Some(if path == "/api/v1/forks" { listed.clone() } else { body }));
    assert_eq!(follower.happening().await, happened("alarm", "fork"));
    liar.lies(|_, body| Some(body));
    for _ in 0..3 {
        let look = follower.look().await;
        assert_eq!(look["alarms"], 1, "{look}");
    }
    assert_eq!(follower.end().await, Some(1), "an alarm was raised");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_is_one_auditors_and_its_loss_is_an_alarm_that_ends_nothing() {
    let stage = Stage::set().await;
    let dir = stage.file("state");
    std::fs::create_dir(&dir).expect("made");
    let state = dir.join("audit.json").to_str().expect("text").to_owned();
    let mut follower = Follower::of(&stage, &stage.url(), &state);
    follower.look().await;
    let (url, policy) = (stage.url(), stage.named("policy"));
    let once = async |state: &str| {
        ended(lattice(&["audit", &url, "--policy", &policy, "--once", "--state", state]), b"").await
    };
    let second = once(&state).await;
    assert!(second.code == 2 && second.stderr.contains("another auditor uses"), "{second:?}");
    std::fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(follower.happening().await, happened("alarm", "unsaved"));
    assert_eq!(follower.look().await["nodes"][0]["answered"], true);
    std::fs::create_dir(&dir).expect("made");
    assert_eq!(follower.happening().await, happened("over", "unsaved"));
    assert!(dir.join("audit.json").exists());
    assert_eq!(follower.end().await, Some(0), "no node is to blame, and all is remembered");
    let missing = once("/nonexistent/audit.json").await;
    assert!(missing.code == 2 && missing.stderr.contains("can't be written"), "{missing:?}");
    // One byte of what was signed: the file is to blame, and no log.
    let text = std::fs::read_to_string(&state).expect("text");
    let root = text.split("\\n").nth(2).expect("a root").to_owned();
    let other = if root.starts_with('A') { "B" } else { "A" };
    std::fs::write(&state, text.replace(&root, &format!("{other}{}", &root[1..]))).expect("written");
    let damaged = once(&state).await;
    assert!(damaged.code == 2 && damaged.stderr.contains("checkpoint 1 of \"logs\""), "{damaged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_written_is_no_verdict_and_a_node_is_named_once() {
    let stage = Stage::set().await;
    stage.put("k", "v").await;
    let refused = stage.lattice(&["proof", "entry", "k", "-o", "/nonexistent/proof"]).await;
    assert!(refused.code == 2 && refused.stderr.contains("can't be written"), "{refused:?}");
    let twice = stage.audit_at(&stage.url(), &[&format!("{}/", stage.url())]).await;
    assert!(twice.code == 2 && twice.stderr.contains("named twice"), "{twice:?}");
    let commit = stage.client().put("k", "w").await.expect("acknowledged").commit;
    stage.signed().await;
    let other = stage.lattice(&["proof", "commit", &commit, "--record", "0"]).await;
    assert!(other.code == 1 && other.stderr.contains("does not name the commit"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_says_at_once_what_it_follows() {
    let stage = Stage::set().await;
    let policy = stage.named("policy");
    let mut child = lattice(&["audit", &stage.url(), "--policy", &policy]).kill_on_drop(true).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = tokio::time::timeout(SOON, lines.next_line()).await.expect("in time").expect("text").expect("a line");
    assert!(first.contains(&format!("follows {}, one look each 10 s", stage.url())), "{first}");
}

/// It ended with 0 whatever it had not been able to tell, and said nothing of a node that was away at the first look.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_follower_could_not_tell_is_in_its_exit_code_and_a_node_that_comes_late_is_read_in_depth() {
    let stage = Stage::set().await;
    let dir = stage.file("state");
    std::fs::create_dir(&dir).expect("made");
    let state = dir.join("audit.json").to_str().expect("text").to_owned();
    let liar = Liar::before("http://127.0.0.1:1".to_owned()).await;
    let mut unheard = Follower::of(&stage, &liar.url, &state);
    unheard.look().await;
    assert_eq!(unheard.end().await, Some(3), "it never answered");
    let mut late = Follower::with(&stage, &liar.url, &state, &["--deep"]);
    assert_eq!(late.event("unread").await["url"], liar.url);
    liar.stands_before(stage.url());
    let read = late.event("deep").await;
    assert!(read["report"]["records"].as_u64().is_some_and(|records| records > 0), "{read}");
    assert_eq!(late.end().await, Some(0), "all was read");
    let mut unsaved = Follower::of(&stage, &stage.url(), &state);
    unsaved.look().await;
    std::fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(unsaved.happening().await, happened("alarm", "unsaved"));
    assert_eq!(unsaved.end().await, Some(3), "the next run will not know what was seen");
}

/// A pipe that nobody read any more made "refuted" a success.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_takes_no_verdict_back() {
    let stage = Stage::set().await;
    stage.put("k", "right").await;
    stage.lattice(&["proof", "entry", "k", "-o", &stage.named("proof")]).await;
    let proof = std::fs::read_to_string(stage.file("proof")).expect("written");
    std::fs::write(stage.file("wrong"), proof.replace("number 1", "number 2")).expect("written");
    for (file, expected) in [("proof", 0), ("wrong", 1)] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (file, policy) = (stage.named(file), stage.named("policy"));
        let mut verify = lattice(&["verify", &file, "--policy", &policy]);
        let status = verify.stdout(writer).status().await.expect("it runs");
        assert_eq!(status.code(), Some(expected), "{file}");
    }
}
