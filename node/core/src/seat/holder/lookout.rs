//! What the holder sees of its mirrors and voters.

use std::collections::BTreeMap;

use lattice::ids::AuthorId;

use super::{Holder, Seen};
use crate::seat::candidacy::Position;
use crate::seat::event::Fetched;
use crate::seat::named::NamedBody;
use crate::seat::own::Own;
use crate::seat::takeover::{Loss, Outlook, WhyNot, takeover_possible};
use crate::seat::timing::BootMs;

/// Renewals that a voter may leave unanswered before it counts as away.
const ANSWERS_MISSED: u64 = 3;

/// What a mirror said last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    at: BootMs,
    said: Fetched,
}

#[derive(Debug)]
pub(super) struct Lookout {
    since: BootMs,
    mirrors: Seen,
    /// When each voter last answered.
    voters: BTreeMap<AuthorId, BootMs>,
    /// Voters that said last that they abstain, and until a term above which one.
    abstaining: BTreeMap<AuthorId, u64>,
    written: Option<Position>,
}

impl Lookout {
    pub(super) fn new(now: BootMs) -> Self {
        Self {
            since: now,
            mirrors: BTreeMap::new(),
            voters: BTreeMap::new(),
            abstaining: BTreeMap::new(),
            written: None,
        }
    }

    pub(super) fn fetched(&mut self, at: BootMs, said: Fetched) {
        self.mirrors.insert(said.mirror, Sight { at, said });
    }

    pub(super) fn written(&mut self, position: Position) {
        self.written = Some(position);
    }

    /// A voter answered a request for a lease; `Some` if it abstains until a term above this one.
    pub(super) fn answered(&mut self, at: BootMs, voter: AuthorId, abstains_above: Option<u64>) {
        self.voters.insert(voter, at);
        match abstains_above {
            Some(above) => self.abstaining.insert(voter, above),
            None => self.abstaining.remove(&voter),
        };
    }

    /// Whether a voter abstains until a term above this one.
    pub(super) fn abstains_above(&self, term: u64) -> bool {
        self.abstaining.values().any(|above| *above == term)
    }

    /// Whether a mirror's copy has come into the term: it knows the certificate and has what the term began with. With a shorter
    /// log it could not stand (V7).
    pub(super) fn is_in_term(&self, mirror: &AuthorId, body: &NamedBody) -> bool {
        let Some(Sight { said, .. }) = self.mirrors.get(mirror) else { return false };
        said.term == body.term && said.is_twin && said.log_size >= body.log_size
    }

    /// Whether this node has what the term began with, as far as it was told.
    pub(super) fn has_opening(&self) -> bool {
        self.written.is_none_or(|position| position.holds_opening_cut)
    }

    /// Milliseconds since the term began.
    pub(super) fn age_ms(&self, now: BootMs) -> u64 {
        now.since_ms(self.since)
    }

    /// Milliseconds since a mirror fetched, or since the term began.
    pub(super) fn away_ms(&self, now: BootMs, mirror: &AuthorId) -> u64 {
        now.since_ms(self.mirrors.get(mirror).map_or(self.since, |sight| sight.at))
    }

    /// The first spare that is there and copies this term.
    pub(super) fn spare(&self, now: BootMs, silent_ms: u64, body: &NamedBody) -> Option<AuthorId> {
        let is_there = |spare: &&AuthorId| self.is_in_term(spare, body) && self.away_ms(now, spare) <= silent_ms;
        body.spares.iter().find(is_there).copied()
    }

    pub(super) fn takeover_possible(&self, own: &Own, body: &NamedBody, now: BootMs) -> Result<Loss, WhyNot> {
        let shadow = body.shadow.unwrap_or_default();
        let sight = self.mirrors.get(&shadow);
        let lately = |at: &BootMs| now.since_ms(*at) <= ANSWERS_MISSED * own.timing().renew_ms;
        let others = body.voters.iter().filter(|voter| **voter != own.me);
        let answering = others.filter(|voter| self.voters.get(voter).is_some_and(lately));
        let (abstaining, able): (Vec<&AuthorId>, Vec<_>) =
            answering.partition(|voter| self.abstaining.contains_key(voter));
        let written = self.written.map_or((0, 0), |position| (position.staged_seq, position.log_size));
        let copied = sight.map_or((0, 0), |sight| (sight.said.staged_seq, sight.said.log_size));
        // Who would take over is the shadow: its operator's pause counts, not one that was typed here.
        let paused = |sight: &Sight| (sight.said.paused_ms > 0).then(|| sight.at.after(sight.said.paused_ms));
        let outlook = Outlook {
            has_shadow: body.shadow.is_some(),
            shadow_heard: sight.map(|sight| sight.at),
            // What this node lacks itself its mirrors can't have from it.
            shadow_in_term: self.is_in_term(&shadow, body) && self.has_opening(),
            shadow_ill: own.other_health.first_cause(),
            staged: (written.0, copied.0),
            records: (written.1, copied.1),
            voters: (able.len(), Holder::needed(body)),
            abstaining: abstaining.len(),
            paused: sight.and_then(paused),
        };
        takeover_possible(now, own.timing().lease_ms, &outlook)
    }
}
