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
    /// - `peers`, `mode`: how many there are, and over which road this node heals;
    /// - `divergence`, `reconcile-started`, `reconcile-finished`: another root, and what was done about it;
    /// - `alarm`: roots differ and nothing explains it, or a log's node can't show that it only grew;
    /// - `damage`: entries on this node's disk were not what was stored there, and were dropped;
    /// - `fork`: two checkpoints of a log contradict each other;
    /// - `reconcile`: a session over libp2p that this node started moved something or failed;
    /// - `seat`, `seat-alarm`: the seat moved, or needs an operator; `log-renamed`: this node's log has a new name;
    /// - `membership`: a member joined, or lost its rights; `refusal`: what was refused, and how often in ten seconds.
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
        let field = |wanted| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
        // Those that the text does not say; what an event lacks is left out.
        tracing::info!(
            kind,
            peer = field("peer"),
            outcome = field("outcome"),
            detail = field("detail"),
            reason = field("reason"),
            means = field("kind"),
            "{text}"
        );
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
    use std::io::{self, Write};
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

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

    #[test]
    fn the_log_says_with_whom_and_how_it_ended() {
        // "reconcile finished" and a root stood there after a session that was lost, too.
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(Kept(lines.clone())).finish();
        tracing::subscriber::with_default(log, || {
            let fields =
                [("peer", "http://a:1".to_owned()), ("outcome", "lost".into()), ("detail", "no answer".into())];
            Journal::default().write("reconcile-finished", "reconcile finished 00ff".into(), fields);
        });
        let line = String::from_utf8(lines.lock().expect("whole").clone()).expect("text");
        for part in ["reconcile finished 00ff", "peer=\"http://a:1\"", "outcome=\"lost\"", "detail=\"no answer\""] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("reason"), "{line}");
    }

    /// A log that is kept to be read.
    #[derive(Clone)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Kept {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}
