//! What an audit of running nodes says, in words and in JSON.

use lattice::bundle::time;
use serde_json::{Value, json};

use super::deep::DeepView;
use super::finding::Finding;
use super::look::{Look, NodeView};
use crate::cli::text::{counted, grouped, short, table, visible};

pub(super) fn object(verdict: &str, look: &Look, reports: &[DeepView]) -> Value {
    json!({
        "verdict": verdict,
        "time_ms": look.at_ms,
        "nodes": look.nodes,
        "deep": reports,
        "alarms": look.weighed.alarms,
        "pending": look.weighed.pending,
    })
}

pub(super) fn words(look: &Look, reports: &[DeepView]) -> String {
    let mut text = table(&look.nodes.iter().map(node_in_words).collect::<Vec<_>>());
    for report in reports {
        text.push_str(&deep_words(report));
        text.push('\n');
    }
    for finding in &look.weighed.pending {
        text.push_str(&format!("not yet: {}\n", in_words(finding)));
    }
    for finding in &look.weighed.alarms {
        text.push_str(&format!("ALARM {}\n", in_words(finding)));
    }
    if look.weighed.alarms.is_empty()
        && look.weighed.pending.is_empty()
        && reports.iter().all(|r| r.could_not.is_none())
    {
        text.push_str("all well\n");
    }
    text
}

pub(super) fn in_words(finding: &Finding) -> String {
    visible(&format!("{} at {}: {}", finding.kind.word(), finding.at, finding.sentence))
}

fn node_in_words(node: &NodeView) -> Vec<String> {
    let log = match (&node.log, node.size) {
        (Some(log), Some(size)) => format!("log {} of {}", visible(log), counted(size, "record", "records")),
        _ if node.answered => "no log that the policy accepts".to_owned(),
        _ => "no answer".to_owned(),
    };
    let state = node.state_root.as_deref().map_or_else(String::new, |root| format!("state {}", short(root)));
    vec![visible(&node.url), log, counted(node.witnesses, "witness", "witnesses"), state]
}

pub(super) fn deep_words(report: &DeepView) -> String {
    let mut text = format!("{}: {} hashed again", visible(&report.url), counted(report.records, "record", "records"));
    if let (Some(records), Some(ms)) = (report.went_on_at, report.went_on_from_ms) {
        let first = counted(records, "record", "records");
        text.push_str(&format!(" (the first {first} before {}, this went on behind them)", time(ms)));
    }
    if let Some(root) = &report.state_root {
        let (entries, commits) = (grouped(report.entries), counted(report.commits, "commit", "commits"));
        text.push_str(&format!(", {entries} entries of {commits} verified, state {}", visible(root)));
    }
    if let Some(why) = &report.began_anew {
        text.push_str(&format!("; from the first on, since {}", visible(why)));
    }
    if let Some(why) = &report.could_not {
        text.push_str(&format!("; could not go on: {}", visible(why)));
    }
    text
}
