//! Nodes behind routers that translate addresses, as at home: they reach out, and nobody reaches in unasked.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::Network;
use super::command::{NoNetwork, run, run_with_input};

/// How a router chooses the port that a connection of its node is seen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// The node's own, whoever it speaks with: two such nodes can be introduced to each other.
    KeepsPorts,
    /// Another one for each it speaks with: nobody can say beforehand where to knock.
    AnyPort,
}

impl Network {
    /// `nodes` nodes with addresses of the bridge, then one for each of `behind` that is behind a router of its own.
    /// [`Network::inner_ip`] is where such a node lives, and [`Network::within_nat`] runs a program there.
    ///
    /// # Errors
    /// If this machine does not allow it.
    ///
    /// # Panics
    /// With more than 60 nodes.
    pub fn with_nats(nodes: u8, behind: &[Nat]) -> Result<Self, NoNetwork> {
        let all = u8::try_from(behind.len()).ok().and_then(|behind| behind.checked_add(nodes));
        let all = all.filter(|all| *all <= 60).expect("a test network behind routers holds 60 nodes");
        let network = Self::new(all)?;
        for (node, nat) in (nodes + 1..).zip(behind) {
            network.put_behind(node, *nat)?;
        }
        Ok(network)
    }

    /// The namespace that was the node's becomes the router's; the node gets one behind it.
    fn put_behind(&self, node: u8, nat: Nat) -> Result<(), NoNetwork> {
        let (router, space) = (self.namespace(node), self.inner_namespace(node));
        let (gateway, inner, harness) = (self.gateway(node), self.inner_ip(node), self.harness());
        run(&format!("ip netns add {space}"))?;
        run(&format!("ip -n {router} link add inner type veth peer name eth0 netns {space}"))?;
        run(&format!("ip -n {router} address add {gateway}/30 dev inner"))?;
        run(&format!("ip -n {router} link set inner up"))?;
        run(&format!("ip -n {space} link set lo up"))?;
        run(&format!("ip -n {space} address add {inner}/30 dev eth0"))?;
        run(&format!("ip -n {space} link set eth0 up"))?;
        run(&format!("ip -n {space} route add default via {gateway}"))?;
        run(&format!("ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"))?;
        run_with_input(&format!("ip netns exec {router} nft --file -"), &rules(nat, harness))?;
        // The harness gets through: it must see a node that nobody else reaches.
        run(&format!("ip route add {inner}/32 via {} dev {}", self.ip(node), self.bridge()))
    }

    /// Runs a program on a node behind a router.
    pub fn within_nat(&self, node: u8) -> Vec<std::ffi::OsString> {
        ["ip", "netns", "exec", &self.inner_namespace(node)].map(std::ffi::OsString::from).to_vec()
    }

    /// The address of a node behind a router, which means nothing to other nodes.
    pub fn inner_ip(&self, node: u8) -> Ipv4Addr {
        let [.., low] = self.gateway(node).octets();
        self.inner_address(low + 1)
    }

    fn gateway(&self, node: u8) -> Ipv4Addr {
        self.inner_address(4 * node + 1)
    }

    fn inner_address(&self, last: u8) -> Ipv4Addr {
        let [_, middle, low] = self.prefix;
        Ipv4Addr::new(10, 192 + middle % 64, low, last)
    }

    fn inner_namespace(&self, node: u8) -> String {
        format!("{}-{node}i", self.tag)
    }

    /// Removes what is behind the router of a node, if there is one.
    pub(super) fn remove_behind(&self, node: u8) {
        let _ = run(&format!("ip netns delete {}", self.inner_namespace(node)));
    }
}

/// What the router does, in the words of nft: it lets answers in, and what the harness sends, and nothing else. What comes
/// unasked is dropped without a word; a refusal would end the attempt of whoever knocks at the same moment.
fn rules(nat: Nat, harness: Ipv4Addr) -> String {
    let masquerade = match nat {
        Nat::KeepsPorts => "masquerade",
        Nat::AnyPort => "masquerade fully-random",
    };
    let mut text = String::from("add table ip nat\n");
    for (chain, hook) in [
        ("out", "type nat hook postrouting priority 100; policy accept;"),
        ("through", "type filter hook forward priority 0; policy drop;"),
        ("here", "type filter hook input priority 0; policy drop;"),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "add chain ip nat {chain} {{ {hook} }}");
    }
    for rule in [
        format!("out oifname eth0 ip daddr != {harness} {masquerade}"),
        "through ct state established,related accept".to_owned(),
        "through iifname inner accept".to_owned(),
        format!("through ip saddr {harness} accept"),
        "here ct state established,related accept".to_owned(),
        "here iifname lo accept".to_owned(),
    ] {
        let _ = writeln!(text, "add rule ip nat {rule}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_lets_nobody_in_unasked() {
        let rules = rules(Nat::KeepsPorts, Ipv4Addr::new(10, 64, 0, 254));
        assert!(rules.contains("hook forward priority 0; policy drop;"), "{rules}");
        assert!(rules.contains("out oifname eth0 ip daddr != 10.64.0.254 masquerade\n"), "{rules}");
        assert!(!rules.contains("iifname eth0"), "{rules}");
    }
}
