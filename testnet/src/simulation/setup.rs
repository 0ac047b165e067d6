//! What a seed stands for: how many nodes, what goes wrong, for how long, and what is mended at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use lattice::genesis::{Genesis, Member};
use lattice::keys::NodeKeys;

use super::message::NodeIndex;
use super::network::Quality;
use super::node::Identity;
use super::random::Random;

/// What is mended before all nodes must agree. Either road alone must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Healing {
    Everything,
    P2pAlone,
    HttpAlone,
}

/// A kind of trouble that a run may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Partition,
    Crash,
    Clock,
    SlowDisk,
    FullDisk,
    BadLinks,
}

const TROUBLES: [Trouble; 6] =
    [Trouble::Partition, Trouble::Crash, Trouble::Clock, Trouble::SlowDisk, Trouble::FullDisk, Trouble::BadLinks];

/// A run before it runs.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) nodes: u8,
    /// A node that is no founding member: the admin lets it in on the way.
    pub(crate) late: Option<NodeIndex>,
    /// A member that lies in all that it says.
    pub(crate) liar: Option<NodeIndex>,
    /// A member that the admin cuts on the way.
    pub(crate) revoked: Option<NodeIndex>,
    /// Whether libp2p leads nowhere from the start, so that HTTP mode carries the writes.
    pub(crate) is_without_p2p: bool,
    /// Milliseconds of faults before everything is mended.
    pub(crate) safety_ms: u64,
    /// Milliseconds between two writes somewhere, on average.
    pub(crate) write_each_ms: u64,
    /// Milliseconds between two troubles, on average.
    pub(crate) trouble_each_ms: u64,
    /// Keys that writers fight over.
    pub(crate) keys: u64,
    /// Most operations in one write.
    pub(crate) ops_max: u64,
    pub(crate) max_drift_ms: u64,
    pub(crate) quality: Quality,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) healing: Healing,
    pub(crate) random: Random,
}

impl Setup {
    /// Draws a run. Each kind of trouble is in some runs and not in others: one that is always there hides what only
    /// shows without it.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = u8::try_from(random.between(3, 5)).unwrap_or(3);
        let last = NodeIndex(nodes - 1);
        let liar = random.per_mille(300).then_some(NodeIndex(1));
        let late = (nodes > 3 && random.per_mille(250)).then_some(last);
        let revoked = (nodes > 3 && random.per_mille(200)).then_some(liar.unwrap_or(NodeIndex(2)));
        let healing = match random.below(10) {
            0 | 1 => Healing::HttpAlone,
            2 | 3 => Healing::P2pAlone,
            _ => Healing::Everything,
        };
        let is_without_p2p = random.per_mille(100);
        // HTTP mode begins after a minute.
        let safety_ms = if is_without_p2p { random.between(70_000, 120_000) } else { random.between(15_000, 60_000) };
        let is_large = random.per_mille(150);
        Self {
            nodes,
            late,
            liar,
            revoked,
            is_without_p2p,
            safety_ms,
            write_each_ms: random.between(300, 2_000),
            trouble_each_ms: random.between(1_500, 8_000),
            keys: if is_large { 2_000 } else { random.between(4, 120) },
            ops_max: if is_large { 200 } else { 8 },
            max_drift_ms: random.between(5_000, 30_000),
            quality: quality(&mut random),
            troubles: TROUBLES.into_iter().filter(|_| random.per_mille(600)).collect(),
            healing,
            random,
        }
    }

    /// The nodes and their lattice. The first is its founder and only admin.
    pub(crate) fn identities(&self) -> Vec<Arc<Identity>> {
        let genesis = Arc::new(self.genesis());
        let lattice = genesis.id();
        let identity = |index| {
            let keys = keys(index);
            let author = keys.author.id();
            Arc::new(Identity { index, genesis: genesis.clone(), lattice, keys, author })
        };
        (0..self.nodes).map(NodeIndex).map(identity).collect()
    }

    fn genesis(&self) -> Genesis {
        let founder = NodeIndex(0);
        let mut genesis = Genesis::founded_by("simulated", &founder.to_string(), &keys(founder), founder.peer_id());
        genesis.members.extend((1..self.nodes).map(NodeIndex).filter(|node| Some(*node) != self.late).map(member));
        genesis.members.sort_by_key(|member| member.author);
        genesis.limits.max_drift_ms = self.max_drift_ms;
        genesis
    }
}

/// What a genesis or a membership change says of a node.
pub(crate) fn member(node: NodeIndex) -> Member {
    let keys = keys(node);
    let (author, log_key) = (keys.author.id(), keys.log_key());
    Member { name: node.to_string(), author, log_key, peer_id: node.peer_id(), roles: BTreeSet::new() }
}

fn keys(node: NodeIndex) -> NodeKeys {
    NodeKeys::from_seed([node.0 + 1; 32])
}

fn quality(random: &mut Random) -> Quality {
    let is_clean = random.per_mille(300);
    let worst = |random: &mut Random, most| if is_clean { 0 } else { random.below(most) };
    Quality {
        delay_ms: random.between(1, 60),
        jitter_ms: random.below(200),
        lost_per_mille: worst(random, 150),
        doubled_per_mille: worst(random, 150),
    }
}
