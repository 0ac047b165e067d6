//! One seed from start to end: any faults while safety must hold, then all is mended and the nodes must agree.

use http_fallback::mode::Mode;

use super::message::NodeIndex;
use super::oracle::{Holds, Violation};
use super::rule::SafetyRule;
use super::search::Finished;
use super::setup::{Healing, Setup};
use super::trace::Trace;
use super::world::World;

/// Milliseconds of virtual time after healing within which all honest roots must be equal and the nodes connected again.
/// Of the waits that add up: the longest back-off (75 s with its jitter), a redial (38 s), the minute until HTTP mode,
/// commits from a clock that was ahead (20 s), and sessions after one another.
const AGREEMENT_MS: u64 = 400_000;

/// Milliseconds between two looks whether the nodes agree.
const LOOK_MS: u64 = 250;

/// What a run that came out right amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Milliseconds of virtual time with faults.
    pub(crate) faulty_ms: u64,
    /// Milliseconds of virtual time from healing to equal roots.
    pub(crate) agreed_after_ms: u64,
    /// Commits acknowledged by honest nodes.
    pub(crate) acknowledged: u64,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, without: Option<SafetyRule>, is_shown: bool) -> Finished<Figures> {
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
        while !self.agree() {
            if self.now_ms >= faulty_ms + AGREEMENT_MS {
                return Err(self.disagreement());
            }
            self.run_until(self.now_ms + LOOK_MS)?;
        }
        self.check_end()?;
        let agreed_after_ms = self.now_ms - faulty_ms;
        Ok(Figures { faulty_ms, agreed_after_ms, acknowledged: self.oracle.acknowledgements })
    }

    /// Nodes whose states must meet: the honest ones, but for one that was cut, to whom nobody speaks any more.
    fn faithful(&self) -> impl Iterator<Item = NodeIndex> {
        let (liar, revoked) = (self.setup.liar, self.setup.revoked);
        self.indexes().into_iter().filter(move |node| Some(*node) != liar && Some(*node) != revoked)
    }

    fn agree(&self) -> bool {
        let mut roots = self.faithful().map(|node| {
            let running = self.machines[node.place()].node.as_ref()?;
            running.is_idle().then(|| running.state.tree.root())
        });
        let first = roots.next().flatten();
        let are_equal = first.is_some() && roots.all(|root| root == first);
        are_equal && self.is_membership_settled() && self.have_found_each_other()
    }

    /// Where libp2p works again, the nodes are connected through it and rely on it.
    fn have_found_each_other(&self) -> bool {
        let is_with_all = |node: NodeIndex| {
            let running = self.machines[node.place()].node.as_ref();
            let others = || self.faithful().filter(|other| *other != node);
            running.is_some_and(|node| node.mode() == Mode::P2p && others().all(|other| node.is_with(other)))
        };
        self.setup.healing == Healing::HttpAlone || self.faithful().all(is_with_all)
    }

    /// What the admin was to change is changed.
    fn is_membership_settled(&self) -> bool {
        let Some(admin) = &self.machines[0].node else { return false };
        let is_active =
            |node: NodeIndex| admin.state.membership.is_active(&self.machines[node.place()].identity.author);
        self.setup.late.is_none_or(is_active) && !self.setup.revoked.is_some_and(is_active)
    }

    fn disagreement(&self) -> Violation {
        let mut lines = vec![format!("the nodes do not agree {} s after healing", AGREEMENT_MS / 1000)];
        for node in self.faithful() {
            let shown = self.machines[node.place()].node.as_ref().map_or("down".to_owned(), |node| node.shown());
            lines.push(format!("  {node}: {shown}"));
        }
        Violation(lines.join("\n"))
    }

    /// At the end each node has what any of them acknowledged, and nothing else is wrong with it.
    fn check_end(&self) -> Holds {
        let nodes: Vec<_> = self.faithful().collect();
        for running in nodes.iter().filter_map(|node| self.machines[node.place()].node.as_ref()) {
            self.oracle.check_deep(running)?;
            for promised_by in self.indexes() {
                self.oracle.check_kept(promised_by, running)?;
            }
        }
        Ok(())
    }
}
