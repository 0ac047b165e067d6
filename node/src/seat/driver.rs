//! The task that runs the controller: events in, effects carried out, in one turn after the other.
//!
//! Nothing here waits for another node or for the disk: whatever does is a task of its own, and its answer an event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::log::note::KeyName;
use lattice::membership::Membership;
use lattice::seat::message::SeatAnswer;
use node_core::seat::candidacy::Position;
use node_core::seat::controller::{Controller, Role};
use node_core::seat::event::{Event, Order, OrderRefused};
use node_core::seat::health::{Health, Monitor, Probe};
use node_core::seat::named::NamedBody;
use node_core::seat::own::{Now, Settings};
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{Ballot, Voter};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::mirror::Progress;
use super::status::{Outlook, SeatStatus};
use super::{Seat, Serving};
use crate::clock::{boot_ms, now_ms};
use crate::home::{ABSTAINING, Home};
use crate::journal::Journal;
use crate::net::Request;
use crate::service::Service;
use crate::writer::Identity;
use crate::writer::seat::SeatPublished;

/// How often the controller is told that time has passed.
const TICK: Duration = Duration::from_millis(50);

/// Leases for which the silence of a node in a new term says nothing.
const GRACE_LEASES: u64 = 2;

/// Events and orders waiting for the driver. Beyond it those who tell wait.
const TOLD_MAX: usize = 1024;

/// Questions of other nodes answered at once; beyond it they are told to come again.
pub(super) const ANSWERS_MAX: usize = 256;

/// What the driver is told by its own tasks, and by operators.
pub enum Told {
    /// An event for the controller.
    Event(Event),
    /// A mirror's progress, with the term that it copies.
    Progress(u64, Progress),
    /// The mirror of this number has come to rest.
    MirrorStopped(u64),
    /// A probe's answer, with whom it was sent to.
    Probed(AuthorId, Option<Probe>),
    /// A certificate that came with a question is in the state: the question is asked again.
    Learnt(Box<Request>),
    /// An operator's order.
    Order(Order, oneshot::Sender<Result<(), OrderRefused>>),
    /// No write of the seat is on its way to the writer any more.
    Held,
    /// The seat's log serves a term now, or could not.
    Opened(u64, Result<SeatPublished, crate::store::StoreError>),
}

/// How others reach the driver.
#[derive(Clone)]
pub struct SeatHandle {
    told: mpsc::Sender<Told>,
    status: watch::Receiver<SeatStatus>,
}

impl SeatHandle {
    /// What this node knows of the seat.
    pub fn status(&self) -> SeatStatus {
        self.status.borrow().clone()
    }

    /// Changes with every change of it.
    pub fn watch(&self) -> watch::Receiver<SeatStatus> {
        self.status.clone()
    }

    /// Gives an order to the controller; `None` if the node is stopping.
    pub async fn order(&self, order: Order) -> Option<Result<(), OrderRefused>> {
        let (reply, answer) = oneshot::channel();
        self.told.send(Told::Order(order, reply)).await.ok()?;
        answer.await.ok()
    }
}

/// What the driver is made of.
pub struct Driver {
    pub(super) seat: Seat,
    pub(super) service: Service,
    pub(super) journal: Arc<Journal>,
    pub(super) controller: Controller,
    pub(super) told: mpsc::Sender<Told>,
    pub(super) tasks: TaskTracker,
    pub(super) serving: watch::Sender<Serving>,
    pub(super) hidden: watch::Sender<bool>,
    /// The command that an operator wants run when the seat moves.
    pub(super) on_change: Vec<String>,
    /// Where the mark of a lost database stands, while it stands.
    home: Home,
    abstaining: Option<Abstaining>,
    pub(super) mirroring: Option<Mirroring>,
    /// Mirrors begun since the start: the number of the last one.
    pub(super) mirrors: u64,
    /// The mirror whose rest the controller waits for.
    pub(super) awaited_mirror: Option<u64>,
    /// Events of this turn.
    pub(super) queue: VecDeque<Event>,
    /// Whether writes are held, and whether the shadow must have all before they are drained.
    pub(super) draining: Option<bool>,
    /// Whether the writer takes no more writes of the seat.
    pub(super) is_held: bool,
    /// Releases on their way: the shadow is told to stand when voters know of them.
    pub(super) releasing: Vec<tokio::task::JoinHandle<()>>,
    monitor: Option<(AuthorId, Monitor)>,
    probed_at: Option<BootMs>,
    told_at: Option<BootMs>,
    /// From when on the other side's silence counts: since it first answered, or after a grace.
    first_answer: Option<BootMs>,
    outlook: Outlook,
    inbox: mpsc::Receiver<Told>,
    requests: mpsc::Receiver<Request>,
    status: watch::Sender<SeatStatus>,
    certified: Option<NamedBody>,
    /// The name of this node's log when it was last looked at.
    origin: KeyName,
    /// The membership in which the highest certificate was last looked for.
    looked_at: Arc<Membership>,
}

/// A node that lost its database does not know what it voted for.
enum Abstaining {
    /// It does not know the highest term yet either.
    Unknown,
    /// Until a higher term than this is settled.
    Until(u64),
}

/// A mirror that runs.
pub(super) struct Mirroring {
    pub(super) number: u64,
    pub(super) term: u64,
    pub(super) stop: CancellationToken,
}

/// What a driver needs beside the seat.
pub struct Parts {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Where certificates are written.
    pub service: Service,
    /// Where transitions are written down.
    pub journal: Arc<Journal>,
    /// Questions of other nodes.
    pub requests: mpsc::Receiver<Request>,
    /// Policy and intervals.
    pub settings: Settings,
    /// Whether this node is hidden, as a mirror is.
    pub hidden: watch::Sender<bool>,
    /// The command to run on a change.
    pub on_change: Vec<String>,
    /// The node's directory.
    pub home: Home,
}

impl Driver {
    /// Sets up the driver of a node that starts.
    ///
    /// # Errors
    ///
    /// [`crate::store::StoreError`] if this node's ballot can't be read: it may have voted for anything.
    pub async fn start(mut seat: Seat, parts: Parts) -> Result<(Self, Seat, SeatHandle), crate::store::StoreError> {
        let Parts { identity, service, journal, requests, settings, hidden, on_change, home } = parts;
        let me = identity.keys.author.id();
        let ballot = seat.reader.ballot(&me).await?;
        let ballot: Option<Ballot> = ballot
            .map(|bytes| Ballot::from_stored(&bytes))
            .transpose()
            .map_err(|error| crate::store::StoreError::Damaged(error.to_string()))?;
        let certified = seat.body().map(NamedBody::from);
        let now = Now { boot: boot_ms(), wall_ms: now_ms() };
        let voter = Voter::start(me, &settings.timing, now.boot, certified, ballot);
        let controller = Controller::new(now, me, settings, voter);
        let (told, inbox) = mpsc::channel(TOLD_MAX);
        let (serving, serving_out) = watch::channel(Serving::default());
        let (status, status_out) = watch::channel(SeatStatus::default());
        seat.serving = serving_out;
        let handle = SeatHandle { told: told.clone(), status: status_out };
        let driver = Self {
            seat: seat.clone(),
            service,
            journal,
            controller,
            told,
            tasks: TaskTracker::new(),
            serving,
            hidden,
            on_change,
            abstaining: home.path(ABSTAINING).exists().then_some(Abstaining::Unknown),
            home,
            mirroring: None,
            mirrors: 0,
            awaited_mirror: None,
            queue: VecDeque::new(),
            draining: None,
            is_held: false,
            releasing: Vec::new(),
            monitor: None,
            probed_at: None,
            told_at: None,
            first_answer: None,
            outlook: Outlook::default(),
            inbox,
            requests,
            status,
            certified: None,
            origin: seat.writer.published().origin.clone(),
            looked_at: Arc::new(Membership::of(&identity.genesis, [])),
        };
        Ok((driver, seat, handle))
    }

    /// Works until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut states = self.seat.writer.watch();
        self.look_at_state();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => self.answer(request),
                Some(told) = self.inbox.recv() => self.on_told(told),
                Ok(()) = states.changed() => {
                    states.mark_unchanged();
                    self.look_at_state();
                }
                _ = tick.tick() => self.tick(),
            }
            self.turn();
        }
        if let Some(mirroring) = self.mirroring.take() {
            mirroring.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Feeds the controller what this turn brought, and what that brings, until nothing is left.
    fn turn(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            let effects = self.controller.on(self.now(), event);
            for effect in effects {
                self.carry_out(effect);
            }
        }
        self.show();
    }

    pub(super) fn now(&self) -> Now {
        Now { boot: boot_ms(), wall_ms: now_ms() }
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Event(event) => self.queue.push_back(event),
            Told::Progress(term, progress) => self.progressed(term, progress),
            Told::MirrorStopped(number) => self.mirror_stopped(number),
            Told::Probed(node, probe) => self.probed(node, probe),
            Told::Learnt(request) => {
                self.look_at_state();
                self.turn();
                self.answer(*request);
            }
            Told::Order(order, reply) => {
                let ordered = self.controller.order(self.now(), order);
                let answer = match ordered {
                    Ok(effects) => {
                        effects.into_iter().for_each(|effect| self.carry_out(effect));
                        Ok(())
                    }
                    Err(refused) => Err(refused),
                };
                // The operator may be gone.
                let _ = reply.send(answer);
            }
            Told::Held => {
                self.is_held = true;
                self.look_at_state();
            }
            Told::Opened(term, Ok(_)) => {
                if self.controller.role() == (Role::Holder, term) {
                    self.serving.send_modify(|serving| serving.term = Some(term));
                }
            }
            Told::Opened(term, Err(error)) => {
                tracing::error!(term, %error, "this node holds the seat and can't write its log");
            }
        }
    }

    /// What the state says: a new certificate, and where the log stands.
    fn look_at_state(&mut self) {
        let published = self.seat.writer.published();
        if !Arc::ptr_eq(&published.membership, &self.looked_at) {
            self.looked_at = published.membership.clone();
            self.look_at_certificate();
        }
        if published.origin != self.origin {
            // Others hold more of its log than it has: its votes may be gone as well.
            self.origin = published.origin.clone();
            self.abstaining = Some(Abstaining::Unknown);
            if let Err(error) =
                self.home.write(ABSTAINING, 0o644, b"the database is older than what this node signed\n")
            {
                tracing::error!(%error, "a restart would let this node vote again, and it may have voted before");
            }
        }
        self.look_at_abstaining(published.is_catching_up);
        let (role, term) = self.controller.role();
        if role == Role::Holder
            && let Some(position) = self.position(term)
        {
            self.queue.push_back(Event::WrittenUpTo(position));
            self.look_at_drain(position);
        }
    }

    fn look_at_certificate(&mut self) {
        let body = self.seat.body().map(NamedBody::from);
        if let Some(body) = body.filter(|body| self.certified.as_ref() != Some(body)) {
            self.certified = Some(body.clone());
            self.moved(&body);
            self.find_carrier();
            self.queue.push_back(Event::Certified(body));
        }
    }

    /// Whether this node votes and grants leases: not if it may have forgotten what it voted for. Who runs on an older
    /// database finds out by what others hold of its log, so until they have said so it may be such a one.
    pub(super) fn abstains(&self) -> bool {
        self.abstaining.is_some() || !self.seat.writer.published().may_sign
    }

    fn look_at_abstaining(&mut self, is_catching_up: bool) {
        let term = self.certified.as_ref().map_or(0, |body| body.term);
        match self.abstaining {
            Some(Abstaining::Unknown) if !is_catching_up => self.abstaining = Some(Abstaining::Until(term)),
            Some(Abstaining::Until(lost)) if term > lost => {
                match self.home.remove(ABSTAINING) {
                    Ok(()) => tracing::info!(term, "this node votes on the seat again"),
                    Err(error) => tracing::warn!(%error, "the mark of a lost database stays behind"),
                }
                self.abstaining = None;
            }
            Some(Abstaining::Unknown | Abstaining::Until(_)) | None => {}
        }
    }

    /// Tells the controller when no write is under way any more.
    fn look_at_drain(&mut self, position: Position) {
        let Some(until_shadow_has_all) = self.draining.filter(|_| self.is_held) else { return };
        let published = self.seat.writer.published().seat;
        if !until_shadow_has_all || published.staged == 0 {
            self.draining = None;
            self.queue.push_back(Event::Drained(position));
        }
    }

    fn tick(&mut self) {
        self.look_at_state();
        self.probe();
        self.tell_mirrors();
        self.show_status();
        self.queue.push_back(Event::Tick);
    }

    /// Where this node stands in a term, if it has any part in it.
    pub(super) fn position(&self, term: u64) -> Option<Position> {
        let published = self.seat.writer.published();
        let settled = published.membership.seats().term(term)?;
        let body = &settled.certificate.body;
        let (of_term, seq) = published.seat.last;
        Some(Position {
            term,
            staged_seq: if of_term == term { seq } else { 0 },
            holds_opening_cut: self.seat.holds_cut_of(body),
            log_size: published.seat.log_size,
            log_root: published.seat.log_root,
        })
    }

    /// Probes the other side of holder and shadow, and reads its health once a probe.
    fn probe(&mut self) {
        let now = boot_ms();
        let other = self.other_side();
        if self.monitor.as_ref().map(|(node, _)| *node) != other {
            self.monitor = other.map(|node| (node, Monitor::new(now, &self.seat.timing)));
            self.first_answer = None;
        }
        let is_due = self.probed_at.is_none_or(|at| now.since_ms(at) >= self.seat.timing.probe_ms);
        let Some((node, monitor)) = self.monitor.as_mut().filter(|_| is_due) else { return };
        self.probed_at = Some(now);
        let node = *node;
        monitor.connected(now, self.seat.is_connected(&node));
        let health = monitor.read(now);
        // A node that was hidden a moment ago has to be found first: its silence says nothing yet.
        let began = *self.first_answer.get_or_insert(now.after(GRACE_LEASES * self.seat.timing.lease_ms));
        let is_judged = now >= began;
        self.queue.push_back(Event::OtherHealth(if is_judged { health } else { Health::default() }));
        let (seat, told) = (self.seat.clone(), self.told.clone());
        self.tasks.spawn(async move {
            let probe = seat.probe(node).await;
            let _ = told.send(Told::Probed(node, probe)).await;
        });
    }

    /// A mirror that was not heard of in this term may not know of it: it is in no mesh, and its holder may be gone.
    fn tell_mirrors(&mut self) {
        let now = boot_ms();
        let (role, term) = self.controller.role();
        let is_due = self.told_at.is_none_or(|at| now.since_ms(at) >= self.seat.timing.renew_ms);
        let Some(body) = self.certified.as_ref().filter(|_| role == Role::Holder && is_due) else { return };
        self.told_at = Some(now);
        for mirror in body.mirrors().copied().filter(|mirror| !self.outlook.hears(*mirror, term)) {
            let seat = self.seat.clone();
            self.tasks.spawn(async move {
                // What it answers does not matter: it knows the term then.
                let _ = seat.probe(mirror).await;
            });
        }
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

    fn probed(&mut self, node: AuthorId, probe: Option<Probe>) {
        let Some((_, monitor)) = self.monitor.as_mut().filter(|(watched, _)| *watched == node) else { return };
        match probe {
            Some(probe) => {
                let now = boot_ms();
                monitor.answered(now, probe);
                self.first_answer = self.first_answer.map(|began| began.min(now));
            }
            None => monitor.failed(),
        }
    }

    fn progressed(&mut self, term: u64, progress: Progress) {
        if self.mirroring.as_ref().is_none_or(|mirroring| mirroring.term != term) {
            return;
        }
        self.outlook.progressed(term, &progress);
        match progress {
            Progress::At { here, log_size, is_released, last, .. } => {
                if let Some(position) = self.position(term) {
                    let commits = if last.0 == term { last.1.saturating_sub(position.staged_seq) } else { 0 };
                    let behind = commits + log_size.saturating_sub(here.log_size);
                    self.queue.push_back(Event::StagedUpTo { position, behind });
                    let from = self.certified.as_ref().filter(|body| body.term == term).map(|body| body.holder);
                    if let (true, Some(from)) = (is_released, from) {
                        let staged_seq = if last.0 == term { last.1 } else { 0 };
                        self.queue.push_back(Event::HandedOver { from, term, staged_seq });
                    }
                }
            }
            Progress::Differs(why) => {
                self.alarm(&format!("the copy here differs from the holder's and is made anew: {why}"))
            }
            Progress::Refused(refusal) => {
                if let Some(holder) = self.certified.as_ref().map(|body| body.holder) {
                    self.learn_of(holder, refusal.carrier.as_deref());
                }
            }
            Progress::Silent(why) => {
                tracing::debug!(why, "the holder does not answer its mirror");
                self.ask_voters_for_news(term);
            }
            Progress::Trouble(error) => self.alarm(&format!("this mirror can't store what comes: {error}")),
            Progress::Seeding => {}
        }
    }

    /// Shows what clients and operators are told.
    fn show(&mut self) {
        let until = self.controller.serves_until();
        let floor = self.controller.voter().floor();
        let has_shadow = self.has_shadow_in_reach();
        let is_draining = self.serving.borrow().is_draining;
        self.serving.send_if_modified(|serving| {
            let next = Serving { lease_until: until, floor, has_shadow, is_draining, ..*serving };
            let is_changed = next != *serving;
            *serving = next;
            is_changed
        });
    }

    /// Shows what clients and operators read; made now and then, since it is long.
    fn show_status(&self) {
        let takeover = self.controller.takeover_possible(self.now());
        let (role, _) = self.controller.role();
        let status = SeatStatus::of(&self.seat, role, self.controller.doing(), takeover, &self.outlook);
        self.status.send_if_modified(|shown| {
            let is_changed = *shown != status;
            *shown = status;
            is_changed
        });
    }

    /// Whether writes at `shadow` can be acknowledged: there is a shadow that fetches, or the term has none.
    fn has_shadow_in_reach(&self) -> bool {
        let Some(body) = &self.certified else { return false };
        let Some(shadow) = body.shadow else { return true };
        self.outlook.hears(shadow, body.term)
    }

    /// A mirror fetched at this holder.
    pub(super) fn fetched_by(&mut self, mirror: AuthorId, term: u64, staged_seq: u64, log_size: u64) {
        let size = self.seat.writer.published().seat.log_size;
        self.outlook.fetched(mirror, term, log_size, size);
        self.queue.push_back(Event::FetchedBy { mirror, term, staged_seq, log_size });
    }

    pub(super) fn reply(&self, request: Request, answer: &SeatAnswer) {
        let (net, bytes) = (self.seat.net.clone(), answer.encode());
        self.tasks.spawn(async move {
            let Request { protocol, channel, .. } = request;
            net.command(crate::net::Command::Respond { protocol, channel, bytes }).await;
        });
    }
}
