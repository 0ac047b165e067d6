//! Whether a log goes on with its node's state: each change of the state is a record, so a state that changes over a log
//! that does not grow is signed nowhere. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What each node showed last, by URL.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Standstill(BTreeMap<String, Stood>);

/// A log that has not grown since it was first seen so.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stood {
    log: String,
    size: u64,
    /// State root in the first head that was asked for after that.
    state: Option<String>,
    /// When another was seen, in milliseconds since 1970.
    moved_ms: Option<u64>,
}

/// What a node shows at a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// State root in its head.
    pub(super) state: &'a str,
    /// Its log, asked for after the head.
    pub(super) log: &'a str,
    /// Records under its checkpoint.
    pub(super) size: u64,
}

impl Standstill {
    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what a node shows; gives since when its state has been another without a new record, if it is.
    pub(super) fn saw(&mut self, url: &str, shown: Shown<'_>, now_ms: u64) -> Option<u64> {
        let Shown { state, log, size } = shown;
        let Some(stood) = self.0.get_mut(url).filter(|stood| (stood.log.as_str(), stood.size) == (log, size)) else {
            // This head may be of before the checkpoint's last record; the next is not.
            let stood = Stood { log: log.to_owned(), size, state: None, moved_ms: None };
            self.0.insert(url.to_owned(), stood);
            return None;
        };
        if stood.state.get_or_insert_with(|| state.to_owned()) == state {
            stood.moved_ms = None;
            return None;
        }
        Some(*stood.moved_ms.get_or_insert(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fresh heads with one state after the other were all well, though nothing of it was signed any more.
    #[test]
    fn a_state_that_moves_over_a_log_that_stands_is_seen() {
        let mut standstill = Standstill::default();
        for (now, state, size, expected) in [
            (1, "a", 5, None),
            // Written between head and checkpoint of the first look: record 5 tells of it.
            (2, "b", 5, None),
            (3, "b", 5, None),
            (4, "c", 5, Some(4)),
            (5, "d", 5, Some(4)),
            (6, "d", 6, None),
            (7, "d", 6, None),
            (8, "e", 6, Some(8)),
            (9, "d", 6, None),
            (10, "e", 6, Some(10)),
            (11, "e", 9, None),
        ] {
            assert_eq!(standstill.saw("u", Shown { state, log: "l", size }, now), expected, "{now}");
        }
        assert_eq!(standstill.saw("u", Shown { state: "f", log: "other", size: 9 }, 12), None, "another log");
    }
}
