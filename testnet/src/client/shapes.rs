//! The JSON that a node's API reads and writes, as far as a testnet needs it: fields left out here are ignored.

use serde::{Deserialize, Serialize};

/// Five numbers about peers, as a node states them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct PeerCounts {
    /// Peers in the configuration.
    pub configured: u64,
    /// Peers with a connection.
    pub connected: u64,
    /// Peers proven to be of this lattice.
    pub lattice: u64,
    /// Peers in the gossip mesh.
    pub mesh: u64,
    /// Peers in sync.
    pub in_sync: u64,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The node's name.
    pub name: String,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Its state root, in hexadecimal digits.
    pub state_root: String,
    /// Its entries, tombstones included.
    pub entries: u64,
    /// Records in its log.
    pub log_size: u64,
    /// Number of its last commit.
    pub seq: u64,
    /// Whether it serves right answers now.
    pub ready: bool,
    /// Why writes are refused, if they are.
    pub write_refusal: Option<String>,
    /// Five numbers about peers.
    pub peers: PeerCounts,
    /// Entries that it should have held, and differences that nothing explained.
    pub divergences: u64,
    /// Authors that signed two commits for one place in their chain.
    pub equivocations: Vec<serde_json::Value>,
    /// Multiaddresses that it listens on.
    pub addresses: Vec<String>,
}

/// What a node says of its second road.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fallback {
    /// `p2p` or `http`.
    pub mode: String,
    /// Why.
    pub mode_reason: String,
    /// Peers that are asked over HTTP.
    pub peers: Vec<HttpPeer>,
}

/// One peer of the second road.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HttpPeer {
    /// Where it answers.
    pub url: String,
    /// Whether a member published the URL.
    pub published: bool,
    /// Mismatches in a row.
    pub divergence_count: u64,
    /// Its root in its last answer.
    pub state_root: Option<String>,
    /// `closed`, `open` or `half-open`.
    pub breaker: String,
    /// Why the last beat brought nothing.
    pub error: Option<String>,
}

/// Something that happened to a node's roads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Happening {
    /// Its number since start.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// `peers`, `mode`, `divergence`, `reconcile-started` or `reconcile-finished`.
    pub kind: String,
    /// A line for people.
    pub text: String,
    /// The same in parts.
    pub fields: std::collections::BTreeMap<String, String>,
}

/// One peer as a node sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Peer {
    /// libp2p peer id.
    pub peer_id: String,
    /// Whether a connection is established.
    pub connected: bool,
    /// Whether it proved the same lattice.
    pub lattice: bool,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// Established connections.
    pub connections: u64,
    /// Address of one of them, or where it is dialled.
    #[serde(default)]
    pub address: Option<String>,
    /// Why it is not a lattice peer.
    pub refusal: Option<String>,
}

/// An entry with its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value, if it is text.
    pub value: Option<String>,
    /// The value in base64, if it is not.
    pub value_base64: Option<String>,
    /// Number of the commit that wrote it in its author's chain.
    pub seq: u64,
}

impl Entry {
    /// The value as the API showed it, for comparing.
    pub fn shown(&self) -> &str {
        self.value.as_deref().or(self.value_base64.as_deref()).unwrap_or_default()
    }
}

/// What a durable write gives back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// The commit.
    pub commit: String,
    /// Its number in the node's chain.
    pub seq: u64,
    /// Log position of the record that names it; `None` while it is staged at the seat's holder only.
    pub log_position: Option<u64>,
    /// State root after the batch that contained it; `None` likewise.
    pub state_root: Option<String>,
    /// Entries after it; `None` likewise.
    pub entries: Option<u64>,
}

/// One operation of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Op {
    /// Sets a key.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: String,
    },
}

impl Op {
    /// Sets `key` to `value`.
    pub fn put(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Put { key: key.into(), value: value.into() }
    }

    /// Removes `key`.
    pub fn delete(key: impl Into<String>) -> Self {
        Self::Delete { key: key.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_the_shape_that_the_api_reads() {
        let ops = [Op::put("k", "v"), Op::delete("k")];
        assert_eq!(
            serde_json::to_value(ops).expect("json"),
            serde_json::json!([{"op": "put", "key": "k", "value": "v"}, {"op": "delete", "key": "k"}])
        );
    }
}
