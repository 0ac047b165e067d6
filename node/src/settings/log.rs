//! What is logged, in the words of `tracing`'s filters.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
        let mut directives = text.split(',').filter(|directive| !directive.is_empty()).peekable();
        if directives.peek().is_none() {
            return Err(format!("an empty filter would log nothing: say off, or {FORM}"));
        }
        directives.try_for_each(expect_meant)?;
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("{error}; write one such as {LOG_FILTER_DEFAULT:?}")),
        }
    }
}

/// How a filter is written, for whoever wrote it in another way.
const FORM: &str = "one such as \"warn\" or \"info,node::sync=debug\": a level (off, error, warn, info, debug, trace) for all, \
                    TARGET=LEVEL for a part";

/// `tracing` takes a word that is no level for the name of a part, and then logs nothing but that part: a misspelt level
/// would silence the node.
fn expect_meant(directive: &str) -> Result<(), String> {
    let (target, level) = directive.rsplit_once('=').unwrap_or(("", directive));
    // The name of a span may have blanks, what stands before it has none.
    let part = target.split('[').next().unwrap_or(target);
    if part.contains(char::is_whitespace) || level.is_empty() || level.parse::<LevelFilter>().is_err() {
        return Err(format!("{directive:?} is neither a level nor TARGET=LEVEL; write {FORM}"));
    }
    Ok(())
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_the_node_by_a_slip_is_refused_with_what_can_be_meant() {
        // `lattice log warning` was accepted, and nothing was logged from then on.
        for text in [
            "",
            ",",
            "warning",
            "bogus",
            "node",
            "no such=",
            "node=",
            "info node=debug",
            "info, node=debug",
            " warn",
            "a=b=c",
            "node=loud",
        ] {
            let refused = text.parse::<LogFilter>().expect_err(text);
            assert!(refused.contains("info") && refused.contains("warn"), "{text}: {refused}");
        }
    }

    #[test]
    fn filters_that_can_be_meant_are_taken_as_they_are() {
        for text in [
            LOG_FILTER_DEFAULT,
            "off",
            "WARN",
            "info,node::sync=debug",
            "warn,node=trace,",
            "info,[a span]=debug",
            "node[session{peer=1}]=trace",
        ] {
            assert_eq!(text.parse::<LogFilter>().expect(text).as_str(), text);
        }
    }
}
