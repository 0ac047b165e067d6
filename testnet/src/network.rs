//! Links that can really be cut: every node in a network namespace of its own, all on one bridge.
//!
//! A proxy in front of a node does not do: nodes tell each other their addresses and soon connect past it. Here a cut
//! drops packets without a word, as a broken cable does, while the harness still reaches every node. Linux only, needs
//! root and iproute2; where that is missing, [`Network::new`] says so and tests skip with that reason.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Nodes on one bridge: addresses from 1, moved nodes from 101, the harness at 254.
const NODES_MAX: u8 = 100;

/// Tells networks of one process apart.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Why there is no network to cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no network namespaces here: `{command}` says {detail}")]
pub struct NoNetwork {
    /// What was tried.
    command: String,
    /// What it said.
    detail: String,
}

/// A bridge with one namespace per node. Dropping it removes both.
#[derive(Debug)]
pub struct Network {
    tag: String,
    prefix: [u8; 3],
    nodes: u8,
}

impl Network {
    /// A network for `nodes` nodes, all links up.
    ///
    /// # Errors
    /// If this machine does not allow it.
    ///
    /// # Panics
    /// With more than 100 nodes.
    pub fn new(nodes: u8) -> Result<Self, NoNetwork> {
        assert!(nodes <= NODES_MAX, "a test network holds 100 nodes");
        let (pid, number) = (std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let [.., middle, low] = (pid.wrapping_add(number << 8)).to_be_bytes();
        let network = Self { tag: format!("lt{pid}n{number}"), prefix: [10, 64 + middle % 128, low], nodes };
        let bridge = network.bridge();
        run(&format!("ip link add {bridge} type bridge"))?;
        run(&format!("ip address add {}/24 dev {bridge}", network.ip(254)))?;
        run(&format!("ip link set {bridge} up"))?;
        for node in 1..=nodes {
            network.attach(node)?;
        }
        Ok(network)
    }

    fn attach(&self, node: u8) -> Result<(), NoNetwork> {
        let (space, link, bridge) = (self.namespace(node), self.link(node), self.bridge());
        run(&format!("ip netns add {space}"))?;
        run(&format!("ip link add {link} type veth peer name eth0 netns {space}"))?;
        run(&format!("ip link set {link} master {bridge} up"))?;
        run(&format!("ip -n {space} link set lo up"))?;
        run(&format!("ip -n {space} address add {}/24 dev eth0", self.ip(node)))?;
        run(&format!("ip -n {space} link set eth0 up"))
    }

    /// Runs a program where `node` (from 1) lives.
    pub fn within(&self, node: u8) -> Vec<OsString> {
        ["ip", "netns", "exec", &self.namespace(node)].map(OsString::from).to_vec()
    }

    /// The first address of a node (from 1).
    pub fn ip(&self, node: u8) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, node)
    }

    /// Gives a node another address; what was bound to the old one is cut off. Returns the new one.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn readdress(&self, node: u8) -> Result<Ipv4Addr, NoNetwork> {
        let (space, new) = (self.namespace(node), self.ip(NODES_MAX + node));
        run(&format!("ip -n {space} address flush dev eth0"))?;
        run(&format!("ip -n {space} address add {new}/24 dev eth0"))?;
        Ok(new)
    }

    /// Cuts all links between nodes: packets vanish, nobody is told. The harness still reaches each node.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn cut(&self) -> Result<(), NoNetwork> {
        self.isolate("on")
    }

    /// Puts all links back.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn heal(&self) -> Result<(), NoNetwork> {
        self.isolate("off")
    }

    fn isolate(&self, switch: &str) -> Result<(), NoNetwork> {
        (1..=self.nodes).try_for_each(|node| run(&format!("bridge link set dev {} isolated {switch}", self.link(node))))
    }

    fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    fn link(&self, node: u8) -> String {
        format!("{}v{node}", self.tag)
    }

    fn namespace(&self, node: u8) -> String {
        format!("{}-{node}", self.tag)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A part that was never made cannot be removed; there is nobody to tell.
        for node in 1..=self.nodes {
            let _ = run(&format!("ip link delete {}", self.link(node)));
            let _ = run(&format!("ip netns delete {}", self.namespace(node)));
        }
        let _ = run(&format!("ip link delete {}", self.bridge()));
    }
}

fn run(command: &str) -> Result<(), NoNetwork> {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let failed = |detail: String| NoNetwork { command: command.to_owned(), detail };
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
