//! What the firewall of one node drops: rules for nft, as text.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::P2P_PORT;

/// The table that holds all our rules.
const TABLE: &str = "inet testnet";

/// What a node's firewall drops without a word, as a broken cable does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Which packets.
    pub traffic: Traffic,
    /// Which way.
    pub direction: Direction,
    /// The node (from 1) at the other end; with `None` all of them.
    pub peer: Option<u8>,
}

/// Which packets are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// TCP and UDP from and to the port for nodes; HTTP passes.
    Libp2p,
    /// All.
    Everything,
}

/// Which way packets go that are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Out of this node and into it.
    Both,
    /// Out of this node; what others send arrives.
    Sent,
}

impl Block {
    /// libp2p with everybody.
    pub const LIBP2P: Self = Self { traffic: Traffic::Libp2p, direction: Direction::Both, peer: None };

    /// Everything with everybody.
    pub const EVERYTHING: Self = Self { traffic: Traffic::Everything, direction: Direction::Both, peer: None };
}

/// Rules that drop nothing, instead of whatever stands.
pub(super) fn nothing() -> String {
    // Named first, so that removing it never fails; both happen at once or not at all.
    format!("table {TABLE}\ndelete table {TABLE}\n")
}

/// Rules that drop what `block` says, instead of whatever stands. The node and the harness always reach each other, and
/// the node itself. `peer` has all addresses of the node at the other end.
pub(super) fn rules(block: &Block, harness: Ipv4Addr, peer: Option<[Ipv4Addr; 2]>) -> String {
    let chains: &[(&str, &str, &str)] = match block.direction {
        Direction::Both => &[("output", "oif", "daddr"), ("input", "iif", "saddr")],
        Direction::Sent => &[("output", "oif", "daddr")],
    };
    let mut text = nothing();
    for (hook, device, address) in chains {
        let peer = peer.map(|[one, two]| format!("ip {address} {{ {one}, {two} }} ")).unwrap_or_default();
        let chain = format!("add chain {TABLE} {hook} {{ type filter hook {hook} priority 0; policy accept; }}");
        let ours = format!("add rule {TABLE} {hook} {device} lo accept");
        let harness = format!("add rule {TABLE} {hook} ip {address} {harness} accept");
        // Writing to a string does not fail.
        let _ = write!(text, "add table {TABLE}\n{chain}\n{ours}\n{harness}\n");
        for packets in packets(block.traffic) {
            let _ = writeln!(text, "add rule {TABLE} {hook} {peer}{packets}drop");
        }
    }
    text
}

/// Which packets, in the words of nft.
fn packets(traffic: Traffic) -> Vec<String> {
    match traffic {
        Traffic::Libp2p => {
            ["sport", "dport"].map(|end| format!("meta l4proto {{ tcp, udp }} th {end} {P2P_PORT} ")).to_vec()
        }
        Traffic::Everything => vec![String::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARNESS: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 254);

    fn drops(block: Block, peer: Option<[Ipv4Addr; 2]>) -> Vec<String> {
        let rules = rules(&block, HARNESS, peer);
        let drops = rules.lines().filter(|line| line.ends_with("drop"));
        drops.map(|line| line.trim_start_matches("add rule inet testnet ").to_owned()).collect()
    }

    #[test]
    fn each_block_drops_what_it_says_and_no_more() {
        let port = |hook: &str, end: &str| format!("{hook} meta l4proto {{ tcp, udp }} th {end} 4801 drop");
        assert_eq!(
            drops(Block::LIBP2P, None),
            [port("output", "sport"), port("output", "dport"), port("input", "sport"), port("input", "dport")]
        );
        assert_eq!(drops(Block::EVERYTHING, None), ["output drop", "input drop"]);
        let peer = [Ipv4Addr::new(10, 64, 0, 2), Ipv4Addr::new(10, 64, 0, 102)];
        let sent = Block { direction: Direction::Sent, peer: Some(2), ..Block::EVERYTHING };
        assert_eq!(drops(sent, Some(peer)), ["output ip daddr { 10.64.0.2, 10.64.0.102 } drop"]);
    }

    #[test]
    fn the_harness_is_let_through_before_anything_is_dropped() {
        let rules = rules(&Block::EVERYTHING, HARNESS, None);
        for (accept, drop) in [("daddr 10.64.0.254 accept", "output drop"), ("saddr 10.64.0.254 accept", "input drop")]
        {
            assert!(rules.find(accept).expect(accept) < rules.find(drop).expect(drop), "{rules}");
        }
        assert!(rules.starts_with(&nothing()), "what stood before is gone: {rules}");
    }
}
