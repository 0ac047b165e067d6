//! The holder: renews, serves while its lease runs, watches its shadow, and lets go when it must.

mod change;
mod lookout;
mod renewal;

use std::collections::BTreeMap;

use lattice::ids::AuthorId;
use lattice::seat::majority;

use super::candidacy::Change;
use super::candidate::{Candidate, Outcome};
use super::effect::{Alarm, Effect, Step, Stopped};
use super::event::{Event, Order, OrderRefused};
use super::lease::HeldLease;
use super::named::NamedBody;
use super::own::Own;
use super::takeover::{Loss, WhyNot};
use super::timing::BootMs;
use lookout::Lookout;

/// A node that holds the seat.
#[derive(Debug)]
pub(super) struct Holder {
    body: NamedBody,
    lease: HeldLease,
    /// When it last asked for a lease.
    asked: Option<BootMs>,
    /// Grants count that were asked for from here on: after the last release.
    counts_from: BootMs,
    /// When it last had a lease, or began.
    leased: BootMs,
    serves_until: Option<BootMs>,
    has_opened: bool,
    /// A term above this one that a voter or the shadow told of.
    above: u64,
    /// The number above this term for which it let go last, and when.
    let_go_for: Option<(u64, BootMs)>,
    /// A term above this one that a spare is bound to: that alone is no reason to let go.
    spare_above: u64,
    lookout: Lookout,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Renews and serves.
    Serving,
    /// Let go for its shadow, until then.
    Yielding { until: BootMs },
    /// Waits for writes under way, until then.
    Draining { until: BootMs, then: Then },
    /// Its lease is released; the shadow should stand, until then.
    HandingOver { until: BootMs },
    /// Stands for a term of its own.
    Standing { candidate: Candidate, change: Change },
}

#[derive(Debug)]
enum Then {
    HandOver,
    Stand(Change, String),
}

impl Holder {
    pub(super) fn begin(own: &mut Own, body: NamedBody) -> Self {
        let lease = HeldLease::none(body.term, &body.voters);
        let mut holder = Self {
            lookout: Lookout::new(own.now.boot),
            body,
            lease,
            asked: None,
            counts_from: own.now.boot,
            leased: own.now.boot,
            serves_until: None,
            has_opened: false,
            above: 0,
            let_go_for: None,
            spare_above: 0,
            phase: Phase::Serving,
        };
        holder.renew(own);
        if holder.body.shadow.is_none() {
            own.alarm(Alarm::Degraded);
        } else {
            own.calm(&Alarm::Degraded);
        }
        holder
    }

    pub(super) fn serves_until(&self) -> Option<BootMs> {
        self.serves_until
    }

    pub(super) fn holds_writes(&self) -> bool {
        !matches!(self.phase, Phase::Serving)
    }

    pub(super) fn doing(&self) -> &'static str {
        match &self.phase {
            Phase::Serving if self.serves_until.is_some() => "serving",
            Phase::Serving => "waiting for a lease",
            Phase::Yielding { .. } => "yielding to its shadow",
            Phase::Draining { .. } => "draining",
            Phase::HandingOver { .. } => "handing over",
            Phase::Standing { .. } => "standing for a term of its own",
        }
    }

    pub(super) fn takeover_possible(&self, own: &Own, now: BootMs) -> Result<Loss, WhyNot> {
        self.lookout.takeover_possible(own, &self.body, now)
    }

    pub(super) fn on(&mut self, own: &mut Own, event: Event) {
        match event {
            Event::Tick => self.tick(own),
            Event::RenewAnswered { voter, term, asked, result } if term == self.body.term => {
                self.renew_answered(own, voter, asked, result);
            }
            Event::FetchedBy(fetched) => self.lookout.fetched(own.now.boot, fetched),
            Event::WrittenUpTo(position) => self.lookout.written(position),
            Event::Drained(position) => self.drained(own, position),
            Event::MirrorStood { from, term } if self.body.shadow == Some(from) => {
                self.told_of(own, term, "the shadow stood for a higher term");
            }
            Event::MirrorStood { from, term } if self.body.spares.contains(&from) => {
                self.spare_above = self.spare_above.max(term);
            }
            Event::Stood(persisted) => {
                if let Phase::Standing { candidate, .. } = &mut self.phase {
                    candidate.stored(own, persisted.body());
                }
            }
            Event::VoteAnswered { voter, term, result } => {
                if let Phase::Standing { candidate, .. } = &mut self.phase {
                    candidate.answered(own, voter, term, result);
                }
            }
            Event::Certified(_)
            | Event::OwnHealth(_)
            | Event::OtherHealth(_)
            | Event::RenewAnswered { .. }
            | Event::InquiryAnswered { .. }
            | Event::StagedUpTo { .. }
            | Event::MirrorStopped(_)
            | Event::MirrorStood { .. }
            | Event::HandedOver { .. } => {}
        }
    }

    pub(super) fn order(&mut self, own: &mut Own, order: Order) -> Result<(), OrderRefused> {
        if let Some(ms) = self.busy_ms(own) {
            return Err(OrderRefused::Busy { doing: self.doing(), ms });
        }
        // What comes of this order is a story of its own.
        own.calm(&Alarm::DrainGivenUp);
        match order {
            Order::Switchover => {
                self.takeover_possible(own, own.now.boot).map_err(OrderRefused::Impossible)?;
                self.hand_over(own);
            }
            Order::ChangeShadow { shadow, spares } => {
                let is_so = self.body.shadow == Some(shadow) && self.body.spares == spares;
                let change = Change { shadow: Some(shadow), spares, voters: self.body.voters.clone() };
                (!is_so)
                    .then(|| self.begin_change(own, change, "ordered: other mirrors"))
                    .ok_or(OrderRefused::AlreadySo)?;
            }
            Order::Degrade => {
                let change = Change { shadow: None, spares: Vec::new(), voters: self.body.voters.clone() };
                let has_shadow = self.body.shadow.is_some();
                has_shadow
                    .then(|| self.begin_change(own, change, "ordered: no shadow"))
                    .ok_or(OrderRefused::AlreadySo)?;
            }
            Order::Promote(_) | Order::Pause { .. } | Order::Resume => {}
        }
        Ok(())
    }

    /// An order interrupts what was begun by itself and can still be undone: only a drain, which an order began or which
    /// ends soon, and a release on its way are waited for. Who stands may be given another body for a higher term.
    fn busy_ms(&self, own: &Own) -> Option<u64> {
        match &self.phase {
            Phase::Serving | Phase::Yielding { .. } | Phase::Standing { .. } => None,
            Phase::Draining { until, .. } | Phase::HandingOver { until } => Some(until.remaining_ms(own.now.boot)),
        }
    }

    fn tick(&mut self, own: &mut Own) {
        match &mut self.phase {
            Phase::Serving => self.serve(own),
            Phase::Draining { until, .. } => {
                let is_late = own.is_past(*until);
                self.keep_lease(own);
                if is_late {
                    own.alarm(Alarm::DrainGivenUp);
                    own.want(Effect::ResumeWrites);
                    self.phase = Phase::Serving;
                }
            }
            Phase::Yielding { until } | Phase::HandingOver { until } => {
                if own.is_past(*until) {
                    self.come_back(own);
                }
            }
            Phase::Standing { candidate, .. } => {
                if candidate.tick(own) == Outcome::Outdated {
                    self.stand_higher(own);
                }
            }
        }
    }

    fn serve(&mut self, own: &mut Own) {
        if !own.voter.may_serve(self.body.term) {
            self.let_go(own, "this node voted for a higher term");
            return;
        }
        if self.must_let_go(own) {
            self.let_go(own, "the shadow or a voter is bound to a higher term");
            return;
        }
        self.keep_lease(own);
        self.watch(own);
    }

    /// The shadow stood: it can't serve this term any more, so only a higher one helps. Letting go makes it quick.
    fn let_go(&mut self, own: &mut Own, reason: &str) {
        self.let_go_for = Some((self.above, own.now.boot));
        self.stop(own, Stopped::Yielded);
        self.release(own);
        own.want(Effect::HoldWrites { until_shadow_has_all: false });
        own.note(self.body.term, self.above.max(own.voter.floor()), Step::Yielded, reason, 0);
        self.phase = Phase::Yielding { until: own.within(own.timing().yield_ms) };
    }

    /// Nobody took the seat. If this node is bound to a higher term, or voters are, it stands for one above them; else it
    /// serves again.
    fn come_back(&mut self, own: &mut Own) {
        self.lease = HeldLease::none(self.body.term, &self.body.voters);
        own.note(self.body.term, self.body.term, Step::Returned, "no higher term was certified", 0);
        if own.voter.may_serve(self.body.term) {
            own.want(Effect::ResumeWrites);
            self.phase = Phase::Serving;
            self.renew(own);
        }
        if self.above > self.body.term || !own.voter.may_serve(self.body.term) {
            self.begin_change(own, self.same(), "voters are past the term, and nobody took the seat");
        }
    }

    /// A term of its own in which nothing changes but the number.
    fn same(&self) -> Change {
        Change { shadow: self.body.shadow, spares: self.body.spares.clone(), voters: self.body.voters.clone() }
    }

    /// How many voters beside the holder make a takeover.
    fn needed(body: &NamedBody) -> usize {
        majority(body.voters.len())
    }
}

/// By mirror, what it said last.
type Seen = BTreeMap<AuthorId, lookout::Sight>;
