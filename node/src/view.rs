//! What clients are shown: the JSON shapes of the API and of the command line's `--json`, and nothing else.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::seat::quarantine::QuarantineView;
use crate::seat::status::SeatStatus;

/// Five numbers about peers that are never mixed up, see `lattice status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerCounts {
    /// Peers in the configuration, whether reached or not.
    pub configured: u64,
    /// Distinct peers with an established connection.
    pub connected: u64,
    /// Those of them whose handshake proved the same lattice.
    pub lattice: u64,
    /// Lattice peers in this node's gossip mesh.
    pub mesh: u64,
    /// Lattice peers with an equal root, or reconciled to an explained rest, within the last 30 seconds.
    pub in_sync: u64,
}

/// One term of the seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeatTermView {
    /// The term.
    pub term: u64,
    /// Who holds the seat in it.
    pub holder: String,
    /// Its shadow.
    pub shadow: Option<String>,
    /// Further mirrors.
    pub spares: Vec<String>,
    /// The last number in the chain of the holder before that counts.
    pub cut: u64,
    /// Records of the seat's log at which it took over.
    pub log_size: u64,
    /// Why the term changed.
    pub reason: String,
    /// When it was drafted, in milliseconds since 1970.
    pub time_ms: u64,
    /// By whose word: `voters` or `operators`.
    pub warrant: String,
    /// How many signed.
    pub signatures: u64,
    /// Whether the certificate holds, and follows the one before.
    pub holds: bool,
    /// The key at which the certificate stands, for `lattice proof entry`.
    pub key: String,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// What people call the node.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Lattice id, 64 hexadecimal digits.
    pub lattice_id: String,
    /// What people call the lattice.
    pub lattice_name: String,
    /// The node's author key, 64 hexadecimal digits.
    pub author: String,
    /// The node's libp2p peer id.
    pub peer_id: String,
    /// State root, 64 hexadecimal digits.
    pub state_root: String,
    /// Entries, tombstones included.
    pub entries: u64,
    /// The last checkpoint of the node's log.
    pub checkpoint: CheckpointView,
    /// The latest state root that more than half of the members have stated.
    pub confirmed_root: Option<ConfirmedRoot>,
    /// Logs caught with two checkpoints that contradict each other; the evidence is at `/api/v1/forks`.
    pub forks: Vec<String>,
    /// The seat, as this node knows it.
    pub seat: SeatStatus,
    /// What cuts took away here and nobody has dealt with.
    #[serde(default)]
    pub quarantine: QuarantineView,
    /// Records in the node's log.
    pub log_size: u64,
    /// Road to other nodes: `p2p` or `http`.
    pub mode: String,
    /// Since when, in milliseconds since 1970.
    pub mode_since_ms: u64,
    /// Why.
    pub mode_reason: String,
    /// Peers that are asked over HTTP.
    pub http_peers: Vec<HttpPeer>,
    /// Whether the node serves right answers now.
    pub ready: bool,
    /// Why it is not ready.
    pub not_ready_reason: Option<String>,
    /// Why writes are refused, if they are.
    pub write_refusal: Option<String>,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// Five numbers about peers.
    pub peers: PeerCounts,
    /// Members of the lattice, cut ones left out.
    pub members: u64,
    /// Number of this node's last commit.
    pub seq: u64,
    /// Commits waiting for their author or their time.
    pub waiting: u64,
    /// Authors that signed two commits for one place in their chain.
    pub equivocations: Vec<EquivocationView>,
    /// Since start: entries that came though this state should have held them, and differences from a peer that
    /// nothing explained. Damage, a bug or a lie.
    pub divergences: u64,
    /// The last reconcile that this node started.
    pub last_reconcile: Option<ReconcileView>,
    /// Multiaddresses that this node listens on, with its peer id.
    pub addresses: Vec<String>,
    /// Commits refused since start, by reason.
    pub refusals: std::collections::BTreeMap<String, u64>,
}

/// One peer that is asked over HTTP at each beat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HttpPeer {
    /// Where it answers.
    pub url: String,
    /// Author key of the node that answered last.
    pub author: Option<String>,
    /// Whether a member published the URL; else it is configured.
    pub published: bool,
    /// Mismatches in a row.
    pub divergence_count: u64,
    /// What the last one meant: `lag`, or `divergence` if nothing explains it; none after an equal root.
    pub kind: Option<String>,
    /// State root in its last answer.
    pub state_root: Option<String>,
    /// Milliseconds since its last answer.
    pub answer_age_ms: Option<u64>,
    /// Whether sessions with it are started: `closed` (yes), `open` (not now), `half-open` (the next is a trial).
    pub breaker: String,
    /// Why the last beat brought nothing.
    pub error: Option<String>,
}

/// The second road.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fallback {
    /// Road to other nodes: `p2p` or `http`.
    pub mode: String,
    /// Since when, in milliseconds since 1970.
    pub mode_since_ms: u64,
    /// Why.
    pub mode_reason: String,
    /// Peers that are asked over HTTP.
    pub peers: Vec<HttpPeer>,
}

/// Evidence against an author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EquivocationView {
    /// The author.
    pub author: String,
    /// The term.
    pub term: u64,
    /// The number used twice.
    pub seq: u64,
    /// The two commits.
    pub commits: [String; 2],
}

/// How a reconcile ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileView {
    /// Peer id of the other node, or its URL if the session went over HTTP.
    pub peer: String,
    /// `equal`, `explained`, `refused`, `unexplained` or `failed`.
    pub outcome: String,
    /// Why, for people.
    pub detail: String,
    /// Entries received.
    pub received: u64,
    /// Entries sent.
    pub sent: u64,
    /// Round trips.
    pub rounds: u64,
    /// Milliseconds from start to end.
    pub took_ms: u64,
}

/// One reconcile that moved something or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedReconcile {
    /// Its number since start.
    pub number: u64,
    /// When it ended, in milliseconds since 1970.
    pub time_ms: u64,
    /// How.
    #[serde(flatten)]
    pub reconcile: ReconcileView,
}

/// One peer as this node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// libp2p peer id.
    pub peer_id: String,
    /// Author key, once the handshake proved it.
    pub author: Option<String>,
    /// The member's name.
    pub name: Option<String>,
    /// Whether the peer is in the configuration.
    pub configured: bool,
    /// Whether a connection is established.
    pub connected: bool,
    /// Whether the handshake proved the same lattice.
    pub lattice: bool,
    /// Whether it is in this node's gossip mesh.
    pub mesh: bool,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// Established connections to it.
    pub connections: u64,
    /// Address of one of them, or where the peer is dialled.
    pub address: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Last round trip in milliseconds.
    pub rtt_ms: Option<f64>,
    /// State root in its last head.
    pub state_root: Option<String>,
    /// Entries in its last head.
    pub entries: Option<u64>,
    /// Whether that root is ours now.
    pub same_root: Option<bool>,
    /// Milliseconds since its last head arrived.
    pub head_age_ms: Option<u64>,
    /// Why it is not a lattice peer, if the handshake was refused.
    pub refusal: Option<String>,
    /// Why the last dial led to no connection.
    pub error: Option<String>,
    /// Milliseconds until it is dialled again, if that is planned.
    pub next_dial_ms: Option<u64>,
    /// Milliseconds since anything came from it over a connection; none if there was none yet.
    #[serde(default)]
    pub heard_age_ms: Option<u64>,
    /// Strikes against it that are not forgiven yet, for what no honest peer sends; ten close the connection.
    #[serde(default)]
    pub strikes: u64,
    /// Milliseconds by which its clock was ahead of ours when its last head arrived, the way of that included.
    #[serde(default)]
    pub clock_ahead_ms: Option<i64>,
}

/// A configured address at which no peer has answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unanswered {
    /// The address.
    pub address: String,
    /// Why the last dial led to no connection.
    pub error: Option<String>,
    /// Milliseconds until it is dialled again; none while it is being dialled.
    pub next_dial_ms: Option<u64>,
}

/// An entry with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
    /// The value in base64, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value_base64: Option<String>,
    /// Whether this is a tombstone (shown by `watch` only).
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deleted: bool,
    /// Who wrote it.
    pub author: String,
    /// When, by the author's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// The commit that wrote it.
    pub commit: String,
    /// The commit's number in its author's chain.
    pub seq: u64,
    /// The operation's place in the commit.
    pub op_index: u32,
}

/// What a durable write gives back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The commit.
    pub commit: String,
    /// Its number in this node's chain.
    pub seq: u64,
    /// Its time in milliseconds since 1970.
    pub time_ms: u64,
    /// Size of the log once the commit was in: `watch` from here sees what comes later. `null` for a write of the seat at
    /// level `local` that is staged and not yet in the state; the same `Idempotency-Key` gives it once it is there.
    pub log_position: Option<u64>,
    /// State root after the batch that contained it; `null` as above.
    pub state_root: Option<String>,
    /// Entries after it; `null` as above.
    pub entries: Option<u64>,
}

/// The last checkpoint of a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    /// Name of the log.
    pub origin: String,
    /// Records under the checkpoint; 0 before the first.
    pub size: u64,
    /// Root of the log's tree, in base64.
    pub log_root: Option<String>,
    /// Nodes that cosigned it.
    pub cosignatures: u64,
    /// Why no checkpoints are signed, while that is so.
    pub withheld: Option<String>,
}

/// A state root that more than half of the members have stated in their heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfirmedRoot {
    /// The root, 64 hexadecimal digits.
    pub root: String,
    /// Entries under it.
    pub entries: u64,
    /// When the last of them stated it, in milliseconds since 1970.
    pub time_ms: u64,
    /// Their authors.
    pub by: Vec<String>,
}
