//! What a node tells whoever started it: a line, and a file for the command line.

use std::net::SocketAddr;

use serde::Serialize;

use super::Node;
use super::opening::is_mirror;
use crate::net::NetHandle;
use crate::net::address::with_peer;
use crate::service::Service;
use crate::settings::Settings;

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

    /// What runs and where, for a person; with a ticket for one more node if that was asked for.
    pub(super) async fn banner(&self, settings: &Settings, with_ticket: bool) -> String {
        let status = self.service.status();
        let dir = self.home.dir().display();
        let mut lines = vec![
            ("lattice", format!("{} ({})", status.lattice_name, status.lattice_id)),
            ("node", format!("{}, version {}, author {}", status.name, status.version, status.author)),
            ("state", format!("root {}, {} entries, {} records", status.state_root, status.entries, status.log_size)),
        ];
        let is_mirror = is_mirror(&self.service.inner.identity, &self.service.inner.writer.published());
        lines.extend(self.http.iter().map(|address| ("clients", clients(address, is_mirror))));
        lines.extend(self.lattice_http.iter().map(|address| ("nodes", format!("http://{address}"))));
        lines.extend(status.addresses.iter().map(|address| ("nodes", address.clone())));
        lines.extend(settings.relays.iter().map(|relay| ("relay", relay.to_string())));
        lines.extend(settings.relay.then(|| ("relay", "for nodes that others can't dial".to_owned())));
        lines.push(("settings", format!("{dir}/lattice.toml; read again by `lattice reload --dir {dir}` or SIGHUP")));
        lines.extend(status.not_ready_reason.map(|why| ("not ready", why)));
        lines.push(match (with_ticket, is_admin(&self.service)) {
            (_, false) => ("invite", "at an admin's node".to_owned()),
            (false, true) => ("invite", format!("lattice invite --dir {dir}")),
            (true, true) => match self.service.invite().await {
                Ok(ticket) => ("ticket", format!("{ticket} (for one node, once; treat it as a password)")),
                Err(error) => ("ticket", error.to_string()),
            },
        });
        lines.into_iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect()
    }
}

/// What is at an address of the API. A mirror of the seat is hidden, and opens it once it is none any more.
fn clients(address: &SocketAddr, is_mirror: bool) -> String {
    if is_mirror {
        format!("http://{address}, but not while this node mirrors the seat")
    } else {
        format!("http://{address} (in a browser: the dashboard)")
    }
}

fn is_admin(service: &Service) -> bool {
    let identity = &service.inner.identity;
    identity.genesis.admins.contains(&identity.keys.author.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_is_promised_where_there_is_one() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4800));
        assert_eq!(clients(&address, false), "http://127.0.0.1:4800 (in a browser: the dashboard)");
        assert!(!clients(&address, true).contains("dashboard"));
    }
}
