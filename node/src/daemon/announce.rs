//! What a node tells whoever started it: a line, and a file for the command line.

use serde::Serialize;

use super::Node;
use crate::net::NetHandle;
use crate::net::address::with_peer;

/// What `run.json` tells the command line and the testnet.
#[derive(Serialize)]
struct Running {
    pid: u32,
    http: Vec<String>,
    /// Empty if other nodes' requests come to the API's addresses.
    lattice_http: Vec<String>,
    p2p: Vec<String>,
}

impl Node {
    pub(super) fn announce(&self, net: &NetHandle) -> anyhow::Result<()> {
        let p2p: Vec<_> = net.view().listening.iter().map(|a| with_peer(a, net.own).to_string()).collect();
        let http: Vec<_> = self.http.iter().map(ToString::to_string).collect();
        let status = self.service.status();
        tracing::info!(
            name = status.name, lattice = status.lattice_name, root = %status.state_root, entries = status.entries,
            http = http.join(" "), p2p = p2p.join(" "), "running"
        );
        if !http.is_empty() {
            let lattice_http = self.lattice_http.iter().map(ToString::to_string).collect();
            let running = Running { pid: std::process::id(), http, lattice_http, p2p };
            if let Err(error) = self.home.write("run.json", 0o644, &serde_json::to_vec_pretty(&running)?) {
                // Reads and gossip go on without it; only the command line has to be told the address.
                tracing::error!(%error, "clients don't find this node by its directory; give them --url");
            }
        }
        Ok(())
    }
}
