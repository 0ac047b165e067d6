//! The holder's own moves: handing over, and terms in which it names other mirrors.

use crate::seat::candidacy::{self, Change, Position};
use crate::seat::candidate::Candidate;
use crate::seat::effect::{Alarm, Effect, Step, Stopped};
use crate::seat::own::{NoShadow, Own};

use super::{Holder, Phase, Then};

impl Holder {
    /// Looks after the shadow: says when it could not take over, replaces it when it stays away, hands over when this node
    /// itself is not well.
    pub(super) fn watch(&mut self, own: &mut Own) {
        match self.takeover_possible(own, own.now.boot) {
            Ok(loss) => {
                own.calm(&Alarm::CannotTakeOver(crate::seat::takeover::WhyNot::NoShadow));
                let cools = own.took_over.is_some_and(|at| !own.is_past(at.after(own.timing().cool_down_ms)));
                if own.own_health.is_suspect() && !cools && loss.records_behind <= HANDED_OVER_BEHIND_MAX {
                    self.hand_over(own);
                    return;
                }
            }
            // Said by `Degraded` already, once for the whole term.
            Err(crate::seat::takeover::WhyNot::NoShadow) => {}
            // At the beginning of a term nobody has fetched yet.
            Err(why) if self.lookout.age_ms(own.now.boot) > 2 * own.timing().lease_ms => {
                own.alarm(Alarm::CannotTakeOver(why));
            }
            Err(_) => {}
        }
        // Whoever lacks what its own term began with can't begin another (V7): operators have to settle one.
        if self.lookout.has_opening() {
            self.replace_shadow(own);
            self.free_others(own);
        }
    }

    /// After long enough, a spare that is there becomes the shadow. Without one the policy decides.
    fn replace_shadow(&mut self, own: &mut Own) {
        let Some(shadow) = self.body.shadow else { return };
        let timing = own.timing();
        let ms = self.lookout.away_ms(own.now.boot, &shadow);
        if ms < timing.shadow_gone_ms {
            own.calm(&Alarm::ShadowGone { ms });
            return;
        }
        if own.is_paused() {
            return;
        }
        let voters = self.body.voters.clone();
        if let Some(spare) = self.lookout.spare(own.now.boot, timing.lease_ms, &self.body) {
            let others = self.body.spares.iter().copied().filter(|other| *other != spare);
            let change = Change { shadow: Some(spare), spares: others.chain([shadow]).collect(), voters };
            self.begin_change(own, change, "the shadow stayed away; a spare takes its place");
            return;
        }
        match own.settings.no_shadow {
            NoShadow::Block => own.alarm(Alarm::ShadowGone { ms }),
            NoShadow::Degrade => {
                let change = Change { shadow: None, spares: Vec::new(), voters };
                self.begin_change(own, change, "the shadow stayed away; policy degrade");
            }
        }
    }

    /// A spare that is bound to a higher term copies nothing (V5), so nobody could take the shadow's place; and a voter that
    /// may have forgotten its votes abstains until a higher term, so one more that is away could end all moves. A term above
    /// frees both. No hurry, and no oftener than a seat may move by itself: clients wait for a moment.
    fn free_others(&mut self, own: &mut Own) {
        let is_due = self.lookout.age_ms(own.now.boot) >= own.timing().cool_down_ms;
        let is_idle = matches!(self.phase, Phase::Serving) && self.serves_until.is_some();
        if !is_due || !is_idle || own.is_paused() {
            return;
        }
        if self.spare_above > self.body.term {
            self.above = self.above.max(self.spare_above);
            self.let_go_for = Some((self.above, own.now.boot));
            self.begin_change(own, self.same(), "a spare is bound to a higher term and copies nothing");
        } else if self.lookout.abstains_above(self.body.term) {
            self.begin_change(
                own,
                self.same(),
                "a voter may have forgotten its votes and abstains until a higher term",
            );
        }
    }

    /// Drains, and then lets the shadow stand.
    pub(super) fn hand_over(&mut self, own: &mut Own) {
        self.drain(own, Then::HandOver, true);
    }

    /// Drains, and then stands for a term with other mirrors. Writes are held, for what is staged after the cut was taken
    /// would be cut (V5).
    pub(super) fn begin_change(&mut self, own: &mut Own, change: Change, reason: &str) {
        self.drain(own, Then::Stand(change, reason.to_owned()), false);
    }

    fn drain(&mut self, own: &mut Own, then: Then, until_shadow_has_all: bool) {
        own.want(Effect::HoldWrites { until_shadow_has_all });
        self.phase = Phase::Draining { until: own.within(own.timing().drain_ms), then };
    }

    pub(super) fn drained(&mut self, own: &mut Own, position: Position) {
        match std::mem::replace(&mut self.phase, Phase::Serving) {
            Phase::Draining { then: Then::HandOver, .. } => {
                own.calm(&Alarm::DrainGivenUp);
                self.release_to_shadow(own, position);
            }
            Phase::Draining { then: Then::Stand(change, reason), .. } => {
                own.calm(&Alarm::DrainGivenUp);
                self.stand(own, position, change, &reason);
            }
            // The answer to a drain that was given up.
            other @ (Phase::Serving | Phase::Yielding { .. } | Phase::HandingOver { .. } | Phase::Standing { .. }) => {
                self.phase = other;
            }
        }
    }

    fn release_to_shadow(&mut self, own: &mut Own, position: Position) {
        let Some(to) = self.body.shadow else { return };
        let term = self.body.term;
        self.stop(own, Stopped::HandedOver);
        self.release(own);
        own.want(Effect::HandOver { to, term, staged_seq: position.staged_seq });
        own.note(term, term + 1, Step::HandedOver, "drained; the shadow stands", 0);
        self.phase = Phase::HandingOver { until: own.within(own.timing().yield_ms) };
    }

    fn stand(&mut self, own: &mut Own, position: Position, change: Change, reason: &str) {
        let heading = own.heading(self.above, reason);
        let draft = candidacy::change(own.me, Some(&self.body), &position, change.clone(), heading);
        let Some(body) = own.stand(draft) else {
            own.want(Effect::ResumeWrites);
            return;
        };
        self.stop(own, Stopped::Stands);
        own.note(self.body.term, body.term, Step::Stood, reason, 0);
        self.phase = Phase::Standing { candidate: Candidate::new(own, body, position, None), change };
    }

    /// Others are past the term that this node stood for: the same change, in a term above theirs.
    pub(super) fn stand_higher(&mut self, own: &mut Own) {
        let Phase::Standing { candidate, change } = std::mem::replace(&mut self.phase, Phase::Serving) else { return };
        self.above = self.above.max(candidate.higher);
        let reason = candidate.body.reason.clone();
        self.stand(own, candidate.position, change, &reason);
    }
}

/// Records that a shadow may have yet to apply when a holder that is not well hands over (a guess: half a second's work).
const HANDED_OVER_BEHIND_MAX: u64 = 1_000;
