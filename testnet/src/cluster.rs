//! Several nodes that founded and joined one lattice, and the question whether they agree.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::{join_all, try_join_all};

use crate::client::Status;
use crate::deadline;
use crate::process::{Launch, Node, StartError, Stopped};

/// What a testnet's lattice is called.
const LATTICE_NAME: &str = "testnet";

/// Nodes of one lattice in directories `node-1`, `node-2`, … below one root. The first one founded it.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    root: PathBuf,
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts `nodes` nodes and waits until each is ready. Directories that hold a node already are used as they are.
    ///
    /// # Errors
    /// If one of them cannot be started; the others are killed.
    pub async fn start(program: &Path, root: &Path, nodes: usize) -> Result<Self, StartError> {
        let launch = |number| Launch::new(program, name(number), root.join(name(number)));
        let mut first = Node::new(launch(1));
        if !first.exists() {
            first.found(LATTICE_NAME).await?;
        }
        first.start().await?;
        let others = try_join_all((2..=nodes).map(|number| started(&first, launch(number)))).await?;
        let nodes = std::iter::once(first).chain(others).collect();
        Ok(Self { program: program.into(), root: root.into(), nodes })
    }

    /// Invites one more node and starts it. Returns its index.
    ///
    /// # Errors
    /// If it cannot join or start.
    pub async fn admit(&mut self) -> Result<usize, StartError> {
        let name = name(self.nodes.len() + 1);
        let launch = Launch::new(&self.program, name.clone(), self.root.join(name));
        let node = started(&self.nodes[0], launch).await?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// All nodes, the founder first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes, to pause, kill or start.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Stops all nodes at once, each as [`Node::stop`] does.
    pub async fn stop(&mut self) -> Vec<(String, Stopped)> {
        join_all(self.nodes.iter_mut().map(async |node| (node.name().to_owned(), node.stop().await))).await
    }
}

/// A node that joined through `host`, if it has not before, and runs. It also dials the host's present address: ports
/// are chosen anew at every start, and the ticket knows only the first.
async fn started(host: &Node, launch: Launch) -> Result<Node, StartError> {
    let mut node = Node::new(launch);
    if !node.exists() {
        node.join(&host.invite().await?).await?;
    } else if let Some(reached) = host.reached() {
        node.launch_mut().peers = reached.run.p2p;
    }
    node.start().await?;
    Ok(node)
}

fn name(number: usize) -> String {
    format!("node-{number}")
}

/// What all nodes agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The state root.
    pub root: String,
    /// Entries, tombstones included.
    pub entries: u64,
    /// What each node said when they agreed, in the order of the nodes.
    pub statuses: Vec<Status>,
}

/// The nodes still differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Disagreement {
    /// How long was waited.
    pub waited: Duration,
    /// What each node said last.
    pub lines: Vec<String>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no agreement within {} s: {}", self.waited.as_secs(), self.lines.join("; "))
    }
}

/// Waits until all nodes have the same root and entry count.
///
/// # Errors
/// Root, entries and peers of each node, if they still differ after `limit`.
pub async fn wait_until_equal_roots(nodes: &[Node], limit: Duration) -> Result<Agreement, Disagreement> {
    wait_for_agreement(nodes, limit, |_| true).await
}

/// Waits until all nodes have the same root and entry count, and each has a lattice connection to every other.
///
/// # Errors
/// As [`wait_until_equal_roots`].
pub async fn wait_until_settled(nodes: &[Node], limit: Duration) -> Result<Agreement, Disagreement> {
    let others = nodes.len() as u64 - 1;
    wait_for_agreement(nodes, limit, |status| status.peers.lattice == others).await
}

async fn wait_for_agreement(
    nodes: &[Node],
    limit: Duration,
    is_settled: impl Fn(&Status) -> bool,
) -> Result<Agreement, Disagreement> {
    let mut lines = Vec::new();
    let agreed = deadline::until(limit, async || {
        let statuses = statuses(nodes).await;
        lines = nodes.iter().zip(&statuses).map(|(node, status)| line(node.name(), status)).collect();
        let statuses: Vec<Status> =
            statuses.into_iter().collect::<Result<_, _>>().map_err(|_| "a node is silent".to_owned())?;
        if !statuses.iter().all(&is_settled) {
            return Err("not settled".to_owned());
        }
        agreement(statuses).ok_or_else(|| "roots differ".to_owned())
    })
    .await;
    agreed.map_err(|late| Disagreement { waited: late.waited, lines })
}

/// What each node says of itself, or why it says nothing.
pub async fn statuses(nodes: &[Node]) -> Vec<Result<Status, String>> {
    join_all(nodes.iter().map(async |node| match node.reached() {
        Some(reached) => reached.client.status().await.map_err(|error| error.to_string()),
        None => Err("does not run".to_owned()),
    }))
    .await
}

fn agreement(statuses: Vec<Status>) -> Option<Agreement> {
    let states: BTreeSet<_> = statuses.iter().map(|status| (&status.state_root, status.entries)).collect();
    let (root, entries) = states.first().map(|(root, entries)| ((*root).clone(), *entries))?;
    (states.len() == 1).then_some(Agreement { root, entries, statuses })
}

fn line(name: &str, status: &Result<Status, String>) -> String {
    match status {
        Ok(status) => format!(
            "{name}: root {} with {} entries, {} of {} peers are lattice peers",
            status.state_root, status.entries, status.peers.lattice, status.peers.connected
        ),
        Err(silence) => format!("{name}: {silence}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn status(root: &str, entries: u64) -> Status {
        let peers = r#"{"configured":1,"connected":2,"lattice":1,"mesh":1,"in_sync":0}"#;
        let text = format!(
            r#"{{"name":"n","peer_id":"p","state_root":"{root}","entries":{entries},"log_size":0,"seq":0,
                "ready":true,"write_refusal":null,"peers":{peers},"divergences":0,"equivocations":[],"addresses":[]}}"#
        );
        serde_json::from_str(&text).expect("a status")
    }

    #[test]
    fn agreement_needs_the_same_root_and_the_same_count() {
        assert!(agreement(vec![status("a", 1), status("a", 1)]).is_some());
        assert!(agreement(vec![status("a", 1), status("b", 1)]).is_none());
        assert!(agreement(vec![status("a", 1), status("a", 2)]).is_none());
        assert!(agreement(Vec::new()).is_none());
    }

    #[test]
    fn a_disagreement_names_every_node() {
        let lines = vec![line("node-1", &Ok(status("a", 1))), line("node-2", &Err("does not run".into()))];
        let text = Disagreement { waited: Duration::from_secs(3), lines }.to_string();
        assert!(text.contains("node-1: root a with 1 entries, 1 of 2 peers"), "{text}");
        assert!(text.contains("node-2: does not run"), "{text}");
    }
}
