//! A lattice with a seat: who holds it, who mirrors it, and clients that count.

use std::path::Path;
use std::time::Duration;

use testnet::client::{Client, ClientError, Level};
use testnet::cluster::wait_until_settled;
use testnet::deadline;
use testnet::network::{Network, found_and_join};
use testnet::process::Node;
use testnet::seat::{Seat, Standing, found};
use testnet::skipping::{NAMESPACES, skip};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A takeover takes less than 3 s; the rest is for a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Of five nodes, the one at which clients write: a member that votes and is no mirror.
pub(crate) const CLIENT: usize = 4;

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// Running nodes, the first of which founded the seat and holds it.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) seat: Seat,
    _root: tempfile::TempDir,
}

impl World {
    /// `nodes` nodes: the first holds, `mirrors` in their order mirror, and the first votes together with the last two.
    pub(crate) async fn of(nodes: usize, mirrors: &[usize]) -> Self {
        let world = Self::without_seat(nodes).await;
        world.create(mirrors).await;
        world
    }

    /// `nodes` nodes, and no seat yet.
    pub(crate) async fn without_seat(nodes: usize) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        Self::below(root, nodes).await
    }

    /// As [`World::of`], and the nodes write down what `filter` lets through.
    pub(crate) async fn logging(nodes: usize, mirrors: &[usize], filter: &str) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let nodes = found(program(), root.path(), nodes, &["--log", filter]).await.expect("started");
        let seat = Seat::of(&nodes).await.expect("admin sockets");
        let world = Self { nodes, seat, _root: root };
        world.create(mirrors).await;
        world
    }

    /// The same in directories `node-1`, `node-2`… of `root`.
    pub(crate) async fn below(root: tempfile::TempDir, nodes: usize) -> Self {
        let nodes = found(program(), root.path(), nodes, &[]).await.expect("started");
        let seat = Seat::of(&nodes).await.expect("admin sockets");
        Self { nodes, seat, _root: root }
    }

    /// As [`World::of`], each node in a network namespace of its own; `None`, with the reason printed, where there are none.
    pub(crate) async fn apart(nodes: u8, mirrors: &[usize]) -> Option<(Self, Network)> {
        let network = match Network::with_firewalls(nodes) {
            Ok(network) => network,
            Err(reason) => {
                skip(NAMESPACES, &reason);
                return None;
            }
        };
        let root = tempfile::tempdir().expect("a temporary directory");
        let nodes = found_and_join(&network, program(), root.path(), &[]).await.expect("started");
        let seat = Seat::of(&nodes).await.expect("admin sockets");
        let world = Self { nodes, seat, _root: root };
        world.create(mirrors).await;
        Some((world, network))
    }

    /// Founds the seat and waits until it is served and mirrored.
    pub(crate) async fn create(&self, mirrors: &[usize]) {
        wait_until_settled(&self.nodes, SOON).await.expect("all know all");
        let last = self.nodes.len() - 1;
        self.seat.create(0, mirrors, &[0, last - 1, last]).await.expect("created");
        self.steady().await;
    }

    /// Waits until the seat is served and mirrored.
    pub(crate) async fn steady(&self) -> Standing {
        self.seat.steady(&self.nodes, SOON).await.unwrap_or_else(|late| panic!("{late}\n{}", self.logs()))
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        self.nodes[node].reached().expect("it runs").client
    }

    /// Writes at `shadow` until it is acknowledged; gives the commit.
    pub(crate) async fn put(&self, node: usize, key: &str, value: &str) -> String {
        let client = self.client(node);
        let put = deadline::until(SOON, async || {
            client.put_at(Level::Shadow, key, value, key).await.map_err(|error| error.to_string())
        });
        put.await.unwrap_or_else(|late| panic!("{late}\n{}", self.logs())).commit
    }

    /// The holder names another shadow, and no spares.
    pub(crate) async fn name_shadow(&self, holder: usize, shadow: usize) {
        let order = serde_json::json!({ "shadow": self.seat.author(shadow) });
        let named = self.seat.admin(holder).post::<serde_json::Value>("/seat/mirrors", order).await;
        named.unwrap_or_else(|refused| panic!("{refused}\n{}", self.logs()));
    }

    /// Kills a node and starts it without its database.
    pub(crate) async fn lose_database(&mut self, node: usize) {
        self.nodes[node].kill().await;
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            // A log that was written back is gone already.
            let _ = std::fs::remove_file(self.nodes[node].dir().join(file));
        }
        self.nodes[node].listen().await.expect("started");
    }

    /// Waits until one node says that the term has come so far. On a busy machine a lease may run out: the term goes on.
    pub(crate) async fn term_becomes(&self, node: usize, term: u64) {
        let known = deadline::until(SOON, async || {
            let status = self.seat.admin(node).seat().await.map_err(|error| error.to_string())?;
            if status.term >= term { Ok(()) } else { Err(format!("term {}", status.term)) }
        });
        known.await.unwrap_or_else(|late| panic!("{late}\n{}", self.logs()));
    }

    /// Waits until all nodes have one state, mirrors too, and nothing is on its way.
    pub(crate) async fn one_root(&self) {
        let agreed = deadline::until(SOON, async || {
            let mut roots = Vec::new();
            for node in 0..self.nodes.len() {
                let status = self.seat.admin(node).seat().await.map_err(|error| error.to_string())?;
                roots.push((status.state_root, status.staged));
            }
            let is_one = roots.iter().all(|root| root.0 == roots[0].0 && root.1 == 0);
            if is_one { Ok(()) } else { Err(format!("{roots:?}")) }
        });
        agreed.await.unwrap_or_else(|late| panic!("{late}\n{}", self.logs()));
    }

    /// Whether the holder has exactly this commit at a key.
    pub(crate) async fn has(&self, node: usize, key: &str, commit: &str) {
        assert_eq!(self.standing(node, key).await.as_deref(), Some(commit), "{key}");
    }

    /// Whether the holder has nothing at a key.
    pub(crate) async fn has_none(&self, node: usize, key: &str) {
        assert_eq!(self.standing(node, key).await, None, "{key}");
    }

    /// The commit of the entry that the holder has at a key.
    async fn standing(&self, node: usize, key: &str) -> Option<String> {
        let client = self.client(node);
        let read = deadline::until(SOON, async || client.entry_at_seat(key).await.map_err(|error| error.to_string()));
        let entry = read.await.unwrap_or_else(|late| panic!("{late}\n{}", self.logs()));
        entry.map(|entry| entry.commit)
    }

    /// How often a node was seeded.
    pub(crate) fn seeds(&self, node: usize) -> usize {
        let log = std::fs::read_to_string(self.nodes[node].dir().join("stderr.log")).expect("a log");
        log.matches("seeded: this node mirrors the holder").count()
    }

    /// Clients that write ordinary entries at a node, each over and over at one key, until this is dropped.
    pub(crate) fn write_on(&self, node: usize, clients: usize) -> JoinSet<()> {
        let writing = |number| {
            let client = self.client(node);
            async move {
                for n in 0.. {
                    client.put(&format!("ordinary/{number}"), &n.to_string()).await.expect("acknowledged");
                }
            }
        };
        (0..clients).map(writing).collect()
    }

    pub(crate) fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("--- {}\n{}", node.name(), node.log_tail())).collect::<Vec<_>>().join("\n")
    }
}

/// What becomes of a write that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is sent again under its name.
    Repeats,
    /// The test fails.
    None,
}

/// Writes one number after the other at `shadow`, each at a key of its own, until `stop`; counts the acknowledgements, and
/// gives keys and commits.
pub(crate) async fn count_up(
    client: Client,
    patience: Patience,
    counted: &watch::Sender<usize>,
    stop: watch::Receiver<bool>,
) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    while !*stop.borrow() {
        let key = format!("green/count/{:05}", acknowledged.len());
        let written = deadline::until(SOON, async || {
            let answer = client.put_at(Level::Shadow, &key, "counted", &key).await;
            match answer {
                Ok(receipt) => Ok(receipt.commit),
                Err(error @ ClientError::Refused { status: ..500, .. }) => panic!("{key}: {error}"),
                Err(error) if patience == Patience::None => panic!("{key}: {error}"),
                Err(error) => Err(error.to_string()),
            }
        });
        let commit = written.await.unwrap_or_else(|late| panic!("{key}: {late}"));
        acknowledged.push((key, commit));
        counted.send_replace(acknowledged.len());
    }
    acknowledged
}

/// Waits until that many more are acknowledged than now.
pub(crate) async fn more(counted: &mut watch::Receiver<usize>, more: usize) {
    let goal = *counted.borrow() + more;
    let reached = tokio::time::timeout(SOON, counted.wait_for(|count| *count >= goal)).await;
    reached.expect("acknowledged in time").expect("the client counts");
}

/// Runs a story while a client counts up at [`CLIENT`], with `some` acknowledgements before and after it; then everything
/// acknowledged is there and all states are one.
pub(crate) async fn while_counting(
    mut world: World,
    some: usize,
    story: impl AsyncFnOnce(&mut World, &mut watch::Receiver<usize>),
) -> World {
    let (counter, mut counted) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let client = count_up(world.client(CLIENT), Patience::Repeats, &counter, stopped);
    let telling = async {
        more(&mut counted, some).await;
        story(&mut world, &mut counted).await;
        more(&mut counted, some).await;
        stop.send_replace(true);
    };
    let (acknowledged, ()) = tokio::join!(client, telling);
    world.steady().await;
    for (key, commit) in &acknowledged {
        world.has(CLIENT, key, commit).await;
    }
    world.one_root().await;
    world
}
