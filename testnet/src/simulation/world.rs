//! All nodes in one thread: what happens next happens, whatever it leads to is put in its place in virtual time.

use std::collections::BTreeMap;

use lattice::commit::VerifiedCommit;
use lattice::ids::KeyHash;

use super::liar::Liar;
use super::machine::Machine;
use super::message::{Body, NodeIndex, Packet, Road};
use super::network::Network;
use super::node::{Input, Node, Now, Output, TICK_MS};
use super::oracle::{Holds, Oracle, Violation};
use super::random::Random;
use super::rule::SafetyRule;
use super::setup::Setup;
use super::trace::Trace;

/// Wall time at which a run begins, in milliseconds since 1970: any will do.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Milliseconds until a dial into nothing is given up; libp2p's own takes ten seconds.
const DIAL_TIMEOUT_MS: u64 = 10_000;

/// Transactions at a node between two looks into all that it has: each costs as much as the state is large.
const DEEP_CHECK_EACH: u64 = 16;

/// What will happen.
pub(crate) enum Happening {
    Tick {
        node: NodeIndex,
        life: u64,
    },
    Arrival(Packet),
    Dialled {
        from: NodeIndex,
        to: NodeIndex,
        life: u64,
    },
    /// A machine that went down took its connections with it, and said so.
    Hangup {
        node: NodeIndex,
        peer: NodeIndex,
    },
    Flushed {
        node: NodeIndex,
        life: u64,
    },
    Start {
        node: NodeIndex,
    },
    Write,
    Trouble,
    /// Trouble of one kind ends, if none of its kind came after it.
    Relief(super::faults::Relief),
    Lie,
    /// The admin looks whether the membership is as it should be.
    Administer,
}

/// A run.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) now_ms: u64,
    pub(crate) random: Random,
    pub(crate) network: Network,
    pub(crate) machines: Vec<Machine>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) liar: Option<Liar>,
    pub(crate) is_healed: bool,
    pub(crate) reliefs: super::faults::Reliefs,
    agenda: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    without: Option<SafetyRule>,
}

impl World {
    pub(crate) fn new(setup: Setup, without: Option<SafetyRule>, trace: Trace) -> Self {
        let mut random = setup.random.clone();
        let machines: Vec<_> = setup.identities().into_iter().map(Machine::new).collect();
        let liar = setup.liar.map(|liar| Liar::new(machines[liar.place()].identity.clone(), random.fork()));
        let mut world = Self {
            now_ms: 0,
            network: Network::new(random.fork(), setup.quality),
            oracle: Oracle::new(liar.as_ref().map(|liar| machines[liar.index.place()].identity.author)),
            machines,
            trace,
            liar,
            is_healed: false,
            reliefs: super::faults::Reliefs::default(),
            agenda: BTreeMap::new(),
            scheduled: 0,
            without,
            random,
            setup,
        };
        world.network.close(world.setup.is_without_p2p.then_some(Road::P2p));
        for node in world.indexes() {
            let delay_ms = world.random.below(2_000);
            world.schedule(delay_ms, Happening::Start { node });
        }
        for first in [Happening::Write, Happening::Trouble, Happening::Lie, Happening::Administer] {
            let delay_ms = world.random.between(1_000, 6_000);
            world.schedule(delay_ms, first);
        }
        world
    }

    pub(crate) fn indexes(&self) -> Vec<NodeIndex> {
        self.machines.iter().map(|machine| machine.identity.index).collect()
    }

    pub(crate) fn is_liar(&self, node: NodeIndex) -> bool {
        self.setup.liar == Some(node)
    }

    pub(crate) fn schedule(&mut self, delay_ms: u64, what: Happening) {
        self.scheduled += 1;
        self.agenda.insert((self.now_ms + delay_ms, self.scheduled), what);
    }

    /// Lets everything happen up to this moment.
    pub(crate) fn run_until(&mut self, end_ms: u64) -> Holds {
        while let Some(next) = self.agenda.first_entry().filter(|next| next.key().0 <= end_ms) {
            let ((at_ms, _), what) = next.remove_entry();
            self.now_ms = at_ms;
            self.happen(what)?;
        }
        self.now_ms = end_ms;
        Ok(())
    }

    fn happen(&mut self, what: Happening) -> Holds {
        match what {
            Happening::Tick { node, life } if self.is_alive(node, life) => {
                self.schedule(TICK_MS, Happening::Tick { node, life });
                self.give(node, Input::Tick)
            }
            Happening::Arrival(Packet { from, to, body }) => {
                // The way may have been cut while it was travelling.
                if !self.network.is_open(body.road(), from, to) {
                    return Ok(());
                }
                let (what, bytes) = body.shown();
                self.trace.note(self.now_ms, format_args!("{from} -> {to} {:?} {what} {bytes}", body.road()));
                self.give(to, Input::Arrived { from, body })
            }
            Happening::Dialled { from, to, life } if self.is_alive(from, life) => self.connect(from, to),
            Happening::Hangup { node, peer } => self.give(node, Input::Disconnected(peer)),
            Happening::Flushed { node, life } if self.is_alive(node, life) => {
                let is_durable = !self.machines[node.place()].is_disk_full;
                self.trace.note(self.now_ms, format_args!("{node} flushed {is_durable}"));
                self.give(node, Input::Flushed { is_durable })
            }
            // Of an earlier life.
            Happening::Tick { .. } | Happening::Dialled { .. } | Happening::Flushed { .. } => Ok(()),
            Happening::Start { node } => self.start(node),
            Happening::Write => self.somebody_writes(),
            Happening::Trouble => self.trouble(),
            Happening::Relief(relief) => self.relieve(relief),
            Happening::Lie => self.lie(),
            Happening::Administer => self.administer(),
        }
    }

    fn is_alive(&self, node: NodeIndex, life: u64) -> bool {
        let machine = &self.machines[node.place()];
        machine.node.is_some() && machine.life == life
    }

    pub(crate) fn wall_ms(&self, node: NodeIndex) -> u64 {
        (EPOCH_MS + self.now_ms).saturating_add_signed(self.machines[node.place()].skew_ms)
    }

    fn clocks(&self, node: NodeIndex) -> Now {
        Now { steady_ms: self.now_ms, wall_ms: self.wall_ms(node) }
    }

    /// Starts a node from its disk, which must give the root that it stores.
    pub(crate) fn start(&mut self, node: NodeIndex) -> Holds {
        let (now, random) = (self.clocks(node), self.random.fork());
        let machine = &mut self.machines[node.place()];
        if machine.node.is_some() {
            return Ok(());
        }
        machine.life += 1;
        let disk = std::mem::take(&mut machine.disk);
        let started = Node::start(machine.identity.clone(), disk, now, random, self.without)
            .map_err(|damaged| Violation(format!("{node} can't start: {damaged}")))?;
        self.trace.note(self.now_ms, format_args!("{node} starts: {}", started.shown()));
        let life = machine.life;
        let started = machine.node.insert(started);
        if self.setup.liar != Some(node) {
            self.oracle.check_kept(node, started)?;
        }
        self.schedule(TICK_MS, Happening::Tick { node, life });
        Ok(())
    }

    /// A machine stops at once. Whether its disk finished what it was busy with is left to chance, and so is whether
    /// its peers are told.
    pub(crate) fn crash(&mut self, node: NodeIndex) {
        let (last_is_durable, is_silent) = (self.random.per_mille(500), self.random.per_mille(500));
        let machine = &mut self.machines[node.place()];
        let Some(running) = machine.node.take() else { return };
        machine.disk = running.crash(last_is_durable);
        self.trace.note(self.now_ms, format_args!("{node} crashes, silently {is_silent}"));
        if is_silent {
            return;
        }
        for peer in self.indexes().into_iter().filter(|peer| *peer != node) {
            let delay_ms = self.network.delay();
            self.schedule(delay_ms, Happening::Hangup { node: peer, peer: node });
        }
    }

    fn connect(&mut self, from: NodeIndex, to: NodeIndex) -> Holds {
        let is_there = self.machines[to.place()].node.is_some() && self.network.is_passable(Road::P2p, from, to);
        self.trace.note(self.now_ms, format_args!("{from} dials {to}: {is_there}"));
        if !is_there {
            return self.give(from, Input::DialFailed(to));
        }
        self.give(from, Input::Connected { peer: to, outbound: true })?;
        self.give(to, Input::Connected { peer: from, outbound: false })
    }

    /// Hands a node what happened and sees to what it wants. A node that is down hears nothing.
    pub(crate) fn give(&mut self, node: NodeIndex, input: Input) -> Holds {
        let now = self.clocks(node);
        let Some(running) = self.machines[node.place()].node.as_mut() else { return Ok(()) };
        running.handle(now, input);
        for output in std::mem::take(&mut running.outbox) {
            self.carry_out(node, output)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, node: NodeIndex, output: Output) -> Holds {
        match output {
            Output::Send(to, body) => self.send(node, to, body),
            Output::Dial(to) => {
                let life = self.machines[node.place()].life;
                let is_silent = !self.network.is_passable(Road::P2p, node, to);
                let delay_ms = if is_silent { DIAL_TIMEOUT_MS } else { 3 * self.network.delay() };
                self.schedule(delay_ms, Happening::Dialled { from: node, to, life });
            }
            Output::Flush => {
                let machine = &self.machines[node.place()];
                let ((low, high), life) = (machine.disk_ms, machine.life);
                let delay_ms = self.random.between(low, high);
                self.schedule(delay_ms, Happening::Flushed { node, life });
            }
            Output::Signed(commit) => self.oracle.sees_signed(commit),
            Output::Acknowledged(commit) => {
                self.trace.note(self.now_ms, format_args!("{node} acknowledges {}", commit.id().short()));
                if !self.is_liar(node) {
                    self.oracle.sees_acknowledged(node, &commit);
                }
            }
            Output::Stored { commits, damaged } => return self.stored(node, &commits, &damaged),
            Output::Struck(peer) => {
                self.trace.note(self.now_ms, format_args!("{node} strikes {peer}"));
                if !self.is_liar(peer) && !self.is_liar(node) {
                    return Err(Violation(format!("{node} blames {peer}, which is honest")));
                }
            }
            Output::Unexplained(peer, roots) => {
                let (ours, theirs) = (roots.ours.short(), roots.theirs.short());
                self.trace.note(self.now_ms, format_args!("{node} can't explain {ours} against {peer}'s {theirs}"));
            }
            Output::Told(line) => self.trace.note(self.now_ms, format_args!("{node} {line}")),
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, from: NodeIndex, to: NodeIndex, body: Body) {
        let body = match &mut self.liar {
            Some(liar) if liar.index == from => liar.twist(self.now_ms, body),
            Some(_) | None => body,
        };
        for delay_ms in self.network.arrivals(body.road(), from, to) {
            self.schedule(delay_ms, Happening::Arrival(Packet { from, to, body: body.clone() }));
        }
    }

    fn stored(&mut self, node: NodeIndex, commits: &[(VerifiedCommit, u64)], damaged: &[KeyHash]) -> Holds {
        let is_liar = self.is_liar(node);
        let machine = &mut self.machines[node.place()];
        machine.stored += 1;
        let Some(running) = machine.node.as_ref() else { return Ok(()) };
        let root = running.state.tree.root().short();
        self.trace.note(self.now_ms, format_args!("{node} stores {} commits, root {root}", commits.len()));
        if is_liar {
            return Ok(());
        }
        self.oracle.check_damage(running, damaged)?;
        self.oracle.check_stored(running, commits)?;
        self.oracle.check_kept(node, running)?;
        if machine.stored.is_multiple_of(DEEP_CHECK_EACH) {
            self.oracle.check_deep(running)?;
        }
        Ok(())
    }
}
