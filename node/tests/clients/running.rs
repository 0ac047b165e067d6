//! One founded node that runs for a test, and plain requests to it.

use std::path::PathBuf;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use testnet::process::{Launch, Node};
use tokio::process::Command;

use crate::program::{Ended, ended, lattice, program};

/// A node that runs alone. Dropping it kills the process and removes the directory.
pub(crate) struct Running {
    /// The process.
    pub(crate) node: Node,
    /// `http://HOST:PORT` of its API.
    pub(crate) base: String,
    /// Its API token.
    pub(crate) token: String,
    http: Client,
    root: tempfile::TempDir,
}

impl Running {
    /// Founds a node and runs it on free ports of the loopback.
    pub(crate) async fn alone() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let node = Node::new(Launch::new(program(), "alone", root.path().join("node")));
        node.found("fruit").await.expect("founded");
        Self::start(node, root).await
    }

    /// Runs a node that was founded in `root`.
    pub(crate) async fn start(mut node: Node, root: tempfile::TempDir) -> Self {
        let reached = node.start().await.expect("started");
        let base = format!("http://{}", reached.run.http[0]);
        let token = std::fs::read_to_string(node.dir().join("api.token")).expect("a token");
        // No CA certificates are needed, and test machines may have none.
        let http = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        Self { node, base, token, http, root }
    }

    /// A file beside the node's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A request without the token. `path` is taken as it is, not tidied.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// A request with the token.
    pub(crate) fn write(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&self.token)
    }

    /// Sets an entry.
    pub(crate) async fn put(&self, path: &str, value: impl Into<reqwest::Body>) -> Value {
        json(self.write(Method::PUT, path).body(value)).await
    }

    /// Reads JSON that must be there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        json(self.request(Method::GET, path)).await
    }
}

/// Sends a request that must succeed and reads its JSON.
pub(crate) async fn json(request: RequestBuilder) -> Value {
    let response = send(request).await;
    let status = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Sends a request that must be refused as a problem; gives its status, kind and detail.
pub(crate) async fn problem(request: RequestBuilder) -> (u16, String, String) {
    let response = send(request).await;
    let status = response.status().as_u16();
    let media_type = response.headers().get("content-type").cloned();
    let text = response.text().await.expect("a body");
    assert_eq!(media_type.expect("a type"), "application/problem+json", "{text}");
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["status"], status, "{text}");
    let kind = problem["type"].as_str().expect("a type").trim_start_matches("urn:problem-type:lattice:");
    (status, kind.to_owned(), problem["detail"].as_str().expect("a detail").to_owned())
}

/// Sends a request that gets some answer.
pub(crate) async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

impl Running {
    /// Runs a command of the program on this node.
    pub(crate) async fn lattice(&self, words: &[&str]) -> Ended {
        self.lattice_with(words, b"").await
    }

    /// Runs a command of the program on this node, giving it `input`.
    pub(crate) async fn lattice_with(&self, words: &[&str], input: &[u8]) -> Ended {
        ended(self.command(words), input).await
    }

    /// A command of the program on this node.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = lattice(words);
        command.arg("--dir").arg(self.node.dir());
        command
    }
}
