//! What one node's events tell: whether each session was due, and how the first healing after the cut went.
//!
//! A pure reader: events go in one by one, in their order.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::Happening;

/// Mismatches in a row after which a node that relies on libp2p reconciles over HTTP.
pub(super) const MISMATCHES: usize = 3;

/// Everything that counts of one node's events.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    is_in_http_mode: bool,
    runs: BTreeMap<String, Run>,
    /// Peers whose third mismatch begins a healing: those on the other side, and none before the cut.
    across: Vec<String>,
    /// The first healing since the cut.
    pub(super) healing: Option<Healing>,
    /// Lattice peers when last told.
    pub(super) lattice_peers: usize,
    /// When the number of lattice peers was first 0 since the cut.
    pub(super) alone_ms: Option<u64>,
    /// When HTTP mode began, and ended.
    pub(super) http_mode_ms: (Option<u64>, Option<u64>),
    /// Sessions that ended with equal roots: before HTTP mode and in it.
    pub(super) equal_sessions: (usize, usize),
    /// What should not have been told.
    pub(super) violations: Vec<String>,
}

/// Mismatches with one peer.
#[derive(Debug, Clone, Default)]
struct Run {
    /// When each of them was found since the count was last 0.
    at_ms: Vec<u64>,
    /// Whether the first of them has another cause than the cut.
    began_before_the_cut: bool,
    /// Whether one of them calls for a session that has not begun.
    is_due: bool,
}

/// From the first mismatch to equal roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Healing {
    /// The URL of the other node.
    pub(super) peer: String,
    /// When the first, second and third mismatch were found.
    pub(super) mismatches_ms: Vec<u64>,
    /// When the session began.
    pub(super) started_ms: Option<u64>,
    /// When a session ended with equal roots.
    pub(super) equal_ms: Option<u64>,
}

impl Healing {
    /// Milliseconds from the third mismatch to equal roots, if it came so far.
    pub(super) fn took_ms(&self) -> Option<u64> {
        Some(self.equal_ms?.saturating_sub(*self.mismatches_ms.last()?))
    }
}

impl Story {
    /// From now on this node is cut off from the nodes at these URLs.
    pub(super) fn cut_off_from(&mut self, urls: Vec<String>) {
        self.across = urls;
        for run in self.runs.values_mut() {
            run.began_before_the_cut = true;
        }
    }

    /// Whether it was cut off.
    pub(super) fn is_of_a_cut_node(&self) -> bool {
        !self.across.is_empty()
    }

    /// Whether three mismatches led to equal roots.
    pub(super) fn has_healed(&self) -> bool {
        self.healing.as_ref().is_some_and(|healing| healing.equal_ms.is_some())
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, event: &Happening) {
        let field = |name: &str| event.fields.get(name).map_or("", String::as_str);
        match event.kind.as_str() {
            "peers" => self.peers(field("peers").parse().unwrap_or(0), event.time_ms),
            "mode" => self.mode(field("mode") == "http", event.time_ms),
            "divergence" => self.mismatch(field("peer"), field("count").parse().unwrap_or(0), event.time_ms),
            "reconcile-started" => self.started(field("peer"), event.time_ms),
            "reconcile-finished" => self.finished(field("peer"), field("outcome"), event.time_ms),
            _ => {}
        }
    }

    fn peers(&mut self, lattice_peers: usize, now_ms: u64) {
        self.lattice_peers = lattice_peers;
        if lattice_peers == 0 && self.is_of_a_cut_node() {
            self.alone_ms.get_or_insert(now_ms);
        }
    }

    fn mode(&mut self, is_http: bool, now_ms: u64) {
        self.is_in_http_mode = is_http;
        let (began, ended) = &mut self.http_mode_ms;
        if is_http {
            began.get_or_insert(now_ms);
        } else if began.is_some() {
            ended.get_or_insert(now_ms);
        }
    }

    fn mismatch(&mut self, peer: &str, count: usize, now_ms: u64) {
        let run = self.runs.entry(peer.to_owned()).or_default();
        if count == 1 {
            run.at_ms.clear();
            run.began_before_the_cut = false;
        }
        run.at_ms.push(now_ms);
        if count != run.at_ms.len() {
            let expected = run.at_ms.len();
            self.violations.push(format!("counted {count} mismatches with {peer} where {expected} was due"));
            run.at_ms.resize(count, now_ms);
        }
        run.is_due |= self.is_in_http_mode || count >= MISMATCHES;
        let is_across = self.across.iter().any(|url| url == peer) && !run.began_before_the_cut;
        if count == MISMATCHES && self.healing.is_none() && is_across {
            let mismatches_ms = run.at_ms.clone();
            self.healing = Some(Healing { peer: peer.to_owned(), mismatches_ms, started_ms: None, equal_ms: None });
        }
    }

    fn started(&mut self, peer: &str, now_ms: u64) {
        let run = self.runs.entry(peer.to_owned()).or_default();
        if !std::mem::take(&mut run.is_due) {
            let counted = run.at_ms.len();
            self.violations.push(format!("reconciled with {peer} after {counted} mismatches"));
        }
        if let Some(healing) = self.healing.as_mut().filter(|healing| healing.peer == peer) {
            healing.started_ms.get_or_insert(now_ms);
        }
    }

    fn finished(&mut self, peer: &str, outcome: &str, now_ms: u64) {
        if outcome != "equal" {
            return;
        }
        let (before, within) = &mut self.equal_sessions;
        *(if self.is_in_http_mode { within } else { before }) += 1;
        let is_across = self.across.iter().any(|url| url == peer);
        if let Some(healing) = self.healing.as_mut().filter(|healing| is_across && healing.started_ms.is_some()) {
            healing.equal_ms.get_or_insert(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event from one line: time, kind, then `name=value`.
    fn event(line: &str) -> Happening {
        let words: Vec<&str> = line.split(' ').collect();
        let fields = words[2..].iter().map(|word| word.split_once('=').expect("a pair"));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let time_ms = words[0].parse().expect("a time");
        Happening { number: 0, time_ms, kind: words[1].to_owned(), text: String::new(), fields }
    }

    fn story(lines: &[&str]) -> Story {
        let mut story = Story::default();
        for line in lines {
            match *line {
                "cut" => story.cut_off_from(vec!["a".into(), "b".into()]),
                line => story.take(&event(line)),
            }
        }
        story
    }

    #[test]
    fn a_healing_is_three_mismatches_a_session_and_equal_roots() {
        let story = story(&[
            "1 divergence peer=b count=1",
            "cut",
            "2 divergence peer=b count=2",
            "3 divergence peer=b count=3",
            "4 reconcile-started peer=b",
            "5 reconcile-finished peer=b outcome=equal",
            "10 divergence peer=a count=1",
            "20 divergence peer=a count=2",
            "21 divergence peer=c count=1",
            "30 divergence peer=a count=3",
            "31 reconcile-started peer=a",
            "40 reconcile-finished peer=a outcome=explained",
            "45 divergence peer=b count=1",
            "50 peers peers=0",
            "60 mode mode=http",
            "61 divergence peer=b count=2",
            "62 reconcile-started peer=b",
            "70 reconcile-finished peer=b outcome=equal",
            "80 mode mode=p2p",
        ]);
        let healing = story.healing.clone().expect("a third mismatch");
        assert_eq!((healing.mismatches_ms.as_slice(), healing.started_ms), ([10, 20, 30].as_slice(), Some(31)));
        assert_eq!((healing.equal_ms, healing.took_ms()), (Some(70), Some(40)));
        assert_eq!((story.alone_ms, story.http_mode_ms), (Some(50), (Some(60), Some(80))));
        assert_eq!(story.equal_sessions, (1, 1));
        assert_eq!(story.violations, Vec::<String>::new());
    }

    #[test]
    fn a_session_that_was_not_due_and_a_count_that_leaps_are_violations() {
        let early = ["1 divergence peer=a count=1", "2 divergence peer=a count=2", "3 reconcile-started peer=a"];
        assert_eq!(story(&early).violations, ["reconciled with a after 2 mismatches"]);
        let unasked = ["1 mode mode=http", "2 reconcile-started peer=a"];
        assert_eq!(story(&unasked).violations, ["reconciled with a after 0 mismatches"]);
        let leap = ["1 divergence peer=a count=1", "2 divergence peer=a count=3"];
        assert_eq!(story(&leap).violations, ["counted 3 mismatches with a where 2 was due"]);
        assert!(story(&leap).healing.is_none(), "nobody was cut off");
    }
}
