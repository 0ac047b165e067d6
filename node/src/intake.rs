//! From bytes to verified commits, off the async threads: the first half of the one way in.

use std::sync::Arc;

use lattice::commit::{Commit, VerifiedCommit, VerifyError};
use lattice::ids::CommitId;
use lattice::membership::{Change, NotAdmitted};
use reconcile::message::{Intake, Refusal, RefusedFor};

use crate::store::read::Reader;
use crate::writer::job::Fate;
use crate::writer::{Identity, Published, WriterHandle};

/// Commits verified in one piece of work: about 4 ms of one core.
const CHUNK_COMMITS: usize = 128;

/// One commit, checked.
pub type Checked = Result<VerifiedCommit, (CommitId, VerifyError)>;

/// Checks signatures, operations and limits of all commits, in their order.
pub async fn verify(identity: &Arc<Identity>, mut commits: Vec<Commit>) -> Vec<Checked> {
    let mut pieces = Vec::new();
    while !commits.is_empty() {
        let rest = commits.split_off(commits.len().min(CHUNK_COMMITS));
        let (piece, identity) = (std::mem::replace(&mut commits, rest), identity.clone());
        pieces.push(tokio::task::spawn_blocking(move || check_all(&identity, piece)));
    }
    let mut checked = Vec::new();
    for piece in pieces {
        // A check that panicked is a bug; its commits count as not received and come again.
        checked.extend(piece.await.unwrap_or_default());
    }
    checked
}

fn check_all(identity: &Identity, commits: Vec<Commit>) -> Vec<Checked> {
    let check = |commit: Commit| {
        let id = commit.id();
        commit.verify_for(&identity.genesis, identity.lattice).map_err(|error| (id, error))
    };
    commits.into_iter().map(check).collect()
}

/// The whole way in for commits that a reconcile brought: verify, judge, apply, durable.
pub async fn take(
    identity: &Arc<Identity>,
    writer: &WriterHandle,
    reader: &Reader,
    commits: Vec<Commit>,
) -> Result<Intake, String> {
    let mut intake = Intake::default();
    let mut verified = Vec::with_capacity(commits.len());
    for checked in verify(identity, commits).await {
        match checked {
            Ok(commit) => verified.push(commit),
            Err((commit, error)) => {
                intake.refused.push(refusal(commit, RefusedFor::Invalid, error.to_string()));
            }
        }
    }
    let taken = writer.take(verified, false).await.ok_or("this node is stopping")?;
    let published = writer.published();
    for (commit, fate) in taken {
        match fate {
            Fate::Applied => intake.applied += 1,
            Fate::Known => {}
            Fate::Waits => intake.waiting += 1,
            Fate::Refused(NotAdmitted::BeyondCut { author, term, last_seq, seq }) => {
                let reason = NotAdmitted::BeyondCut { author, term, last_seq, seq }.to_string();
                let evidence = cut_of(&published, reader, &author, term).await;
                intake.refused.push(Refusal { evidence, ..refusal(commit, RefusedFor::BeyondCut, reason) });
            }
            Fate::Refused(why) => intake.refused.push(refusal(commit, RefusedFor::NotAdmitted, why.to_string())),
            Fate::Failed(why) => intake.refused.push(refusal(commit, RefusedFor::NoRoom, why.to_string())),
        }
    }
    Ok(intake)
}

fn refusal(commit: CommitId, why: RefusedFor, reason: String) -> Refusal {
    Refusal { commit, why, reason, evidence: None }
}

/// The commit that states the lowest cut of an author in a term.
async fn cut_of(published: &Published, reader: &Reader, author: &lattice::ids::AuthorId, term: u64) -> Option<Commit> {
    let states_it = |change: &Change| published.membership.is_cut_by(change, author, term);
    let key = published.changes.iter().find(|(_, change)| states_it(change)).map(|(key, _)| key)?;
    let row = published.tree.get(key)?.tag;
    let (commits, _) = reader.commits_of(&[row], usize::MAX).await.ok()?;
    commits.into_iter().next()
}
