//! A few nodes with their controllers, joined by calls: links can be cut and nodes stopped. No lease overlaps, ever.

use std::collections::{BTreeSet, VecDeque};

use lattice::ids::{AuthorId, LatticeId};
use lattice::keys::{AuthorKey, NodeKeys};
use lattice::seat::Body;

use crate::seat::candidacy::Position;
use crate::seat::controller::Controller;
use crate::seat::effect::{Alarm, Effect, Note, Step};
use crate::seat::event::{Event, Fetched, Order, OrderRefused};
use crate::seat::health::{Health, Monitor, Probe, Reading};
use crate::seat::named::NamedBody;
use crate::seat::own::{NoShadow, Now, Settings};
use crate::seat::refusal::Refusal;
use crate::seat::timing::{BootMs, Timing};
use crate::seat::voter::{Act, Ballot, LeaseRequest, Voter, VoterState};

/// Milliseconds of a step.
pub(super) const STEP_MS: u64 = 20;

pub(super) struct Peer {
    key: AuthorKey,
    pub(super) controller: Controller,
    pub(super) is_up: bool,
    /// Whether what it asks of itself is answered: its disk and its mirror.
    pub(super) is_answering: bool,
    /// Whether its copy is being made, as long as it is said.
    pub(super) is_seeding: bool,
    /// Whether its copy lacks what its term began with, as long as it is said.
    pub(super) lacks_opening: bool,
    /// Whether it lost its database in a term, and so votes and grants again in a higher one.
    pub(super) abstains_above: Option<u64>,
    mirrors: Option<AuthorId>,
    monitor: Monitor,
    pub(super) staged: u64,
    pub(super) alarms: Vec<Alarm>,
    pub(super) notes: Vec<Note>,
    pub(super) opened: Option<u64>,
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) nodes: Vec<Peer>,
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) certified: Vec<NamedBody>,
    no_shadow: NoShadow,
    queue: VecDeque<(usize, Effect)>,
}

impl World {
    /// Node 0 holds, node 1 is its shadow; the first three are the voters, the others spares.
    pub(super) fn new(nodes: usize, no_shadow: NoShadow) -> Self {
        let now_ms = 100_000;
        let keys: Vec<_> = (0..nodes).map(|n| NodeKeys::from_seed([n as u8 + 1; 32]).author).collect();
        let names: Vec<_> = keys.iter().map(AuthorKey::id).collect();
        let mut voters = names[..3].to_vec();
        voters.sort_unstable();
        let body = Body {
            lattice: LatticeId::ZERO,
            seat: "green".to_owned(),
            term: 1,
            holder: names[0],
            shadow: Some(names[1]),
            spares: names[3..].to_vec(),
            voters,
            electors: Vec::new(),
            follows: None,
            cut: 0,
            log_size: 0,
            log_root: [0; 32],
            time_ms: 0,
            reason: "founded".to_owned(),
        };
        let body = NamedBody::from(body);
        let peer = |(n, key): (usize, AuthorKey)| {
            let state = VoterState { certified: None, ballot: None, lease: None, released: None, ready: BootMs(0) };
            let voter = Voter::in_state(key.id(), &Timing::LAN, state);
            let settings = Settings { timing: Timing::LAN, no_shadow, session: n as u64 };
            let now = Now { boot: BootMs(now_ms), wall_ms: now_ms };
            let controller = Controller::new(now, key.id(), settings, voter);
            let monitor = Monitor::new(BootMs(now_ms), &Timing::LAN);
            let (alarms, notes) = (Vec::new(), Vec::new());
            let (is_up, is_answering) = (true, true);
            Peer {
                key,
                controller,
                is_up,
                is_answering,
                is_seeding: false,
                lacks_opening: false,
                abstains_above: None,
                mirrors: None,
                monitor,
                staged: 0,
                alarms,
                notes,
                opened: None,
            }
        };
        let nodes = keys.into_iter().enumerate().map(peer).collect();
        let (cut, certified, queue) = (BTreeSet::new(), Vec::new(), VecDeque::new());
        let mut world = Self { now_ms, nodes, cut, certified, no_shadow, queue };
        world.certify(0, body);
        world.settle();
        world
    }

    pub(super) fn name(&self, node: usize) -> AuthorId {
        self.nodes[node].key.id()
    }

    pub(super) fn index(&self, name: &AuthorId) -> usize {
        self.nodes.iter().position(|node| node.key.id() == *name).expect("a node of this world")
    }

    pub(super) fn now(&self) -> Now {
        Now { boot: BootMs(self.now_ms), wall_ms: self.now_ms }
    }

    pub(super) fn last(&self) -> &NamedBody {
        self.certified.iter().max_by_key(|body| body.term).expect("founded")
    }

    pub(super) fn holder(&self) -> usize {
        self.index(&self.last().holder)
    }

    /// Who serves now; never two.
    pub(super) fn serving(&self) -> Option<usize> {
        let runs = |node: &Peer| node.controller.serves_until().is_some_and(|until| until.0 > self.now_ms);
        let serving: Vec<_> = (0..self.nodes.len()).filter(|node| runs(&self.nodes[*node])).collect();
        assert!(serving.len() <= 1, "two leases run at {}: {serving:?}", self.now_ms);
        serving.first().copied()
    }

    pub(super) fn cut_off(&mut self, node: usize, others: &[usize]) {
        for other in others {
            self.cut.extend([(node, *other), (*other, node)]);
        }
    }

    pub(super) fn order(&mut self, node: usize, order: Order) -> Result<(), OrderRefused> {
        let now = self.now();
        let effects = self.nodes[node].controller.order(now, order)?;
        self.queue.extend(effects.into_iter().map(|effect| (node, effect)));
        self.settle();
        Ok(())
    }

    pub(super) fn tell(&mut self, node: usize, event: Event) {
        if self.nodes[node].is_up {
            let now = self.now();
            let effects = self.nodes[node].controller.on(now, event);
            self.queue.extend(effects.into_iter().map(|effect| (node, effect)));
        }
    }

    /// Goes on until that is so; how long it took.
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> u64 {
        let began = self.now_ms;
        while !is_so(self) {
            assert!(self.now_ms < began + 120_000, "never: {what}; last term {:?}", self.last());
            self.step();
        }
        self.now_ms - began
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        for node in 0..self.nodes.len() {
            self.mirror(node);
            if self.now_ms.is_multiple_of(Timing::LAN.probe_ms) {
                self.probe(node);
            }
            self.tell(node, Event::Tick);
            self.settle();
            self.serving();
        }
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[from].is_up && self.nodes[to].is_up && !self.cut.contains(&(from, to))
    }

    fn position(&self, node: usize) -> Position {
        let (_, term) = self.nodes[node].controller.role();
        let (staged_seq, log_size) = (self.nodes[node].staged, self.nodes[node].staged);
        let holds_opening_cut = !self.nodes[node].lacks_opening;
        Position { term, staged_seq, holds_opening_cut, log_size, log_root: [0; 32] }
    }

    /// Copies all at once, and acknowledges.
    fn mirror(&mut self, node: usize) {
        let Some(holder) = self.nodes[node].mirrors.map(|holder| self.index(&holder)) else { return };
        let (_, term) = self.nodes[node].controller.role();
        if self.reaches(node, holder) && self.nodes[node].controller.may_serve(term) {
            self.nodes[node].staged = self.nodes[holder].staged;
            let position = self.position(node);
            self.tell(node, Event::StagedUpTo { position, behind: 0 });
            let mirror = self.name(node);
            let (staged_seq, log_size) = (position.staged_seq, position.log_size);
            let paused_ms = self.nodes[node].controller.paused_ms(self.now());
            let is_twin = !self.nodes[node].is_seeding;
            let fetched = Fetched { mirror, term, staged_seq, log_size, is_twin, paused_ms };
            self.tell(holder, Event::FetchedBy(fetched));
        }
    }

    /// Mirrors probe their holder, the holder its shadow.
    fn probe(&mut self, node: usize) {
        let body = self.last().clone();
        let other = if body.holder == self.name(node) { body.shadow } else { Some(body.holder) };
        let Some(other) = other.map(|other| self.index(&other)) else { return };
        let now = BootMs(self.now_ms);
        if self.reaches(node, other) && self.reaches(other, node) {
            let probe = Probe { log_size: 0, waiting: 0, is_sound: true, disk_free: None, memory_free: None };
            self.nodes[node].monitor.answered(now, probe);
        }
        let health = self.nodes[node].monitor.read(now);
        self.tell(node, Event::OtherHealth(health));
    }

    pub(super) fn certify(&mut self, from: usize, body: NamedBody) {
        if !self.certified.contains(&body) {
            self.certified.push(body.clone());
        }
        for node in 0..self.nodes.len() {
            if node == from || self.reaches(from, node) {
                self.tell(node, Event::Certified(body.clone()));
            }
        }
    }

    /// A node that starts again with what its disk remembers.
    pub(super) fn restart(&mut self, node: usize) {
        let now = self.now();
        let peer = &mut self.nodes[node];
        let VoterState { certified, ballot, .. } = peer.controller.voter().state().clone();
        let voter = Voter::start(peer.key.id(), &Timing::LAN, now.boot, certified.clone(), ballot);
        let settings = Settings { timing: Timing::LAN, no_shadow: self.no_shadow, session: now.wall_ms };
        peer.controller = Controller::new(now, peer.key.id(), settings, voter);
        peer.monitor = Monitor::new(now.boot, &Timing::LAN);
        peer.mirrors = None;
        if let Some(body) = certified {
            self.tell(node, Event::Certified(body));
        }
        self.settle();
    }

    /// A node that voted for a higher term that came to nothing.
    pub(super) fn bind(&mut self, node: usize, term: u64) {
        let body = NamedBody::from(Body { term, ..self.last().body().clone() });
        let name = self.name(node);
        let voter = self.nodes[node].controller.voter();
        let ballot = Some(Ballot { act: Act::Voted, body });
        let state = VoterState { ballot, ..voter.state().clone() };
        *voter = Voter::in_state(name, &Timing::LAN, state);
    }

    /// Operators settle a term above all: the last holder and its first mirror.
    pub(super) fn operate(&mut self) {
        let bound = self.nodes.iter().flat_map(|node| &node.alarms);
        assert!(bound.into_iter().any(|alarm| matches!(alarm, Alarm::NoMajority { .. } | Alarm::Bound(_))), "said so");
        let last = self.last().clone();
        let mut body = last.body().clone();
        body.term = self.nodes.iter_mut().map(|node| node.controller.voter().floor()).max().unwrap_or(0) + 1;
        body.shadow =
            body.shadow.or_else(|| self.nodes.iter().map(|node| node.key.id()).find(|name| *name != body.holder));
        (body.follows, body.electors) = (Some(last.name()), last.voters.clone());
        let warrant = lattice::seat::Warrant::Votes(std::collections::BTreeMap::new());
        let certificate = Box::new(lattice::seat::Certificate { body, warrant });
        self.order(self.holder(), Order::Promote(certificate)).expect("above all");
    }

    /// Everybody hears of every certificate.
    pub(super) fn gossip(&mut self) {
        for body in self.certified.clone() {
            (0..self.nodes.len()).for_each(|node| self.tell(node, Event::Certified(body.clone())));
        }
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        while let Some((node, effect)) = self.queue.pop_front() {
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        let now = BootMs(self.now_ms);
        let from = self.name(node);
        match effect {
            Effect::AskRenewal { voters, body, ticket, asked } => {
                for voter in self.asked(node, &voters) {
                    self.tell(voter, Event::Certified(body.clone()));
                    let request = LeaseRequest { from, body: &body, ticket, lease_ms: Timing::LAN.lease_ms };
                    let granted = self.nodes[voter].controller.voter().renew(now, &request);
                    let result = self.abstention(voter).map_or(granted, Err);
                    self.answer(voter, node, |voter| Event::RenewAnswered { voter, term: body.term, asked, result });
                }
            }
            Effect::AskInquiry { voters } => {
                for voter in self.asked(node, &voters) {
                    let state = self.nodes[voter].controller.voter().inquire(now);
                    self.answer(voter, node, |voter| Event::InquiryAnswered { voter, state });
                }
            }
            Effect::AskVote { voters, body } => {
                for voter in self.asked(node, &voters) {
                    self.vote(voter, node, &body);
                }
            }
            Effect::PersistStand(pending) if self.nodes[node].is_answering => {
                self.tell(node, Event::Stood(pending.persisted()));
            }
            Effect::Certify(certificate) => self.certify(node, NamedBody::from(certificate.body)),
            Effect::StartMirroring { holder, .. } => self.nodes[node].mirrors = Some(holder),
            Effect::StopMirroring if self.nodes[node].is_answering => {
                self.nodes[node].mirrors = None;
                let position = self.position(node);
                self.tell(node, Event::MirrorStopped(position));
            }
            Effect::HoldWrites { .. } if self.nodes[node].is_answering => {
                let position = self.position(node);
                self.tell(node, Event::Drained(position));
            }
            Effect::HandOver { to, term, staged_seq } => {
                let to = self.index(&to);
                self.answer(node, to, |from| Event::HandedOver { from, term, staged_seq });
            }
            Effect::TellStood { holder, term } => {
                let holder = self.index(&holder);
                self.answer(node, holder, |from| Event::MirrorStood { from, term });
            }
            Effect::Release { voters, ticket } => {
                for voter in self.asked(node, &voters) {
                    self.nodes[voter].controller.voter().release(from, ticket);
                }
            }
            Effect::Alarm(alarm) => self.nodes[node].alarms.push(alarm),
            Effect::Note(note) => self.nodes[node].notes.push(note),
            Effect::Open { term } => self.nodes[node].opened = Some(term),
            Effect::PersistStand(_)
            | Effect::StopMirroring
            | Effect::HoldWrites { .. }
            | Effect::ServeUntil(_)
            | Effect::StopServing(_)
            | Effect::ResumeWrites
            | Effect::StepDown { .. } => {}
        }
    }

    fn vote(&mut self, voter: usize, node: usize, body: &NamedBody) {
        let follows = self.certified.iter().find(|known| Some(known.name()) == body.follows).cloned();
        self.tell(voter, Event::Certified(follows.expect("certified once")));
        let (now, from) = (BootMs(self.now_ms), self.name(node));
        let pending = self.nodes[voter].controller.voter().ask_vote(now, from, body);
        let result = self.abstention(voter).map_or(pending, Err).map(|pending| {
            let persisted = pending.persisted();
            persisted.vote().expect("a vote").vote(&self.nodes[voter].key)
        });
        self.answer(voter, node, |voter| Event::VoteAnswered { voter, term: body.term, result });
    }

    fn abstention(&self, voter: usize) -> Option<Refusal> {
        let certified = self.nodes[voter].controller.role().1;
        let above = self.nodes[voter].abstains_above.filter(|above| certified <= *above);
        above.map(|above| Refusal::Abstaining { above })
    }

    fn asked(&self, from: usize, voters: &[AuthorId]) -> Vec<usize> {
        voters.iter().map(|voter| self.index(voter)).filter(|voter| self.reaches(from, *voter)).collect()
    }

    fn answer(&mut self, from: usize, to: usize, event: impl FnOnce(AuthorId) -> Event) {
        if self.reaches(from, to) {
            let name = self.name(from);
            self.tell(to, event(name));
        }
    }

    pub(super) fn steps(&self, node: usize) -> Vec<Step> {
        self.nodes[node].notes.iter().map(|note| note.what).collect()
    }
}

/// A node that is not well for certain.
pub(super) fn ill(why: &str) -> Health {
    let reading = Reading { kind: crate::seat::health::Kind::Disk, wrong: Some(why.to_owned()), in_row: 3 };
    Health { readings: vec![reading] }
}
