//! Entries over HTTP: how keys and values are given, listing, and repeating a write.

use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{Running, json, problem};

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_the_same_by_path_and_by_query() {
    let node = Running::alone().await;
    for (path, query, key) in [
        ("fruit/apple", "fruit%2Fapple", "fruit/apple"),
        ("fruit%2Fpear", "fruit/pear", "fruit/pear"),
        ("a//b/", "a//b/", "a//b/"),
        ("%C3%A4%20b", "%C3%A4+b", "ä b"),
        ("100%25", "100%25", "100%"),
        ("a+b", "a%2Bb", "a+b"),
        ("q%3Fx%23y&z=1", "q?x%23y%26z=1", "q?x#y&z=1"),
    ] {
        node.put(&format!("/api/v1/entries/{path}"), key.to_owned()).await;
        let entry = node.get(&format!("/api/v1/entries?key={query}")).await;
        assert_eq!((&entry["key"], &entry["value"]), (&json!(key), &json!(key)), "{path}");
        assert_eq!(node.get(&format!("/api/v1/entries/{path}")).await, entry, "{path}");
    }
    for key in ["..", ".", "../x", "a/../b", "a/./b"] {
        node.put(&format!("/api/v1/entries?key={key}"), key.to_owned()).await;
        assert_eq!(node.get(&format!("/api/v1/entries?key={key}")).await["value"], key);
        json(node.write(Method::DELETE, &format!("/api/v1/entries?key={key}"))).await;
        let (status, kind, _) = problem(node.request(Method::GET, &format!("/api/v1/entries?key={key}"))).await;
        assert_eq!((status, kind.as_str()), (404, "no-such-entry"), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_text_or_bytes_and_its_content_type_says_how_it_is_given() {
    let node = Running::alone().await;
    let put = |body: &'static [u8], media_type: &'static str| {
        let request = node.write(Method::PUT, "/api/v1/entries/k").header("content-type", media_type);
        json(request.body(body))
    };
    for (body, media_type, value, base64) in [
        (br#"{"value":"text"}"#.as_slice(), "application/json", json!("text"), Value::Null),
        (br#"{"value_base64":"/w=="}"#, "Application/JSON; charset=utf-8", Value::Null, json!("/w==")),
        (br#"{"value_base64":"dGV4dA=="}"#, "application/json", json!("text"), Value::Null),
        (br#"{"value":"x"}"#, "text/plain", json!(r#"{"value":"x"}"#), Value::Null),
        (b"\xff\x00", "application/octet-stream", Value::Null, json!("/wA=")),
        (b"", "application/octet-stream", json!(""), Value::Null),
    ] {
        let receipt = put(body, media_type).await;
        let entry = node.get("/api/v1/entries/k").await;
        assert_eq!((&entry["value"], &entry["value_base64"]), (&value, &base64), "{media_type}");
        assert_eq!(entry["commit"], receipt["commit"]);
        assert_eq!(node.get("/api/v1/status").await["state_root"], receipt["state_root"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_operations_happen_together_and_are_listed_in_pages() {
    let node = Running::alone().await;
    let ops: Vec<Value> = (0..250).map(|n| json!({"op":"put","key":format!("p/{n:03}"),"value":"v"})).collect();
    let request = node.write(Method::POST, "/api/v1/commits").header("content-type", "application/json");
    let receipt = json(request.body(json!({"ops":ops}).to_string())).await;
    json(node.write(Method::DELETE, "/api/v1/entries/p/100")).await;
    node.put("/api/v1/entries/q", "other").await;
    let (mut keys, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = node.get(&format!("/api/v1/entries?prefix=p/&limit=83&after={after}")).await;
        pages += 1;
        for entry in page["entries"].as_array().expect("a list") {
            assert_eq!(entry["commit"], receipt["commit"], "one commit wrote them all");
            keys.push(entry["key"].as_str().expect("a key").to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!(pages, 3, "249 entries in pages of 83, and the last one knows that it is");
    let expected: Vec<String> = (0..250).filter(|n| *n != 100).map(|n| format!("p/{n:03}")).collect();
    assert_eq!(keys, expected, "without the deleted one");
    assert_eq!(node.get("/api/v1/entries").await["entries"].as_array().expect("a list").len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_values_ends_early() {
    let node = Running::alone().await;
    for n in 0..80 {
        node.put(&format!("/api/v1/entries/large/{n:02}"), vec![b'v'; 65_536]).await;
    }
    let page = node.get("/api/v1/entries?prefix=large/&limit=1000").await;
    let entries = page["entries"].as_array().expect("a list");
    assert!((60..80).contains(&entries.len()), "{}", entries.len());
    assert_eq!(page["next"], entries.last().expect("some")["key"]);
    let next = page["next"].as_str().expect("more");
    let rest = node.get(&format!("/api/v1/entries?prefix=large/&after={next}")).await;
    assert_eq!(rest["entries"].as_array().expect("a list").len(), 80 - entries.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_is_the_same_write() {
    let node = Running::alone().await;
    let put = |value: &'static str| {
        node.write(Method::PUT, "/api/v1/entries/k").header("idempotency-key", "once").body(value)
    };
    let (first, second) = tokio::join!(json(put("v")), json(put("v")));
    assert_eq!(first, second, "at the same time");
    node.put("/api/v1/entries/k", "later").await;
    assert_eq!(json(put("v")).await, first, "and afterwards");
    assert_eq!(node.get("/api/v1/entries/k").await["value"], "later");
    let (status, kind, _) = problem(put("other")).await;
    assert_eq!((status, kind.as_str()), (422, "idempotency-key-reused"));
    let delete = node.write(Method::DELETE, "/api/v1/entries/k").header("idempotency-key", "once");
    assert_eq!(problem(delete).await.0, 422);
}
