//! One time through the difference, and what is known about what it left.

use lattice::commit::Commit;
use lattice::ids::StateRoot;
use lattice::tree::prefix::Prefix;

use super::Source;
use crate::limits::{Method, REFUSALS_MAX};
use crate::message::{Intake, Refusal, RefusedFor};
use crate::outcome::{Outcome, PeerFault, Rest};

/// What one pass has seen so far. Waiting and refused commits are counted afresh in each, because a pass may cure
/// what the one before it left.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// 0 before the first.
    pub(super) number: u32,
    /// How it looks for the difference.
    pub(super) method: Method,
    /// Our root when it began.
    pub(super) ours: StateRoot,
    /// The peer's root when it began, or what it is known to be since.
    pub(super) theirs: StateRoot,
    /// Cuts that the peer showed, to be applied.
    pub(super) evidence_in: Vec<Commit>,
    /// Cuts of ours that the peer does not know, to be pushed.
    pub(super) evidence_out: Vec<Commit>,
    waiting_here: u64,
    waiting_there: u64,
    refused_here: Vec<Refusal>,
    refused_there: Vec<Refusal>,
}

impl Pass {
    /// The pass that follows `before`.
    pub(super) fn after(before: &Self, ours: StateRoot, theirs: StateRoot, method: Method) -> Self {
        Self { number: before.number + 1, method, ours, theirs, ..Self::default() }
    }

    /// Takes note of what our node made of commits that came.
    pub(super) fn note_ours(&mut self, source: Source, intake: Intake) -> Result<(), PeerFault> {
        self.waiting_here = self.waiting_here.saturating_add(intake.waiting);
        for mut refusal in intake.refused {
            if refusal.why == RefusedFor::Invalid {
                return Err(PeerFault::InvalidCommit(refusal.commit));
            }
            keep(&mut self.evidence_out, refusal.evidence.take().filter(|_| source == Source::Difference));
            keep(&mut self.refused_here, Some(refusal));
        }
        Ok(())
    }

    /// Takes note of what the peer made of commits that we pushed.
    pub(super) fn note_theirs(&mut self, source: Source, intake: Intake) -> Result<(), PeerFault> {
        self.waiting_there = self.waiting_there.saturating_add(intake.waiting);
        for mut refusal in intake.refused {
            if refusal.why == RefusedFor::BeyondCut && refusal.evidence.is_none() {
                return Err(PeerFault::UnfoundedRefusal(refusal.commit));
            }
            keep(&mut self.evidence_in, refusal.evidence.take().filter(|_| source == Source::Difference));
            keep(&mut self.refused_there, Some(refusal));
        }
        Ok(())
    }

    /// Whether waiting or refused commits are the reason for what is left.
    pub(super) fn is_explained(&self) -> bool {
        let is_refused = !self.refused_here.is_empty() || !self.refused_there.is_empty();
        is_refused || self.waiting_here > 0 || self.waiting_there > 0
    }

    /// The outcome when roots differ at the end: refused and waiting commits explain it, else what the caller
    /// knows, else nothing does.
    pub(super) fn rest(&self, ours: StateRoot, known: Option<Rest>, first: Prefix) -> Outcome {
        let theirs = self.theirs;
        let (by_us, by_peer) = (self.refused_here.clone(), self.refused_there.clone());
        let waiting = Rest::Waiting { ours: self.waiting_here, theirs: self.waiting_there };
        if !by_us.is_empty() || !by_peer.is_empty() {
            Outcome::Refused { ours, theirs, by_us, by_peer }
        } else if self.waiting_here > 0 || self.waiting_there > 0 {
            Outcome::Explained { ours, theirs, rest: waiting }
        } else if let Some(rest) = known {
            Outcome::Explained { ours, theirs, rest }
        } else {
            Outcome::Unexplained { ours, theirs, first }
        }
    }
}

/// Adds to a list of at most [`REFUSALS_MAX`] what is not in it yet: one cut stands behind many refusals.
fn keep<I: PartialEq>(list: &mut Vec<I>, item: Option<I>) {
    if let Some(item) = item
        && list.len() < REFUSALS_MAX
        && !list.contains(&item)
    {
        list.push(item);
    }
}
