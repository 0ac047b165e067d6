//! What a node holds at the end against what was acknowledged.

use std::collections::BTreeMap;

use super::ScenarioError;
use crate::client::Entry;
use crate::model::Model;
use crate::process::Node;

/// Where a node's values differ from the model, and what it suspects.
pub(super) async fn differences(node: &Node, model: &Model) -> Result<Vec<String>, ScenarioError> {
    let unreadable = |error| ScenarioError::Unreadable { node: node.name().to_owned(), error };
    let Some(reached) = node.reached() else {
        return Ok(vec![format!("{}: does not run", node.name())]);
    };
    let entries = reached.client.entries("").await.map_err(unreadable)?;
    let values: BTreeMap<String, String> = entries.into_iter().map(shown).collect();
    let mut differences = model.differences(node.name(), &values);
    // Honest nodes on good disks: whatever is suspected here is a bug.
    let status = reached.client.status().await.map_err(unreadable)?;
    if status.divergences > 0 || !status.equivocations.is_empty() {
        let (found, forked) = (status.divergences, status.equivocations.len());
        differences.push(format!("{}: {found} divergences, {forked} authors with a forked chain", node.name()));
    }
    Ok(differences)
}

fn shown((key, entry): (String, Entry)) -> (String, String) {
    let value = entry.shown().to_owned();
    (key, value)
}
