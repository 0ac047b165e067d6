//! The holder's lease: asked for in time, shown as long as it runs, given back.

use lattice::ids::AuthorId;

use super::{Holder, Phase};
use crate::seat::effect::{Alarm, Effect, Stopped};
use crate::seat::lease::HeldLease;
use crate::seat::own::Own;
use crate::seat::refusal::Refusal;
use crate::seat::timing::BootMs;

impl Holder {
    /// Renews in time, and notices a lease that ran out.
    pub(super) fn keep_lease(&mut self, own: &mut Own) {
        let timing = own.timing();
        if self.asked.is_none_or(|asked| own.is_past(asked.after(timing.renew_ms))) {
            self.renew(own);
        }
        if self.serves_until.is_some_and(|until| own.is_past(until)) {
            self.stop(own, Stopped::LeaseRanOut);
        }
        if self.serves_until.is_none() && own.is_past(self.leased.after(2 * timing.lease_ms)) {
            own.alarm(Alarm::NoLease);
        }
    }

    pub(super) fn renew(&mut self, own: &mut Own) {
        if !own.voter.may_serve(self.body.term) {
            return;
        }
        own.ticket.round += 1;
        self.asked = Some(own.now.boot);
        own.want(Effect::AskRenewal {
            voters: self.body.voters.clone(),
            body: self.body.clone(),
            ticket: own.ticket,
            asked: own.now.boot,
        });
    }

    pub(super) fn renew_answered(
        &mut self,
        own: &mut Own,
        voter: AuthorId,
        asked: BootMs,
        result: Result<(), Refusal>,
    ) {
        let abstains_above = if let Err(Refusal::Abstaining { above }) = result { Some(above) } else { None };
        self.lookout.answered(own.now.boot, voter, abstains_above);
        let renews = matches!(self.phase, Phase::Serving | Phase::Draining { .. });
        match result {
            // What was asked for before a release is given back, however late the answer comes.
            Ok(()) if renews && asked >= self.counts_from => {
                self.lease.granted(voter, asked);
                self.show_lease(own);
            }
            Err(Refusal::LowTerm { term }) => self.told_of(own, term, "a voter is past this term"),
            Err(Refusal::ShorterLease { ms }) => own.alarm(Alarm::ShorterLease { voter, ms }),
            Ok(()) | Err(_) => {}
        }
    }

    /// Someone is bound to a term above this one. While this node is in the middle of something it lets go later.
    pub(super) fn told_of(&mut self, own: &mut Own, term: u64, reason: &str) {
        self.above = self.above.max(term);
        if self.must_let_go(own) && matches!(self.phase, Phase::Serving) {
            self.let_go(own, reason);
        }
    }

    /// Whether someone is bound to a term above this one for which this node has not let go; or it has, in vain, and long ago.
    pub(super) fn must_let_go(&self, own: &Own) -> bool {
        let has_let_go = self
            .let_go_for
            .is_some_and(|(above, at)| above >= self.above && !own.is_past(at.after(own.timing().shadow_gone_ms)));
        self.above > self.body.term && !has_let_go
    }

    pub(super) fn show_lease(&mut self, own: &mut Own) {
        let end = self.lease.end(&own.timing()).filter(|end| !own.is_past(*end));
        if end.is_some() && end > self.serves_until && own.voter.may_serve(self.body.term) {
            self.serves_until = end;
            self.leased = own.now.boot;
            own.calm(&Alarm::NoLease);
            own.want(Effect::ServeUntil(end.unwrap_or_default()));
        }
        self.open_if_known(own);
    }

    /// The term may show something once a majority of its voters granted a lease in it, and so knows its certificate: from
    /// then on nobody is elected who does not (V9). With a term that operators settled, nothing else makes sure of that.
    pub(super) fn open_if_known(&mut self, own: &mut Own) {
        let is_known = self.lease.was_granted();
        if is_known && !self.has_opened {
            self.has_opened = true;
            own.want(Effect::Open { term: self.body.term });
        }
    }

    pub(super) fn stop(&mut self, own: &mut Own, why: Stopped) {
        if self.serves_until.take().is_some() {
            own.want(Effect::StopServing(why));
        }
    }

    pub(super) fn release(&mut self, own: &mut Own) {
        self.lease = HeldLease::none(self.body.term, &self.body.voters);
        self.counts_from = own.within(1);
        own.want(Effect::Release { voters: self.body.voters.clone(), ticket: own.ticket });
    }
}
