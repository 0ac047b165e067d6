//! The options of one source, as typed there, and the rule by which one source goes over another.

use lattice::genesis::is_name;
use lattice::limits::NAME_BYTES_MAX;
use serde::Deserialize;

use super::address::{DialAddress, HttpListen, P2pListen, RelayAddress};
use super::heartbeat::{AloneMs, BeatMs, JitterPercent, Mismatches, NodeUrl, OwnUrl, TimeoutMs};
use super::log::LogFilter;
use super::seat::{SeatNoShadow, SeatTiming};
use super::within::CheckpointMs;

/// What one source says; `None` where it is silent. The names are those of `lattice.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    /// What people call the node.
    pub name: Option<NodeName>,
    /// Addresses to listen on for other nodes.
    pub p2p: Option<Vec<P2pListen>>,
    /// Addresses of the HTTP API.
    pub http: Option<Vec<HttpListen>>,
    /// Whether readers of the API must show a token.
    pub api_token_read: Option<bool>,
    /// Peers to dial.
    pub peers: Option<Vec<DialAddress>>,
    /// Addresses to announce.
    pub external: Option<Vec<DialAddress>>,
    /// Nodes to ask over HTTP.
    pub nodes: Option<Vec<NodeUrl>>,
    /// Where others reach this node over HTTP.
    pub http_url: Option<OwnUrl>,
    /// Addresses for other nodes' HTTP requests alone.
    pub lattice_http: Option<Vec<HttpListen>>,
    /// Milliseconds between two checkpoints.
    pub checkpoint_ms: Option<CheckpointMs>,
    /// Milliseconds between two beats.
    pub heartbeat_ms: Option<BeatMs>,
    /// By how much a beat may be off.
    pub heartbeat_jitter_percent: Option<JitterPercent>,
    /// Milliseconds to wait for an answer.
    pub heartbeat_timeout_ms: Option<TimeoutMs>,
    /// Mismatches in a row until a reconcile over HTTP.
    pub heartbeat_mismatches: Option<Mismatches>,
    /// Milliseconds without a lattice peer until HTTP mode.
    pub http_mode_after_ms: Option<AloneMs>,
    /// Loopback addresses on which orders are taken as on the admin socket.
    pub admin_http: Option<Vec<HttpListen>>,
    /// Intervals of the seat.
    pub seat_timing: Option<SeatTiming>,
    /// What happens to writes of the seat while the shadow is away.
    pub seat_no_shadow: Option<SeatNoShadow>,
    /// The command to run when the seat moves.
    pub on_seat_change: Option<Vec<String>>,
    /// Relays to be found at.
    pub relays: Option<Vec<RelayAddress>>,
    /// Whether others are found here.
    pub relay: Option<bool>,
    /// Whether to look for peers on the local network.
    pub mdns: Option<bool>,
    /// How hard the store waits for the disk.
    pub synchronous: Option<Synchronous>,
    /// What is logged.
    pub log: Option<LogFilter>,
    /// Whether to log JSON lines.
    pub log_json: Option<bool>,
}

impl Typed {
    /// These options, and where they are silent, those of a weaker source. Lists replace, they do not add up:
    /// an operator who types `--peer` sees exactly that peer.
    pub fn over(self, weaker: Self) -> Self {
        Self {
            name: self.name.or(weaker.name),
            p2p: self.p2p.or(weaker.p2p),
            http: self.http.or(weaker.http),
            api_token_read: self.api_token_read.or(weaker.api_token_read),
            peers: self.peers.or(weaker.peers),
            external: self.external.or(weaker.external),
            nodes: self.nodes.or(weaker.nodes),
            http_url: self.http_url.or(weaker.http_url),
            lattice_http: self.lattice_http.or(weaker.lattice_http),
            checkpoint_ms: self.checkpoint_ms.or(weaker.checkpoint_ms),
            heartbeat_ms: self.heartbeat_ms.or(weaker.heartbeat_ms),
            heartbeat_jitter_percent: self.heartbeat_jitter_percent.or(weaker.heartbeat_jitter_percent),
            heartbeat_timeout_ms: self.heartbeat_timeout_ms.or(weaker.heartbeat_timeout_ms),
            heartbeat_mismatches: self.heartbeat_mismatches.or(weaker.heartbeat_mismatches),
            http_mode_after_ms: self.http_mode_after_ms.or(weaker.http_mode_after_ms),
            admin_http: self.admin_http.or(weaker.admin_http),
            seat_timing: self.seat_timing.or(weaker.seat_timing),
            seat_no_shadow: self.seat_no_shadow.or(weaker.seat_no_shadow),
            on_seat_change: self.on_seat_change.or(weaker.on_seat_change),
            relays: self.relays.or(weaker.relays),
            relay: self.relay.or(weaker.relay),
            mdns: self.mdns.or(weaker.mdns),
            synchronous: self.synchronous.or(weaker.synchronous),
            log: self.log.or(weaker.log),
            log_json: self.log_json.or(weaker.log_json),
        }
    }
}

/// How hard the store waits for the disk before it calls a write durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Survives a power cut.
    #[default]
    Full,
    /// Survives the death of the process; a power cut may take the last writes.
    Normal,
}

impl std::str::FromStr for Synchronous {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            _ => Err(format!("{text:?} is neither \"full\" nor \"normal\"")),
        }
    }
}

/// A name that fits a line and a table's column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeName(String);

impl std::str::FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} can't be a name: use 1 to {NAME_BYTES_MAX} bytes of text on one line"))
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl NodeName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
