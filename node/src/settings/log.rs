//! What is logged, in the words of `tracing`'s filters.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// What is logged unless told otherwise. Kademlia warns every few minutes of having no peers, which is how a lone node is.
/// QUIC's sockets warn of each road that the system knows none for ("sendmsg error"), whatever becomes of the connection;
/// that a peer can't be reached, and why, is what `lattice peers` shows.
pub const LOG_FILTER_DEFAULT: &str =
    "info,libp2p=warn,libp2p_gossipsub=error,libp2p_kad=error,sqlx=warn,quinn=warn,quinn_udp=error,netlink=warn";

/// A filter that can be meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self(LOG_FILTER_DEFAULT.to_owned())
    }
}

impl std::str::FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("{error}; write one such as {LOG_FILTER_DEFAULT:?}")),
        }
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
