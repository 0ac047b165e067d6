//! The rules, each of which can be left out to see what goes wrong without it.

use node_core::seat::named::NamedBody;
use node_core::seat::refusal::Refusal;
use node_core::seat::timing::{BootMs, Timing};
use node_core::seat::voter::{Act, Ballot, Granted, LeaseRequest, Voter, VoterState};

use crate::state::name;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    /// V1: a vote is given before it is stored.
    VoteNotStored,
    /// V1: one body per term.
    TwoBodiesPerTerm,
    /// V2: only a higher term.
    LowerTerm,
    /// V3: only for holder or shadow of the highest body known.
    AnyoneStands,
    /// V4: never while another's lease runs.
    VoteUnderLease,
    /// V4: standing counts as the node's own vote, though a lease that it granted runs.
    StandingIsVoting,
    /// V5: who voted or stood grants leases of lower terms.
    RenewAfterVote,
    /// V5: the shadow stages what it fetches after it stood.
    FetchAfterStanding,
    /// V5: the holder acknowledges in its old term after it stood for another.
    AcknowledgeAfterStanding,
    /// V6: a restarted voter rests.
    NoRest,
    /// V7: a candidate holds everything up to the cut that opened its term.
    StandWithoutOpening,
    /// V7: a candidate asks again with the same body only.
    AnotherBodyAtOnce,
    /// V8: a refused body is remembered like one voted for.
    RefusalRemembered,
    /// V9: the body follows the highest certificate that the voter knows.
    FollowsAnything,
    /// V10: votes never change the voters.
    OtherVoters,
    /// The lease is counted from the answer.
    LeaseFromAnswer,
    /// No margin for clocks that drift.
    NoMargin,
    /// A lease is granted to a holder whose certificate the voter does not know.
    LeaseUncertified,
    /// A release takes back whatever lease stands when it arrives.
    ReleaseWithoutTicket,
    /// An answer counts though its request was released since.
    AnswerAfterRelease,
    /// The cut is one lower than what is staged.
    CutTooLow,
    /// A new holder shows what its term begins with before a majority, or its shadow, knows of the term.
    OpenAtOnce,
}

impl Switch {
    /// Whether a voter without this rule would not have refused so.
    fn ignores_for_vote(self, refusal: &Refusal, voter: &Voter, body: &NamedBody) -> bool {
        let follows = |known: &NamedBody| body.follows == Some(known.name()) && body.electors == known.voters;
        let is_latest = voter.state().certified.as_ref().is_some_and(follows);
        if self == Self::OtherVoters {
            return is_latest && matches!(refusal, Refusal::NotLatest { .. });
        }
        matches!(
            (self, refusal),
            (Self::TwoBodiesPerTerm | Self::AnotherBodyAtOnce, Refusal::TermTaken { .. })
                | (Self::LowerTerm, Refusal::LowTerm { .. })
                | (Self::AnyoneStands, Refusal::NotEntitled { .. })
                | (Self::VoteUnderLease, Refusal::LeaseRuns { .. })
                | (Self::NoRest, Refusal::Resting { .. })
                | (Self::FollowsAnything, Refusal::NotLatest { .. })
        )
    }

    fn ignores_for_lease(self, refusal: &Refusal) -> bool {
        matches!(
            (self, refusal),
            (Self::RenewAfterVote, Refusal::LowTerm { .. })
                | (Self::NoRest, Refusal::Resting { .. })
                | (Self::VoteUnderLease, Refusal::LeaseRuns { .. })
                | (Self::LeaseUncertified, Refusal::Uncertified)
        )
    }
}

/// Asks the real voter; overrules it where the only thing that it minds is the rule left out.
pub(crate) fn vote(
    off: Option<Switch>,
    timing: &Timing,
    voter: &mut Voter,
    me: u8,
    now: BootMs,
    body: &NamedBody,
) -> bool {
    if off == Some(Switch::StandingIsVoting) && voter.state().ballot.as_ref().is_some_and(|b| b.body == *body) {
        return true;
    }
    if voter.ask_vote(now, body.holder, body).is_ok_and(|pending| pending.persisted().vote() == Some(body)) {
        return true;
    }
    let Some(off) = off else { return false };
    let is_ignored = |refusal| off.ignores_for_vote(&refusal, voter, body);
    let is_overruled = voter.objections_to_vote(now, body.holder, body).all(is_ignored);
    let is_remembered = off == Switch::RefusalRemembered && body.term > voter.floor();
    if is_overruled || is_remembered {
        let ballot = Some(Ballot { act: Act::Voted, body: body.clone() });
        let state = VoterState { ballot, ..voter.state().clone() };
        *voter = Voter::in_state(name(me), timing, state);
    }
    is_overruled
}

/// The same for a candidate's own standing.
pub(crate) fn stand(off: Option<Switch>, timing: &Timing, voter: &mut Voter, me: u8, body: &NamedBody) -> bool {
    if voter.stand(body).is_ok() {
        return true;
    }
    if matches!(off, Some(Switch::AnotherBodyAtOnce | Switch::OtherVoters)) {
        let ballot = Some(Ballot { act: Act::Stood, body: body.clone() });
        let state = VoterState { ballot, ..voter.state().clone() };
        *voter = Voter::in_state(name(me), timing, state);
        return true;
    }
    false
}

/// The same for a lease. The voter judges others' leases by a clock that may be fast, and counts its own from now.
pub(crate) fn renew(
    off: Option<Switch>,
    timing: &Timing,
    voter: &mut Voter,
    me: u8,
    now: BootMs,
    fast: BootMs,
    request: &LeaseRequest<'_>,
) -> bool {
    let is_ignored = |refusal| off.is_some_and(|off| off.ignores_for_lease(&refusal));
    if !voter.objections_to_lease(fast, request).all(is_ignored) {
        return false;
    }
    if voter.renew(now, request).is_err() {
        let until = now.after(timing.lease_ms);
        let lease = Some(Granted { to: request.from, term: request.body.term, ticket: request.ticket, until });
        *voter = Voter::in_state(name(me), timing, VoterState { lease, ..voter.state().clone() });
    }
    true
}
