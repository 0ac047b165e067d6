//! What a node says of its state to anyone who asks: enough to see whether two nodes hold the same.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET /api/lattice/state`: one consistent view, not signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateView {
    /// Lattice id, 64 hexadecimal digits.
    pub lattice_id: String,
    /// What people call the node.
    pub name: String,
    /// The node's author key, 64 hexadecimal digits.
    pub author: String,
    /// State root, 64 hexadecimal digits. Equal roots mean equal states.
    pub merkle_root: String,
    /// Entries under that root, tombstones included.
    pub entries: u64,
    /// Peers of the same lattice with an established connection.
    pub peers: u64,
    /// Road to other nodes: `p2p`.
    pub mode: String,
    /// Digest of the node's frontier, 64 hexadecimal digits.
    pub frontier: String,
    /// Records in the node's log.
    pub log_size: u64,
    /// The node's wall clock in milliseconds since 1970.
    pub time_ms: u64,
}
