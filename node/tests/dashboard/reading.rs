//! A node whose readers must show a token.

use reqwest::StatusCode;
use serde_json::json;
use testnet::process::{Launch, Node};

use crate::browser::Browser;
use crate::page::shown;
use crate::world::{program, until};

/// A node alone that asks its readers for a token, and that token.
async fn guarded() -> (Node, String, tempfile::TempDir) {
    let root = tempfile::tempdir().expect("a directory");
    let mut node = Node::new(Launch::new(program(), "alone", root.path().join("node")));
    node.found("fruit").await.expect("founded");
    node.launch_mut().options = vec!["--api-token-read".to_owned()];
    node.start().await.expect("started");
    let token = std::fs::read_to_string(node.dir().join("read.token")).expect("the node wrote it");
    (node, token, root)
}

fn url(node: &Node) -> String {
    node.reached().expect("it runs").client.url().as_str().trim_end_matches('/').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_must_show_a_token_and_followers_of_the_log_need_none() {
    let (node, reading, _root) = guarded().await;
    let (url, client) =
        (url(&node), reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client"));
    let writing = std::fs::read_to_string(node.dir().join("api.token")).expect("a token");
    let ask = async |path: &str, token: Option<&str>| {
        let request = client.get(format!("{url}{path}"));
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token.trim()));
        request.send().await.expect("an answer").status()
    };
    for path in [
        "/api/v1/status",
        "/api/v1/peers",
        "/api/v1/entries",
        "/api/v1/live",
        "/api/v1/watch",
        "/api/v1/events",
        "/api/v1/policy",
    ] {
        assert_eq!(ask(path, None).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(ask(path, Some(&"0".repeat(64))).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(ask(path, Some(&reading)).await, StatusCode::OK, "{path}");
        assert_eq!(ask(path, Some(&writing)).await, StatusCode::OK, "{path}");
    }
    for path in [
        "/",
        "/dashboard/app.js",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
        "/api/lattice/state",
        "/api/v1/checkpoints",
        "/api/v1/forks",
    ] {
        assert_eq!(ask(path, None).await, StatusCode::OK, "{path}");
    }
    let write = client.put(format!("{url}/api/v1/entries/k")).bearer_auth(reading.trim()).body("v");
    assert_eq!(
        write.send().await.expect("an answer").status(),
        StatusCode::UNAUTHORIZED,
        "the read token does not write"
    );
    let status = node.output(&["status"]).await.expect("it ran");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_the_token_and_keeps_it_while_the_window_is_open() {
    let Some(browser) = Browser::open().await else { return };
    let (node, token, _root) = guarded().await;
    let url = url(&node);
    browser.client.goto(&format!("{url}/")).await.expect("the page");
    let asks = "return document.getElementById('token').open";
    let give = "
        document.getElementById('token-text').value = args[0];
        document.getElementById('token-form').requestSubmit();";
    until(&browser, "it asks", asks, vec![]).await;
    browser.run(give, vec![json!("0".repeat(64))]).await;
    let wrong =
        "return document.getElementById('token').open && document.getElementById('token-wrong').textContent !== ''";
    until(&browser, "it says that this is another", wrong, vec![]).await;
    browser.run(give, vec![json!(token.trim())]).await;
    shown(&browser).await;
    browser.client.refresh().await.expect("the page again");
    shown(&browser).await;
    assert_eq!(browser.run(asks, vec![]).await, false);
    // A refusal is no error of the page, but the browser writes it down.
    browser.expect_quiet(&[&url], &["401 (Unauthorized)"]).await;
    browser.close().await;
}
