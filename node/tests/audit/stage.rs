//! One founded node that runs for a test, its policy in a file, and the program run as an auditor does.

use std::path::PathBuf;

use lattice::genesis::Genesis;
use lattice::log::checkpoint::{SignedCheckpoint, origin};
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use serde_json::Value;
use testnet::client::Client;
use testnet::deadline;
use testnet::process::{Launch, Node};

use crate::following::keys;
use crate::program::{Ended, SOON, ended, lattice as program_with, program};

/// The token with which the whole state is read.
const READ_TOKEN: &str = "abababababababababababababababababababababababababababababababab";

/// A node alone in its lattice. Dropping it kills the process and removes the directory.
pub(crate) struct Stage {
    pub(crate) node: Node,
    root: tempfile::TempDir,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The words of its alarms.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let json = self.json();
        let word = |alarm: &Value| alarm["word"].as_str().expect("a word").to_owned();
        json["alarms"].as_array().expect("alarms").iter().map(word).collect()
    }
}

impl Stage {
    /// Founds a node, lets auditors read its state, and runs it.
    pub(crate) async fn set() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let node = Node::new(Launch::new(program(), "alone", root.path().join("node")));
        node.found("audited").await.expect("founded");
        let mut stage = Self { node, root };
        for file in [stage.node.dir().join("read.token"), stage.file("read.token")] {
            std::fs::write(&file, READ_TOKEN).expect("written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, mode).expect("private");
        }
        stage.start().await;
        let shown = stage.lattice(&["policy", "show"]).await;
        assert_eq!(shown.code, 0, "{shown:?}");
        std::fs::write(stage.file("policy"), &shown.stdout).expect("written");
        stage
    }

    pub(crate) async fn start(&mut self) {
        self.node.launch_mut().options = ["--checkpoint-ms", "100"].map(str::to_owned).to_vec();
        self.node.start().await.expect("started");
        self.signed().await;
    }

    /// A file beside the node's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Its name as text.
    pub(crate) fn named(&self, name: &str) -> String {
        self.file(name).to_str().expect("text").to_owned()
    }

    pub(crate) fn client(&self) -> Client {
        self.node.reached().expect("it runs").client
    }

    pub(crate) fn url(&self) -> String {
        self.client().url().as_str().trim_end_matches('/').to_owned()
    }

    pub(crate) async fn put(&self, key: &str, value: &str) {
        self.client().put(key, value).await.expect("acknowledged");
    }

    /// Waits until all that was acknowledged stands under a checkpoint.
    pub(crate) async fn signed(&self) {
        let client = self.client();
        let is_signed = async || {
            let status = client.status().await.map_err(|error| error.to_string())?;
            match size_of(&self.checkpoint().await) {
                size if size >= status.log_size => Ok(()),
                size => Err(format!("{size} of {} records signed", status.log_size)),
            }
        };
        deadline::until(SOON, is_signed).await.unwrap_or_else(|late| panic!("{late}"));
    }

    /// The node's checkpoint; nothing before the first.
    pub(crate) async fn checkpoint(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        let answer = client.get(format!("{}/checkpoint", self.url())).send().await.expect("an answer");
        answer.text().await.expect("text")
    }

    /// Runs the program on this node's directory.
    pub(crate) async fn lattice(&self, words: &[&str]) -> Ended {
        let mut command = program_with(words);
        command.arg("--dir").arg(self.node.dir());
        ended(command, b"").await
    }

    /// Audits once at this URL, with a state file and JSON.
    pub(crate) async fn audit_at(&self, url: &str, more: &[&str]) -> Ended {
        let (policy, state) = (self.named("policy"), self.named("audit.json"));
        let words = ["audit", url, "--policy", &policy, "--state", &state, "--once", "--json"];
        let grace: &[&str] = if more.contains(&"--grace") { &[] } else { &["--grace", "1"] };
        ended(program_with(&[&words[..], more, grace].concat()), b"").await
    }

    pub(crate) async fn verify(&self, file: &str, more: &[&str]) -> Ended {
        let (file, policy) = (self.named(file), self.named("policy"));
        ended(program_with(&[&["verify", &file, "--policy", &policy], more].concat()), b"").await
    }
}

pub(crate) fn size_of(checkpoint: &str) -> u64 {
    checkpoint.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_default()
}

/// Evidence that the stage's log has two histories, made with its own key.
pub(crate) fn evidence(stage: &Stage, size: u64) -> ForkEvidence {
    let (name, log) = own_log(stage);
    let keys = keys(stage.node.dir());
    let signed = |root| SignedCheckpoint::sign(&name, size, [root; 32], &keys.log);
    ForkEvidence::new(&signed(1), &signed(2), None, &log).expect("a fork")
}

/// Name and key of the stage's log.
pub(crate) fn own_log(stage: &Stage) -> (KeyName, VerifierKey) {
    let genesis = std::fs::read(stage.node.dir().join("genesis.cbor")).expect("a genesis");
    let keys = keys(stage.node.dir());
    let name = origin(&Genesis::decode(&genesis).expect("canonical").id(), &keys.author.id(), 1);
    let key = VerifierKey::new(name.clone(), KeyKind::Log, keys.log_key().0).expect("a key");
    (name, key)
}
