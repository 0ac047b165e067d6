//! Options of writes of the seat's keys: when they count as done, and what must stand there.

use reqwest::{RequestBuilder, header};

use super::client::entry_path;

/// What `put` and `delete` may ask of the seat's holder. Other keys have none, and the node says so.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Conditions {
    /// Of the seat's keys: durable at the holder, at its shadow too, or at a majority of the voters as well [default: shadow]
    #[arg(long, value_name = "LEVEL", value_parser = ["local", "shadow", "quorum"])]
    level: Option<String>,
    /// Of the seat's keys: only if the entry is this version, the tag that `get --json` prints; `*`: if it has any value
    #[arg(long, value_name = "TAG")]
    if_match: Option<String>,
    /// Of the seat's keys: only if there is no value
    #[arg(long, conflicts_with = "if_match")]
    if_absent: bool,
}

impl Conditions {
    /// The path of a write of this key.
    pub(super) fn path(&self, key: &str) -> String {
        match &self.level {
            Some(level) => format!("{}&level={level}", entry_path(key)),
            None => entry_path(key),
        }
    }

    /// The request under the condition.
    pub(super) fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match (self.if_match.as_deref(), self.if_absent) {
            (Some(tag), _) => request.header(header::IF_MATCH, quoted(tag)),
            (None, true) => request.header(header::IF_NONE_MATCH, "*"),
            (None, false) => request,
        }
    }
}

/// The tag of the operation of a commit, as HTTP has it between quotes.
pub(super) fn tag(commit: &str, op_index: u32) -> String {
    format!("{commit}-{op_index}")
}

/// An entity tag as HTTP wants it, however it was copied.
fn quoted(tag: &str) -> String {
    if tag == "*" || tag.starts_with('"') { tag.to_owned() } else { format!("\"{tag}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_taken_with_quotes_and_without() {
        assert_eq!(quoted(&tag("ab", 3)), "\"ab-3\"");
        assert_eq!(quoted("\"ab-3\""), "\"ab-3\"");
        assert_eq!(quoted("*"), "*");
    }
}
