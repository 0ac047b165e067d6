//! What is built upon the figures names nothing that no node exports, and sends nobody to a page that is not there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testnet::cluster::Cluster;

use crate::openmetrics::Scrape;
use crate::scrapes::{program, scrape};

fn file(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of ours and libp2p's in queries, those of recording rules (with colons) left out.
fn names(queries: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = queries.split(|c| !is_part(c)).filter(|word| !word.contains(':'));
    words.filter(|word| word.starts_with("lattice_") || word.starts_with("libp2p_")).map(str::to_owned).collect()
}

/// Names that recording rules make.
fn recorded(rules: &str) -> BTreeSet<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect()
}

fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&file("testnet/grafana/dashboards/lattice.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_in_rules_and_dashboard_is_exported_by_a_node() {
    let root = tempfile::tempdir().expect("a temporary directory");
    // Some of libp2p's figures begin with the first connection.
    let mut cluster = Cluster::start(program(), root.path(), 2).await.expect("started");
    let exported = Scrape::read(&scrape(&cluster.nodes()[0]).await);
    let rules = file("testnet/prometheus/rules.yml");
    let queries = [rules.clone(), file("testnet/prometheus/alerts.yml"), dashboard_queries().join("\n")].join("\n");
    let expressions: String =
        queries.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    // Prose in annotations names no figures but these.
    let named = names(&expressions);
    let unknown: Vec<_> = named.iter().filter(|name| !exported.exports(name)).collect();
    assert!(named.len() > 20 && unknown.is_empty(), "no node exports {unknown:?}");
    let recorded = recorded(&rules);
    let words = queries.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let used: BTreeSet<_> = words.filter(|word| word.starts_with("instance:") || word.starts_with("job:")).collect();
    assert_eq!(used.difference(&recorded).collect::<Vec<_>>(), Vec::<&&str>::new(), "no rule records them");
    cluster.stop().await;
}

#[test]
fn every_alert_says_what_to_do_and_its_part_of_the_runbook_is_there() {
    let (alerts, runbook) = (file("testnet/prometheus/alerts.yml"), file("docs/RUNBOOK.md"));
    let mut told = BTreeSet::new();
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().expect("a name").trim();
        for part in ["summary: '", "description: '", "labels: {severity: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        assert!(alert.contains(&format!("runbook: docs/RUNBOOK.md#{}\n", name.to_lowercase())), "{name}");
        let (_, entry) =
            runbook.split_once(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("no entry for {name}"));
        let entry = entry.split("\n### ").next().expect("a part");
        for part in ["**Cause.**", "**Check.**", "**Cure.**"] {
            assert!(entry.contains(part), "{part} of {name}");
        }
        let test = file("testnet/prometheus/alerts_test.yml");
        assert!(test.contains(&format!("alertname=\"{name}\"")), "no test fires {name}");
        told.insert(name.to_owned());
    }
    let (_, entries) = runbook.split_once("## Alerts").expect("a chapter");
    let (entries, _) = entries.split_once("\n## ").expect("another");
    let headings: BTreeSet<_> =
        entries.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    assert_eq!(headings, told, "an entry without an alert");
}
