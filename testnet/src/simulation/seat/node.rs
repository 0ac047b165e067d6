//! One node of the seat: its controller, what it remembers until it stops, and the turn in which it takes things in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use lattice::ids::AuthorId;
use lattice::keys::AuthorKey;
use lattice::seat::{BodyHash, Certificate};
use node_core::seat::candidacy::Position;
use node_core::seat::controller::{Controller, Role};
use node_core::seat::effect::{Alarm, Step};
use node_core::seat::event::{Event, Order, OrderRefused};
use node_core::seat::health::{Health, Monitor};
use node_core::seat::named::NamedBody;
use node_core::seat::own::{Now, Settings};
use node_core::seat::timing::{BootMs, Timing};
use node_core::seat::voter::{Ballot, Voter};

use super::disk::Disk;
use super::forwarding::{Asked, Taken};
use super::holding::Poll;
use super::message::{Asker, Came, Commit, Message, NodeIndex, OpId, Place, Wish};
use super::mirror::Mirror;
use super::rule::SeatRule;
use super::writer::Job;
use crate::simulation::random::Random;

/// Milliseconds between two ticks, as in the daemon.
pub(super) const TICK_MS: u64 = 50;

/// Milliseconds between two sessions that a node of the mesh begins.
const SESSION_MS: u64 = 2_000;

/// Milliseconds after which a mirror that does not fetch counts as out of reach; the longest wait of a fetch and some.
const SILENT_MS: u64 = 1_500;

/// What reaches a node.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Tick,
    Message {
        from: NodeIndex,
        message: Message,
    },
    Flushed,
    Order(Order),
    /// A client asks.
    Wish {
        op: OpId,
        key: u8,
        wish: Wish,
    },
    Retry {
        op: OpId,
        attempt: u64,
    },
    /// The second half of a read.
    Look {
        asker: Asker,
        key: u8,
        taken: Taken,
    },
    /// A mirror that paused goes on.
    Resume {
        mirror: u64,
    },
    FetchTimeout {
        id: u64,
    },
    PollEnds {
        id: u64,
    },
}

/// What a node wants of the world, or lets its oracle see.
#[derive(Debug)]
pub(super) enum Output {
    Send(NodeIndex, Message),
    /// To itself, after so many milliseconds.
    After(u64, Input),
    Flush,
    Staged(Rc<Commit>),
    Applied(Rc<Commit>),
    Certified(Rc<Certificate>),
    /// It votes or stands for a body in a term.
    Bound(u64, BodyHash),
    /// A client's write at `shadow` is about to be answered with yes.
    Promised(Place),
    Done(OpId, Came),
    /// Nobody took it in time.
    GivenUp(OpId),
    Step(Step, u64),
    Alarm(Alarm),
    Seeded,
}

/// What a node does with the seat's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Nothing,
    Holder(u64),
    Mirror(u64),
}

/// What the driver lets the node do.
#[derive(Debug, Default)]
pub(super) struct Serving {
    pub(super) term: Option<u64>,
    pub(super) lease_until: Option<BootMs>,
    pub(super) is_draining: bool,
    pub(super) is_released: bool,
}

/// Who a node is.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) index: NodeIndex,
    pub(super) key: Rc<AuthorKey>,
    /// All nodes.
    pub(super) authors: Rc<[AuthorId]>,
    pub(super) without: Option<SeatRule>,
}

pub(super) struct Node {
    pub(super) identity: Identity,
    pub(super) random: Random,
    pub(super) now: Now,
    pub(super) disk: Disk,
    pub(super) controller: Controller,
    pub(super) queue: VecDeque<Event>,
    pub(super) out: Vec<Output>,
    pub(super) certified: Option<NamedBody>,
    // The writer.
    pub(super) jobs: VecDeque<Job>,
    pub(super) busy: Vec<Job>,
    pub(super) part: Part,
    pub(super) is_held: bool,
    pub(super) waiting: BTreeMap<Place, Vec<Asker>>,
    /// Size of the log at which the records in memory begin.
    pub(super) kept_from: usize,
    /// Staged before this start.
    pub(super) older: BTreeSet<Place>,
    // The driver.
    pub(super) serving: Serving,
    pub(super) draining: Option<bool>,
    pub(super) has_held: bool,
    pub(super) mirror: Option<Mirror>,
    pub(super) polls: Vec<Poll>,
    pub(super) asked: BTreeMap<OpId, Asked>,
    /// By mirror, the term in which it fetched last, and when.
    pub(super) seen: BTreeMap<AuthorId, (u64, BootMs)>,
    pub(super) ids: u64,
    monitor: Option<(AuthorId, Monitor)>,
    probed: Option<BootMs>,
    told: Option<BootMs>,
    judged_from: Option<BootMs>,
    session: BootMs,
}

impl Node {
    /// Starts from a disk.
    pub(super) fn start(identity: Identity, disk: Disk, now: Now, mut settings: Settings, mut random: Random) -> Self {
        let own = identity.key.id();
        let ballot = disk.ballot.as_deref().and_then(|bytes| Ballot::from_stored(bytes).ok());
        let voter = Voter::start(own, &settings.timing, now.boot, disk.body(), ballot);
        settings.session = random.next();
        let holds = disk.current().filter(|body| body.holder == own && !disk.log.is_empty()).map(|body| body.term);
        let mut node = Self {
            controller: Controller::new(now, own, settings, voter),
            queue: VecDeque::new(),
            out: Vec::new(),
            certified: None,
            jobs: VecDeque::new(),
            busy: Vec::new(),
            part: holds.map_or(Part::Nothing, Part::Holder),
            is_held: false,
            waiting: BTreeMap::new(),
            kept_from: disk.log.len(),
            older: disk.staged.keys().copied().collect(),
            serving: Serving::default(),
            draining: None,
            has_held: false,
            mirror: None,
            polls: Vec::new(),
            asked: BTreeMap::new(),
            seen: BTreeMap::new(),
            ids: 0,
            monitor: None,
            probed: None,
            told: None,
            judged_from: None,
            session: now.boot,
            identity,
            random,
            now,
            disk,
        };
        node.look_at_state();
        node.turn();
        node
    }

    /// Takes something in.
    pub(super) fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Tick => self.tick(),
            Input::Message { from, message } => self.answer(from, message),
            Input::Flushed => self.flushed(),
            Input::Order(order) => drop(self.order(order)),
            Input::Wish { op, key, wish } => self.take_wish(op, key, wish),
            Input::Retry { op, attempt } => self.retry(op, attempt),
            Input::Look { asker, key, taken } => self.look(asker, key, taken),
            Input::Resume { mirror } => self.resume_mirror(mirror),
            Input::FetchTimeout { id } => self.fetch_timed_out(id),
            Input::PollEnds { id } => self.poll_ends(id),
        }
        self.turn();
    }

    pub(super) fn order(&mut self, order: Order) -> Result<(), OrderRefused> {
        let effects = self.controller.order(self.now, order)?;
        effects.into_iter().for_each(|effect| self.carry_out(effect));
        Ok(())
    }

    /// Feeds the controller what this turn brought, and what that brings, until nothing is left.
    pub(super) fn turn(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            for effect in self.controller.on(self.now, event) {
                self.carry_out(effect);
            }
        }
        self.answer_polls();
        self.work();
    }

    pub(super) fn keeps(&self, rule: SeatRule) -> bool {
        self.identity.without != Some(rule)
    }

    pub(super) fn own(&self) -> AuthorId {
        self.identity.key.id()
    }

    pub(super) fn index_of(&self, author: &AuthorId) -> NodeIndex {
        self.identity.authors.iter().position(|known| known == author).unwrap_or(0)
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn send(&mut self, to: &AuthorId, message: Message) {
        let to = self.index_of(to);
        self.out.push(Output::Send(to, message));
    }

    /// Whether this node is no part of the mesh.
    pub(super) fn is_hidden(&self) -> bool {
        self.certified.as_ref().is_some_and(|body| body.mirrors().any(|mirror| *mirror == self.own()))
    }

    pub(super) fn is_leased(&self) -> bool {
        self.serving.lease_until.is_some_and(|until| self.now.boot < until)
    }

    /// Where this node stands in a term; what it would cut at.
    pub(super) fn position(&self, term: u64) -> Option<Position> {
        let mut position = self.disk.position(term)?;
        if !self.keeps(SeatRule::HoldWholeLine) {
            let body = &self.disk.seats.term(term)?.certificate.body;
            position.holds_opening_cut = self.disk.holds_cut_of(body);
        }
        if !self.keeps(SeatRule::CutWhatIsStaged) {
            position.staged_seq = self.disk.tip(term);
        }
        Some(position)
    }

    /// What the state says: a new certificate, and where the log stands.
    pub(super) fn look_at_state(&mut self) {
        let body = self.disk.body();
        if let Some(body) = body.filter(|body| self.certified.as_ref() != Some(body)) {
            self.certified = Some(body.clone());
            self.queue.push_back(Event::Certified(body.clone()));
            if body.holder == self.own() && !self.keeps(SeatRule::OpenWhenKnown) {
                self.jobs.push_back(Job::Serve { term: body.term });
            }
            self.try_elsewhere();
        }
        let (role, term) = self.controller.role();
        if role == Role::Holder
            && let Some(position) = self.position(term)
        {
            self.queue.push_back(Event::WrittenUpTo(position));
            let Some(until_shadow_has_all) = self.draining.filter(|_| self.has_held) else { return };
            if !until_shadow_has_all || self.disk.staged.is_empty() {
                self.draining = None;
                self.queue.push_back(Event::Drained(position));
            }
        }
    }

    fn tick(&mut self) {
        self.look_at_state();
        self.probe();
        self.tell_mirrors();
        self.begin_session();
        self.queue.push_back(Event::Tick);
    }

    /// The holder watches its shadow, the shadow its holder.
    fn other_side(&self) -> Option<AuthorId> {
        let body = self.certified.as_ref()?;
        match self.controller.role().0 {
            Role::Holder => body.shadow,
            Role::Shadow => Some(body.holder),
            Role::Spare | Role::Voter | Role::Outsider => None,
        }
    }

    fn probe(&mut self) {
        let (boot, timing) = (self.now.boot, Timing::LAN);
        let other = self.other_side();
        if self.monitor.as_ref().map(|(node, _)| *node) != other {
            self.monitor = other.map(|node| (node, Monitor::new(boot, &timing)));
            self.judged_from = None;
        }
        let is_due = self.probed.is_none_or(|at| boot.since_ms(at) >= timing.probe_ms);
        let Some((node, monitor)) = self.monitor.as_mut().filter(|_| is_due) else { return };
        self.probed = Some(boot);
        let (node, health) = (*node, monitor.read(boot));
        let from = *self.judged_from.get_or_insert(boot.after(2 * timing.lease_ms));
        self.queue.push_back(Event::OtherHealth(if boot >= from { health } else { Health::default() }));
        let carrier = self.disk.carrier();
        self.send(&node, Message::Probe { carrier });
    }

    pub(super) fn probed(&mut self, from: NodeIndex, probe: node_core::seat::health::Probe) {
        let (boot, from) = (self.now.boot, self.identity.authors[from]);
        if let Some((_, monitor)) = self.monitor.as_mut().filter(|(watched, _)| *watched == from) {
            monitor.answered(boot, probe);
            self.judged_from = self.judged_from.map(|judged| judged.min(boot));
        }
    }

    /// A mirror that was not heard of in this term may not know of it.
    fn tell_mirrors(&mut self) {
        let (role, term) = self.controller.role();
        let is_due = self.told.is_none_or(|at| self.now.boot.since_ms(at) >= Timing::LAN.renew_ms);
        let Some(body) = self.certified.clone().filter(|_| role == Role::Holder && is_due) else { return };
        self.told = Some(self.now.boot);
        for mirror in body.mirrors().filter(|mirror| !self.hears(mirror, term)).copied().collect::<Vec<_>>() {
            let carrier = self.disk.carrier();
            self.send(&mirror, Message::Probe { carrier });
        }
    }

    pub(super) fn hears(&self, mirror: &AuthorId, term: u64) -> bool {
        let is_there = |seen: &(u64, BootMs)| seen.0 == term && self.now.boot.since_ms(seen.1) < SILENT_MS;
        self.seen.get(mirror).is_some_and(is_there)
    }

    /// A node of the mesh and another of it tell each other all that they have.
    fn begin_session(&mut self) {
        let lacks_terms = self.keeps(SeatRule::AskForMissingTerms) && self.disk.lacks_terms();
        if self.now.boot.since_ms(self.session) < SESSION_MS || (self.is_hidden() && !lacks_terms) {
            return;
        }
        self.session = self.now.boot;
        let others = self.identity.authors.len() as u64 - 1;
        let shift = 1 + usize::try_from(self.random.below(others)).unwrap_or(0);
        let to = (self.identity.index + shift) % self.identity.authors.len();
        let message = if self.is_hidden() { Message::AskTerms } else { self.session_message(true) };
        self.out.push(Output::Send(to, message));
    }

    pub(super) fn session_message(&self, wants_answer: bool) -> Message {
        let (certificates, commits) = (self.disk.certificates.clone(), self.disk.applied.values().cloned().collect());
        Message::Tell { certificates, commits, wants_answer }
    }
}
