//! A real Prometheus, with the configuration that is shipped, scrapes a real node.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testnet::deadline;
use testnet::process::{Launch, Node, lasting_port};
use testnet::skipping::{PROMETHEUS, skip};
use tokio::process::Command;

use crate::scrapes::program;

/// Time for Prometheus to start and to scrape twice.
const SOON: Duration = Duration::from_secs(90);

/// What the shipped configuration says of where to find the nodes.
const TARGETS: &str = "/tmp/targets.json";

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_a_node_and_computes_the_rules() {
    if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_err() {
        return skip(PROMETHEUS, &"prometheus is not installed (on Debian: apt-get install prometheus)");
    }
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::new(Launch::new(program(), "alone", root.path().join("node")));
    node.found("fruit").await.expect("founded");
    let address = node.start().await.expect("started").run.http[0].clone();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testnet/prometheus");
    for name in ["rules.yml", "alerts.yml", "prometheus.yml"] {
        let text = std::fs::read_to_string(shipped.join(name)).expect("shipped");
        let text = text.replace(TARGETS, "targets.json").replace("interval: 5s", "interval: 1s");
        std::fs::write(root.path().join(name), text).expect("written");
    }
    std::fs::write(root.path().join("targets.json"), format!("[{{\"targets\": [\"{address}\"]}}]")).expect("written");
    let port = lasting_port();
    let mut prometheus = Command::new("prometheus")
        .current_dir(root.path())
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--log.level=warn"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(root.path().join("prometheus.log")).expect("a log"))
        .kill_on_drop(true)
        .spawn()
        .expect("it was there a moment ago");
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let ask = async |query: &str| -> Result<Option<String>, String> {
        let url = format!("http://127.0.0.1:{port}/api/v1/query?query={}", node::cli::client::encoded(query));
        let answer = http.get(url).send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        Ok(answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned))
    };
    let seen = deadline::until(SOON, async || {
        for (query, value) in [
            ("up{job=\"lattice\"}", "1"),
            ("lattice_ready", "1"),
            ("job:lattice_nodes_accounted:count", "1"),
            ("instance:lattice_in_agreement:bool", "1"),
            ("count(lattice_node_info)", "1"),
        ] {
            let found = ask(query).await?;
            if found.as_deref() != Some(value) {
                return Err(format!("{query} is {found:?}"));
            }
        }
        Ok(())
    });
    let seen = seen.await;
    let log = std::fs::read_to_string(root.path().join("prometheus.log")).unwrap_or_default();
    assert_eq!(seen, Ok(()), "{log}");
    assert_eq!(ask("count(ALERTS{alertstate=\"firing\"})").await, Ok(None), "a lone node is nobody's alarm");
    prometheus.kill().await.expect("ended");
    node.stop().await;
}
