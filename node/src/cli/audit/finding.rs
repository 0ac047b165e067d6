//! What an audit can find: a word for programs, a sentence for people, and how long it may last before it is an alarm.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// The node does not answer.
    Silent,
    /// What it answers is no checkpoint, or no head.
    Unreadable,
    /// The policy does not name its log.
    UnknownLog,
    /// A signature does not hold, or is not there.
    Signature,
    /// Another log than before is shown at the URL.
    OtherLog,
    /// Two checkpoints of one log contradict each other.
    Fork,
    /// The log is shorter than it was.
    Rollback,
    /// The node does not show that its log grew from what it was.
    NoProof,
    /// It showed a proof that is wrong, though its tiles prove the growth.
    WrongProof,
    /// Too few witnesses cosigned.
    Quorum,
    /// The head is old.
    Stale,
    /// More of the log was signed than is shown: the head says so, or another node knows of it.
    Withheld,
    /// The node that answers is not the one whose log is shown.
    OtherNode,
    /// Two nodes say that they took in the same commits and have different states.
    Divergence,
    /// Two nodes have had different states for long, and nothing changes.
    Apart,
    /// The records served are not those of the checkpoint, or don't follow each other.
    Records,
    /// The state served is not the one that the log tells of, or holds what does not count.
    State,
    /// The tiles served are not those that the records give.
    Tiles,
    /// The auditor's own state can't be written.
    Unsaved,
}

/// How long something may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is an alarm at once.
    None,
    /// It may be seen while things move: for seconds.
    Grace,
    /// It may take until somebody or something is back: for the greatest age allowed.
    MaxAge,
}

impl Kind {
    /// All of them, for the gauges.
    pub(super) const ALL: [Self; 19] = [
        Self::Silent,
        Self::Unreadable,
        Self::UnknownLog,
        Self::Signature,
        Self::OtherLog,
        Self::Fork,
        Self::Rollback,
        Self::NoProof,
        Self::WrongProof,
        Self::Quorum,
        Self::Stale,
        Self::Withheld,
        Self::OtherNode,
        Self::Divergence,
        Self::Apart,
        Self::Records,
        Self::State,
        Self::Tiles,
        Self::Unsaved,
    ];

    /// The word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unreadable => "unreadable",
            Self::UnknownLog => "unknown-log",
            Self::Signature => "signature",
            Self::OtherLog => "other-log",
            Self::Fork => "fork",
            Self::Rollback => "rollback",
            Self::NoProof => "no-proof",
            Self::WrongProof => "wrong-proof",
            Self::Quorum => "quorum",
            Self::Stale => "stale",
            Self::Withheld => "withheld",
            Self::OtherNode => "other-node",
            Self::Divergence => "divergence",
            Self::Apart => "apart",
            Self::Records => "records",
            Self::State => "state",
            Self::Tiles => "tiles",
            Self::Unsaved => "unsaved",
        }
    }

    /// How long it may last.
    pub(super) const fn patience(self) -> Patience {
        match self {
            Self::Quorum | Self::Withheld | Self::Divergence => Patience::Grace,
            Self::Silent | Self::Apart => Patience::MaxAge,
            Self::Unreadable
            | Self::UnknownLog
            | Self::Signature
            | Self::OtherLog
            | Self::Fork
            | Self::Rollback
            | Self::NoProof
            | Self::WrongProof
            | Self::Stale
            | Self::OtherNode
            | Self::Records
            | Self::State
            | Self::Tiles
            | Self::Unsaved => Patience::None,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What kind.
    #[serde(rename = "word")]
    pub(super) kind: Kind,
    /// The URL, or the URLs, that it was found at.
    pub(super) at: String,
    /// What it means, and what to do.
    pub(super) sentence: String,
    /// What it is about: as long as this stays the same, so does the finding.
    #[serde(skip)]
    pub(super) about: String,
    /// A file that proves it to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<PathBuf>,
}

impl Finding {
    /// A finding at one URL.
    pub(super) fn new(kind: Kind, url: &str, sentence: impl Into<String>) -> Self {
        Self { kind, at: url.to_owned(), sentence: sentence.into(), about: url.to_owned(), evidence: None }
    }

    fn key(&self) -> Key {
        (self.kind, self.about.clone())
    }
}

type Key = (Kind, String);

/// How long to wait with what may pass, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// While things move.
    pub(super) grace_ms: u64,
    /// Until somebody is back.
    pub(super) max_age_ms: u64,
}

/// What was found at a look, sorted by whether it has lasted too long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weighed {
    /// Alarms.
    pub(super) alarms: Vec<Finding>,
    /// What may still pass.
    pub(super) pending: Vec<Finding>,
}

/// Graces for which a single audit looks again at most. After one, whatever stood at its first look has passed or is an alarm;
/// the other is for what came up meanwhile, which under load something always does.
const SETTLING_GRACES: u64 = 2;

impl Weighed {
    /// Whether something was found that a moment may clear.
    pub(super) fn may_clear(&self) -> bool {
        self.pending.iter().any(|finding| finding.kind.patience() == Patience::Grace)
    }

    /// Whether a single audit that began so long ago can end with this.
    pub(super) fn is_settled(&self, waits: Waits, began_ms_ago: u64) -> bool {
        !self.may_clear() || began_ms_ago >= waits.grace_ms.saturating_mul(SETTLING_GRACES)
    }

    /// Adds alarms of earlier looks of the same audit: some are seen once, at the moment when something changes.
    pub(super) fn keep(&mut self, earlier: Vec<Finding>) {
        for alarm in earlier {
            if !self.alarms.iter().any(|standing| standing.key() == alarm.key()) {
                self.alarms.push(alarm);
            }
        }
    }
}

/// Since when each thing has been found at every look.
#[derive(Debug, Default)]
pub(super) struct Suspicions(BTreeMap<Key, u64>);

impl Suspicions {
    /// Takes what was found at a look; whatever was not found again is forgotten.
    pub(super) fn weigh(&mut self, now_ms: u64, waits: Waits, found: Vec<Finding>) -> Weighed {
        let before = std::mem::take(&mut self.0);
        let mut weighed = Weighed::default();
        for finding in found {
            let since = before.get(&finding.key()).copied().unwrap_or(now_ms);
            // One thing may be seen in two places.
            if self.0.insert(finding.key(), since).is_some() {
                continue;
            }
            let wait_ms = match finding.kind.patience() {
                Patience::None => 0,
                Patience::Grace => waits.grace_ms,
                Patience::MaxAge => waits.max_age_ms,
            };
            let lasted = now_ms.saturating_sub(since) >= wait_ms;
            if lasted { weighed.alarms.push(finding) } else { weighed.pending.push(finding) }
        }
        weighed
    }
}

/// The alarms that stand, so that each is told once when it begins and once when it ends.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<Key, Finding>);

impl Standing {
    /// The alarms that nobody can say are over, as the URLs that they were found at are away.
    pub(super) fn about(&self, away: &[&str]) -> Vec<Finding> {
        let is_away = |alarm: &&Finding| alarm.at.split(' ').any(|url| away.contains(&url));
        self.0.values().filter(is_away).filter(|alarm| alarm.kind != Kind::Silent).cloned().collect()
    }

    /// Takes the alarms of a look; gives those that are new, and those that are over.
    pub(super) fn update(&mut self, alarms: &[Finding]) -> (Vec<Finding>, Vec<Finding>) {
        let before = std::mem::take(&mut self.0);
        self.0 = alarms.iter().map(|alarm| (alarm.key(), alarm.clone())).collect();
        let new = self.0.iter().filter(|(key, _)| !before.contains_key(*key)).map(|(_, alarm)| alarm.clone()).collect();
        let over = before.into_iter().filter(|(key, _)| !self.0.contains_key(key)).map(|(_, alarm)| alarm).collect();
        (new, over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { grace_ms: 10, max_age_ms: 100 };

    fn words(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.kind.word()).collect()
    }

    #[test]
    fn what_may_pass_is_an_alarm_only_once_it_has_lasted() {
        let mut suspicions = Suspicions::default();
        let find = |kinds: &[Kind]| kinds.iter().map(|kind| Finding::new(*kind, "u", "s")).collect::<Vec<_>>();
        type Look = (u64, &'static [Kind], &'static [&'static str], &'static [&'static str]);
        let table: [Look; 7] = [
            (0, &[Kind::Quorum, Kind::Fork, Kind::Silent], &["fork"], &["quorum", "silent"]),
            (9, &[Kind::Quorum, Kind::Silent], &[], &["quorum", "silent"]),
            (10, &[Kind::Quorum, Kind::Silent], &["quorum"], &["silent"]),
            (11, &[Kind::Silent], &[], &["silent"]),
            // It was well in between: the time begins anew.
            (15, &[Kind::Quorum, Kind::Silent], &[], &["quorum", "silent"]),
            (100, &[Kind::Silent], &["silent"], &[]),
            (101, &[], &[], &[]),
        ];
        for (now, found, alarms, pending) in table {
            let weighed = suspicions.weigh(now, WAITS, find(found));
            assert_eq!((words(&weighed.alarms), words(&weighed.pending)), (alarms.to_vec(), pending.to_vec()), "{now}");
        }
    }

    /// A single audit looked again for as long as a look found anything that might pass, and never ended under load.
    #[test]
    fn a_single_audit_ends_though_something_new_comes_up_at_each_look() {
        let mut suspicions = Suspicions::default();
        let mut ended = None;
        for now in 0..100 {
            let about = now.to_string();
            let found = vec![Finding { about, ..Finding::new(Kind::Withheld, "u", "s") }];
            if suspicions.weigh(now, WAITS, found).is_settled(WAITS, now) {
                ended = ended.or(Some(now));
            }
        }
        assert_eq!(ended, Some(20));
        assert!(suspicions.weigh(0, WAITS, vec![]).is_settled(WAITS, 0), "nothing is to be waited for");
    }

    #[test]
    fn an_alarm_that_was_seen_once_is_not_lost_while_something_else_is_waited_for() {
        let find = |kind| Finding::new(kind, "u", "s");
        let mut last = Weighed { alarms: vec![find(Kind::Quorum)], pending: vec![] };
        last.keep(vec![find(Kind::OtherLog), find(Kind::Quorum)]);
        assert_eq!(words(&last.alarms), ["quorum", "other-log"]);
    }

    #[test]
    fn what_was_found_at_a_node_that_is_away_now_is_not_over() {
        let mut standing = Standing::default();
        let find = |kind, at: &str| Finding::new(kind, at, "s");
        let alarms =
            [find(Kind::Stale, "a"), find(Kind::Quorum, "b"), find(Kind::Apart, "a b"), find(Kind::Silent, "a")];
        standing.update(&alarms);
        assert_eq!(words(&standing.about(&["a"])), ["stale", "apart"]);
        assert_eq!(standing.about(&[]), []);
    }

    #[test]
    fn one_thing_seen_twice_is_one_finding() {
        let find = || Finding::new(Kind::Fork, "u", "s");
        let weighed = Suspicions::default().weigh(0, WAITS, vec![find(), find()]);
        assert_eq!(words(&weighed.alarms), ["fork"]);
    }

    #[test]
    fn an_alarm_is_told_when_it_begins_and_when_it_ends() {
        let mut standing = Standing::default();
        let fork = Finding::new(Kind::Fork, "u", "one");
        let (new, over) = standing.update(std::slice::from_ref(&fork));
        assert_eq!((new.len(), over.len()), (1, 0));
        let (new, over) = standing.update(&[Finding { sentence: "in other words".to_owned(), ..fork }]);
        assert_eq!((new.len(), over.len()), (0, 0));
        let (new, over) = standing.update(&[]);
        assert_eq!((new.len(), over.len()), (0, 1));
    }
}
