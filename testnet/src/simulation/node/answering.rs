//! The answering side of reconcile at a simulated node, and the way in for commits that either side brought. Wired as the
//! daemon's `serve` and `intake`.

use lattice::commit::{Commit, VerifiedCommit};
use lattice::fault::Fault;
use lattice::ids::{AuthorId, CommitId, KeyHash};
use lattice::membership::{Change, NotAdmitted};
use node_core::apply::EntryRow;
use reconcile::message::{Intake, Refusal, RefusedFor, Request, Response};
use reconcile::responder::{Answer, answer, applied, loaded, read};

use super::queue::{Fate, Job};
use super::session::{SessionId, view_of};
use super::state::row_at;
use super::{Node, Now, Output};
use crate::simulation::message::{AskId, Body, NodeIndex, Road};
use crate::simulation::rule::SafetyRule;

/// Answers that wait for the disk at once; beyond it peers are told to come again. The daemon lets some wait for a
/// moment before that.
const ANSWERS_MAX: usize = 4;

/// Who waits for the fate of commits.
#[derive(Debug)]
pub(crate) struct Waiting {
    whose: Whose,
    /// What the check of their signatures left to say.
    intake: Intake,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    Session(SessionId),
    Asker { to: NodeIndex, road: Road, id: AskId },
}

impl Node {
    /// Answers a request, at once or when the disk is done.
    pub(crate) fn on_ask(&mut self, now: Now, from: NodeIndex, road: Road, id: AskId, author: &AuthorId, bytes: &[u8]) {
        let is_known = match road {
            Road::P2p => self.author_behind(from).is_some(),
            Road::Http => self.state.membership.is_active(author),
        };
        let response = if !is_known {
            Response::Refused { reason: "only for members of this lattice".to_owned() }
        } else if self.answering >= ANSWERS_MAX {
            Response::Busy
        } else {
            match Request::decode(bytes) {
                Ok(request) => match self.answer_to(request, Whose::Asker { to: from, road, id }) {
                    Some(response) => response,
                    None => return,
                },
                Err(error) => {
                    if error.fault() == Fault::Sender {
                        self.strike(now, from);
                    }
                    Response::Refused { reason: format!("the request does not decode: {error}") }
                }
            }
        };
        self.respond(from, road, id, &response);
    }

    fn respond(&mut self, to: NodeIndex, road: Road, id: AskId, response: &Response) {
        self.outbox.push(Output::Send(to, Body::Answer { road, id, bytes: response.encode() }));
    }

    /// `None` if the answer comes with the fate of what was pushed.
    fn answer_to(&mut self, request: Request, whose: Whose) -> Option<Response> {
        match answer(request, &view_of(&self.state)) {
            Answer::Reply(response) => Some(response),
            Answer::Load { keys, max_bytes } => {
                let (commits, served) = self.load(&keys, max_bytes);
                Some(loaded(commits, served))
            }
            Answer::Apply { commits } => {
                self.answering += 1;
                self.take_in(commits, whose);
                None
            }
            Answer::ReadFrontier { after } => {
                let chains = self.state.frontier.chains().filter(|(id, _)| after.is_none_or(|after| **id > after));
                let root = match self.without {
                    Some(SafetyRule::FrontierOfItsRoot) => self.root_before,
                    Some(_) | None => self.state.tree.root(),
                };
                Some(read(root, chains.map(|(id, chain)| (*id, chain.clone()))))
            }
        }
    }

    /// The commits that hold our entries at `keys`, and how many keys that serves. A key without an entry is served.
    pub(crate) fn load(&self, keys: &[KeyHash], max_bytes: usize) -> (Vec<Commit>, usize) {
        let rows = keys.iter().enumerate().filter_map(|(place, key)| Some((place, row_at(&self.state.tree, key)?)));
        let (places, rows): (Vec<usize>, Vec<EntryRow>) = rows.unzip();
        let (commits, served) = self.database.commits_of(&rows, max_bytes);
        (commits, places.get(served).copied().unwrap_or(keys.len()))
    }

    /// The way in for commits that a reconcile brought: verify here, judge and apply in the writer.
    pub(crate) fn take_in(&mut self, commits: Vec<Commit>, whose: Whose) {
        let mut intake = Intake::default();
        let mut good: Vec<VerifiedCommit> = Vec::new();
        for commit in commits {
            let id = commit.id();
            match commit.verify_for(&self.identity.genesis, self.identity.lattice) {
                Ok(commit) => good.push(commit),
                Err(error) => intake.refused.push(refusal(id, RefusedFor::Invalid, error.to_string())),
            }
        }
        self.writer.push(Job::Take { commits: good, waiting: Some(Waiting { whose, intake }) });
    }

    /// The writer is done with commits that a session or an asker waits for.
    pub(crate) fn on_taken(&mut self, now: Now, waiting: Waiting, taken: Vec<(CommitId, Fate)>) {
        let Waiting { whose, mut intake } = waiting;
        for (commit, fate) in taken {
            match fate {
                Fate::Applied => intake.applied += 1,
                Fate::Known => {}
                Fate::Waits => intake.waiting += 1,
                Fate::Refused(why) => intake.refused.push(self.refused(commit, &why)),
                Fate::Failed => {
                    intake.refused.push(refusal(commit, RefusedFor::NoRoom, "the disk failed".to_owned()));
                }
            }
        }
        match whose {
            Whose::Session(id) => self.session_applied(now, id, intake),
            Whose::Asker { to, road, id } => {
                self.answering -= 1;
                self.respond(to, road, id, &applied(intake));
            }
        }
    }

    fn refused(&self, commit: CommitId, why: &NotAdmitted) -> Refusal {
        let reason = why.to_string();
        if let NotAdmitted::BeyondCut { author, term, .. } = why {
            Refusal { evidence: self.cut_of(author, *term), ..refusal(commit, RefusedFor::BeyondCut, reason) }
        } else {
            refusal(commit, RefusedFor::NotAdmitted, reason)
        }
    }

    /// The commit that states the lowest cut of an author in a term.
    fn cut_of(&self, author: &AuthorId, term: u64) -> Option<Commit> {
        let states_it = |change: &Change| self.state.membership.is_cut_by(change, author, term);
        let key = self.state.changes.iter().find(|(_, change)| states_it(change)).map(|(key, _)| key)?;
        let row = row_at(&self.state.tree, key)?;
        self.database.commits_of(&[row], usize::MAX).0.pop()
    }
}

fn refusal(commit: CommitId, why: RefusedFor, reason: String) -> Refusal {
    Refusal { commit, why, reason, evidence: None }
}
