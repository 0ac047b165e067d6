//! Scrapes of a lattice of real processes: the rules hold, and figures count what happened.

use std::time::Duration;

use testnet::cluster::{Cluster, wait_until_equal_roots};
use testnet::deadline;
use testnet::process::{Node, lasting_port};

use crate::openmetrics::{Scrape, faults};

/// Time for something that must come about; only a broken node takes it.
const SOON: Duration = Duration::from_secs(90);

/// The program under test.
pub(crate) fn program() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// Asks a node for its figures.
pub(crate) async fn scrape(node: &Node) -> String {
    answered(node).await.expect("an answer")
}

/// The same of a node that may not serve its API yet.
pub(crate) async fn answered(node: &Node) -> Result<String, reqwest::Error> {
    let address = node.reached().expect("a running node").run.http[0].clone();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let answer = http.get(format!("http://{address}/metrics")).send().await?;
    let media_type = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
    answer.text().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_keeps_the_rules_counts_what_happened_and_never_goes_back() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    // The second also asks the first over HTTP.
    let url = format!("http://{}", cluster.nodes()[0].reached().expect("it runs").run.http[0]);
    let second = &mut cluster.nodes_mut()[1];
    second.stop().await;
    let launch = second.launch_mut();
    launch.http = format!("127.0.0.1:{}", lasting_port());
    launch.options = ["--node", &url, "--heartbeat-ms", "200"].map(String::from).to_vec();
    second.start().await.expect("started again");
    wait_until_equal_roots(cluster.nodes(), SOON).await.expect("in step");

    let before = Scrape::read(&scrape(&cluster.nodes()[1]).await);
    assert_eq!(faults(&before), Vec::<String>::new());
    let writer = cluster.nodes()[0].reached().expect("it runs").client;
    let mut written = 0;
    let counted = deadline::until(SOON, async || {
        // The mesh may still form: what is written meanwhile comes by reconcile.
        written += 1;
        writer.put(&format!("k{written}"), "v").await.map_err(|error| error.to_string())?;
        let after = Scrape::read(&scrape(&cluster.nodes()[1]).await);
        let grown = |series: &str| after.value(series).unwrap_or_default() - before.value(series).unwrap_or_default();
        let missing: Vec<_> = [
            ("lattice_apply_seconds_count", 1.0),
            ("lattice_gossip_to_durable_seconds_count", 1.0),
            ("lattice_commits_total", 5.0),
            ("lattice_heartbeat_seconds_count", 1.0),
        ]
        .into_iter()
        .filter(|(series, least)| grown(series) < *least)
        .collect();
        if missing.is_empty() { Ok(after) } else { Err(format!("{missing:?}")) }
    });
    let after = counted.await.expect("counted");
    assert_eq!(faults(&after), Vec::<String>::new());
    assert!(after.value("lattice_state_entries") > before.value("lattice_state_entries"));
    let other = Scrape::read(&scrape(&cluster.nodes()[0]).await);
    let sessions = [&after, &other].map(|scrape| scrape.value("lattice_reconcile_seconds_count").expect("exported"));
    assert!(sessions.iter().sum::<f64>() > 0.0, "one of them began the session that brought the first entries");
    assert_eq!(after.value("lattice_mode{mode=\"p2p\"}"), Some(1.0));
    let beats = format!("lattice_http_beats_total{{peer=\"{url}\"");
    assert!(after.growing().any(|(series, count)| series.starts_with(&beats) && count > 0.0), "{beats}");
    assert!(after.families.keys().any(|name| name.starts_with("libp2p_swarm_")), "libp2p's own figures are there");
    for (series, was) in before.growing() {
        let is = after.value(series).unwrap_or_else(|| panic!("{series} is gone"));
        assert!(is >= was, "{series} went back from {was} to {is}");
    }
    cluster.stop().await;
}
