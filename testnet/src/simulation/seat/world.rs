//! All nodes of a seat in one thread: what happens next happens, and what it leads to is put in its place in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lattice::ids::AuthorId;
use lattice::seat::{Approvals, Certificate, Warrant};
use node_core::seat::effect::{Alarm, Step};
use node_core::seat::named::NamedBody;
use node_core::seat::own::{Now, Settings};
use node_core::seat::timing::{BootMs, Timing};

use super::disk::Disk;
use super::history::History;
use super::message::{Message, NodeIndex, OpId};
use super::node::{Identity, Input, Node, Output, TICK_MS};
use super::oracle::Oracle;
use super::rule::SeatRule;
use super::run::Figures;
use super::setup::{Quality, Setup};
use crate::simulation::oracle::Holds;
use crate::simulation::random::Random;
use crate::simulation::trace::Trace;

/// Wall time at which a run begins; for people.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Milliseconds by which a late message comes late.
const LATE_MS: (u64, u64) = (500, 8_000);

/// Milliseconds that a seed takes beside its way.
const SEED_MS: (u64, u64) = (20, 400);

/// Milliseconds that a transaction takes on a healthy disk, and on a slow one.
const DISK_MS: (u64, u64) = (1, 12);
const SLOW_DISK_MS: (u64, u64) = (50, 1_500);

/// What will happen.
pub(super) enum Happening {
    Tick {
        node: NodeIndex,
        life: u64,
    },
    /// Something reaches a node; of a life, if it belongs to one.
    Give {
        node: NodeIndex,
        life: Option<u64>,
        input: Input,
    },
    Arrival {
        from: NodeIndex,
        to: NodeIndex,
        life: Option<u64>,
        message: Message,
    },
    Ask,
    /// A client sends what it got no answer to once more, under the same name.
    AskAgain(OpId),
    Trouble,
    /// A node goes down that just won a term, and is cut off already.
    Ambush(NodeIndex),
    Relief(super::faults::Relief),
    /// Operators look whether they are needed.
    Operators,
}

/// What a node runs on.
pub(super) struct Machine {
    pub(super) identity: Identity,
    /// `None` while it is down.
    pub(super) node: Option<Node>,
    /// What is durable while it is down.
    disk: Disk,
    pub(super) life: u64,
    pub(super) is_lost: bool,
    /// What came while it was stopped; `None` while it runs.
    pub(super) stopped: Option<Vec<Input>>,
    pub(super) is_slow: bool,
    pub(super) rate_per_mille: i64,
    base_ms: u64,
}

impl Machine {
    /// Its clock, which counts suspend.
    pub(super) fn boot(&self, now_ms: u64) -> BootMs {
        let passed = i128::from(now_ms) * i128::from(1_000 + self.rate_per_mille) / 1_000;
        BootMs(self.base_ms + u64::try_from(passed).unwrap_or(0))
    }

    pub(super) fn disk(&self) -> &Disk {
        self.node.as_ref().map_or(&self.disk, |node| &node.disk)
    }

    /// Whether it runs and is not stopped.
    pub(super) fn is_up(&self) -> bool {
        self.node.is_some() && self.stopped.is_none()
    }
}

/// A run.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) now_ms: u64,
    pub(super) random: Random,
    pub(super) quality: Quality,
    pub(super) cuts: BTreeSet<(NodeIndex, NodeIndex)>,
    pub(super) machines: Vec<Machine>,
    pub(super) authors: Rc<[AuthorId]>,
    pub(super) oracle: Oracle,
    pub(super) history: History,
    pub(super) trace: Trace,
    pub(super) figures: Figures,
    pub(super) is_healed: bool,
    pub(super) reliefs: BTreeMap<(u8, NodeIndex), u64>,
    /// When the seat was served last.
    pub(super) served_ms: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
}

impl World {
    pub(super) fn new(setup: Setup, without: Option<SeatRule>, trace: Trace) -> Self {
        let mut random = setup.random.clone();
        let keys = setup.keys_of_nodes();
        let authors: Rc<[AuthorId]> = keys.iter().map(lattice::keys::AuthorKey::id).collect();
        let machine = |(index, key)| Machine {
            identity: Identity { index, key: Rc::new(key), authors: authors.clone(), without },
            node: None,
            disk: Disk::default(),
            life: 0,
            is_lost: false,
            stopped: None,
            is_slow: false,
            rate_per_mille: setup.rates[index],
            base_ms: random.between(10_000, 1_000_000),
        };
        let machines: Vec<_> = keys.into_iter().enumerate().map(machine).collect();
        let founding =
            Certificate { body: setup.founding(&authors), warrant: Warrant::Operators(Approvals::default()) };
        let mut world = Self {
            now_ms: 0,
            quality: setup.quality,
            cuts: BTreeSet::new(),
            machines,
            oracle: Oracle::new(authors.clone()),
            authors,
            history: History::default(),
            trace,
            figures: Figures::default(),
            is_healed: false,
            reliefs: BTreeMap::new(),
            served_ms: 0,
            agenda: BTreeMap::new(),
            scheduled: 0,
            random,
            setup,
        };
        let founding = Rc::new(founding);
        world.machines.iter_mut().for_each(|machine| drop(machine.disk.certify(std::slice::from_ref(&founding))));
        // Nothing was applied yet that it could cut.
        let _ = world.oracle.sees_certified(&founding, &world.machines);
        (0..world.machines.len()).for_each(|node| world.start(node));
        for first in [Happening::Ask, Happening::Trouble, Happening::Operators] {
            let delay_ms = world.random.between(4_000, 6_000);
            world.schedule(delay_ms, first);
        }
        world
    }

    pub(super) fn schedule(&mut self, delay_ms: u64, what: Happening) {
        self.scheduled += 1;
        self.agenda.insert((self.now_ms + delay_ms, self.scheduled), what);
    }

    /// Lets everything happen up to this moment.
    pub(super) fn run_until(&mut self, end_ms: u64) -> Holds {
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
            Happening::Tick { node, life } => {
                if self.machines[node].node.is_none() || self.machines[node].life != life {
                    return Ok(());
                }
                self.schedule(TICK_MS, Happening::Tick { node, life });
                // A stopped node's ticks are not made up for.
                if self.machines[node].stopped.is_some() { Ok(()) } else { self.give(node, Input::Tick) }
            }
            Happening::Give { node, life, input } if life.is_none_or(|life| self.machines[node].life == life) => {
                self.give(node, input)
            }
            Happening::Give { .. } => Ok(()),
            Happening::Arrival { from, to, life, message } => {
                let is_open =
                    !self.cuts.contains(&(from, to)) && life.is_none_or(|life| self.machines[to].life == life);
                if !is_open {
                    return Ok(());
                }
                self.trace.note(self.now_ms, format_args!("{from} -> {to} {}", message.word()));
                self.give(to, Input::Message { from, message })
            }
            Happening::Ask => self.somebody_asks(),
            Happening::AskAgain(op) => self.somebody_asks_again(op),
            Happening::Trouble => self.trouble(),
            Happening::Ambush(node) => self.ambush(node),
            Happening::Relief(relief) => self.relieve(relief),
            Happening::Operators => self.operators_look(),
        }
    }

    pub(super) fn clocks(&self, node: NodeIndex) -> Now {
        Now { boot: self.machines[node].boot(self.now_ms), wall_ms: EPOCH_MS + self.now_ms }
    }

    /// Hands a node what happened, sees to what it wants, and looks whether all is well.
    pub(super) fn give(&mut self, index: NodeIndex, input: Input) -> Holds {
        let now = self.clocks(index);
        let machine = &mut self.machines[index];
        if let Some(waiting) = &mut machine.stopped {
            waiting.push(input);
            return Ok(());
        }
        let Some(node) = machine.node.as_mut() else { return Ok(()) };
        let is_flushed = matches!(input, Input::Flushed);
        node.handle(now, input);
        self.carry_out(index)?;
        if is_flushed {
            self.oracle.check_twin(index, &self.machines)?;
        }
        self.oracle.check_step(&self.machines, self.now_ms)
    }

    fn carry_out(&mut self, index: NodeIndex) -> Holds {
        let outputs = self.machines[index].node.as_mut().map(|node| std::mem::take(&mut node.out));
        for output in outputs.unwrap_or_default() {
            self.carry(index, output)?;
        }
        Ok(())
    }

    fn carry(&mut self, index: NodeIndex, output: Output) -> Holds {
        let life = self.machines[index].life;
        match output {
            Output::Send(to, message) => self.send(index, to, &message),
            Output::After(delay_ms, input) => {
                self.schedule(delay_ms, Happening::Give { node: index, life: Some(life), input });
            }
            Output::Flush => {
                let (low, high) = if self.machines[index].is_slow { SLOW_DISK_MS } else { DISK_MS };
                let delay_ms = self.random.between(low, high);
                self.schedule(delay_ms, Happening::Give { node: index, life: Some(life), input: Input::Flushed });
            }
            Output::Staged(commit) => return self.oracle.sees_staged(&commit),
            Output::Applied(commit) => {
                let (term, seq) = commit.place;
                self.trace
                    .note(self.now_ms, format_args!("{index} applies {term}/{seq}: {}={}", commit.key, commit.value));
                return self.oracle.sees_applied(index, &commit);
            }
            Output::Certified(certificate) => {
                self.tell_certified(index, &certificate);
                return self.oracle.sees_certified(&certificate, &self.machines);
            }
            Output::Bound(term, body) => return self.oracle.sees_bound(index, term, body),
            Output::Promised(place) => {
                self.trace.note(self.now_ms, format_args!("{index} acknowledges {}/{}", place.0, place.1));
                return self.oracle.sees_promised(place, &self.machines);
            }
            Output::Done(op, came) => self.done(op, came),
            Output::GivenUp(op) => self.ask_again(op),
            Output::Step(step, term) => self.stepped(index, step, term),
            Output::Alarm(alarm) => {
                self.figures.bound += u64::from(matches!(alarm, Alarm::Bound(_)));
                self.trace.note(self.now_ms, format_args!("{index} alarm: {alarm}"));
            }
            Output::Seeded => {
                self.figures.seeds += 1;
                self.trace.note(self.now_ms, format_args!("{index} is seeded"));
            }
        }
        Ok(())
    }

    fn tell_certified(&mut self, index: NodeIndex, certificate: &Certificate) {
        let body = &certificate.body;
        let node = |author: &AuthorId| self.authors.iter().position(|known| known == author).unwrap_or(0);
        let (holder, shadow) = (node(&body.holder), body.shadow.as_ref().map(node));
        self.trace.note(
            self.now_ms,
            format_args!("{index} learns term {}: {holder}, shadow {shadow:?}, cut {}", body.term, body.cut),
        );
    }

    fn stepped(&mut self, index: NodeIndex, step: Step, term: u64) {
        self.trace.note(self.now_ms, format_args!("{index} {step:?} {term}"));
        let node = self.machines[index].node.as_ref();
        let was_shadow = node.is_some_and(|node| node.controller.role().0 != node_core::seat::controller::Role::Holder);
        if step == Step::Won && self.setup.has_ambush && !self.is_healed && self.random.per_mille(250) {
            self.cut_off(index);
        }
        match step {
            Step::Won if was_shadow => self.figures.takeovers += 1,
            Step::Won => self.figures.changes += 1,
            Step::HandedOver => self.figures.switchovers += 1,
            Step::Suspected | Step::Trusted | Step::Stood | Step::Began | Step::Yielded | Step::Returned => {}
        }
    }

    /// A message on its way: late, lost, doubled, overtaken.
    fn send(&mut self, from: NodeIndex, to: NodeIndex, message: &Message) {
        let quality = self.quality;
        if self.cuts.contains(&(from, to)) || self.random.per_mille(quality.lost_per_mille) {
            return;
        }
        let life = message.is_answer().then_some(self.machines[to].life);
        let copies = 1 + u64::from(self.random.per_mille(quality.doubled_per_mille));
        for copy in 0..copies {
            let mut delay_ms = self.random.between(quality.delay_ms.0, quality.delay_ms.1);
            if matches!(message, Message::Seed { .. }) {
                delay_ms += self.random.between(SEED_MS.0, SEED_MS.1);
            }
            if self.random.per_mille(quality.late_per_mille) || (copy > 0 && self.random.per_mille(500)) {
                delay_ms += self.random.between(LATE_MS.0, LATE_MS.1);
            }
            self.schedule(delay_ms, Happening::Arrival { from, to, life, message: message.clone() });
        }
    }

    /// Starts a node from its disk.
    pub(super) fn start(&mut self, index: NodeIndex) {
        let (now, random) = (self.clocks(index), self.random.fork());
        let settings = Settings { timing: Timing::LAN, no_shadow: self.setup.policy, session: 0 };
        let machine = &mut self.machines[index];
        if machine.node.is_some() || machine.is_lost {
            return;
        }
        machine.life += 1;
        let life = machine.life;
        let disk = std::mem::take(&mut machine.disk);
        machine.node = Some(Node::start(machine.identity.clone(), disk, now, settings, random));
        self.trace.note(self.now_ms, format_args!("{index} starts"));
        let delay_ms = self.random.below(TICK_MS);
        self.schedule(delay_ms, Happening::Tick { node: index, life });
        // It asks nothing before its first tick that could break a promise.
        let _ = self.carry_out(index);
    }

    /// A node stops at once. Whether its disk finished what it was busy with is left to chance.
    pub(super) fn crash(&mut self, index: NodeIndex) -> Holds {
        let (now, is_durable) = (self.clocks(index), self.random.per_mille(500));
        let machine = &mut self.machines[index];
        let Some(node) = machine.node.as_mut() else { return Ok(()) };
        if is_durable {
            node.now = now;
            node.flushed();
        }
        let out = std::mem::take(&mut node.out);
        machine.stopped = None;
        if let Some(node) = machine.node.take() {
            machine.disk = node.disk;
        }
        self.trace.note(self.now_ms, format_args!("{index} crashes"));
        for output in out {
            // Nobody hears of it, but it is on the disk.
            if let Output::Staged(_) | Output::Applied(_) | Output::Certified(_) = output {
                self.carry(index, output)?;
            }
        }
        Ok(())
    }

    /// Who serves now.
    pub(super) fn serving(&self) -> Option<NodeIndex> {
        let serves = |index: &NodeIndex| {
            let machine = &self.machines[*index];
            let until = machine.node.as_ref().and_then(|node| node.controller.serves_until());
            machine.is_up() && Oracle::is_before(machine.boot(self.now_ms), until)
        };
        (0..self.machines.len()).find(serves)
    }

    /// The highest settlement that any node knows which is up.
    pub(super) fn highest(&self) -> Option<NamedBody> {
        let known = self.machines.iter().filter(|machine| machine.is_up()).filter_map(|machine| machine.disk().body());
        known.max_by_key(|body| body.term)
    }
}
