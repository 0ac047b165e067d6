//! One seed from start to end: any faults while safety must hold, then all is mended and the seat must be served.

use node_core::seat::takeover::WhyNot;

use super::rule::SeatRule;
use super::setup::Setup;
use super::world::World;
use crate::simulation::oracle::{Holds, Violation};
use crate::simulation::search::Finished;
use crate::simulation::trace::Trace;

/// Milliseconds of virtual time after healing within which the seat must be served and all nodes equal. Of the waits that
/// add up: a shadow that is gone (10 s), a cool-down (30 s), operators who wait before they settle (25 s), each with the
/// silence, the lease and the candidacy that come before.
const AGREEMENT_MS: u64 = 200_000;

/// Milliseconds between two looks.
const LOOK_MS: u64 = 250;

/// Milliseconds after which every client was answered or gave up.
const ANSWERED_MS: u64 = 11_000;

/// What a run amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Operations that were answered.
    pub(crate) answered: u64,
    /// Terms that a shadow won, and that a holder won for itself.
    pub(crate) takeovers: u64,
    pub(crate) changes: u64,
    /// Holders that handed over.
    pub(crate) switchovers: u64,
    /// Seeds that mirrors took.
    pub(crate) seeds: u64,
    /// Terms that operators settled while faults went on.
    pub(crate) settled: u64,
    /// Terms that operators had to settle though all was mended: the nodes had bound each other (V3).
    pub(crate) locked: u64,
    /// Times a node said that it may not stand by what it voted for.
    pub(crate) bound: u64,
    /// Disks lost.
    pub(crate) lost: u64,
    /// Writes that clients were told to be in quarantine.
    pub(crate) deposed: u64,
    /// Writes acknowledged at `shadow` that were on one disk alone at that moment.
    pub(crate) thin: u64,
    /// Milliseconds from healing until all was well.
    pub(crate) agreed_after_ms: u64,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, without: Option<SeatRule>, is_shown: bool) -> Finished<Figures> {
    let setup = Setup::of(seed);
    let mut trace = Trace::new(is_shown);
    trace.note(0, format_args!("{setup:?}"));
    let mut world = World::new(setup, without, trace);
    let outcome = world.play();
    match &outcome {
        Ok(figures) => world.trace.note(world.now_ms, format_args!("{figures:?}")),
        Err(Violation(what)) => world.trace.note(world.now_ms, format_args!("BROKEN: {what}")),
    }
    Finished { seed, trace_hash: world.trace.hash(), outcome }
}

impl World {
    fn play(&mut self) -> Result<Figures, Violation> {
        let faulty_ms = self.setup.safety_ms;
        self.run_until(faulty_ms)?;
        self.heal()?;
        self.run_until(faulty_ms + ANSWERED_MS)?;
        while !self.is_well() {
            if self.now_ms >= faulty_ms + AGREEMENT_MS {
                return Err(self.disagreement());
            }
            self.run_until(self.now_ms + LOOK_MS)?;
        }
        self.check_end()?;
        let agreed_after_ms = self.now_ms - faulty_ms;
        Ok(Figures { agreed_after_ms, thin: self.oracle.thin, ..self.figures })
    }

    /// One node serves, has a shadow, and all that are left have what it has.
    fn is_well(&self) -> bool {
        let Some(holder) = self.serving() else { return false };
        let Some(serving) = self.machines[holder].node.as_ref() else { return false };
        let is_possible = match serving.controller.takeover_possible(self.clocks(holder)) {
            // With a voter gone for good and a second one down, nobody could be elected; that is so by design.
            Some(Err(WhyNot::TooFewVoters { .. })) => self.figures.lost > 0,
            possible => matches!(possible, Some(Ok(_))),
        };
        let all = self.machines.iter().filter(|machine| !machine.is_lost);
        let are_equal = all.into_iter().all(|machine| {
            let disk = machine.disk();
            disk.root == serving.disk.root && disk.registers == serving.disk.registers
        });
        let has_opened = serving.serving.term == serving.certified.as_ref().map(|body| body.term);
        is_possible && are_equal && has_opened && serving.disk.staged.is_empty()
    }

    fn check_end(&mut self) -> Holds {
        let holder = self.serving().unwrap_or(0);
        self.read_all(holder);
        match self.history.unexplained() {
            Some(key) => Err(Violation(format!("no order explains what clients saw of register {key}"))),
            None => Ok(()),
        }
    }

    fn disagreement(&self) -> Violation {
        let mut lines =
            vec![format!("all is not well {} s after healing; serving {:?}", AGREEMENT_MS / 1000, self.serving())];
        for (index, machine) in self.machines.iter().enumerate() {
            let disk = machine.disk();
            let doing = machine.node.as_ref().map_or("down", |node| node.controller.doing());
            let (role, part) =
                (machine.node.as_ref().map(|node| node.controller.role()), machine.node.as_ref().map(|node| node.part));
            let possible = machine.node.as_ref().and_then(|node| node.controller.takeover_possible(self.clocks(index)));
            lines.push(format!(
                "  {index}: {role:?} {doing}, {part:?}, log {}, applied {}, staged {:?}, {possible:?}, lost {}",
                disk.log.len(),
                disk.applied.len(),
                disk.staged.keys().next_back(),
                machine.is_lost
            ));
        }
        Violation(lines.join("\n"))
    }
}
