//! One node's word on a seat: what it voted or stood for, and the lease that it granted.
//!
//! A majority of such words is all that a term rests on, so each rule here is one that the exhaustive model
//! (`tests/seat_model`) breaks when it is left out. Rules are looked at as a list of objections; the first is the answer,
//! and an answer of no changes nothing. Who only mirrors has a [`Voter`] too: standing is remembered like a vote.

mod ballot;

use lattice::ids::AuthorId;

use super::named::NamedBody;
use super::refusal::Refusal;
use super::timing::{BootMs, Timing};
pub use ballot::{Act, Ballot, Pending, Persisted};

/// Names one request for a lease: a number drawn when the asker started, and how many it has sent since. A release
/// bears the last one that it takes back, so that a copy of it that comes late can't take back what was granted later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Drawn at the asker's start.
    pub session: u64,
    /// Grows with each request.
    pub round: u64,
}

impl Ticket {
    /// Whether a release that bears this ticket takes back what was granted for the other.
    const fn covers(self, other: Self) -> bool {
        self.session == other.session && self.round >= other.round
    }
}

/// A lease that this voter granted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Granted {
    /// To whom.
    pub to: AuthorId,
    /// In which term.
    pub term: u64,
    /// The last request that it was granted for.
    pub ticket: Ticket,
    /// When it ends, on this node's clock.
    pub until: BootMs,
}

/// A request for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRequest<'a> {
    /// Who asks, as the connection proved it.
    pub from: AuthorId,
    /// The body of the asker's term.
    pub body: &'a NamedBody,
    /// Which request it is.
    pub ticket: Ticket,
    /// For how long the asker counts on it.
    pub lease_ms: u64,
}

/// What a voter remembers. The first two are on disk; the others a restart loses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VoterState {
    /// The highest body that it saw certified.
    pub certified: Option<NamedBody>,
    /// The highest body that it voted or stood for.
    pub ballot: Option<Ballot>,
    /// The lease that it granted last, unless released.
    pub lease: Option<Granted>,
    /// The last request whose lease was released: a copy of it that comes late is granted nothing.
    pub released: Option<(AuthorId, Ticket)>,
    /// When it answers again after a restart.
    pub ready: BootMs,
}

/// What a voter says of its lease when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// Milliseconds until it votes and grants, 0 unless it restarted lately.
    pub rest_ms: u64,
    /// Who has a lease from it, and for how many milliseconds.
    pub lease: Option<(AuthorId, u64)>,
    /// Whose lease was given back last, if no lease was granted since.
    pub released_by: Option<AuthorId>,
    /// The highest term that it saw certified, 0 for none.
    pub certified_term: u64,
    /// The highest term that it voted or stood for, 0 for none.
    pub ballot_term: u64,
}

/// One node's votes and leases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Voter {
    me: AuthorId,
    lease_ms: u64,
    state: VoterState,
}

impl Voter {
    /// A node that starts, with what its disk remembers. It rests for one lease (V6): before the restart it may have
    /// granted one that it knows nothing of.
    pub fn start(
        me: AuthorId,
        timing: &Timing,
        now: BootMs,
        certified: Option<NamedBody>,
        ballot: Option<Ballot>,
    ) -> Self {
        let ready = now.after(timing.lease_ms);
        Self {
            me,
            lease_ms: timing.lease_ms,
            state: VoterState { certified, ballot, lease: None, released: None, ready },
        }
    }

    /// A voter in a known state; for simulations and models.
    pub fn in_state(me: AuthorId, timing: &Timing, state: VoterState) -> Self {
        Self { me, lease_ms: timing.lease_ms, state }
    }

    /// What it remembers.
    pub fn state(&self) -> &VoterState {
        &self.state
    }

    /// The highest term that it voted for, stood for or saw certified: it does nothing for a lower one (V5).
    pub fn floor(&self) -> u64 {
        self.highest().map_or(0, |body| body.term)
    }

    /// Whether this node may still mirror, stage, acknowledge and grant in this term (V5). The mirror asks it before each
    /// fetch, the holder before each acknowledgement, in the same turn as it acts.
    pub fn may_serve(&self, term: u64) -> bool {
        term >= self.floor()
    }

    /// Remembers a certificate that verified and counts in the state. It is durable there already.
    pub fn learn(&mut self, body: &NamedBody) {
        if self.state.certified.as_ref().is_none_or(|known| known.term <= body.term) {
            self.state.certified = Some(body.clone());
        }
    }

    /// Everything that speaks against a vote for this body, as the rules are numbered in `ARCHITECTURE.md`.
    pub fn objections_to_vote(
        &self,
        now: BootMs,
        from: AuthorId,
        body: &NamedBody,
    ) -> impl Iterator<Item = Refusal> + use<> {
        let lease = self.other_lease(now, body.holder);
        let is_voter = body.electors.contains(&self.me) || body.voters.contains(&self.me);
        let common = self.objections_to_stand(from, body);
        let own = [(!is_voter).then_some(Refusal::NoVoter), self.resting(now), lease];
        common.chain(own.into_iter().flatten())
    }

    /// A vote for this body, which must be stored before it is given: see [`Pending`]. From now on this node does nothing
    /// for a lower term, even if storing fails.
    ///
    /// # Errors
    ///
    /// The first objection.
    pub fn ask_vote(&mut self, now: BootMs, from: AuthorId, body: &NamedBody) -> Result<Pending, Refusal> {
        match self.objections_to_vote(now, from, body).next() {
            Some(refusal) => Err(refusal),
            None => Ok(self.cast(body, Act::Voted)),
        }
    }

    /// This node's own candidacy, which must be stored before anyone is asked. It is no vote yet: a lease that this node
    /// granted stops its vote, not its standing.
    ///
    /// # Errors
    ///
    /// The first objection.
    pub fn stand(&mut self, body: &NamedBody) -> Result<Pending, Refusal> {
        match self.objections_to_stand(self.me, body).next() {
            Some(refusal) => Err(refusal),
            None => Ok(self.cast(body, Act::Stood)),
        }
    }

    /// Everything that speaks against a lease. V5 and the certificate; a lease that the asker would serve under for longer
    /// than this voter keeps it; V6; V4.
    pub fn objections_to_lease(
        &self,
        now: BootMs,
        request: &LeaseRequest<'_>,
    ) -> impl Iterator<Item = Refusal> + use<> {
        let LeaseRequest { from, body, ticket, lease_ms } = *request;
        let floor = self.floor();
        let covers = |(by, last): (AuthorId, Ticket)| by == from && last.covers(ticket);
        let is_released = self.state.released.is_some_and(covers);
        [
            (from != body.holder).then_some(Refusal::NotAsker),
            (!body.voters.contains(&self.me)).then_some(Refusal::NoVoter),
            (body.term < floor).then_some(Refusal::LowTerm { term: floor }),
            (self.state.certified.as_ref() != Some(body)).then_some(Refusal::Uncertified),
            (lease_ms > self.lease_ms).then_some(Refusal::ShorterLease { ms: self.lease_ms }),
            self.resting(now),
            self.other_lease(now, from),
            is_released.then_some(Refusal::Released),
        ]
        .into_iter()
        .flatten()
    }

    /// Grants or prolongs a lease from now on.
    ///
    /// # Errors
    ///
    /// The first objection.
    pub fn renew(&mut self, now: BootMs, request: &LeaseRequest<'_>) -> Result<(), Refusal> {
        if let Some(refusal) = self.objections_to_lease(now, request).next() {
            return Err(refusal);
        }
        let LeaseRequest { from, body, ticket, lease_ms: _ } = *request;
        let until = now.after(self.lease_ms);
        self.state.lease = Some(Granted { to: from, term: body.term, ticket, until });
        Ok(())
    }

    /// The holder takes back what it asked for up to this request: it serves no more under it.
    pub fn release(&mut self, from: AuthorId, ticket: Ticket) {
        if self.state.lease.as_ref().is_some_and(|lease| lease.to == from && ticket.covers(lease.ticket)) {
            self.state.lease = None;
        }
        if !self.state.released.is_some_and(|(by, last)| by == from && last.covers(ticket)) {
            self.state.released = Some((from, ticket));
        }
    }

    /// Whether leases have run out here; asked by a shadow that suspects its holder, before it stands.
    pub fn inquire(&self, now: BootMs) -> LeaseState {
        let lease = self.state.lease.as_ref().filter(|lease| lease.until > now);
        LeaseState {
            rest_ms: self.state.ready.remaining_ms(now),
            lease: lease.map(|lease| (lease.to, lease.until.remaining_ms(now))),
            released_by: self.state.released.filter(|_| self.state.lease.is_none()).map(|(by, _)| by),
            certified_term: self.state.certified.as_ref().map_or(0, |body| body.term),
            ballot_term: self.state.ballot.as_ref().map_or(0, |ballot| ballot.body.term),
        }
    }

    fn cast(&mut self, body: &NamedBody, act: Act) -> Pending {
        let before = self.state.ballot.as_ref().filter(|ballot| ballot.body == *body).map(|ballot| ballot.act);
        let act = if before == Some(Act::Voted) { Act::Voted } else { act };
        let ballot = Ballot { act, body: body.clone() };
        self.state.ballot = Some(ballot.clone());
        Pending::of(ballot)
    }

    /// The highest body that this node voted or stood for or saw certified; of two for one term, the certified.
    fn highest(&self) -> Option<&NamedBody> {
        let cast = self.state.ballot.as_ref().map(|ballot| &ballot.body);
        match (cast, self.state.certified.as_ref()) {
            (Some(cast), Some(certified)) => Some(if cast.term > certified.term { cast } else { certified }),
            (cast, certified) => cast.or(certified),
        }
    }

    /// What concerns the body alone: V1, V2, V3, V9 and V10, and that nobody asks for another.
    fn objections_to_stand(&self, from: AuthorId, body: &NamedBody) -> impl Iterator<Item = Refusal> + use<> {
        let is_same = self.state.ballot.as_ref().is_some_and(|ballot| ballot.body == *body);
        let certified = self.state.certified.as_ref();
        let certified_term = certified.map_or(0, |known| known.term);
        let ballot_term = self.state.ballot.as_ref().map_or(0, |ballot| ballot.body.term);
        let is_taken = ballot_term == body.term && !is_same;
        let floor = self.floor();
        let is_low = body.term < floor || body.term <= certified_term;
        let is_named = |highest: &NamedBody| highest.holder == body.holder || highest.shadow == Some(body.holder);
        let is_entitled = is_same || self.highest().is_none_or(is_named);
        // Two sets of voters could each elect a holder, were one not to hear of the other: operators alone change them (V10).
        let is_latest = |known: &NamedBody| {
            body.follows == Some(known.name()) && [&body.electors, &body.voters] == [&known.voters; 2]
        };
        [
            certified.is_none().then_some(Refusal::NoSeat),
            (from != body.holder).then_some(Refusal::NotAsker),
            is_taken.then_some(Refusal::TermTaken { term: body.term }),
            is_low.then_some(Refusal::LowTerm { term: floor }),
            (!is_entitled).then_some(Refusal::NotEntitled { term: floor }),
            certified.is_some_and(|known| !is_latest(known)).then_some(Refusal::NotLatest { term: certified_term }),
        ]
        .into_iter()
        .flatten()
    }

    fn resting(&self, now: BootMs) -> Option<Refusal> {
        let ms = self.state.ready.remaining_ms(now);
        (ms > 0).then_some(Refusal::Resting { ms })
    }

    /// A lease that runs and is another's (V4).
    fn other_lease(&self, now: BootMs, asker: AuthorId) -> Option<Refusal> {
        let lease = self.state.lease.as_ref().filter(|lease| lease.to != asker && lease.until > now)?;
        Some(Refusal::LeaseRuns { holder: lease.to, ms: lease.until.remaining_ms(now) })
    }
}

#[cfg(test)]
mod tests;
