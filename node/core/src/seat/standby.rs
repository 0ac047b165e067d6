//! Shadow and spare: they copy; the shadow also suspects, asks the voters, and only then stands.

use std::collections::BTreeMap;

use lattice::ids::AuthorId;
use lattice::seat::majority;

use super::candidacy::{self, Position};
use super::candidate::{Candidate, Outcome};
use super::effect::{Alarm, Effect, Step};
use super::event::Event;
use super::named::NamedBody;
use super::own::Own;
use super::timing::BootMs;
use super::voter::LeaseState;

/// Rounds of questions for which a voter's answer counts.
const ANSWER_ROUNDS: u64 = 2;

/// A node that mirrors.
#[derive(Debug)]
pub(super) struct Standby {
    body: NamedBody,
    position: Option<Position>,
    phase: Phase,
    /// A term above this one that a voter told of.
    above: u64,
    /// When it last told the holder that it can't copy.
    complained: Option<BootMs>,
    /// When its copy was last found to be none to stand with.
    unable: Option<BootMs>,
}

#[derive(Debug)]
enum Phase {
    /// Copies.
    Following,
    /// The holder looks bad; the voters are asked.
    Suspecting { asked: Option<BootMs>, since: BootMs, answers: BTreeMap<AuthorId, (BootMs, LeaseState)> },
    /// The mirror is being stopped, until then.
    Stopping { until: BootMs, why: Why },
    /// Stands.
    Standing { candidate: Candidate, why: Why },
}

/// What made it stand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// The holder handed over.
    Planned,
    /// The holder looked so, and a majority of voters keeps no lease.
    Suspected(String),
}

impl Why {
    fn reason(&self) -> String {
        match self {
            Self::Planned => "planned: the holder handed over".to_owned(),
            Self::Suspected(cause) => format!("no lease runs, and the holder is suspected: {cause}"),
        }
    }
}

impl Standby {
    pub(super) fn begin(own: &mut Own, body: NamedBody) -> Self {
        let mut standby =
            Self { body, position: None, phase: Phase::Following, above: 0, complained: None, unable: None };
        if !standby.resume(own) {
            own.want(Effect::StartMirroring { holder: standby.body.holder, term: standby.body.term });
        }
        standby
    }

    /// After a restart a candidacy goes on with the same body (V7): others may have voted for it, and are bound.
    fn resume(&mut self, own: &mut Own) -> bool {
        let ballot = own.voter.state().ballot.as_ref().map(|ballot| ballot.body.clone());
        let is_ours = |body: &NamedBody| {
            body.holder == own.me && body.term > self.body.term && body.follows == Some(self.body.name())
        };
        let Some(body) = ballot.filter(is_ours) else { return false };
        let (staged_seq, log_size, log_root) = (body.cut, body.log_size, body.log_root);
        let position = Position { term: self.body.term, staged_seq, holds_opening_cut: true, log_size, log_root };
        let why = Why::Suspected(body.reason.clone());
        let is_stored = own.store(&body);
        if is_stored {
            let candidate = Candidate::new(own, body, position, Some(self.body.holder));
            self.phase = Phase::Standing { candidate, why };
        }
        is_stored
    }

    pub(super) fn doing(&self) -> &'static str {
        match &self.phase {
            Phase::Following => "following",
            Phase::Suspecting { .. } => "asking the voters about its holder",
            Phase::Stopping { .. } => "stopping its mirror",
            Phase::Standing { .. } => "standing",
        }
    }

    pub(super) fn is_planned(&self) -> bool {
        match &self.phase {
            Phase::Following | Phase::Suspecting { .. } => false,
            Phase::Stopping { why, .. } | Phase::Standing { why, .. } => *why == Why::Planned,
        }
    }

    pub(super) fn on(&mut self, own: &mut Own, event: Event) {
        match event {
            Event::Tick => self.tick(own),
            Event::StagedUpTo { position, behind } => {
                let can_now = |before: Position| {
                    (before.holds_opening_cut, before.log_size) != (position.holds_opening_cut, position.log_size)
                };
                self.unable = self.unable.filter(|_| !self.position.is_none_or(can_now));
                self.position = Some(position);
                own.lag = Some(behind);
            }
            Event::InquiryAnswered { voter, state } => self.told(own, voter, state),
            Event::MirrorStopped(position) => self.stopped(own, position),
            Event::HandedOver { from, term, staged_seq } => self.handed_over(own, from, term, staged_seq),
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
            | Event::FetchedBy(_)
            | Event::MirrorStood { .. }
            | Event::WrittenUpTo(_)
            | Event::Drained(_) => {}
        }
    }

    fn tick(&mut self, own: &mut Own) {
        match &mut self.phase {
            Phase::Following => {
                self.complain(own);
                self.watch(own);
            }
            Phase::Suspecting { .. } => self.ask_voters(own),
            Phase::Stopping { until, .. } => {
                if own.is_past(*until) {
                    own.alarm(Alarm::NotAnswered("mirror"));
                    self.follow_again(own);
                } else if own.is_paused() && !self.is_planned() {
                    self.follow_again(own);
                }
            }
            // What stood can't be undone, but while paused nobody is asked to make it more.
            Phase::Standing { why: Why::Suspected(_), .. } if own.is_paused() => {}
            Phase::Standing { candidate, why } => {
                if candidate.tick(own) == Outcome::Outdated {
                    self.above = self.above.max(candidate.higher);
                    let (position, why) = (candidate.position, why.clone());
                    self.stand(own, position, why);
                }
            }
        }
    }

    fn is_shadow(&self, own: &Own) -> bool {
        self.body.shadow == Some(own.me)
    }

    /// Bound to a term above this one, by a vote or a candidacy that came to nothing, a mirror can't copy: only a term above
    /// both helps, and only the holder can begin it.
    fn complain(&mut self, own: &mut Own) {
        let term = own.voter.floor();
        let is_due = self.complained.is_none_or(|at| own.is_past(at.after(own.timing().yield_ms)));
        if term > self.body.term && is_due {
            self.complained = Some(own.now.boot);
            own.want(Effect::TellStood { holder: self.body.holder, term });
        }
    }

    fn watch(&mut self, own: &mut Own) {
        if self.is_shadow(own) && own.other_health.is_suspect() && !own.is_paused() {
            let cause = own.other_health.first_cause().unwrap_or_default();
            own.note(self.body.term, self.body.term, Step::Suspected, cause, 0);
            self.phase = Phase::Suspecting { asked: None, since: own.now.boot, answers: BTreeMap::new() };
            self.ask_voters(own);
        }
    }

    /// Asks round by round while the suspicion lasts, and says when the voters keep the lease for too long.
    fn ask_voters(&mut self, own: &mut Own) {
        if !own.other_health.is_suspect() || own.is_paused() {
            own.note(self.body.term, self.body.term, Step::Trusted, "the holder looks well again, or a pause began", 0);
            own.calm(&Alarm::LeaseKept { free: 0, of: 0 });
            own.calm(&Alarm::CoolingDown { ms: 0 });
            self.phase = Phase::Following;
            return;
        }
        let free = self.free(own).len();
        let Phase::Suspecting { asked, since, .. } = &mut self.phase else { return };
        let timing = own.timing();
        let of = self.body.voters.len();
        if own.is_past(since.after(timing.stand_ms)) {
            *since = own.now.boot;
            own.alarm(Alarm::LeaseKept { free, of });
        }
        if asked.is_none_or(|asked| own.is_past(asked.after(timing.ask_ms))) {
            *asked = Some(own.now.boot);
            own.want(Effect::AskInquiry { voters: self.body.voters.clone() });
        }
    }

    fn told(&mut self, own: &mut Own, voter: AuthorId, state: LeaseState) {
        let is_voter = self.body.voters.contains(&voter);
        self.above = self.above.max(state.ballot_term);
        let Phase::Suspecting { answers, .. } = &mut self.phase else { return };
        // Of a higher term this node will hear by its certificate; until then it must not stand from an old one.
        if !is_voter || state.certified_term > self.body.term {
            return;
        }
        answers.insert(voter, (own.now.boot, state));
        self.stand_if_free(own);
    }

    /// Voters that say that no lease of another runs, and whether they say that it was given back.
    fn free(&self, own: &Own) -> Vec<bool> {
        let Phase::Suspecting { answers, .. } = &self.phase else { return Vec::new() };
        let fresh_ms = ANSWER_ROUNDS * own.timing().ask_ms;
        let is_free = |state: &LeaseState| state.rest_ms == 0 && state.lease.is_none_or(|(to, _)| to == own.me);
        let fresh = answers.values().filter(|(at, state)| own.now.boot.since_ms(*at) <= fresh_ms && is_free(state));
        fresh.map(|(_, state)| state.released_by == Some(self.body.holder)).collect()
    }

    fn stand_if_free(&mut self, own: &mut Own) {
        let free = self.free(own);
        let needed = majority(self.body.voters.len());
        // A mirror that is stopped for nothing, again and again, does not become a better copy.
        let was_unable = self.unable.is_some_and(|at| !own.is_past(at.after(own.timing().stand_ms)));
        if free.len() < needed || own.is_paused() || !own.other_health.is_suspect() || was_unable {
            return;
        }
        let is_released = free.iter().filter(|is_released| **is_released).count() >= needed;
        let cool = own.took_over.map(|at| at.after(own.timing().cool_down_ms)).filter(|until| !own.is_past(*until));
        if let Some(until) = cool.filter(|_| !is_released) {
            own.alarm(Alarm::CoolingDown { ms: until.remaining_ms(own.now.boot) });
            return;
        }
        let cause = own.other_health.first_cause().unwrap_or_default();
        self.stop_mirror(own, Why::Suspected(cause));
    }

    /// The holder itself asks to be followed: no suspicion, no pause and no cool-down stand against that.
    fn handed_over(&mut self, own: &mut Own, from: AuthorId, term: u64, staged_seq: u64) {
        let is_ours = self.is_shadow(own) && from == self.body.holder && term == self.body.term;
        let has_all = self.position.is_some_and(|at| at.term == term && at.staged_seq >= staged_seq);
        let is_free = matches!(self.phase, Phase::Following | Phase::Suspecting { .. });
        if is_ours && has_all && is_free {
            self.stop_mirror(own, Why::Planned);
        }
    }

    /// What is staged from now on would lie behind the cut, so the mirror comes to rest first.
    fn stop_mirror(&mut self, own: &mut Own, why: Why) {
        own.calm(&Alarm::LeaseKept { free: 0, of: 0 });
        own.calm(&Alarm::CoolingDown { ms: 0 });
        own.want(Effect::StopMirroring);
        self.phase = Phase::Stopping { until: own.within(own.timing().drain_ms), why };
    }

    fn stopped(&mut self, own: &mut Own, position: Position) {
        own.calm(&Alarm::NotAnswered("mirror"));
        self.position = Some(position);
        if let Phase::Stopping { why, .. } = &self.phase {
            let why = why.clone();
            self.stand(own, position, why);
        }
    }

    fn stand(&mut self, own: &mut Own, position: Position, why: Why) {
        let heading = own.heading(self.above, &why.reason());
        let draft = candidacy::takeover(own.me, Some(&self.body), &position, heading);
        self.unable = draft.is_err().then_some(own.now.boot);
        let Some(body) = own.stand(draft) else {
            self.follow_again(own);
            return;
        };
        own.note(self.body.term, body.term, Step::Stood, why.reason(), 0);
        self.phase = Phase::Standing { candidate: Candidate::new(own, body, position, Some(self.body.holder)), why };
    }

    fn follow_again(&mut self, own: &mut Own) {
        own.want(Effect::StartMirroring { holder: self.body.holder, term: self.body.term });
        self.phase = Phase::Following;
    }
}
