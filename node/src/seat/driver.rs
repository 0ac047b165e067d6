//! The task that runs the controller: events in, effects carried out, in one turn after the other.
//!
//! Nothing here waits for another node or for the disk: whatever does is a task of its own, and its answer an event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::membership::Membership;
use lattice::seat::BodyHash;
use lattice::seat::message::SeatAnswer;
use node_core::resume::Doubt;
use node_core::seat::candidacy::Position;
use node_core::seat::controller::{Controller, Role};
use node_core::seat::event::{Event, Order, OrderRefused};
use node_core::seat::health::Probe;
use node_core::seat::named::NamedBody;
use node_core::seat::own::{Now, Settings};
use node_core::seat::refusal::Refusal;
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{Ballot, Voter};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::abstaining::Abstention;
use super::asking::NoAnswer;
use super::copies::Mirroring;
use super::draining::Draining;
use super::handing::{Handing, hand_on};
use super::mirror::Progress;
use super::moving::{Move, tell_of};
use super::opening::{NotOpened, Opening};
use super::places::{Learning, Places};
use super::room::{self, Room};
use super::status::{Outlook, SeatAlarm, SeatStatus};
use super::watching::Watch;
use super::{Seat, Serving};
use crate::clock::{boot_ms, now_ms};
use crate::home::Home;
use crate::journal::Journal;
use crate::net::Request;
use crate::service::Service;
use crate::settings::seat::SeatSettings;
use crate::writer::Identity;
use crate::writer::seat::SeatPublished;

/// How often the controller is told that time has passed.
const TICK: Duration = Duration::from_millis(50);

/// Events and orders waiting for the driver. Beyond it those who tell wait.
const TOLD_MAX: usize = 1024;

/// What the driver is told by its own tasks, and by operators.
pub enum Told {
    /// An event for the controller.
    Event(Event),
    /// A mirror's progress, with the term that it copies.
    Progress(u64, Progress),
    /// The mirror of this number has come to rest.
    MirrorStopped(u64),
    /// A probe's answer, with whom it was sent to.
    Probed(AuthorId, Result<Probe, NoAnswer>),
    /// A certificate that came with a question is in the state: the question is asked again.
    Learnt(Box<Request>),
    /// An operator's order.
    Order(Order, oneshot::Sender<Result<(), OrderRefused>>),
    /// No write of the seat is on its way to the writer any more.
    Held,
    /// The seat's log serves a term now, or could not.
    Opened(u64, Result<SeatPublished, NotOpened>),
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
    pub(super) places: Places,
    pub(super) handing: Handing,
    pub(super) opening: Opening,
    pub(super) learning: Learning,
    pub(super) moves: watch::Sender<Option<Move>>,
    /// Certificates on their way into the state.
    pub(super) certifying: Vec<(BodyHash, tokio::task::JoinHandle<()>)>,
    pub(super) serving: watch::Sender<Serving>,
    pub(super) hidden: watch::Sender<bool>,
    /// What an operator wants: the policy, and the command to run when the seat moves.
    pub(super) wanted: watch::Receiver<crate::settings::Settings>,
    abstention: Abstention,
    pub(super) mirroring: Option<Mirroring>,
    /// Mirrors begun since the start: the number of the last one.
    pub(super) mirrors: u64,
    /// The mirror whose rest the controller waits for.
    pub(super) awaited_mirror: Option<u64>,
    /// Events of this turn.
    pub(super) queue: VecDeque<Event>,
    /// What was alarmed of last, and when: it is not repeated at once.
    pub(super) alarmed: Option<(String, BootMs)>,
    /// The same for people.
    pub(super) last_alarm: Option<SeatAlarm>,
    /// Whether writes are held, and whether the shadow must have all before they are drained.
    pub(super) draining: Option<Draining>,
    /// Whether the writer takes no more writes of the seat.
    pub(super) is_held: bool,
    /// Releases on their way: the shadow is told to stand when voters know of them.
    pub(super) releasing: Vec<tokio::task::JoinHandle<()>>,
    pub(super) watch: Watch,
    pub(super) outlook: Outlook,
    inbox: mpsc::Receiver<Told>,
    requests: mpsc::Receiver<Request>,
    status: watch::Sender<SeatStatus>,
    pub(super) certified: Option<NamedBody>,
    /// The membership in which the highest certificate was last looked for.
    looked_at: Arc<Membership>,
    room: watch::Sender<Room>,
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
    /// A random number drawn at this start.
    pub session: u64,
    /// Whether this node is hidden, as a mirror is.
    pub hidden: watch::Sender<bool>,
    /// What an operator wants; the intervals stay as they are at the start.
    pub wanted: watch::Receiver<crate::settings::Settings>,
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
        let Parts { identity, service, journal, requests, session, hidden, wanted, home } = parts;
        let me = identity.keys.author.id();
        let ballot = seat.reader.ballot(&me).await?;
        let ballot: Option<Ballot> = ballot
            .map(|bytes| Ballot::from_stored(&bytes))
            .transpose()
            .map_err(|error| crate::store::StoreError::Damaged(error.to_string()))?;
        let certified = seat.body().map(NamedBody::from);
        let now = Now { boot: boot_ms(), wall_ms: now_ms() };
        let SeatSettings { timing, no_shadow, on_change: _ } = wanted.borrow().seat.clone();
        let settings = Settings { timing, no_shadow, session };
        let voter = Voter::start(me, &settings.timing, now.boot, certified, ballot);
        let controller = Controller::new(now, me, settings, voter);
        let (told, inbox) = mpsc::channel(TOLD_MAX);
        let (handing, handed) = Handing::new();
        let (room, room_out) = watch::channel(Room::default());
        let tasks = TaskTracker::new();
        let (moves, moved) = watch::channel(None);
        tasks.spawn(tell_of(moved, home.clone()));
        let writer = seat.writer.clone();
        // A writer that has stopped takes nothing more; so does the node.
        tasks.spawn(hand_on(handed, async move |job| {
            writer.send(job).await;
        }));
        let (serving, serving_out) = watch::channel(Serving::default());
        let (status, status_out) = watch::channel(SeatStatus::default());
        (seat.serving, seat.room) = (serving_out, room_out);
        let handle = SeatHandle { told: told.clone(), status: status_out };
        let driver = Self {
            seat: seat.clone(),
            service,
            journal,
            controller,
            told,
            tasks,
            places: Places::new(),
            handing,
            opening: Opening::default(),
            learning: Learning::default(),
            moves,
            certifying: Vec::new(),
            serving,
            hidden,
            wanted,
            abstention: Abstention::start(home, seat.writer.published().origin.clone()),
            mirroring: None,
            mirrors: 0,
            awaited_mirror: None,
            queue: VecDeque::new(),
            alarmed: None,
            last_alarm: None,
            draining: None,
            is_held: false,
            releasing: Vec::new(),
            watch: Watch::default(),
            outlook: Outlook::default(),
            inbox,
            requests,
            status,
            certified: None,
            looked_at: Arc::new(Membership::of(&identity.genesis, [])),
            room,
        };
        Ok((driver, seat, handle))
    }

    /// Works until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut states = self.seat.writer.watch();
        let (reading, stopped) = (room::keep_reading(self.seat.home.dir().into(), self.room.clone()), stop.clone());
        self.tasks.spawn(async move { stopped.run_until_cancelled(reading).await });
        self.look_at_state();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Before what others send: a flood of questions must not keep a lease from being renewed.
                _ = tick.tick() => self.tick(),
                Some(request) = self.requests.recv() => self.answer(request),
                Some(told) = self.inbox.recv() => self.on_told(told),
                Ok(()) = states.changed() => {
                    states.mark_unchanged();
                    self.look_at_state();
                }
                Ok(()) = self.wanted.changed() => {
                    let no_shadow = self.wanted.borrow_and_update().seat.no_shadow;
                    self.controller.set_no_shadow(no_shadow);
                }
            }
            self.turn();
        }
        if let Some(mirroring) = self.mirroring.take() {
            mirroring.stop.cancel();
        }
        drop((self.handing, self.moves));
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Feeds the controller what this turn brought, and what that brings, until nothing is left.
    pub(super) fn turn(&mut self) {
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
                    self.opening.done();
                    self.serving.send_modify(|serving| serving.term = Some(term));
                }
            }
            Told::Opened(term, Err(why)) => self.not_opened(term, &why),
        }
    }

    fn not_opened(&mut self, term: u64, why: &NotOpened) {
        if self.controller.role() != (Role::Holder, term) {
            return;
        }
        tracing::error!(term, %why, "this node holds the seat and can't open its term; it tries again");
        if self.opening.failed(boot_ms(), self.seat.timing.renew_ms, term) {
            self.alarm(&format!("this node holds the seat, can't open term {term}, and hands over if it can: {why}"));
        }
    }

    /// What the state says: a new certificate, and where the log stands.
    pub(super) fn look_at_state(&mut self) {
        let published = self.seat.writer.published();
        if !Arc::ptr_eq(&published.membership, &self.looked_at) {
            self.looked_at = published.membership.clone();
            self.look_at_certificate();
        }
        let term = self.certified.as_ref().map_or(0, |body| body.term);
        let is_catching_up = published.is_catching_up || published.doubt.is_some();
        self.abstention.look(&published.origin, is_catching_up, term);
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

    /// Why this node votes and grants no leases now, if it may have forgotten what it voted for.
    pub(super) fn abstains(&self) -> Option<Refusal> {
        let resting = || {
            let may_sign = self.seat.writer.published().may_sign;
            (!may_sign).then_some(Refusal::Resting { ms: self.seat.timing.lease_ms })
        };
        self.abstention.above().map(|above| Refusal::Abstaining { above }).or_else(resting)
    }

    /// Whether this node may have signed more in the terms so far than its database tells: it holds none of them.
    pub(super) fn may_have_forgotten(&self) -> bool {
        self.abstention.holds() || self.seat.writer.published().doubt > Some(Doubt::Usual)
    }

    fn tick(&mut self) {
        self.look_at_state();
        if let Some(term) = self.opening.due(boot_ms(), self.controller.role()) {
            self.open(term);
        }
        self.probe();
        self.tell_mirrors();
        self.show_status();
        self.queue.push_back(Event::Tick);
    }

    /// Where this node stands in a term, if it has any part in it.
    pub(super) fn position(&self, term: u64) -> Option<Position> {
        let published = self.seat.writer.published();
        let is_settled = published.membership.seats().term(term).is_some();
        let (of_term, seq) = published.seat.last;
        is_settled.then(|| Position {
            term,
            staged_seq: if of_term == term { seq } else { 0 },
            holds_opening_cut: published.seat.begun >= term,
            log_size: published.seat.log_size,
            log_root: published.seat.log_root,
        })
    }

    /// Shows what clients and operators are told.
    fn show(&mut self) {
        let until = self.controller.serves_until();
        let floor = self.controller.voter().floor();
        let has_shadow = self.has_shadow_in_reach();
        let paused_until = self.controller.paused_until();
        let is_draining = self.serving.borrow().is_draining;
        let is_able = !self.opening.is_ill();
        self.serving.send_if_modified(|serving| {
            let next =
                Serving { lease_until: until, floor, has_shadow, is_draining, paused_until, is_able, ..*serving };
            let is_changed = next != *serving;
            *serving = next;
            is_changed
        });
    }

    /// Shows what clients and operators read; made now and then, since it is long.
    fn show_status(&self) {
        let now = self.now();
        let takeover = (self.controller.takeover_possible(now), self.controller.paused_ms(now));
        let (role, _) = self.controller.role();
        let doing = match self.abstention.above() {
            Some(_) => format!(
                "{}; abstains until the next term, for it may have forgotten its votes",
                self.controller.doing()
            ),
            None => self.controller.doing().to_owned(),
        };
        let status = SeatStatus::of(&self.seat, role, doing, takeover, &self.outlook, self.last_alarm.clone());
        self.status.send_if_modified(|shown| {
            let is_changed = *shown != status;
            *shown = status;
            is_changed
        });
    }

    pub(super) fn reply(&self, request: Request, answer: &SeatAnswer) {
        let (net, bytes) = (self.seat.net.clone(), answer.encode());
        self.tasks.spawn(async move {
            let Request { protocol, channel, .. } = request;
            net.command(crate::net::Command::Respond { protocol, channel, bytes }).await;
        });
    }
}
