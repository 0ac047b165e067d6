//! What is done to which node, and when: drawn from a seed before anything starts, so that the same seed is the same plan.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::simulation::random::Random;

/// How far clocks may be apart in this lattice. Short, since what is dated beyond it waits until all clocks are there.
pub(super) const MAX_DRIFT_MS: u64 = 3_000;

/// Plans drawn beside each other: so many nodes are under a fault at once at most.
const LANES: usize = 2;

/// Nothing happens before, so that the load is on its way.
const QUIET_MS: (u64, u64) = (500, 3_000);

/// Between two faults of one lane: long enough for most takeovers to end, short enough for some to be disturbed.
const BETWEEN_MS: (u64, u64) = (500, 4_000);

/// What can be done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL, and started again.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Pause,
    /// Nothing comes out or in.
    Cut,
    /// libp2p alone is cut off; HTTP passes.
    CutLibp2p,
    /// Nothing comes out; what others send arrives.
    CutSending,
    /// Killed and started again with a wrong clock, then with the right one.
    Skew {
        /// How far its clock is ahead.
        ahead_ms: i64,
    },
    /// No byte can be written.
    FullDisk,
}

/// What a fault needs of this machine, and how faults are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Nothing but a signal.
    Kill,
    /// Nothing but a signal.
    Pause,
    /// A network in namespaces.
    Cut,
    /// libfaketime, and a program that can be linked with it.
    Skew,
    /// A small file system.
    FullDisk,
}

impl Fault {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Kill => Kind::Kill,
            Self::Pause => Kind::Pause,
            Self::Cut | Self::CutLibp2p | Self::CutSending => Kind::Cut,
            Self::Skew { .. } => Kind::Skew,
            Self::FullDisk => Kind::FullDisk,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("killed"),
            Self::Pause => f.write_str("paused"),
            Self::Cut => f.write_str("cut off"),
            Self::CutLibp2p => f.write_str("cut off from libp2p"),
            Self::CutSending => f.write_str("cannot send"),
            Self::Skew { ahead_ms } => write!(f, "clock {ahead_ms:+} ms"),
            Self::FullDisk => f.write_str("disk full"),
        }
    }
}

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    /// Whoever holds the seat then.
    Holder,
    /// Whoever is to take over then.
    Shadow,
    /// A node by its index.
    Node(usize),
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holder => f.write_str("the holder"),
            Self::Shadow => f.write_str("the shadow"),
            Self::Node(node) => write!(f, "node-{}", node + 1),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// When it begins, from the start of the plan.
    pub(super) at: Duration,
    /// How long it lasts.
    pub(super) lasts: Duration,
    /// Who is hit.
    pub(super) victim: Victim,
    /// By what.
    pub(super) fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, lasts, victim, fault } = self;
        write!(f, "at {:.1} s for {:.1} s: {victim}, {fault}", at.as_secs_f64(), lasts.as_secs_f64())
    }
}

/// A step of a plan: the fault of this number begins, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Begin(usize),
    End(usize),
}

/// All faults, by their beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) faults: Vec<Planned>,
}

impl Plan {
    /// Draws a plan for `nodes` nodes that ends within `total`. Only nodes in `with_disk` can have a full disk.
    pub(super) fn drawn(seed: u64, total: Duration, nodes: usize, with_disk: &[usize]) -> Self {
        let mut random = Random::new(seed);
        let mut faults = Vec::new();
        let mut deck = Vec::new();
        let mut free = [0; LANES].map(|_: u64| random.between(QUIET_MS.0, QUIET_MS.1));
        let total_ms = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
        // Always in the lane that is free first: so the deck is dealt in the order of time.
        while let Some(lane) = (0..LANES).min_by_key(|lane| free[*lane]) {
            let fault = dealt(&mut deck, &mut random);
            let lasts_ms = lasts_ms(fault, &mut random);
            let victim = victim(fault, nodes, with_disk, &mut random);
            if free[lane] + lasts_ms > total_ms {
                break;
            }
            let [at, lasts] = [free[lane], lasts_ms].map(Duration::from_millis);
            faults.push(Planned { at, lasts, victim, fault });
            free[lane] += lasts_ms + random.between(BETWEEN_MS.0, BETWEEN_MS.1);
        }
        faults.sort_by_key(|planned| planned.at);
        Self { faults }
    }

    /// All beginnings and ends in the order of time.
    pub(super) fn steps(&self) -> Vec<(Duration, Step)> {
        let both = |(number, planned): (usize, &Planned)| {
            [(planned.at, Step::Begin(number)), (planned.at + planned.lasts, Step::End(number))]
        };
        let mut steps: Vec<(Duration, Step)> = self.faults.iter().enumerate().flat_map(both).collect();
        steps.sort_by_key(|(at, _)| *at);
        steps
    }
}

/// One fault of a shuffled deck, which holds each kind: a short run sees most of them, too.
fn dealt(deck: &mut Vec<Fault>, random: &mut Random) -> Fault {
    if deck.is_empty() {
        let within = i64::try_from(random.between(MAX_DRIFT_MS / 2, MAX_DRIFT_MS * 4 / 5)).unwrap_or(0);
        let beyond = i64::try_from(random.between(MAX_DRIFT_MS * 2, MAX_DRIFT_MS * 4)).unwrap_or(0);
        let sign = |random: &mut Random| if random.per_mille(500) { -1 } else { 1 };
        *deck = vec![Fault::Kill, Fault::Kill, Fault::Kill, Fault::Pause, Fault::Pause, Fault::Cut];
        deck.extend([Fault::CutLibp2p, Fault::CutSending, Fault::FullDisk]);
        deck.push(Fault::Skew { ahead_ms: within * sign(random) });
        deck.push(Fault::Skew { ahead_ms: beyond * sign(random) });
    }
    let index = usize::try_from(random.below(deck.len() as u64)).unwrap_or(0);
    deck.swap_remove(index)
}

/// From what nobody notices to what a takeover, or HTTP mode, answers.
fn lasts_ms(fault: Fault, random: &mut Random) -> u64 {
    let (low, high) = match fault.kind() {
        Kind::Kill => (200, 5_000),
        Kind::Pause => (500, 8_000),
        Kind::Cut => (1_000, 10_000),
        Kind::Skew | Kind::FullDisk => (2_000, 8_000),
    };
    random.between(low, high)
}

/// Often the seat, since that is where most can go wrong.
fn victim(fault: Fault, nodes: usize, with_disk: &[usize], random: &mut Random) -> Victim {
    let any: Vec<usize> = (0..nodes).collect();
    let drawn = random.below(100);
    let candidates = match fault.kind() {
        Kind::FullDisk => with_disk,
        Kind::Kill | Kind::Pause | Kind::Cut | Kind::Skew if drawn < 35 => return Victim::Holder,
        Kind::Kill | Kind::Pause | Kind::Cut | Kind::Skew if drawn < 50 => return Victim::Shadow,
        Kind::Kill | Kind::Pause | Kind::Cut | Kind::Skew => &any,
    };
    Victim::Node(random.pick(candidates).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan(seed: u64, seconds: u64) -> Plan {
        Plan::drawn(seed, Duration::from_secs(seconds), 5, &[0, 3])
    }

    #[test]
    fn the_same_seed_is_the_same_plan_and_another_is_another() {
        assert_eq!(plan(7, 60), plan(7, 60));
        assert_ne!(plan(7, 60), plan(8, 60));
    }

    #[test]
    fn a_longer_run_begins_as_a_shorter_one() {
        let (short, long) = (plan(7, 60), plan(7, 300));
        assert_eq!(short.faults[..5], long.faults[..5]);
        assert!(long.faults.len() > 2 * short.faults.len());
    }

    #[test]
    fn every_plan_keeps_its_bounds() {
        for seed in 0..200 {
            let plan = plan(seed, 60);
            let steps = plan.steps();
            assert!(steps.last().is_some_and(|(at, _)| *at <= Duration::from_secs(60)), "seed {seed}");
            let mut under = 0_usize;
            for (_, step) in steps {
                match step {
                    Step::Begin(_) => under += 1,
                    Step::End(_) => under -= 1,
                }
                assert!(under <= LANES, "seed {seed}");
            }
            let is_possible = |planned: &Planned| match (planned.fault, planned.victim) {
                (Fault::FullDisk, victim) => [Victim::Node(0), Victim::Node(3)].contains(&victim),
                (_, Victim::Node(node)) => node < 5,
                (_, Victim::Holder | Victim::Shadow) => true,
            };
            assert!(plan.faults.iter().all(is_possible), "seed {seed}");
        }
    }

    #[test]
    fn five_minutes_hold_every_kind_and_clocks_within_and_beyond_the_bound() {
        let plan = plan(1, 300);
        let kinds: BTreeSet<Kind> = plan.faults.iter().map(|planned| planned.fault.kind()).collect();
        assert_eq!(kinds.len(), 5, "{kinds:?}");
        let skews = plan.faults.iter().filter_map(|planned| match planned.fault {
            Fault::Skew { ahead_ms } => Some(ahead_ms.unsigned_abs() > MAX_DRIFT_MS),
            Fault::Kill | Fault::Pause | Fault::Cut | Fault::CutLibp2p | Fault::CutSending | Fault::FullDisk => None,
        });
        let beyond: Vec<bool> = skews.collect();
        assert!(beyond.contains(&true) && beyond.contains(&false), "{beyond:?}");
    }

    #[test]
    fn a_plan_is_read_by_people() {
        let [at, lasts] = [1_500, 2_000].map(Duration::from_millis);
        let planned = Planned { at, lasts, victim: Victim::Node(2), fault: Fault::Skew { ahead_ms: 900 } };
        assert_eq!(planned.to_string(), "at 1.5 s for 2.0 s: node-3, clock +900 ms");
    }
}
