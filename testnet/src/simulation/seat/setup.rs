//! What a seed stands for: how many nodes, who is what, how good the links are, and what may go wrong.

use lattice::ids::{AuthorId, LatticeId};
use lattice::keys::{AuthorKey, NodeKeys};
use lattice::seat::Body;
use node_core::seat::own::NoShadow;

use crate::simulation::random::Random;

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Partition,
    Pause,
    Crash,
    BadLinks,
    SlowDisk,
    /// The holder's disk is gone, and the node with it.
    DiskLoss,
    Switchover,
    ChangeShadow,
    PauseSeat,
}

/// How good the links are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    pub(super) delay_ms: (u64, u64),
    pub(super) lost_per_mille: u64,
    pub(super) doubled_per_mille: u64,
    /// Messages that come seconds later.
    pub(super) late_per_mille: u64,
}

impl Quality {
    pub(super) const GOOD: Self = Self { delay_ms: (1, 5), lost_per_mille: 0, doubled_per_mille: 0, late_per_mille: 0 };
    pub(super) const BAD: Self =
        Self { delay_ms: (1, 400), lost_per_mille: 150, doubled_per_mille: 150, late_per_mille: 60 };
}

/// A run's beginning.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) random: Random,
    pub(super) nodes: usize,
    pub(super) voters: Vec<usize>,
    pub(super) spares: Vec<usize>,
    pub(super) policy: NoShadow,
    pub(super) quality: Quality,
    /// Milliseconds of faults.
    pub(super) safety_ms: u64,
    pub(super) trouble_each_ms: u64,
    pub(super) ask_each_ms: u64,
    pub(super) keys: u8,
    pub(super) troubles: Vec<Trouble>,
    /// Whether nodes that just won a term are cut off and go down.
    pub(super) has_ambush: bool,
    /// Milliseconds for which the seat is not served until operators settle a term.
    pub(super) patience_ms: u64,
    /// Per mille by which each clock is fast or slow.
    pub(super) rates: Vec<i64>,
}

impl Setup {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5ea7);
        let nodes = usize::try_from(random.between(4, 6)).unwrap_or(4);
        let all: Vec<usize> = (0..nodes).collect();
        let count = if nodes >= 5 && random.per_mille(250) { 5 } else { 3 };
        let voters = if random.per_mille(500) { all[..count].to_vec() } else { some(&mut random, &all, count) };
        let spare_count = usize::try_from(random.below(3)).unwrap_or(0).min(nodes - 2);
        let spares = some(&mut random, &all[2..], spare_count);
        let policy = if random.per_mille(300) { NoShadow::Degrade } else { NoShadow::Block };
        use Trouble::{BadLinks, ChangeShadow, Crash, DiskLoss, Partition, Pause, PauseSeat, SlowDisk, Switchover};
        let possible = [Partition, Pause, Crash, BadLinks, SlowDisk, DiskLoss, Switchover, ChangeShadow, PauseSeat];
        let mut troubles: Vec<_> = possible.into_iter().filter(|_| random.per_mille(650)).collect();
        troubles
            .extend([Partition, Crash, Pause, Partition, Crash, Pause].into_iter().filter(|_| random.per_mille(400)));
        if troubles.is_empty() {
            troubles.push(Crash);
        }
        let quality = Quality {
            delay_ms: (1, random.between(3, 40)),
            lost_per_mille: if random.per_mille(500) { random.below(60) } else { 0 },
            doubled_per_mille: if random.per_mille(500) { random.below(80) } else { 0 },
            late_per_mille: if random.per_mille(300) { random.below(20) } else { 0 },
        };
        Self {
            nodes,
            voters,
            spares,
            policy,
            quality,
            safety_ms: random.between(20_000, 60_000),
            trouble_each_ms: random.between(1_000, 8_000),
            ask_each_ms: random.between(40, 250),
            keys: u8::try_from(random.between(2, 4)).unwrap_or(3),
            troubles,
            has_ambush: random.per_mille(300),
            patience_ms: random.between(6_000, 25_000),
            rates: (0..nodes).map(|_| random.between(0, 20).cast_signed() - 10).collect(),
            random,
        }
    }

    pub(super) fn keys_of_nodes(&self) -> Vec<AuthorKey> {
        let seed = |node: usize| [u8::try_from(node).unwrap_or(0) + 1; 32];
        (0..self.nodes).map(|node| NodeKeys::from_seed(seed(node)).author).collect()
    }

    /// What operators settle at first: node 0 holds, node 1 is its shadow.
    pub(super) fn founding(&self, authors: &[AuthorId]) -> Body {
        let mut voters: Vec<_> = self.voters.iter().map(|voter| authors[*voter]).collect();
        voters.sort_unstable();
        Body {
            lattice: LatticeId::ZERO,
            seat: "green".to_owned(),
            term: 1,
            holder: authors[0],
            shadow: Some(authors[1]),
            spares: self.spares.iter().map(|spare| authors[*spare]).collect(),
            voters,
            electors: Vec::new(),
            follows: None,
            cut: 0,
            log_size: 0,
            log_root: [0; 32],
            time_ms: 0,
            reason: "founded".to_owned(),
        }
    }
}

/// So many of these, in any order.
fn some(random: &mut Random, of: &[usize], count: usize) -> Vec<usize> {
    let mut left = of.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let at = usize::try_from(random.below(left.len() as u64)).unwrap_or(0);
        chosen.push(left.swap_remove(at));
    }
    chosen
}
