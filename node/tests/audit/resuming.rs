//! A deep audit that was killed: the next run goes on behind what it hashed, and believes of the state file no more than
//! the log signed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testnet::deadline;
use testnet::lying_log::{Lie, LyingLog};

use crate::following::keys;
use crate::liar::Liar;
use crate::program::{SOON, lattice};
use crate::stage::{Stage, size_of};

/// Records of a bundle.
const BUNDLE: u64 = 256;

/// Records that the killed run was sure of: two whole bundles, and the first of the third, with which it is checked.
const SURE: u64 = 2 * BUNDLE + 1;

/// Paths of the fourth bundle, which the killed run waits for.
const FOURTH: &str = "/tile/entries/003";

/// A node whose log has four bundles, and the records that nodes are asked for.
async fn filled() -> Stage {
    let stage = Stage::set().await;
    for n in 0..900 {
        stage.put(&format!("k/{}", n % 50), &n.to_string()).await;
    }
    stage.signed().await;
    stage
}

fn state_file(stage: &Stage) -> PathBuf {
    stage.file("audit.json")
}

fn state(stage: &Stage) -> Value {
    let text = std::fs::read_to_string(state_file(stage)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Runs a deep audit and kills it once it wrote down how far it came.
async fn killed_in_the_middle(stage: &Stage, liar: &Liar) {
    liar.is_silent_at(Some(FOURTH));
    let (policy, state_path) = (stage.named("policy"), stage.named("audit.json"));
    let words = ["audit", &liar.url, "--policy", &policy, "--state", &state_path, "--once", "--deep", "--grace", "1"];
    let mut audit = lattice(&words).spawn().expect("it runs");
    let is_kept = async || match &state(stage)["bookmarks"][0]["records"] {
        records if *records == SURE => Ok(()),
        other => Err(format!("at {other}")),
    };
    deadline::until(SOON, is_kept).await.unwrap_or_else(|late| panic!("{late}"));
    audit.kill().await.expect("killed");
    liar.is_silent_at(None);
}

/// Notes which bundles are asked for.
fn noted(liar: &Liar) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noting = asked.clone();
    liar.lies(move |path, body| {
        if let Some(bundle) = path.strip_prefix("/tile/entries/") {
            noting.lock().expect("unpoisoned").push(bundle[..3].to_owned());
        }
        Some(body)
    });
    asked
}

fn took(asked: &Mutex<Vec<String>>) -> Vec<String> {
    let mut asked = std::mem::take(&mut *asked.lock().expect("unpoisoned"));
    asked.sort();
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_reading_goes_on_behind_what_it_hashed_and_a_finished_one_begins_anew() {
    let stage = filled().await;
    let liar = Liar::before(stage.url()).await;
    killed_in_the_middle(&stage, &liar).await;
    let asked = noted(&liar);
    // The log has grown meanwhile; entries are read from the first on.
    stage.put("k/new", "value").await;
    stage.signed().await;
    let size = size_of(&stage.checkpoint().await);
    let token = stage.named("read.token");
    let audited = stage.audit_at(&liar.url, &["--deep", "--token-file", &token]).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    let report = audited.json()["deep"][0].clone();
    assert_eq!((&report["went_on_at"], &report["began_anew"]), (&SURE.into(), &Value::Null), "{report}");
    assert!(report["records"].as_u64() >= Some(size) && report["entries"] == 51, "{report}");
    assert_eq!(took(&asked), ["002", "003"]);
    assert_eq!(state(&stage).get("bookmarks"), None, "all was read");
    let audited = stage.audit_at(&liar.url, &["--deep"]).await;
    assert_eq!((audited.code, &audited.json()["deep"][0]["went_on_at"]), (0, &Value::Null), "{audited:?}");
    assert_eq!(took(&asked), ["000", "001", "002", "003"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_rewritten_behind_the_place_that_was_reached_is_a_fork() {
    let stage = filled().await;
    let lying = LyingLog::before(&stage.url(), keys(stage.node.dir())).await.expect("a port");
    let liar = Liar::before(lying.url().to_owned()).await;
    killed_in_the_middle(&stage, &liar).await;
    let asked = noted(&liar);
    // The middle of the log is among the records that were read.
    assert!(size_of(&stage.checkpoint().await) / 2 < SURE);
    lying.lie(Lie::RewrittenRecord).await.expect("copied");
    let audited = stage.audit_at(&liar.url, &["--deep"]).await;
    assert_eq!(audited.code, 1, "{audited:?}");
    assert!(audited.alarms().contains(&"fork".to_owned()), "{audited:?}");
    let report = audited.json()["deep"][0].clone();
    assert!(report["began_anew"].as_str().is_some_and(|why| why.contains("contradicts what it signed")), "{report}");
    assert_eq!(took(&asked)[0], "000");
    let evidence = audited.json()["alarms"][0]["evidence"].as_str().expect("a file").to_owned();
    let name = std::path::Path::new(&evidence).file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let verified = stage.verify(&name, &[]).await;
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// The one record at the place where it goes on is what the state of all that follow is held against.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_at_the_place_is_the_one_that_was_read() {
    let stage = filled().await;
    let liar = Liar::before(stage.url()).await;
    killed_in_the_middle(&stage, &liar).await;
    liar.lies(|path, mut body| {
        if path.starts_with("/tile/entries/002") {
            // The last byte of the first record's time: two of its length, three before the time, which has nine.
            body[2 + 3 + 8] ^= 1;
        }
        Some(body)
    });
    let audited = stage.audit_at(&liar.url, &["--deep"]).await;
    assert_eq!((audited.code, audited.alarms()), (1, vec!["records".to_owned()]), "{audited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bookmark_that_no_log_signed_is_refused_and_one_of_another_log_is_no_use() {
    let stage = filled().await;
    let liar = Liar::before(stage.url()).await;
    killed_in_the_middle(&stage, &liar).await;
    let kept = state(&stage);
    for (field, value) in [("records", Value::from(SURE + BUNDLE)), ("edge", serde_json::json!(["AAAA"]))] {
        let mut altered = kept.clone();
        altered["bookmarks"][0][field] = value;
        std::fs::write(state_file(&stage), altered.to_string()).expect("written");
        let refused = stage.audit_at(&liar.url, &["--deep"]).await;
        assert!(refused.code == 2 && refused.stderr.contains("entry 1 of \"bookmarks\""), "{refused:?}");
    }
    let other = Stage::set().await;
    let mut moved = state(&other);
    assert_eq!(moved, Value::Null);
    moved = serde_json::json!({"version": 1, "logs": [], "shown": {}, "bookmarks": kept["bookmarks"]});
    moved["bookmarks"][0]["url"] = other.url().into();
    std::fs::write(state_file(&other), moved.to_string()).expect("written");
    let audited = other.audit_at(&other.url(), &["--deep"]).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
    let report = audited.json()["deep"][0].clone();
    assert!(report["began_anew"].as_str().is_some_and(|why| why.contains("not of this log")), "{report}");
    assert_eq!(report["went_on_at"], Value::Null);
}
