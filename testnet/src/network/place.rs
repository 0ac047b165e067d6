//! A lattice whose nodes each live in a namespace of their own, at the same ports and at addresses known beforehand.

use std::path::Path;

use super::Network;
use crate::process::{Launch, Node, StartError};

/// Where a node listens for clients, and for other nodes over HTTP.
pub const HTTP_PORT: u16 = 4800;

/// Where a node listens for other nodes over libp2p, TCP and UDP.
pub const P2P_PORT: u16 = 4801;

impl Network {
    /// Where `node` (from 1) answers other nodes over HTTP.
    pub fn url(&self, node: u8) -> String {
        format!("http://{}:{HTTP_PORT}", self.ip(node))
    }
}

/// One ready node in each namespace, all members of one lattice and each with the URLs of all others. `options` are
/// further arguments of `lattice run`.
///
/// # Errors
/// If one of them cannot be started; the others are killed.
pub async fn found_and_join(
    network: &Network,
    program: &Path,
    root: &Path,
    options: &[&str],
) -> Result<Vec<Node>, StartError> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 1..=network.nodes {
        let mut node = Node::new(launch(network, program, root, number, options));
        match nodes.first() {
            None => node.found("testnet").await?,
            Some(first) => node.join(&first.invite().await?).await?,
        }
        node.start().await?;
        nodes.push(node);
    }
    Ok(nodes)
}

fn launch(network: &Network, program: &Path, root: &Path, number: u8, options: &[&str]) -> Launch {
    let name = format!("node-{number}");
    let mut launch = Launch::new(program, name.clone(), root.join(name));
    launch.within = network.within(number);
    launch.p2p = vec![format!("{}:{P2P_PORT}", network.ip(number))];
    launch.http = format!("{}:{HTTP_PORT}", network.ip(number));
    launch.options = options.iter().map(|option| (*option).to_owned()).collect();
    let others = (1..=network.nodes).filter(|other| *other != number);
    launch.options.extend(others.flat_map(|other| ["--node".to_owned(), network.url(other)]));
    launch
}
