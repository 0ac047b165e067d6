//! A candidacy on its way to a majority.

use std::collections::BTreeMap;

use lattice::ids::AuthorId;
use lattice::keys::SIGNATURE_BYTES;
use lattice::seat::{Certificate, Warrant, majority};

use super::candidacy::Position;
use super::effect::{Alarm, Effect, Step};
use super::named::NamedBody;
use super::own::Own;
use super::refusal::Refusal;
use super::timing::BootMs;

/// What a candidate knows.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) body: NamedBody,
    /// Where it stood, should it have to draft again.
    pub(super) position: Position,
    votes: BTreeMap<AuthorId, [u8; SIGNATURE_BYTES]>,
    /// The holder, if it is another and should know that this node stood.
    holder: Option<AuthorId>,
    old_term: u64,
    is_stored: bool,
    asked: Option<BootMs>,
    since: BootMs,
    /// The highest term that a refusal told of.
    pub(super) higher: u64,
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Going on.
    Asking,
    /// Others are past this term: only a higher one can win.
    Outdated,
}

impl Candidate {
    pub(super) fn new(own: &Own, body: NamedBody, position: Position, holder: Option<AuthorId>) -> Self {
        let (votes, since) = (BTreeMap::new(), own.now.boot);
        let old_term = own.voter.state().certified.as_ref().map_or(0, |before| before.term);
        Self { body, position, votes, holder, old_term, is_stored: false, asked: None, since, higher: 0 }
    }

    /// The candidacy is on disk; now others may be asked.
    pub(super) fn stored(&mut self, own: &mut Own, body: &NamedBody) {
        if *body == self.body {
            own.calm(&Alarm::NotAnswered("disk"));
            self.is_stored = true;
            self.ask(own);
        }
    }

    /// Asks again who has not signed, with the same body (V7), and says when it takes too long.
    pub(super) fn tick(&mut self, own: &mut Own) -> Outcome {
        let timing = own.timing();
        if own.is_past(self.since.after(timing.stand_ms)) {
            self.since = own.now.boot;
            if self.is_stored {
                own.alarm(Alarm::NoMajority { term: self.body.term, votes: self.votes.len() });
            }
            if self.higher > self.body.term {
                return Outcome::Outdated;
            }
            if !self.is_stored {
                own.alarm(Alarm::NotAnswered("disk"));
                own.store(&self.body);
            }
        }
        if self.asked.is_none_or(|asked| own.is_past(asked.after(timing.ask_ms))) {
            self.ask(own);
        }
        Outcome::Asking
    }

    /// Counts a vote. With a majority the certificate is written, and written again while it does not show up.
    pub(super) fn answered(
        &mut self,
        own: &mut Own,
        voter: AuthorId,
        term: u64,
        result: Result<[u8; SIGNATURE_BYTES], Refusal>,
    ) {
        if term != self.body.term || !self.is_stored {
            return;
        }
        match result {
            Ok(signature) if self.body.is_voted_by(&voter, &signature) => {
                let had = self.has_majority();
                self.votes.insert(voter, signature);
                if !had && self.has_majority() {
                    let votes = self.votes.len();
                    own.calm(&Alarm::NoMajority { term, votes });
                    own.note(self.old_term, term, Step::Won, self.body.reason.clone(), votes);
                    self.certify(own);
                }
            }
            Ok(_) => {}
            Err(refusal) => self.higher = self.higher.max(refusal.term().unwrap_or(0)),
        }
    }

    fn ask(&mut self, own: &mut Own) {
        if !self.is_stored {
            return;
        }
        self.asked = Some(own.now.boot);
        if self.has_majority() {
            self.certify(own);
            return;
        }
        if let Some(holder) = self.holder {
            own.want(Effect::TellStood { holder, term: self.body.term });
        }
        let all = self.body.electors.iter().chain(&self.body.voters);
        let mut voters: Vec<_> = all.copied().filter(|voter| !self.votes.contains_key(voter)).collect();
        voters.sort_unstable();
        voters.dedup();
        own.want(Effect::AskVote { voters, body: self.body.clone() });
    }

    fn certify(&self, own: &mut Own) {
        let warrant = Warrant::Votes(self.votes.clone());
        own.want(Effect::Certify(Box::new(Certificate { body: self.body.body().clone(), warrant })));
    }

    /// A majority of the voters before, and of the new ones.
    fn has_majority(&self) -> bool {
        [&self.body.electors, &self.body.voters].into_iter().all(|counted| {
            counted.iter().filter(|voter| self.votes.contains_key(voter)).count() >= majority(counted.len())
        })
    }
}
