//! Importing and exporting: everything arrives once, a bad line is named, and stopping half-way does no harm.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testnet::deadline;
use tokio::io::AsyncWriteExt;

use crate::program::SOON;
use crate::running::Running;

/// Lines of several batches.
fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{}\n", json!({"key": format!("i/{n:05}"), "value": format!("value {n}")}))).collect()
}

async fn figure(node: &Running, name: &str) -> u64 {
    node.get("/api/v1/status").await[name].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_imported_elsewhere() {
    let (here, there) = (Running::alone().await, Running::alone().await);
    let bytes = json!({"key": "bytes", "value_base64": "/wA="});
    let input = format!("{}{bytes}\n{}\n", lines(0, 1500), json!({"key": "../up", "value": "\u{1}\"\n"}));
    let imported = here.lattice_with(&["import", "-", "--json"], input.as_bytes()).await;
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let summary: Value = serde_json::from_str(&imported.stdout).expect("JSON");
    assert_eq!(summary["entries"], 1502);
    // An invitation makes a key that belongs to this lattice alone, once it is redeemed; a deleted key is not
    // exported.
    assert_eq!(here.lattice(&["delete", "i/00007"]).await.code, 0);
    let file = here.file("export.ndjson");
    let file = file.to_str().expect("text");
    assert_eq!(here.lattice(&["export", "-o", file]).await.code, 0);
    let imported = there.lattice(&["import", file]).await;
    assert!(imported.code == 0 && imported.stdout.starts_with("imported 1,501 entries"), "{}", imported.stderr);
    let (ours, theirs) = (here.lattice(&["export"]).await.stdout, there.lattice(&["export"]).await.stdout);
    assert!(ours == theirs && ours.lines().count() == 1501 && ours.contains(&bytes.to_string()));
    assert_eq!(ours, std::fs::read_to_string(file).expect("the file"), "standard output and file hold the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_import_writes_nothing_again() {
    let node = Running::alone().await;
    let file = node.file("rows.csv");
    let rows: String = (0..1000).map(|n| format!("key {n},\"value, {n}\"\n")).collect();
    std::fs::write(&file, format!("key,value\n{rows}")).expect("written");
    let file = file.to_str().expect("text");
    let words = ["import", file, "--prefix", "csv/"];
    let first = node.lattice(&words).await;
    assert!(first.code == 0 && first.stdout.contains("1,000 written, 0 were there already"), "{}", first.stdout);
    let (commits, root) = (figure(&node, "seq").await, node.get("/api/v1/status").await["state_root"].clone());
    let again = node.lattice(&words).await;
    assert!(again.code == 0 && again.stdout.contains("0 written, 1,000 were there already"), "{}", again.stdout);
    assert_eq!((figure(&node, "seq").await, &node.get("/api/v1/status").await["state_root"]), (commits, &root));
    assert_eq!(node.lattice(&["get", "csv/key 999"]).await.stdout, "value, 999");
    std::fs::write(file, format!("key,value\n{rows}one more,row\n")).expect("written");
    let added = node.lattice(&words).await.stdout;
    assert!(added.contains("1 written, 1,000 were there already"), "{added}");
    assert_eq!(node.lattice(&["get", "csv/one more"]).await.stdout, "row", "a longer file adds its rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_brings_back_what_was_deleted_or_changed_since() {
    // The node took the backup for the import that it had seen before, said "imported 2 entries" and wrote none.
    let node = Running::alone().await;
    assert_eq!(node.lattice_with(&["import", "-"], b"res/1,one\nres/2,two\nres/3,three\n").await.code, 0);
    let file = node.file("backup.ndjson");
    let file = file.to_str().expect("text");
    assert_eq!(node.lattice(&["export", "res/", "-o", file]).await.code, 0);
    for round in 0..2 {
        assert_eq!(node.lattice(&["delete", "res/1"]).await.code, 0);
        assert_eq!(node.lattice(&["put", "res/2", "changed"]).await.code, 0);
        let restored = node.lattice(&["import", file, "--json"]).await;
        assert_eq!(restored.code, 0, "{}", restored.stderr);
        let summary: Value = serde_json::from_str(&restored.stdout).expect("JSON");
        let figures = ["entries", "written", "unchanged"].map(|name| summary[name].as_u64());
        assert_eq!(figures, [Some(3), Some(2), Some(1)], "round {round}");
        for (key, value) in [("res/1", "one"), ("res/2", "two"), ("res/3", "three")] {
            assert_eq!(node.lattice(&["get", key]).await.stdout, value, "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_can_not_be_written_says_so_and_leaves_nothing() {
    let node = Running::alone().await;
    node.put("/api/v1/entries/k", "v").await;
    let dir = node.file("a directory");
    std::fs::create_dir(&dir).expect("made");
    let dir = dir.to_str().expect("text");
    let nowhere = format!("{dir}/absent/file");
    for (file, code, why) in [(dir, 2, "is a directory"), (nowhere.as_str(), 2, "No such file")] {
        let refused = node.lattice(&["export", "-o", file]).await;
        assert_eq!(refused.code, code, "{}", refused.stderr);
        assert!(refused.stderr.contains(file) && refused.stderr.contains(why), "{}", refused.stderr);
        assert!(!refused.stderr.contains("unfinished"), "{}", refused.stderr);
    }
    let beside = std::fs::read_dir(node.file("")).expect("listed").count();
    assert_eq!(beside, 2, "the node and the directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_behind_the_output_is_a_failure() {
    let node = Running::alone().await;
    node.put("/api/v1/entries/k", "no newline at the end").await;
    for words in [&["get", "k"][..], &["list"], &["export"], &["status"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a device that is always full");
        let child = node.command(words).stdout(Stdio::from(full)).spawn().expect("runs");
        let output = child.wait_with_output().await.expect("an end");
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_row_of_a_key_wins_however_far_apart_the_rows_are() {
    let node = Running::alone().await;
    let row = |value: &str| format!("{}\n", json!({"key": "same", "value": value}));
    let input = format!("{}{}{}{}{}", row("first"), lines(0, 700), row("second"), lines(700, 1400), row("last"));
    assert_eq!(node.lattice_with(&["import", "-"], input.as_bytes()).await.code, 0);
    assert_eq!(node.lattice(&["get", "same"]).await.stdout, "last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_named_and_all_before_it_is_in() {
    let node = Running::alone().await;
    let input = format!("{}{{\"key\":\"\",\"value\":\"x\"}}\n{}", lines(0, 600), lines(600, 700));
    let refused = node.lattice_with(&["import", "-"], input.as_bytes()).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("line 601: a key must not be empty; 600 entries are in"), "{}", refused.stderr);
    assert_eq!(figure(&node, "entries").await, 600);
    for (file, why) in [("/nonexistent", "No such file"), ("/", "is a directory")] {
        let refused = node.lattice(&["import", file]).await;
        assert!(refused.code == 2 && refused.stderr.contains(why), "{}", refused.stderr);
    }
    let reserved = node.lattice_with(&["import", "-"], b"@other/x,1\n").await;
    assert!(reserved.code == 2 && reserved.stderr.contains("line 1: keys that start"), "{}", reserved.stderr);
    assert!(reserved.stderr.contains("0 entries are in"), "{}", reserved.stderr);
    let seat = node.lattice_with(&["import", "-"], b"a,1\ngreen/x,1\n").await;
    assert!(seat.code == 1 && seat.stderr.contains("0 entries are in"), "{}", seat.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_says_how_far_it_came_and_can_be_repeated() {
    let node = Running::alone().await;
    let mut child = node.command(&["import", "-"]).stdin(Stdio::piped()).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(lines(0, 2000).as_bytes()).await.expect("taken");
    let most = deadline::until(SOON, async || match figure(&node, "entries").await {
        entries if entries >= 1000 => Ok(()),
        entries => Err(format!("{entries} entries")),
    });
    most.await.expect("whole batches are written before the input ends");
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).expect("it runs");
    kill_process(pid, Signal::INT).expect("sent");
    let output = tokio::time::timeout(SOON, child.wait_with_output()).await.expect("in time").expect("an end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let entries = figure(&node, "entries").await;
    let grouped = format!("{},{:03}", entries / 1000, entries % 1000);
    assert!(said.contains(&format!("{grouped} entries are in; repeating")), "{entries}: {said}");
    drop(stdin);
    let again = node.lattice_with(&["import", "-"], lines(0, 2000).as_bytes()).await;
    assert_eq!((again.code, figure(&node, "entries").await), (0, 2000), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_is_no_error() {
    let node = Running::alone().await;
    assert_eq!(node.lattice_with(&["import", "-"], lines(0, 5000).as_bytes()).await.code, 0);
    for words in [&["export"][..], &["list"], &["list", "--json"]] {
        let mut child = node.command(words).spawn().expect("runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().await.expect("an end");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{words:?}");
    }
}
