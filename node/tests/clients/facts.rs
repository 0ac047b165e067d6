//! What a node says of itself over HTTP, to anyone, and what the API says of itself.

use reqwest::Method;
use serde_json::json;

use crate::running::{Running, json, send};

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_served_to_anyone_and_documented() {
    let node = Running::alone().await;
    let receipt = node.put("/api/v1/entries/k", "v").await;
    let status = node.get("/api/v1/status").await;
    let state = node.get("/api/lattice/state").await;
    assert_eq!((&status["name"], &status["lattice_name"]), (&json!("alone"), &json!("fruit")));
    assert_eq!(
        (&state["merkle_root"], &state["entries"], &state["peers"]),
        (&receipt["state_root"], &json!(1), &json!(0))
    );
    assert_eq!((&state["lattice_id"], &state["mode"]), (&status["lattice_id"], &json!("p2p")));
    assert_eq!(node.get("/health").await["status"], "alive");
    assert_eq!(node.get("/ready").await["status"], "ready");
    assert_eq!(node.get("/api/v1/peers").await["peers"], json!([]));
    let metrics = send(node.request(Method::GET, "/metrics")).await.text().await.expect("text");
    assert!(metrics.contains("\nlattice_state_entries 1\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    let document = node.get("/openapi.json").await;
    for (path, methods) in [
        ("/api/v1/entries", "delete get put"),
        ("/api/v1/entries/{key}", "delete get put"),
        ("/api/v1/commits", "post"),
        ("/api/v1/watch", "get"),
        ("/api/v1/status", "get"),
        ("/api/v1/peers", "get"),
        ("/api/v1/invitations", "post"),
        ("/api/lattice/state", "get"),
        ("/health", "get"),
        ("/ready", "get"),
        ("/metrics", "get"),
        ("/", "get"),
        ("/dashboard/{file}", "get"),
        ("/api/v1/live", "get"),
    ] {
        let found = document["paths"][path].as_object().unwrap_or_else(|| panic!("{path} is missing"));
        let mut found: Vec<&str> = found.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), methods, "{path}");
    }
    let mut operations =
        document["paths"].as_object().expect("paths").values().flat_map(|item| item.as_object()).flatten();
    assert!(operations.all(|(_, operation)| {
        let mut responses = operation["responses"].as_object().expect("responses").iter();
        responses.all(|(status, response)| {
            let is_problem = status == "default" || status.starts_with(['4', '5']);
            !is_problem || response["content"].get("application/json").is_none()
        })
    }));
    let problem = &document["paths"]["/api/v1/commits"]["post"]["responses"]["default"]["content"];
    assert!(problem["application/problem+json"]["schema"].is_object(), "{problem}");
    let ticket = json(node.write(Method::POST, "/api/v1/invitations")).await["ticket"].clone();
    assert!(ticket.as_str().is_some_and(|ticket| ticket.starts_with("lattice1")));
}
