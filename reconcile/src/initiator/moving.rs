//! Commits on their way: fetched and applied, loaded and pushed.

use std::mem::take;

use lattice::commit::{Commit, OpSlot};
use lattice::ids::KeyHash;

use super::work::{Asked, Missing};
use super::{Awaiting, Initiator, Question, Source, Step, end, fault};
use crate::effect::Effect;
use crate::limits::{MESSAGE_BYTES_MAX, MESSAGE_BYTES_TARGET};
use crate::message::{Intake, Request, commit_bytes_at_most};
use crate::outcome::{Outcome, PeerFault};
use crate::view::View;

impl<T: Copy> Initiator<T> {
    /// The next move of commits, if one is due. Evidence first, since a cut changes what is worth moving; then what
    /// the peer has, since where its entry wins ours need not be sent.
    pub(super) fn next_move(&mut self) -> Option<Step> {
        if !self.pass.evidence_in.is_empty() {
            let commits = take(&mut self.pass.evidence_in);
            return Some(self.apply_evidence(commits));
        }
        if !self.pass.evidence_out.is_empty() {
            let commits = take(&mut self.pass.evidence_out);
            return Some(self.push(commits, Source::Evidence));
        }
        let is_searching = self.sketching.is_some();
        if let Some(asked) = self.work.next_fetch(&self.view, is_searching) {
            return Some(self.ask(asked.request(), Question::Fetch(asked)));
        }
        if self.is_half_read() {
            return None;
        }
        let asked = self.work.next_push(&self.view, is_searching)?;
        let keys = asked.iter().map(|missing| missing.key).collect();
        self.awaiting = Awaiting::Loaded(asked);
        Some(Ok(Effect::Load { keys, max_bytes: MESSAGE_BYTES_TARGET }))
    }

    /// Commits came. A served key may be without one (a cut removed it meanwhile): the next pass sees what is left.
    pub(super) fn take_commits(&mut self, asked: Asked, commits: Vec<Commit>, served: u64) -> Step {
        let served = usize::try_from(served).unwrap_or(usize::MAX);
        if served == 0 || served > asked.len() {
            return Err(fault(PeerFault::BadServed));
        }
        let keys: Vec<Vec<KeyHash>> = commits.iter().map(|commit| live_keys(commit).collect()).collect();
        if commits.len() > asked.len() || !asked.names_one_of_each(&keys) {
            return Err(fault(PeerFault::UnaskedCommit));
        }
        self.work.wish_again(asked, served);
        if commits.is_empty() {
            return self.next();
        }
        self.stats.commits_received += commits.len() as u64;
        self.stats.entries_received += live_ops(&commits);
        self.work.forget_coming(&keys.into_iter().flatten().collect());
        let (meanwhile, question) = self.next_meanwhile().unzip();
        self.awaiting = Awaiting::Applied(Source::Difference, question);
        Ok(Effect::Apply { commits, meanwhile })
    }

    fn apply_evidence(&mut self, commits: Vec<Commit>) -> Step {
        self.awaiting = Awaiting::Applied(Source::Evidence, None);
        Ok(Effect::Apply { commits, meanwhile: None })
    }

    pub(super) fn take_applied(&mut self, source: Source, intake: Intake, view: View<T>) -> Result<(), Box<Outcome>> {
        // Our own root tells the truth about progress; a count of commits might count those that changed nothing.
        if view.tree.root() != self.view.tree.root() {
            self.fruitless = 0;
        }
        self.view = view;
        self.stats.applied_here = self.stats.applied_here.saturating_add(intake.applied);
        self.pass.note_ours(source, intake).map_err(fault)
    }

    pub(super) fn take_loaded(&mut self, mut asked: Vec<Missing>, commits: Vec<Commit>, served: usize) -> Step {
        let bytes: usize = commits.iter().map(commit_bytes_at_most).sum();
        if served == 0 || served > asked.len() || commits.len() > asked.len() || bytes > MESSAGE_BYTES_MAX {
            let reason = "commits were not loaded as they were asked for".to_owned();
            return end(Outcome::OurFault { reason });
        }
        self.work.push_again(asked.split_off(served));
        if commits.is_empty() {
            return self.next();
        }
        self.work.forget_sent(&self.view, &commits);
        self.push(commits, Source::Difference)
    }

    fn push(&mut self, commits: Vec<Commit>, source: Source) -> Step {
        self.stats.commits_sent += commits.len() as u64;
        self.stats.entries_sent += live_ops(&commits);
        self.ask(Request::Push { commits }, Question::Push(source))
    }

    pub(super) fn take_pushed(&mut self, source: Source, intake: Intake) -> Step {
        // What is pushed is ours, each entry at most once a pass: no peer can draw that out.
        self.fruitless = 0;
        self.stats.applied_there = self.stats.applied_there.saturating_add(intake.applied);
        self.pass.note_theirs(source, intake).map_err(fault)?;
        self.next()
    }
}

fn live_keys(commit: &Commit) -> impl Iterator<Item = KeyHash> {
    commit.slots().iter().filter_map(|slot| match slot {
        OpSlot::Live(op) => Some(op.key().hash()),
        OpSlot::Dead(_) => None,
    })
}

fn live_ops(commits: &[Commit]) -> u64 {
    let is_live = |slot: &&OpSlot| matches!(slot, OpSlot::Live(_));
    commits.iter().map(|commit| commit.slots().iter().filter(is_live).count() as u64).sum()
}
