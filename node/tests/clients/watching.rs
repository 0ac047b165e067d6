//! Following changes over HTTP: what comes, from where, and how streams end.

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::program::SOON;
use crate::running::{Running, json, send};

/// Reads events until `count` entries have come; gives their keys with the last id.
async fn events(response: reqwest::Response, count: usize) -> (Vec<String>, String) {
    let mut reader = node::cli::sse::SseReader::default();
    let (mut keys, mut stream) = (Vec::new(), response.bytes_stream());
    let read = async {
        while keys.len() < count {
            let bytes = stream.next().await.expect("no end yet").expect("bytes");
            for event in reader.feed(&bytes).expect("events") {
                let entry: Value = serde_json::from_str(&event.data).expect("JSON");
                let mark = if entry["deleted"] == true { "-" } else { "+" };
                keys.push(format!("{mark}{}", entry["key"].as_str().expect("a key")));
            }
        }
    };
    tokio::time::timeout(SOON, read).await.expect("events in time");
    (keys, reader.last_id().map(|id| id.to_string()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_what_comes_and_goes_on_where_it_ended() {
    let node = Running::alone().await;
    let position = node.put("/api/v1/entries/w/1", "v").await["log_position"].clone();
    node.put("/api/v1/entries/x", "v").await;
    let watch = |query: &str| send(node.request(Method::GET, &format!("/api/v1/watch?{query}")));
    let all = watch("from=0").await;
    assert_eq!(all.headers()["content-type"], "text/event-stream");
    assert_eq!(events(all, 2).await.0, ["+w/1", "+x"]);
    assert_eq!(events(watch(&format!("from={position}")).await, 1).await.0, ["+x"], "behind the receipt's position");
    let live = watch("prefix=w/").await;
    node.put("/api/v1/entries/other", "v").await;
    node.put("/api/v1/entries/w/2", "v").await;
    let (keys, id) = events(live, 1).await;
    assert_eq!(keys, ["+w/2"], "only what comes, under its prefix");
    json(node.write(Method::DELETE, "/api/v1/entries/w/1")).await;
    let request = node.request(Method::GET, "/api/v1/watch?prefix=w/&from=0");
    let resumed = send(request.header("last-event-id", id)).await;
    assert_eq!(events(resumed, 1).await.0, ["-w/1"], "the header goes over the query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_reads_more_changes_than_it_takes_at_once() {
    let node = Running::alone().await;
    let ops: Vec<Value> = (0..500).map(|n| json!({"op":"put","key":format!("k{n:03}"),"value":"v"})).collect();
    for ops in ops.chunks(100) {
        let request = node.write(Method::POST, "/api/v1/commits").header("content-type", "application/json");
        json(request.body(json!({"ops":ops}).to_string())).await;
    }
    let (keys, id) = events(send(node.request(Method::GET, "/api/v1/watch?from=0")).await, 500).await;
    let expected: Vec<String> = (0..500).map(|n| format!("+k{n:03}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(node.get("/api/v1/status").await["log_size"], id.parse::<u64>().expect("a position"));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_with_the_node() {
    let mut node = Running::alone().await;
    let mut streams = Vec::new();
    for _ in 0..node::api::watch::STREAMS_MAX {
        let stream = send(node.request(Method::GET, "/api/v1/watch")).await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    let refused = send(node.request(Method::GET, "/api/v1/watch")).await;
    assert_eq!(
        (refused.status(), refused.headers().contains_key("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, true)
    );
    drop(refused);
    assert_eq!(node.get("/health").await["status"], "alive", "other requests go on");
    drop(streams.pop());
    let freed = testnet::deadline::until(SOON, async || {
        let stream = send(node.request(Method::GET, "/api/v1/watch")).await;
        if stream.status() == StatusCode::OK { Ok(stream) } else { Err(stream.status().to_string()) }
    });
    streams.push(freed.await.expect("the place of a closed stream is free again"));
    let stopped = node.node.stop().await;
    assert!(matches!(stopped, testnet::process::Stopped::Cleanly(status) if status.success()), "{stopped:?}");
    for stream in streams {
        stream.bytes().await.expect("an orderly end");
    }
}
