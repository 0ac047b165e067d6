//! The log as auditors and caches read it: nothing that no checkpoint covers.

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use testnet::deadline;
use testnet::process::{Launch, Node};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::program::{SOON, program};
use crate::running::{Running, problem, send};

/// A node whose next checkpoint comes in an hour, and the size of its first.
async fn hardly_signing() -> (Running, u64) {
    let root = tempfile::tempdir().expect("a directory");
    let mut launch = Launch::new(program(), "alone", root.path().join("node"));
    launch.options = ["--checkpoint-ms", "3600000"].map(str::to_owned).to_vec();
    let node = Node::new(launch);
    node.found("fruit").await.expect("founded");
    let node = Running::start(node, root).await;
    let first = async || {
        let answer = send(node.request(Method::GET, "/checkpoint")).await;
        // Until the first checkpoint the node says when to ask again.
        match answer.status() {
            StatusCode::OK => Ok(answer.text().await.expect("text")),
            status => Err(format!("{status}, retry-after {:?}", answer.headers().get("retry-after"))),
        }
    };
    let first = deadline::until(SOON, first).await.unwrap_or_else(|late| panic!("{late}"));
    let size = first.lines().nth(1).expect("a size").parse().expect("a number");
    (node, size)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_checkpoint_covers_is_served_for_caches_to_keep() {
    // Tiles of the unsigned end were served as unchangeable, and a crash may change that end.
    let (node, size) = hardly_signing().await;
    node.put("/api/v1/entries/k", "v").await;
    assert!(node.get("/api/v1/status").await["log_size"].as_u64().expect("a number") > size);
    for tile in ["0/000", "entries/000"] {
        let covered = send(node.request(Method::GET, &format!("/tile/{tile}.p/{size}"))).await;
        assert_eq!(covered.status(), StatusCode::OK, "{tile}");
        assert!(covered.headers()["cache-control"].to_str().expect("text").contains("immutable"));
        for beyond in [format!("/tile/{tile}.p/{}", size + 1), format!("/tile/{tile}")] {
            let (status, kind, detail) = problem(node.request(Method::GET, &beyond)).await;
            assert_eq!((status, kind.as_str()), (404, "no-such-record"), "{beyond}: {detail}");
            assert!(detail.contains(&format!("signed up to {size} records")), "{detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_what_a_checkpoint_is_answered_with() {
    let node = Running::alone().await;
    let document = node.get("/openapi.json").await;
    let responses = document["paths"]["/checkpoint"]["get"]["responses"].as_object().expect("responses");
    assert_eq!(responses.keys().map(String::as_str).collect::<Vec<_>>(), ["200", "503"], "{responses:?}");
    assert_eq!(responses["503"]["content"]["application/problem+json"]["schema"].is_object(), json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_slowly_keeps_nobody_from_being_cosigned() {
    // A place was taken before the body was read, and a few senders of a byte now and then held all of them.
    const PATH: &str = "/witness/add-checkpoint";
    let node = Running::alone().await;
    let address = node.base.trim_start_matches("http://");
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(address).await.expect("accepted");
        let head = format!("POST {PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n\r\nx");
        stream.write_all(head.as_bytes()).await.expect("taken by the system");
        silent.push(stream);
    }
    let answer = send(node.request(Method::POST, PATH).body("no request")).await;
    assert_eq!(answer.status(), 400, "a place, and no request");
}

/// Between nodes there was a bound, and by the standard route anybody had signatures checked without end.
#[tokio::test(flavor = "multi_thread")]
async fn one_address_asks_to_be_cosigned_so_often_and_is_told_to_wait() {
    let node = Running::alone().await;
    let ask = async || send(node.request(Method::POST, "/witness/add-checkpoint").body("no request")).await.status();
    for _ in 0..60 {
        let statuses = join_all((0..50).map(|_| ask())).await;
        if statuses.contains(&StatusCode::SERVICE_UNAVAILABLE) {
            return assert_eq!(node.get("/api/v1/status").await["entries"], 0, "all else is answered");
        }
        assert!(statuses.iter().all(|status| *status == 400), "{statuses:?}");
    }
    panic!("3,000 were answered");
}
