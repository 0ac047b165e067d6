//! All of a running node read again: records up to the root that is signed, entries up to the state that the log tells of.

use std::sync::{Arc, Mutex};

use lattice::transfer::{Part, Parts};

use crate::liar::Liar;
use crate::program::{Ended, ended, lattice as lattice_program};
use crate::stage::Stage;

async fn deep(stage: &Stage, url: &str) -> Ended {
    let token = stage.named("read.token");
    stage.audit_at(url, &["--deep", "--token-file", &token]).await
}

async fn filled() -> Stage {
    let stage = Stage::set().await;
    for n in 0..40 {
        stage.put(&format!("k/{n}"), "first").await;
    }
    for n in 0..10 {
        stage.put(&format!("k/{n}"), "second").await;
    }
    assert_eq!(stage.lattice(&["delete", "k/30"]).await.code, 0);
    stage.signed().await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_an_honest_node_holds_even_while_it_is_written_to() {
    let stage = filled().await;
    let (client, status) = (stage.client(), stage.client().status().await.expect("a status"));
    let audited = deep(&stage, &stage.url()).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    let report = &audited.json()["deep"][0];
    assert_eq!((&report["entries"], &report["commits"]), (&40.into(), &40.into()), "{report}");
    assert_eq!(report["state_root"].as_str(), Some(status.state_root.as_str()));
    let writing = tokio::spawn(async move {
        for n in 0.. {
            if client.put(&format!("w/{}", n % 50), &format!("{n}")).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..3 {
        let audited = deep(&stage, &stage.url()).await;
        assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    }
    writing.abort();
    // Without a token the records alone are read.
    let audited = stage.audit_at(&stage.url(), &["--deep"]).await;
    assert_eq!((audited.code, &audited.json()["deep"][0]["state_root"]), (0, &serde_json::Value::Null), "{audited:?}");
}

/// Takes a stream apart, changes its parts, and puts it together again.
fn altered(stream: &[u8], alter: impl Fn(&mut Vec<Part>)) -> Vec<u8> {
    let (mut parts, mut read) = (Parts::default(), Vec::new());
    parts.push(stream);
    while let Some(part) = parts.next_part().expect("a stream") {
        read.push(part);
    }
    alter(&mut read);
    read.iter().flat_map(Part::encode).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_dropped_or_altered_and_records_altered_are_found() {
    let stage = filled().await;
    let liar = Liar::before(stage.url()).await;
    let expect = async |word: &str, says: &str| {
        let audited = deep(&stage, &liar.url).await;
        assert_eq!((audited.code, audited.alarms()), (1, vec![word.to_owned()]), "{audited:?}");
        assert!(audited.stdout.contains(says), "{audited:?}");
    };
    let full = "/api/lattice/state/full";
    liar.lies(move |path, body| {
        Some(if path.starts_with(full) { altered(&body, |parts| drop(parts.remove(5))) } else { body })
    });
    expect("state", "no record of its log tells of that state").await;
    // One byte of a value, in the middle of the stream: a commit's own author did not sign that.
    liar.lies(move |path, mut body| {
        if path.starts_with(full) {
            let at = body.windows(5).rposition(|bytes| bytes == b"first").expect("a value");
            body[at] ^= 1;
        }
        Some(body)
    });
    expect("state", "its author did not make").await;
    liar.lies(|path, mut body| {
        if path.starts_with("/tile/entries") {
            // The time of the second record, or what else stands there.
            let at = body.len() / 2;
            body[at] ^= 1;
        }
        Some(body)
    });
    let audited = deep(&stage, &liar.url).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["records".to_owned()]), "{audited:?}");
    liar.lies(|path, body| if path.starts_with("/tile/entries") { None } else { Some(body) });
    expect("records", "does not give the records of its own checkpoint").await;
    liar.lies(|path, body| if path.contains("genesis") { None } else { Some(body) });
    assert_eq!(deep(&stage, &liar.url).await.code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_that_are_not_those_of_the_records_are_found() {
    let stage = Stage::set().await;
    for n in 0..270 {
        stage.put(&format!("k/{n}"), "value").await;
    }
    stage.signed().await;
    let liar = Liar::before(stage.url()).await;
    let audited = stage.audit_at(&liar.url, &["--deep"]).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    for path in ["/tile/0/000", "/tile/1/000.p/1"] {
        liar.lies(move |asked, mut body| {
            if asked == path {
                body[0] ^= 1;
            }
            Some(body)
        });
        let audited = stage.audit_at(&liar.url, &["--deep"]).await;
        assert_eq!((audited.code, audited.alarms()), (1, vec!["tiles".to_owned()]), "{path}: {audited:?}");
    }
    liar.lies(|asked, body| (asked != "/tile/0/000").then_some(body));
    let audited = stage.audit_at(&liar.url, &["--deep"]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["tiles".to_owned()]), "{audited:?}");
}

/// The token was shown for the state alone: of a node that lets nobody read without one, no entry could be looked at.
#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_node_that_wants_a_token_from_its_readers_is_read() {
    let mut stage = filled().await;
    stage.node.stop().await;
    stage.node.launch_mut().options = ["--checkpoint-ms", "100", "--api-token-read"].map(str::to_owned).to_vec();
    stage.node.start().await.expect("started");
    stage.put("k/40", "last").await;
    let audited = deep(&stage, &stage.url()).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    assert_eq!(audited.json()["deep"][0]["entries"], 41, "{audited:?}");
    let (token, url) = (stage.named("read.token"), stage.url());
    let shown = ended(lattice_program(&["policy", "show", "--token-file", &token, "--url", &url]), b"").await;
    assert!(shown.stdout.contains("\nlog "), "the policy too: {shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_does_not_keep_records_from_being_read() {
    let stage = filled().await;
    let liar = Liar::before(stage.url()).await;
    let token = stage.file("wrong.token");
    std::fs::write(&token, "ee".repeat(32)).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode).expect("private");
    let token = stage.named("wrong.token");
    let audited = stage.audit_at(&liar.url, &["--deep", "--token-file", &token]).await;
    assert_eq!((audited.code, audited.alarms()), (3, vec![]), "{audited:?}");
    let report = audited.json()["deep"][0].clone();
    assert_eq!(audited.json()["verdict"], "undecided");
    assert!(report["records"].as_u64() > Some(50) && report["state_root"].is_null(), "{report}");
    assert!(report["could_not"].as_str().expect("why").contains("entries could not be looked at"), "{report}");
    liar.lies(|path, mut body| {
        if path.starts_with("/tile/entries") {
            let at = body.len() / 2;
            body[at] ^= 1;
        }
        Some(body)
    });
    let audited = stage.audit_at(&liar.url, &["--deep", "--token-file", &token]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["records".to_owned()]), "{audited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_goes_on_where_it_ended() {
    let stage = Stage::set().await;
    for n in 0..700 {
        stage.put(&format!("k/{n}"), "value").await;
    }
    stage.signed().await;
    let liar = Liar::before(stage.url()).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    liar.lies(move |path, mut body| {
        if path.starts_with("/api/lattice/state/full") {
            noted.lock().expect("unpoisoned").push(path.to_owned());
            if !path.contains("after=") {
                body.truncate(body.len() * 9 / 10);
            }
        }
        Some(body)
    });
    let audited = deep(&stage, &liar.url).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    assert_eq!(audited.json()["deep"][0]["entries"], 700, "{audited:?}");
    let asked = asked.lock().expect("unpoisoned").clone();
    assert!(asked.len() == 2 && asked[1].contains("?after="), "{asked:?}");
}
