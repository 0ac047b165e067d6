//! Which node had which state root, and since when: a lane for each node (pure).

use std::collections::{BTreeMap, VecDeque};

use lattice::ids::StateRoot;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Nodes with a lane. Beyond it the one heard of longest ago gives way: a lattice this size is read in the metrics.
pub const LANES_MAX: usize = 64;

/// Roots kept for one node: the last minutes under steady writes, hours of a quiet one. The oldest go first.
pub const CHANGES_MAX: usize = 240;

/// A node stood at another root from this moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RootChange {
    /// Its number since start, over all lanes.
    pub number: u64,
    /// When this node saw it, in milliseconds since 1970.
    pub time_ms: u64,
    /// The root, 64 hexadecimal digits.
    pub root: String,
    /// Entries under it, where they were told.
    pub entries: Option<u64>,
}

/// What one node stated, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lane {
    /// Author key of the node, or its URL while nobody knows who answers there.
    pub node: String,
    /// What people call it.
    pub name: Option<String>,
    /// Whether it is the node that tells this.
    pub is_own: bool,
    /// The oldest first.
    pub changes: Vec<RootChange>,
}

/// A node's root at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Author key or URL.
    pub node: String,
    /// What people call it.
    pub name: Option<String>,
    /// Whether it is this node.
    pub is_own: bool,
    /// Its root.
    pub root: StateRoot,
    /// Entries under it.
    pub entries: Option<u64>,
}

#[derive(Debug)]
struct Kept {
    name: Option<String>,
    is_own: bool,
    root: StateRoot,
    seen_ms: u64,
    changes: VecDeque<RootChange>,
}

/// The lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    kept: BTreeMap<String, Kept>,
    last: u64,
}

impl Lanes {
    /// Takes in what a node stated by now.
    pub fn take(&mut self, now_ms: u64, seen: Seen) {
        let Seen { node, name, is_own, root, entries } = seen;
        if self.kept.len() >= LANES_MAX && !self.kept.contains_key(&node) {
            let others = self.kept.iter().filter(|(_, lane)| !lane.is_own);
            let oldest = others.min_by_key(|(_, lane)| lane.seen_ms).map(|(node, _)| node.clone());
            oldest.and_then(|node| self.kept.remove(&node));
        }
        let is_new = !self.kept.contains_key(&node);
        let empty = || Kept { name: None, is_own, root, seen_ms: now_ms, changes: VecDeque::new() };
        let lane = self.kept.entry(node).or_insert_with(empty);
        lane.name = name.or(lane.name.take());
        lane.seen_ms = now_ms;
        if is_new || lane.root != root {
            self.last += 1;
            lane.root = root;
            if lane.changes.len() == CHANGES_MAX {
                lane.changes.pop_front();
            }
            let change = RootChange { number: self.last, time_ms: now_ms, root: root.to_string(), entries };
            lane.changes.push_back(change);
        }
    }

    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Lanes with what changed behind number `after`; those without a change are left out.
    pub fn behind(&self, after: u64) -> Vec<Lane> {
        let shown = |(node, lane): (&String, &Kept)| Lane {
            node: node.clone(),
            name: lane.name.clone(),
            is_own: lane.is_own,
            changes: lane.changes.iter().filter(|change| change.number > after).cloned().collect(),
        };
        self.kept.iter().map(shown).filter(|lane| !lane.changes.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(node: &str, root: u8) -> Seen {
        let is_own = node == "own";
        Seen { node: node.to_owned(), name: None, is_own, root: StateRoot([root; 32]), entries: Some(1) }
    }

    #[test]
    fn a_lane_grows_by_changes_alone() {
        let mut lanes = Lanes::default();
        for (now, node, root) in [(1, "own", 1), (1, "b", 1), (2, "own", 1), (3, "own", 2), (4, "b", 2)] {
            lanes.take(now, seen(node, root));
        }
        let all = lanes.behind(0);
        let times = |lane: &Lane| lane.changes.iter().map(|change| change.time_ms).collect::<Vec<_>>();
        assert_eq!(all.iter().map(times).collect::<Vec<_>>(), [vec![1, 4], vec![1, 3]]);
        let new = lanes.behind(3);
        assert_eq!((new.len(), new[0].node.as_str(), new[0].changes.len()), (1, "b", 1));
        assert!(lanes.behind(lanes.last()).is_empty());
    }

    #[test]
    fn lanes_and_their_changes_are_bounded_and_our_own_stays() {
        let mut lanes = Lanes::default();
        lanes.take(0, seen("own", 0));
        for n in 0..LANES_MAX as u64 + 5 {
            lanes.take(n + 1, seen(&format!("n{n}"), 1));
        }
        for n in 0..=CHANGES_MAX {
            lanes.take(1_000, seen("own", 2 + (n % 2) as u8));
        }
        let all = lanes.behind(0);
        assert_eq!(all.len(), LANES_MAX);
        let own = all.iter().find(|lane| lane.is_own).expect("its own");
        assert_eq!(own.changes.len(), CHANGES_MAX);
    }
}
