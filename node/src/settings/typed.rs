//! The options of one source, as typed there, and the rule by which one source goes over another.

use lattice::genesis::is_name;
use lattice::limits::NAME_BYTES_MAX;
use serde::Deserialize;

use super::address::{DialAddress, HttpListen, P2pListen};

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
    /// Peers to dial.
    pub peers: Option<Vec<DialAddress>>,
    /// Addresses to announce.
    pub external: Option<Vec<DialAddress>>,
    /// Whether to look for peers on the local network.
    pub mdns: Option<bool>,
    /// How hard the store waits for the disk.
    pub synchronous: Option<Synchronous>,
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
            peers: self.peers.or(weaker.peers),
            external: self.external.or(weaker.external),
            mdns: self.mdns.or(weaker.mdns),
            synchronous: self.synchronous.or(weaker.synchronous),
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
