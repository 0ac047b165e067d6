//! What a node has in every role: its voter, its settings, what it was told to leave alone, and what it wants done.

use std::mem::{Discriminant, discriminant};

use lattice::ids::AuthorId;
use lattice::seat::Body;

use super::candidacy::{CannotStand, Heading};
use super::effect::{Alarm, Effect, Note, Step};
use super::health::Health;
use super::named::NamedBody;
use super::refusal::Refusal;
use super::takeover::WhyNot;
use super::timing::{BootMs, Timing};
use super::voter::{Ticket, Voter};

/// What happens to writes at `shadow` while the shadow is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoShadow {
    /// They wait; clients are told to come again.
    #[default]
    Block,
    /// A new term without a shadow, with an alarm.
    Degrade,
}

/// How a node keeps its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Intervals.
    pub timing: Timing,
    /// Policy.
    pub no_shadow: NoShadow,
    /// A random number drawn at this start: names this node's requests for leases.
    pub session: u64,
}

/// Both clocks: decisions rest on the first, the second is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Counts suspend.
    pub boot: BootMs,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
}

/// What an alarm that was said is about: its kind, and why nobody could take over, for that may change meanwhile.
type Said = (Discriminant<Alarm>, Option<Discriminant<WhyNot>>);

fn said(alarm: &Alarm) -> Said {
    let why = if let Alarm::CannotTakeOver(why) = alarm { Some(discriminant(why)) } else { None };
    (discriminant(alarm), why)
}

#[derive(Debug)]
pub(super) struct Own {
    pub(super) me: AuthorId,
    pub(super) settings: Settings,
    pub(super) voter: Voter,
    pub(super) ticket: Ticket,
    pub(super) now: Now,
    pub(super) paused: Option<BootMs>,
    pub(super) took_over: Option<BootMs>,
    pub(super) own_health: Health,
    pub(super) other_health: Health,
    /// What a mirror lacked when it last looked.
    pub(super) lag: Option<u64>,
    out: Vec<Effect>,
    said: Vec<Said>,
}

impl Own {
    pub(super) fn new(now: Now, me: AuthorId, settings: Settings, voter: Voter) -> Self {
        let ticket = Ticket { session: settings.session, round: 0 };
        Self {
            me,
            settings,
            voter,
            ticket,
            now,
            paused: None,
            took_over: None,
            own_health: Health::default(),
            other_health: Health::default(),
            lag: None,
            out: Vec::new(),
            said: Vec::new(),
        }
    }

    pub(super) fn want(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    pub(super) fn wanted(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn timing(&self) -> Timing {
        self.settings.timing
    }

    /// The moment `ms` from now.
    pub(super) fn within(&self, ms: u64) -> BootMs {
        self.now.boot.after(ms)
    }

    pub(super) fn is_past(&self, moment: BootMs) -> bool {
        self.now.boot >= moment
    }

    /// A pause ends by itself.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some_and(|until| !self.is_past(until))
    }

    /// Says an alarm once, until [`Self::calm`].
    pub(super) fn alarm(&mut self, alarm: Alarm) {
        let about = said(&alarm);
        if !self.said.contains(&about) {
            self.said.push(about);
            self.want(Effect::Alarm(alarm));
        }
    }

    /// What the alarm was about is over; it may be said again. Only the kind counts.
    pub(super) fn calm(&mut self, alarm: &Alarm) {
        self.said.retain(|(kind, _)| *kind != discriminant(alarm));
    }

    /// A new term is a new story: whatever is wrong in it is said, though it was said in the one before.
    pub(super) fn forget_alarms(&mut self) {
        self.said.clear();
    }

    pub(super) fn note(&mut self, old_term: u64, new_term: u64, what: Step, reason: impl Into<String>, votes: usize) {
        let (reason, lag) = (reason.into(), self.lag);
        self.want(Effect::Note(Note { old_term, new_term, what, reason, votes, lag }));
    }

    /// The heading of a body above everything known here, and above `higher`.
    pub(super) fn heading(&self, higher: u64, reason: &str) -> Heading {
        let term = self.voter.floor().max(higher).saturating_add(1);
        Heading { term, time_ms: self.now.wall_ms, reason: reason.to_owned() }
    }

    /// Has a candidacy stored, for the first time or again. It may be refused: this node may have voted for a body that
    /// names others.
    pub(super) fn store(&mut self, body: &NamedBody) -> bool {
        match self.voter.stand(body) {
            Ok(pending) => {
                self.calm(&Alarm::Bound(Refusal::NoSeat));
                self.want(Effect::PersistStand(pending));
            }
            Err(refusal) => {
                self.alarm(Alarm::Bound(refusal));
                return false;
            }
        }
        true
    }

    /// Stands with a drafted body: remembered at once, stored next, and only then others are asked.
    pub(super) fn stand(&mut self, draft: Result<Body, CannotStand>) -> Option<NamedBody> {
        let body = match draft {
            Ok(body) => {
                self.calm(&Alarm::CannotStand(CannotStand::NoSeat));
                NamedBody::from(body)
            }
            Err(why) => {
                self.alarm(Alarm::CannotStand(why));
                return None;
            }
        };
        self.store(&body).then_some(body)
    }
}
