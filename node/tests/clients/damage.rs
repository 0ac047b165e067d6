//! A database that a hand changes while its node runs: what no write left there is not served.

use reqwest::Method;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::running::{Running, problem};

async fn by_hand(node: &Running, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(node.node.dir().join("state.db"));
    let mut database = SqliteConnection::connect_with(&options).await.expect("a database");
    let changed = sqlx::query(sql).execute(&mut database).await.expect("SQL");
    assert_eq!(changed.rows_affected(), 1, "{sql}");
    database.close().await.expect("closed");
}

/// The first read finds the damage and says so; gives what those after it are told.
async fn read_twice(node: &Running, key: &str) -> (u16, String) {
    let path = format!("/api/v1/entries/{key}");
    let (status, _, detail) = problem(node.request(Method::GET, &path)).await;
    assert!(status == 503 && detail.contains("check the disk"), "{status} {detail}");
    let (status, kind, _) = problem(node.request(Method::GET, &path)).await;
    (status, kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_inserted_by_hand_is_dropped_when_it_is_read() {
    // It was served until the next start, which refused the database.
    const INSERT: &str = "INSERT INTO entries (id, key, value, commit_id, op_index) \
        SELECT 1000000, 'stray', x'6576696c', commit_id, op_index FROM entries WHERE key = 'k'";
    let mut node = Running::alone().await;
    node.put("/api/v1/entries/k", "right").await;
    let root = node.get("/api/v1/status").await["state_root"].clone();
    by_hand(&node, INSERT).await;
    assert_eq!(read_twice(&node, "stray").await, (404, "no-such-entry".to_owned()));
    by_hand(&node, INSERT).await;
    let (status, _, detail) = problem(node.request(Method::GET, "/api/v1/entries")).await;
    assert!(status == 503 && detail.contains("check the disk"), "{status} {detail}");
    let listed = node.get("/api/v1/entries").await;
    assert_eq!(listed["entries"].as_array().expect("a list").len(), 1, "{listed}");
    let status = node.get("/api/v1/status").await;
    assert_eq!((&status["divergences"], &status["state_root"]), (&2.into(), &root));
    let events = node.get("/api/v1/events").await;
    let events = events["events"].as_array().expect("a list").iter();
    assert_eq!(events.filter(|event| event["kind"] == "damage").count(), 2);
    // What the stray named as its commit still stands.
    node.put("/api/v1/entries/stray", "written").await;
    assert_eq!(node.get("/api/v1/entries/k").await["value"], "right");
    node.node.stop().await;
    let reached = node.node.start().await.expect("nothing contradicts");
    node.base = format!("http://{}", reached.run.http[0]);
    assert_eq!(node.get("/api/v1/entries/stray").await["value"], "written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_deleted_by_hand_is_found_when_it_is_read() {
    let node = Running::alone().await;
    node.put("/api/v1/entries/k", "right").await;
    by_hand(&node, "DELETE FROM entries WHERE key = 'k'").await;
    assert_eq!(read_twice(&node, "k").await, (404, "no-such-entry".to_owned()));
    assert_eq!(node.get("/api/v1/status").await["divergences"], 1);
    node.put("/api/v1/entries/k", "again").await;
    assert_eq!(node.get("/api/v1/entries/k").await["value"], "again");
}
