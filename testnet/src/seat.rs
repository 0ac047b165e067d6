//! A lattice whose nodes keep their addresses, so that any of them may be killed and come back; and orders about its seat.

mod admin;

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

pub use admin::{Admin, AdminError, MirrorLag, Quarantined, SeatStatus};

use crate::deadline;
use crate::process::{Launch, Node, StartError, lasting_port};

/// Silence of a mirror after which it does not count as in step: three of its fetches.
const SILENT_MS: u64 = 1_500;

/// Starts `nodes` nodes of one lattice, in `node-1`, `node-2`, … below `root`. The first founded it. `options` are further
/// arguments of `lattice run`.
///
/// # Errors
/// If one of them cannot be started; the others are killed.
pub async fn found(program: &Path, root: &Path, nodes: usize, options: &[&str]) -> Result<Vec<Node>, StartError> {
    let mut all: Vec<Node> = Vec::new();
    for number in 1..=nodes {
        let name = format!("node-{number}");
        let mut launch = Launch::new(program, name.clone(), root.join(name));
        // A node that comes back is dialled where it was, and a mirror that is shown again listens there.
        launch.p2p = vec![format!("127.0.0.1:{}", lasting_port())];
        launch.http = format!("127.0.0.1:{}", lasting_port());
        launch.options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut node = Node::new(launch);
        match all.first() {
            None => node.found("testnet").await?,
            Some(first) => node.join(&first.invite().await?).await?,
        }
        node.start().await?;
        all.push(node);
    }
    Ok(all)
}

/// Who is what, by index among the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The term.
    pub term: u64,
    /// Who holds the seat.
    pub holder: usize,
    /// Who takes over from it.
    pub shadow: Option<usize>,
    /// Further mirrors.
    pub spares: Vec<usize>,
}

impl Standing {
    /// Shadow and spares.
    pub fn mirrors(&self) -> impl Iterator<Item = usize> + '_ {
        self.shadow.iter().chain(&self.spares).copied()
    }
}

/// The seat of a lattice, asked and ordered about by the admin sockets of its nodes.
#[derive(Debug)]
pub struct Seat {
    admins: Vec<Admin>,
    authors: Vec<String>,
}

impl Seat {
    /// The seat of running nodes, whether there is one yet or not.
    ///
    /// # Errors
    /// What a node said instead of who it is.
    pub async fn of(nodes: &[Node]) -> Result<Self, AdminError> {
        let (mut admins, mut authors) = (Vec::new(), Vec::new());
        for node in nodes {
            admins.push(Admin::of(node.dir())?);
            authors.push(author(node).await?);
        }
        Ok(Self { admins, authors })
    }

    /// The admin socket of a node.
    pub fn admin(&self, node: usize) -> &Admin {
        &self.admins[node]
    }

    /// The author key of a node.
    pub fn author(&self, node: usize) -> &str {
        &self.authors[node]
    }

    /// Founds the seat, by the first node, which is the operator: holder, mirrors in their order, voters.
    ///
    /// # Errors
    /// What the node said.
    pub async fn create(&self, holder: usize, mirrors: &[usize], voters: &[usize]) -> Result<(), AdminError> {
        let named = |nodes: &[usize]| nodes.iter().map(|node| self.authors[*node].clone()).collect::<Vec<_>>();
        let (shadow, spares) = mirrors.split_at(mirrors.len().min(1));
        let typed = json!({ "holder": self.authors[holder], "shadow": named(shadow).first(), "spares": named(spares),
            "voters": named(voters) });
        self.admins[0].post::<serde_json::Value>("/seat/create", typed).await.map(drop)
    }

    /// Waits until the seat is served and every mirror copies it.
    ///
    /// # Errors
    /// What is missing, if it is not so in time.
    pub async fn steady(&self, nodes: &[Node], limit: Duration) -> Result<Standing, deadline::TimedOut> {
        deadline::until(limit, async || self.look(nodes).await).await
    }

    /// Who is what, if the seat is steady; else what is missing.
    ///
    /// # Errors
    /// What is missing.
    pub async fn look(&self, nodes: &[Node]) -> Result<Standing, String> {
        let (holder, status) = self.holder(nodes).await?;
        if status.is_takeover_possible != Some(true) {
            return Err(status.takeover.unwrap_or_else(|| "the holder does not know of a takeover".to_owned()));
        }
        let index = |author: &String| self.authors.iter().position(|known| known == author);
        let standing = Standing {
            term: status.term,
            holder,
            shadow: status.shadow.as_ref().and_then(index),
            spares: status.spares.iter().filter_map(index).collect(),
        };
        for mirror in standing.mirrors() {
            let lag = status.lag.iter().find(|lag| lag.mirror == self.authors[mirror]);
            if lag.is_none_or(|lag| lag.is_seeding || lag.silent_ms > SILENT_MS) {
                return Err(format!("the holder says of {}: {lag:?}", nodes[mirror].name()));
            }
            let own = self.admins[mirror].seat().await.map_err(|error| error.to_string())?;
            if own.term != standing.term || own.lag.first().is_none_or(|lag| lag.is_seeding) {
                return Err(format!("{}: {own:?}", nodes[mirror].name()));
            }
        }
        Ok(standing)
    }

    /// The node that serves the seat, and what it says.
    async fn holder(&self, nodes: &[Node]) -> Result<(usize, SeatStatus), String> {
        let mut said = Vec::new();
        for (index, node) in nodes.iter().enumerate().filter(|(_, node)| node.pid().is_some()) {
            match self.admins[index].seat().await {
                Ok(status) if status.role == "holder" && status.is_serving => return Ok((index, status)),
                Ok(status) => said.push(format!("{}: {}, {}", node.name(), status.role, status.doing)),
                Err(error) => said.push(format!("{}: {error}", node.name())),
            }
        }
        Err(format!("nobody serves the seat: {}", said.join("; ")))
    }
}

async fn author(node: &Node) -> Result<String, AdminError> {
    #[derive(Deserialize)]
    struct Status {
        author: String,
    }
    let output = node.output(&["status", "--json"]).await.map_err(|error| AdminError::Silent(error.to_string()))?;
    let status: Result<Status, _> = serde_json::from_slice(&output.stdout);
    Ok(status.map_err(|error| AdminError::Unreadable(error.to_string()))?.author)
}
