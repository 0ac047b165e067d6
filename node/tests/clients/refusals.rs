//! Requests that are refused, as a table: each with its status and kind, and none changes anything.

use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{Running, problem};

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_a_reason_and_change_nothing() {
    let node = Running::alone().await;
    node.put("/api/v1/entries/k", "before").await;
    let before = node.get("/api/v1/status").await;
    let put = |path: &str| node.write(Method::PUT, path).body("v");
    let put_json = |body: &'static str| {
        node.write(Method::PUT, "/api/v1/entries/k").header("content-type", "application/json").body(body)
    };
    let post = |body: Value| {
        let request = node.write(Method::POST, "/api/v1/commits").header("content-type", "application/json");
        request.body(body.to_string())
    };
    let get = |path: &str| node.request(Method::GET, path);
    let entry = |key: &str| format!("/api/v1/entries/{key}");
    let (long_key, many) = ("k".repeat(513), vec![json!({"op":"delete","key":"x"}); 1025]);
    let table = vec![
        ("no token", node.request(Method::PUT, "/api/v1/entries/k").body("v"), 401, "unauthorized"),
        (
            "wrong token",
            node.request(Method::PUT, "/api/v1/entries/k").bearer_auth("0".repeat(64)),
            401,
            "unauthorized",
        ),
        (
            "no bearer",
            node.request(Method::DELETE, "/api/v1/entries/k").basic_auth("a", Some("b")),
            401,
            "unauthorized",
        ),
        ("no token to invite", node.request(Method::POST, "/api/v1/invitations"), 401, "unauthorized"),
        ("path not UTF-8", get("/api/v1/entries/%ff"), 400, "bad-request"),
        ("query not UTF-8", get("/api/v1/entries?key=%ff"), 400, "bad-request"),
        ("NUL in a key", put("/api/v1/entries/a%00b"), 400, "bad-request"),
        ("empty key", put("/api/v1/entries?key="), 400, "bad-request"),
        ("no key", put("/api/v1/entries"), 400, "bad-request"),
        ("empty path", put("/api/v1/entries/"), 404, "no-such-route"),
        ("long key", put(&entry(&long_key)), 413, "too-large"),
        ("long key read", get(&entry(&long_key)), 413, "too-large"),
        ("long value", node.write(Method::PUT, &entry("k")).body(vec![0; 65_537]), 413, "too-large"),
        ("long body", node.write(Method::PUT, &entry("k")).body(vec![0; 3_000_000]), 413, "too-large"),
        ("reserved key", put("/api/v1/entries/@other/x"), 403, "forbidden"),
        ("member key", put("/api/v1/entries/@member/x"), 422, "unprocessable"),
        ("seat's key", put("/api/v1/entries/green/x"), 409, "conflict"),
        ("unknown parameter", get("/api/v1/entries?perfix=x"), 400, "bad-request"),
        ("parameter twice", get("/api/v1/entries?limit=1&limit=2"), 400, "bad-request"),
        ("parameter beside key", get("/api/v1/entries?key=k&limit=2"), 400, "bad-request"),
        ("parameter on a path", get("/api/v1/entries/k?limit=2"), 400, "bad-request"),
        ("no limit", get("/api/v1/entries?limit=0"), 400, "bad-request"),
        ("limit too high", get("/api/v1/entries?limit=1001"), 400, "bad-request"),
        ("limit no number", get("/api/v1/entries?limit=ten"), 400, "bad-request"),
        ("not JSON", put_json("{"), 400, "bad-request"),
        ("JSON of no value", put_json("{}"), 400, "bad-request"),
        ("JSON of two values", put_json(r#"{"value":"a","value_base64":""}"#), 400, "bad-request"),
        ("JSON number", put_json(r#"{"value":1}"#), 400, "bad-request"),
        ("JSON of unknown field", put_json(r#"{"value":"a","ttl":1}"#), 400, "bad-request"),
        ("not base64", put_json(r#"{"value_base64":"?"}"#), 400, "bad-request"),
        ("no ops", post(json!({"ops":[]})), 422, "unprocessable"),
        ("too many ops", post(json!({"ops":many})), 413, "too-large"),
        (
            "key twice",
            post(json!({"ops":[{"op":"delete","key":"a"},{"op":"put","key":"a","value":""}]})),
            422,
            "unprocessable",
        ),
        ("unknown op", post(json!({"ops":[{"op":"add","key":"a"}]})), 400, "bad-request"),
        ("both kinds", post(json!({"ops":[],"commits_base64":[]})), 400, "bad-request"),
        ("neither kind", post(json!({})), 400, "bad-request"),
        ("no commit", post(json!({"commits_base64":["AAAA"]})), 400, "bad-request"),
        ("not as JSON", node.write(Method::POST, "/api/v1/commits").body("{}"), 415, "unsupported-media-type"),
        (
            "a form",
            put("/api/v1/entries/k").header("content-type", "application/x-www-form-urlencoded"),
            415,
            "unsupported-media-type",
        ),
        (
            "changes only, with a key",
            post(json!({"ops":[{"op":"delete","key":"a"}],"changes_only":true})).header("idempotency-key", "k"),
            400,
            "bad-request",
        ),
        ("changes only, signed elsewhere", post(json!({"commits_base64":[],"changes_only":true})), 400, "bad-request"),
        ("bad idempotency key", put("/api/v1/entries/k").header("idempotency-key", "a b"), 400, "bad-request"),
        ("unknown route", get("/api/v2/entries"), 404, "no-such-route"),
        ("wrong method", node.write(Method::PUT, "/api/v1/status"), 405, "method-not-allowed"),
        ("wrong method on entries", node.write(Method::POST, "/api/v1/entries"), 405, "method-not-allowed"),
        ("position no number", get("/api/v1/watch?from=x"), 400, "bad-request"),
        ("event id no number", get("/api/v1/watch").header("last-event-id", "x"), 400, "bad-request"),
    ];
    for (what, request, status, kind) in table {
        let (found, found_kind, detail) = problem(request).await;
        assert_eq!((found, found_kind.as_str()), (status, kind), "{what}: {detail}");
        assert!(!detail.contains("{ "), "debug text: {detail}");
        assert!(!detail.is_empty() && !detail.contains('\n') && !detail.contains(&node.token), "{what}: {detail}");
    }
    let after = node.get("/api/v1/status").await;
    assert_eq!(before["state_root"], after["state_root"]);
    assert_eq!(before["log_size"], after["log_size"]);
}
