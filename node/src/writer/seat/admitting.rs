//! A mirror's door: what the holder sends is admitted like what anybody sends, and staged within a bound.
//!
//! The holder need be no admin. Were its commits joined as they come, it could settle terms, add members and write reserved
//! keys at all its mirrors; the roots that it computes would be those.

use std::collections::BTreeSet;

use lattice::commit::VerifiedCommit;
use lattice::fault::Fault;
use lattice::membership::NotAdmitted;
use lattice::seat::message::BATCH_ITEMS_MAX;

use super::certainty::Trace;
use super::job::{Fidelity, MirrorError};
use super::staged::{STAGED_BYTES_MAX, STAGED_COMMITS_MAX, StagedCommit};
use crate::store::{StoreError, staged as table, write};
use crate::writer::Writer;
use crate::writer::job::IdempotencyKey;

/// Commits that may be staged at a mirror: those of its holder, and in the batch that takes them into the state the next.
const MIRRORED_COMMITS_MAX: usize = STAGED_COMMITS_MAX + BATCH_ITEMS_MAX;

/// Bytes of values that may be staged at a mirror, for the same reason.
const MIRRORED_BYTES_MAX: usize = 2 * STAGED_BYTES_MAX;

/// A commit that is staged, with the client's name for it.
type Named = (VerifiedCommit, Option<IdempotencyKey>);

impl Writer {
    /// Whether a commit of the holder goes on: not if it is none that counts here and the node is being seeded. It may know
    /// then of cuts that the holder made later, which takes the commit away in a record to come.
    ///
    /// # Errors
    ///
    /// [`MirrorError::NotAdmitted`].
    pub(super) fn admits(&self, commit: &VerifiedCommit, fidelity: Fidelity) -> Result<bool, MirrorError> {
        match self.state.membership.admit(&self.identity.genesis, self.identity.lattice, commit) {
            Ok(()) => Ok(true),
            Err(why) if fidelity == Fidelity::Joined && why.fault() == Fault::Nobody => Ok(false),
            Err(why) => Err(MirrorError::NotAdmitted { commit: commit.id(), why }),
        }
    }

    /// Stages what the holder has staged; the next fetch tells it so. What is more than there is room for comes again.
    pub(super) async fn stage_mirrored(&mut self, came: Vec<Named>, fidelity: Fidelity) -> Result<(), MirrorError> {
        let mut staged: Vec<Named> = Vec::with_capacity(came.len());
        let mut places = BTreeSet::new();
        let (mut commits, mut bytes) = (self.state.seat.staged.len(), self.state.seat.staged.bytes());
        for (commit, name) in came {
            let header = *commit.header();
            let is_in = self.state.frontier.covers(&header.author, header.term, header.seq);
            if is_in || self.state.seat.staged.of_id(&commit.id()).is_some() {
                continue;
            }
            if header.term == 0 {
                let why = NotAdmitted::UnknownTerm { term: 0 };
                return Err(MirrorError::NotAdmitted { commit: commit.id(), why });
            }
            if !self.admits(&commit, fidelity)? {
                continue;
            }
            let place = (header.term, header.seq);
            if self.state.seat.staged.at(place).is_some() || !places.insert(place) {
                return Err(MirrorError::Twice { term: header.term, seq: header.seq });
            }
            let next = StagedCommit::new(commit, name);
            (commits, bytes) = (commits + 1, bytes + next.bytes());
            if commits > MIRRORED_COMMITS_MAX || bytes > MIRRORED_BYTES_MAX {
                if staged.is_empty() {
                    return Err(MirrorError::TooMuch);
                }
                break;
            }
            staged.push((next.commit, next.name));
        }
        Ok(self.store_mirrored(staged).await?)
    }

    async fn store_mirrored(&mut self, staged: Vec<Named>) -> Result<(), StoreError> {
        let Some(last) = staged.last().map(|(commit, _)| commit.id()) else { return Ok(()) };
        let rows: Vec<_> = staged.iter().map(|(commit, name)| (commit, name.as_ref())).collect();
        self.state.expect_certain()?;
        write::begin(&mut self.state.connection).await?;
        let written = async {
            table::stage(&mut self.state.connection, &rows).await?;
            write::commit(&mut self.state.connection).await
        };
        let written = written.await;
        self.state.end(written, Trace::Staged(last)).await?;
        for (commit, name) in staged {
            self.state.seat.staged.insert(StagedCommit::new(commit, name));
        }
        Ok(())
    }
}
