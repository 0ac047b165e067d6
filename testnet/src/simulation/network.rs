//! The links between nodes: how long a message takes, whether it arrives, how often, and who is cut off from whom.

use std::collections::BTreeSet;

use super::message::{NodeIndex, Road};
use super::random::Random;

/// How good the links are, between any two nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quality {
    /// Milliseconds that every message takes.
    pub(crate) delay_ms: u64,
    /// Up to so many more, drawn for each message: later ones overtake earlier ones.
    pub(crate) jitter_ms: u64,
    /// Messages in a thousand that are lost.
    pub(crate) lost_per_mille: u64,
    /// Messages in a thousand that arrive twice.
    pub(crate) doubled_per_mille: u64,
}

impl Quality {
    /// A healthy local network.
    pub(crate) const GOOD: Self = Self { delay_ms: 1, jitter_ms: 4, lost_per_mille: 0, doubled_per_mille: 0 };
}

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    pub(crate) quality: Quality,
    /// Ways that lead nowhere. A message is dropped without a word, as by a firewall.
    cuts: BTreeSet<(Road, NodeIndex, NodeIndex)>,
    /// A road that is cut everywhere, and stays so when other cuts are mended.
    closed: Option<Road>,
}

impl Network {
    pub(crate) fn new(random: Random, quality: Quality) -> Self {
        Self { random, quality, cuts: BTreeSet::new(), closed: None }
    }

    /// Cuts the ways from these to those, and back if asked for.
    pub(crate) fn cut(&mut self, roads: &[Road], from: &[NodeIndex], to: &[NodeIndex], both_ways: bool) {
        for road in roads {
            for (a, b) in from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
                self.cuts.insert((*road, a, b));
                if both_ways {
                    self.cuts.insert((*road, b, a));
                }
            }
        }
    }

    pub(crate) fn mend(&mut self) {
        self.cuts.clear();
    }

    /// Closes a road everywhere and opens the other, or opens both.
    pub(crate) fn close(&mut self, road: Option<Road>) {
        self.closed = road;
    }

    pub(crate) fn is_open(&self, road: Road, from: NodeIndex, to: NodeIndex) -> bool {
        self.closed != Some(road) && !self.cuts.contains(&(road, from, to))
    }

    /// Whether a connection can be made: both ways are open.
    pub(crate) fn is_passable(&self, road: Road, a: NodeIndex, b: NodeIndex) -> bool {
        self.is_open(road, a, b) && self.is_open(road, b, a)
    }

    /// Milliseconds after which a message arrives: once, twice, or never.
    pub(crate) fn arrivals(&mut self, road: Road, from: NodeIndex, to: NodeIndex) -> Vec<u64> {
        if !self.is_open(road, from, to) || self.random.per_mille(self.quality.lost_per_mille) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.random.per_mille(self.quality.doubled_per_mille));
        (0..copies).map(|_| self.delay()).collect()
    }

    /// Milliseconds that one message takes now.
    pub(crate) fn delay(&mut self) -> u64 {
        self.quality.delay_ms + self.random.below(self.quality.jitter_ms + 1)
    }
}
