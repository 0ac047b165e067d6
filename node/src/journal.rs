//! The journal: the last things that happened to this node's roads, numbered, for people and for tests.
//!
//! What must survive is in the log; this is a window on it that also shows what left no trace there. The oldest go
//! first, and numbers tell a reader that it missed some.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::now_ms;

/// Happenings kept: hours of a quiet node, ten minutes of one whose every beat differs from a dozen peers.
pub const HAPPENINGS_MAX: usize = 1024;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Happening {
    /// Its number since start, from 1 on without a gap.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// `peers`, `mode`, `divergence`, `reconcile-started`, `reconcile-finished`, or `alarm`: roots differ and nothing
    /// explains it.
    pub kind: String,
    /// A line for people.
    pub text: String,
    /// The same in parts, by name.
    pub fields: BTreeMap<String, String>,
}

/// The ring.
#[derive(Debug, Default)]
pub struct Journal {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    happenings: VecDeque<Happening>,
}

impl Journal {
    /// Writes down what happened now, here and in the process's log.
    pub fn write<const N: usize>(&self, kind: &'static str, text: String, fields: [(&'static str, String); N]) {
        tracing::info!(kind, "{text}");
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.last += 1;
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let happening = Happening { number: ring.last, time_ms: now_ms(), kind: kind.to_owned(), text, fields };
        if ring.happenings.len() == HAPPENINGS_MAX {
            ring.happenings.pop_front();
        }
        ring.happenings.push_back(happening);
    }

    /// What happened behind number `after`, the oldest first, at most `limit`.
    pub fn behind(&self, after: u64, limit: usize) -> Vec<Happening> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.happenings.iter().filter(|happening| happening.number > after).take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_numbers_go_on() {
        let journal = Journal::default();
        for n in 1..=HAPPENINGS_MAX + 2 {
            journal.write("peers", format!("[P2P] peers {n}"), [("peers", n.to_string())]);
        }
        let kept = journal.behind(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].number), (HAPPENINGS_MAX, 3));
        let page = journal.behind(10, 2);
        assert_eq!(page.iter().map(|h| h.number).collect::<Vec<_>>(), [11, 12]);
        assert_eq!(page[0].fields["peers"], "11");
        assert!(journal.behind(u64::MAX, 1).is_empty());
    }
}
