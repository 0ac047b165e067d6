//! The controller of one node: which place the certificates give it, and what it does there.
//!
//! Whatever it waits for has a time after which it does something else or says so; an operator's order is taken in any
//! state. It never goes back to a holder by itself: only suspicion, a refusal, an order or a certificate moves a seat.

use lattice::ids::AuthorId;
use lattice::seat::Certificate;

use super::effect::{Effect, Step, Stopped};
use super::event::{Event, Order, OrderRefused};
use super::holder::Holder;
use super::named::NamedBody;
use super::own::{NoShadow, Now, Own, Settings};
use super::standby::Standby;
use super::takeover::{Loss, WhyNot};
use super::timing::BootMs;
use super::voter::Voter;

/// The controller.
#[derive(Debug)]
pub struct Controller {
    own: Own,
    place: Place,
    /// The body that gave it.
    placed: Option<NamedBody>,
}

/// What a node is, by the highest certificate that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It writes.
    Holder,
    /// It stands by and may take over.
    Shadow,
    /// A further mirror.
    Spare,
    /// It only votes and grants leases.
    Voter,
    /// It has no part in the seat.
    Outsider,
}

#[derive(Debug)]
enum Place {
    Aside,
    Holder(Box<Holder>),
    Standby(Box<Standby>),
}

impl Role {
    /// The place that a body gives to a node.
    pub fn of(me: &AuthorId, body: &NamedBody) -> Self {
        if body.holder == *me {
            Self::Holder
        } else if body.shadow == Some(*me) {
            Self::Shadow
        } else if body.spares.contains(me) {
            Self::Spare
        } else if body.voters.contains(me) {
            Self::Voter
        } else {
            Self::Outsider
        }
    }
}

impl Controller {
    /// A node that starts. Its place comes with the first [`Event::Certified`].
    pub fn new(now: Now, me: AuthorId, settings: Settings, voter: Voter) -> Self {
        Self { own: Own::new(now, me, settings, voter), place: Place::Aside, placed: None }
    }

    /// Another policy for writes while the shadow is away; what follows from it is done at the next tick.
    pub fn set_no_shadow(&mut self, no_shadow: NoShadow) {
        self.own.settings.no_shadow = no_shadow;
    }

    /// This node's votes and leases: other nodes' requests are answered from here.
    pub fn voter(&mut self) -> &mut Voter {
        &mut self.own.voter
    }

    /// Whether this node may stage, fetch or acknowledge in this term. To be asked in the same turn as it acts (V5).
    pub fn may_serve(&self, term: u64) -> bool {
        self.own.voter.may_serve(term)
    }

    /// Until when this node serves under its lease, if it does.
    pub fn serves_until(&self) -> Option<BootMs> {
        match &self.place {
            Place::Holder(holder) => holder.serves_until(),
            Place::Standby(_) | Place::Aside => None,
        }
    }

    /// The role, and the term that gives it.
    pub fn role(&self) -> (Role, u64) {
        match self.placed.as_ref() {
            Some(body) => (Role::of(&self.own.me, body), body.term),
            None => (Role::Outsider, 0),
        }
    }

    /// What this node is in the middle of, in a word or two.
    pub fn doing(&self) -> &'static str {
        match &self.place {
            Place::Holder(holder) => holder.doing(),
            Place::Standby(standby) => standby.doing(),
            Place::Aside => "nothing",
        }
    }

    /// Milliseconds for which this node takes nothing over by order of an operator, 0 if it may.
    pub fn paused_ms(&self, now: Now) -> u64 {
        self.own.paused.map_or(0, |until| until.since_ms(now.boot))
    }

    /// The end of that pause.
    pub fn paused_until(&self) -> Option<BootMs> {
        self.own.paused
    }

    /// The line of `status`, where this node holds the seat: others do not know.
    pub fn takeover_possible(&self, now: Now) -> Option<Result<Loss, WhyNot>> {
        match &self.place {
            Place::Holder(holder) => Some(holder.takeover_possible(&self.own, now.boot)),
            Place::Standby(_) | Place::Aside => None,
        }
    }

    /// Takes in an event.
    pub fn on(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.own.now = now;
        match event {
            Event::Certified(body) => self.certified(&body),
            Event::OwnHealth(health) => self.own.own_health = health,
            Event::OtherHealth(health) => self.own.other_health = health,
            Event::Tick
            | Event::RenewAnswered { .. }
            | Event::InquiryAnswered { .. }
            | Event::Stood(_)
            | Event::VoteAnswered { .. }
            | Event::StagedUpTo { .. }
            | Event::MirrorStood { .. }
            | Event::MirrorStopped(_)
            | Event::FetchedBy(_)
            | Event::WrittenUpTo(_)
            | Event::Drained(_)
            | Event::HandedOver { .. } => match &mut self.place {
                Place::Holder(holder) => holder.on(&mut self.own, event),
                Place::Standby(standby) => standby.on(&mut self.own, event),
                Place::Aside => {}
            },
        }
        self.own.wanted()
    }

    /// Takes an operator's order.
    ///
    /// # Errors
    ///
    /// [`OrderRefused`]; then nothing has changed.
    pub fn order(&mut self, now: Now, order: Order) -> Result<Vec<Effect>, OrderRefused> {
        self.own.now = now;
        match order {
            Order::Pause { for_ms } => self.own.paused = Some(now.boot.after(for_ms)),
            Order::Resume => self.own.paused = None,
            Order::Promote(certificate) => self.promote(certificate)?,
            Order::Switchover | Order::ChangeShadow { .. } | Order::Degrade => match &mut self.place {
                Place::Holder(holder) => holder.order(&mut self.own, order)?,
                Place::Standby(_) | Place::Aside => return Err(OrderRefused::NotHolder),
            },
        }
        Ok(self.own.wanted())
    }

    fn promote(&mut self, certificate: Box<Certificate>) -> Result<(), OrderRefused> {
        let term = self.own.voter.state().certified.as_ref().map_or(0, |body| body.term);
        if certificate.body.term <= term {
            return Err(OrderRefused::Late { term });
        }
        self.own.want(Effect::Certify(certificate));
        Ok(())
    }

    /// A certificate gives a place. The same one again, or an older one, changes nothing.
    fn certified(&mut self, body: &NamedBody) {
        self.own.voter.learn(body);
        if self.placed.as_ref().is_some_and(|placed| placed.term > body.term || placed == body) {
            return;
        }
        let before = self.placed.replace(body.clone());
        self.leave(body);
        self.place = match Role::of(&self.own.me, body) {
            Role::Holder => Place::Holder(Box::new(Holder::begin(&mut self.own, body.clone()))),
            Role::Shadow | Role::Spare => Place::Standby(Box::new(Standby::begin(&mut self.own, body.clone()))),
            Role::Voter | Role::Outsider => return,
        };
        let old_term = before.map_or(0, |before| before.term);
        self.own.note(old_term, body.term, Step::Began, body.reason.clone(), 0);
    }

    /// Ends what the node did in the term before.
    fn leave(&mut self, body: &NamedBody) {
        let place = std::mem::replace(&mut self.place, Place::Aside);
        let holds = body.holder == self.own.me;
        match place {
            Place::Holder(holder) => {
                if !holds {
                    self.own.want(Effect::StopServing(Stopped::Deposed));
                    self.own.want(Effect::StepDown { holder: body.holder, term: body.term });
                }
                if holder.holds_writes() {
                    self.own.want(Effect::ResumeWrites);
                }
            }
            Place::Standby(standby) => {
                if holds && !standby.is_planned() {
                    self.own.took_over = Some(self.own.now.boot);
                }
                if !body.mirrors().any(|mirror| *mirror == self.own.me) {
                    self.own.want(Effect::StopMirroring);
                }
            }
            Place::Aside => {}
        }
        self.own.lag = None;
        self.own.forget_alarms();
    }
}

#[cfg(test)]
mod tests;
