//! Links that can really be cut: every node in a network namespace of its own, all on one bridge.
//!
//! A proxy in front of a node does not do: nodes tell each other their addresses and soon connect past it. Here a cut
//! drops packets without a word, as a broken cable does, while the harness still reaches every node. A node's own
//! firewall cuts finer: libp2p alone, one direction, one peer. Linux only, needs root and iproute2, and nft for the
//! firewalls; where that is missing, [`Network::new`] says so and tests skip with that reason.

mod apart;
mod command;
mod firewall;
mod nat;
mod place;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

pub use apart::{NotApart, apart};
pub use command::NoNetwork;
use command::{run, run_with_input};
pub use firewall::{Block, Direction, Traffic};
pub use nat::Nat;
pub use place::{HTTP_PORT, P2P_PORT, found_and_join};

/// Nodes on one bridge: addresses from 1, moved nodes from 101, the harness at 254.
const NODES_MAX: u8 = 100;

/// Tells networks of one process apart.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

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
        run(&format!("ip address add {}/24 dev {bridge}", network.harness()))?;
        run(&format!("ip link set {bridge} up"))?;
        for node in 1..=nodes {
            network.attach(node)?;
        }
        Ok(network)
    }

    /// As [`Network::new`], where [`Network::block`] works too.
    ///
    /// # Errors
    /// If this machine does not allow it.
    ///
    /// # Panics
    /// With more than 100 nodes.
    pub fn with_firewalls(nodes: u8) -> Result<Self, NoNetwork> {
        let network = Self::new(nodes)?;
        // Asks the kernel too: a program alone blocks nothing.
        if nodes > 0 {
            run(&network.inside(1, "nft list tables"))?;
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

    /// Has the firewall of `node` (from 1) drop what `block` says, instead of what it dropped before.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn block(&self, node: u8, block: Block) -> Result<(), NoNetwork> {
        let peer = block.peer.map(|peer| [self.ip(peer), self.ip(NODES_MAX + peer)]);
        let rules = firewall::rules(&block, self.harness(), peer);
        run_with_input(&self.inside(node, "nft --file -"), &rules)
    }

    /// Has the firewall of `node` (from 1) drop nothing any more.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn unblock(&self, node: u8) -> Result<(), NoNetwork> {
        run_with_input(&self.inside(node, "nft --file -"), &firewall::nothing())
    }

    fn inside(&self, node: u8, command: &str) -> String {
        format!("ip netns exec {} {command}", self.namespace(node))
    }

    /// Where the harness is; every node reaches it whatever is cut or blocked.
    fn harness(&self) -> Ipv4Addr {
        self.ip(254)
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
            self.remove_behind(node);
            let _ = run(&format!("ip link delete {}", self.link(node)));
            let _ = run(&format!("ip netns delete {}", self.namespace(node)));
        }
        let _ = run(&format!("ip link delete {}", self.bridge()));
    }
}
