//! Opening a term that this node holds: tried again until the writer has done it. A holder that renews its lease and never
//! opens serves nobody, and nobody takes the seat from it.

use node_core::seat::controller::Role;
use node_core::seat::timing::BootMs;

use crate::store::StoreError;

/// Failures in a row after which this node counts as ill, and hands over as an ill holder does (a guess: one error of a disk
/// may pass, three in a second are its state).
const FAILURES_MAX: u32 = 3;

/// Why a term is not open.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writer dropped the job, or is stopping.
    #[error("the writer did not take it")]
    NotTaken,
}

/// How opening a term goes.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The term that can't be opened, when to try again (`None` while a try is under way), and how often it failed.
    failed: Option<(u64, Option<BootMs>, u32)>,
}

impl Opening {
    /// It could not be opened; tells whether this node counts as ill from now on.
    pub(super) fn failed(&mut self, now: BootMs, pause_ms: u64, term: u64) -> bool {
        let before = self.failed.filter(|(failed, ..)| *failed == term).map_or(0, |(.., times)| times);
        let times = before.saturating_add(1);
        self.failed = Some((term, Some(now.after(pause_ms)), times));
        times == FAILURES_MAX
    }

    /// It is open.
    pub(super) fn done(&mut self) {
        self.failed = None;
    }

    /// The term to be opened now, once for each failure; none that this node holds no longer.
    pub(super) fn due(&mut self, now: BootMs, place: (Role, u64)) -> Option<u64> {
        let (term, again, _) = self.failed.as_mut()?;
        if place != (Role::Holder, *term) {
            self.failed = None;
            return None;
        }
        let is_due = again.is_some_and(|at| now >= at);
        is_due.then(|| {
            *again = None;
            *term
        })
    }

    /// Whether the term failed so often that another node had better hold it.
    pub(super) fn is_ill(&self) -> bool {
        self.failed.is_some_and(|(.., times)| times >= FAILURES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: (Role, u64) = (Role::Holder, 4);
    const PAUSE_MS: u64 = 300;

    #[test]
    fn a_term_that_fails_to_open_is_opened_again_until_it_is_open() {
        // One error of the disk at a takeover, and the holder renewed for ever and served nothing.
        let mut opening = Opening::default();
        assert_eq!(opening.due(BootMs(1_000), HOLDS), None, "nothing failed");
        assert!(!opening.failed(BootMs(1_000), PAUSE_MS, 4));
        assert_eq!(opening.due(BootMs(1_299), HOLDS), None);
        assert_eq!(opening.due(BootMs(1_300), HOLDS), Some(4));
        assert_eq!(opening.due(BootMs(9_000), HOLDS), None, "one try at a time");
        opening.done();
        assert!(opening.due(BootMs(9_000), HOLDS).is_none() && !opening.is_ill());
    }

    #[test]
    fn after_some_failures_the_holder_is_ill_and_a_term_that_it_lost_is_forgotten() {
        let mut opening = Opening::default();
        for times in 1..=FAILURES_MAX {
            assert!(!opening.is_ill());
            assert_eq!(opening.failed(BootMs(0), PAUSE_MS, 4), times == FAILURES_MAX);
        }
        assert!(opening.is_ill() && opening.due(BootMs(PAUSE_MS), HOLDS) == Some(4), "it goes on trying");
        assert!(!opening.failed(BootMs(1_000), PAUSE_MS, 4), "said once");
        assert_eq!(opening.due(BootMs(9_000), (Role::Spare, 5)), None);
        assert!(!opening.is_ill(), "another holds the seat");
    }
}
