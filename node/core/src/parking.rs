//! Where commits wait for their author to become known or for their time to come.
//!
//! One bounded table. When it is full a commit is dropped, and since nothing marks it as seen, a reconcile
//! brings it again.

use std::collections::BTreeMap;

use lattice::commit::VerifiedCommit;
use lattice::ids::CommitId;

use crate::admission::Wait;

/// Commits that may wait at once (a guess: some seconds of a busy lattice).
pub const PARKED_COMMITS_MAX: usize = 4096;

/// Bytes that may wait at once: 16 MiB, small beside the state tree.
pub const PARKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What became of a commit offered for parking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    /// It waits.
    Waits,
    /// It was waiting already.
    Already,
    /// The table is full; the commit is dropped and will come again by reconcile.
    Full,
}

/// The table of waiting commits.
#[derive(Debug, Default)]
pub struct Parking {
    waiting: BTreeMap<CommitId, (VerifiedCommit, Wait, usize)>,
    bytes: usize,
}

impl Parking {
    /// Number of commits that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a commit wait, if there is room.
    pub fn park(&mut self, commit: VerifiedCommit, wait: Wait) -> Parked {
        let bytes = commit.commit().encode().len();
        if self.waiting.contains_key(&commit.id()) {
            return Parked::Already;
        }
        if self.waiting.len() == PARKED_COMMITS_MAX || self.bytes + bytes > PARKED_BYTES_MAX {
            return Parked::Full;
        }
        self.bytes += bytes;
        self.waiting.insert(commit.id(), (commit, wait, bytes));
        Parked::Waits
    }

    /// Takes out the commits whose time has come, in order of commit id.
    pub fn release_due(&mut self, now_ms: u64) -> Vec<VerifiedCommit> {
        self.release(|wait| matches!(wait, Wait::Until(due_ms) if due_ms <= now_ms))
    }

    /// Takes out the commits that waited for an author, to be judged again after a membership change.
    pub fn release_authors(&mut self) -> Vec<VerifiedCommit> {
        self.release(|wait| wait == Wait::Author)
    }

    /// When the next waiting commit is due, in milliseconds since 1970.
    pub fn next_due_ms(&self) -> Option<u64> {
        let due = |wait: &Wait| match wait {
            Wait::Until(due_ms) => Some(*due_ms),
            Wait::Author => None,
        };
        self.waiting.values().filter_map(|(_, wait, _)| due(wait)).min()
    }

    fn release(&mut self, ready: impl Fn(Wait) -> bool) -> Vec<VerifiedCommit> {
        let ids: Vec<_> = self.waiting.iter().filter(|(_, (_, wait, _))| ready(*wait)).map(|(id, _)| *id).collect();
        ids.into_iter()
            .filter_map(|id| self.waiting.remove(&id))
            .map(|(commit, _, bytes)| {
                self.bytes -= bytes;
                commit
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lattice::clock::Timestamp;
    use lattice::commit::Draft;
    use lattice::genesis::Genesis;
    use lattice::keys::NodeKeys;
    use lattice::op::Op;

    fn commits(n: usize, value_bytes: usize) -> Vec<VerifiedCommit> {
        let keys = NodeKeys::from_seed([1; 32]);
        let genesis = Genesis::founded_by("test", "one", &keys, vec![1; 38]);
        let sign = |i: usize| {
            let draft = Draft {
                lattice: genesis.id(),
                term: 0,
                seq: 1,
                prev: CommitId::ZERO,
                time: Timestamp::from_millis(i as u64),
            };
            draft.sign(&keys.author, vec![Op::put("k", &vec![0; value_bytes]).expect("small")])
        };
        (0..n).map(|i| sign(i).verify(&genesis).expect("ours")).collect()
    }

    #[test]
    fn due_commits_leave_and_the_rest_waits() {
        let mut parking = Parking::default();
        for (commit, due) in commits(3, 1).into_iter().zip([10, 20, 30]) {
            assert_eq!(parking.park(commit, Wait::Until(due)), Parked::Waits);
        }
        assert_eq!(parking.next_due_ms(), Some(10));
        assert_eq!(parking.release_due(20).len(), 2);
        assert_eq!(parking.next_due_ms(), Some(30));
        assert!(parking.release_authors().is_empty());
    }

    #[test]
    fn a_full_table_drops_and_room_comes_back() {
        let mut parking = Parking::default();
        let many = commits(300, 60_000);
        let full = many.iter().filter(|c| parking.park((*c).clone(), Wait::Author) == Parked::Full).count();
        assert!(full > 0, "16 MiB hold fewer than 300 commits of 60 kB");
        assert_eq!(parking.park(many[0].clone(), Wait::Author), Parked::Already);
        assert_eq!(parking.release_authors().len(), 300 - full);
        assert_eq!(parking.park(many[299].clone(), Wait::Author), Parked::Waits);
    }
}
