//! What a node holds at the end against what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;

use super::ScenarioError;
use crate::client::{Client, Entry, SeatEntry};
use crate::deadline;
use crate::model::Model;
use crate::process::Node;
use crate::seat::{AdminError, Seat};

/// Reads under the holder's lease that are on their way at once.
const READS_AT_ONCE: usize = 32;

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

/// Those of the seat's `keys` that are there, as the holder has them under its lease, asked of any member.
pub(super) async fn at_seat(
    member: &Client,
    keys: BTreeSet<String>,
    patience: Duration,
) -> Result<BTreeMap<String, SeatEntry>, ScenarioError> {
    let reads = keys.into_iter().map(async |key| {
        let read =
            deadline::until(patience, async || member.entry_at_seat(&key).await.map_err(|error| error.to_string()));
        (key.clone(), read.await)
    });
    let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
    let mut found = BTreeMap::new();
    while let Some((key, read)) = reads.next().await {
        let entry = read.map_err(|late| ScenarioError::Late { what: "a key cannot be read", late })?;
        found.extend(entry.map(|entry| (key, entry)));
    }
    Ok(found)
}

/// Ids of all commits in quarantine at any of the nodes.
pub(super) async fn quarantined(seat: &Seat, nodes: usize) -> Result<BTreeSet<String>, AdminError> {
    let mut all = BTreeSet::new();
    for node in 0..nodes {
        let commits = seat.admin(node).quarantine().await?;
        all.extend(commits.into_iter().map(|one| one.commit));
    }
    Ok(all)
}
