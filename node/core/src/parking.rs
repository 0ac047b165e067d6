//! Where commits wait for their author to become known or for their time to come.
//!
//! One bounded table. When it is full the commit that came first is dropped: what waits for an author who never
//! becomes a member must not keep the rest out for ever. Nothing marks a commit as seen, so if a dropped one was
//! good after all, a reconcile brings it again.

use std::collections::{BTreeMap, BTreeSet};

use lattice::commit::{SignedHeader, VerifiedCommit};
use lattice::ids::{AuthorId, CommitId};
use lattice::limits::COMMIT_BYTES_MAX;

use crate::admission::Wait;

/// Commits that may wait at once (a guess: some seconds of a busy lattice).
pub const PARKED_COMMITS_MAX: usize = 4096;

/// Bytes that may wait at once: 16 MiB, small beside the state tree.
pub const PARKED_BYTES_MAX: usize = 16 * 1024 * 1024;

// There is room for any one commit.
const _: () = assert!(COMMIT_BYTES_MAX <= PARKED_BYTES_MAX);

#[derive(Debug)]
struct Waiting {
    commit: VerifiedCommit,
    wait: Wait,
    bytes: usize,
    arrival: u64,
}

/// The table of waiting commits.
#[derive(Debug, Default)]
pub struct Parking {
    waiting: BTreeMap<CommitId, Waiting>,
    /// The same by arrival.
    arrivals: BTreeMap<u64, CommitId>,
    /// Those that wait for a time, by it.
    due: BTreeSet<(u64, CommitId)>,
    bytes: usize,
    next_arrival: u64,
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

    /// Lets a commit wait; those that came first make room if there is none.
    pub fn park(&mut self, commit: VerifiedCommit, wait: Wait) {
        let id = commit.id();
        if self.waiting.contains_key(&id) {
            return;
        }
        let bytes = commit.commit().encode().len();
        while self.waiting.len() >= PARKED_COMMITS_MAX || self.bytes + bytes > PARKED_BYTES_MAX {
            let Some((_, first)) = self.arrivals.first_key_value() else { break };
            self.take(*first);
        }
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        self.bytes += bytes;
        self.arrivals.insert(arrival, id);
        if let Wait::Until(due_ms) = wait {
            self.due.insert((due_ms, id));
        }
        self.waiting.insert(id, Waiting { commit, wait, bytes, arrival });
    }

    /// Takes out the commits whose time has come, in order of it.
    pub fn release_due(&mut self, now_ms: u64) -> Vec<VerifiedCommit> {
        let due: Vec<_> = self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms).map(|(_, id)| *id).collect();
        due.into_iter().filter_map(|id| self.take(id)).collect()
    }

    /// Takes out the commits that waited for an author, in order of arrival, to be judged again after a membership
    /// change.
    pub fn release_changes(&mut self) -> Vec<VerifiedCommit> {
        let waits = |id: &CommitId| self.waiting.get(id).is_some_and(|waiting| waiting.wait == Wait::Change);
        let ids: Vec<_> = self.arrivals.values().filter(|id| waits(id)).copied().collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    /// When the next waiting commit is due, in milliseconds since 1970.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// The last commit of an author's own chain that waits.
    pub fn last_of(&self, author: &AuthorId) -> Option<&SignedHeader> {
        let signed = self.waiting.values().map(|waiting| waiting.commit.commit().signed());
        let own = signed.filter(|signed| signed.header().author == *author && signed.header().term == 0);
        own.max_by_key(|signed| signed.header().seq)
    }

    fn take(&mut self, id: CommitId) -> Option<VerifiedCommit> {
        let Waiting { commit, wait, bytes, arrival } = self.waiting.remove(&id)?;
        self.bytes -= bytes;
        self.arrivals.remove(&arrival);
        if let Wait::Until(due_ms) = wait {
            self.due.remove(&(due_ms, id));
        }
        Some(commit)
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

    /// A restored node asked what it had signed: nobody told of what waited, and it gave the number again.
    #[test]
    fn the_last_commit_of_an_author_that_waits_is_told() {
        let mut parking = Parking::default();
        let [one] = commits(1, 10).try_into().expect("one");
        let author = one.header().author;
        assert!(parking.last_of(&author).is_none());
        parking.park(one.clone(), Wait::Until(5));
        assert_eq!(parking.last_of(&author).map(SignedHeader::id), Some(one.id()));
        assert!(parking.last_of(&AuthorId([0; 32])).is_none(), "of another");
        parking.release_due(5);
        assert!(parking.last_of(&author).is_none());
    }

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
            parking.park(commit, Wait::Until(due));
        }
        assert_eq!(parking.next_due_ms(), Some(10));
        assert_eq!(parking.release_due(20).len(), 2);
        assert_eq!(parking.next_due_ms(), Some(30));
        assert!(parking.release_changes().is_empty());
    }

    #[test]
    fn what_came_first_makes_room_in_a_full_table() {
        // Commits of an author who never became a member filled the table, and nothing else could wait any more.
        let mut parking = Parking::default();
        let many = commits(300, 60_000);
        for commit in &many {
            parking.park(commit.clone(), Wait::Change);
            assert!(parking.bytes <= PARKED_BYTES_MAX);
        }
        assert!(parking.len() < 300, "16 MiB hold fewer than 300 commits of 60 kB");
        let waiting = parking.len();
        parking.park(many[299].clone(), Wait::Change);
        assert_eq!(parking.len(), waiting, "it waits already");
        let left: Vec<_> = parking.release_changes().iter().map(VerifiedCommit::id).collect();
        let last: Vec<_> = many[300 - left.len()..].iter().map(VerifiedCommit::id).collect();
        assert_eq!(left, last, "the last ones, in order of arrival");
        assert_eq!((parking.len(), parking.bytes, parking.arrivals.len()), (0, 0, 0));
    }

    #[test]
    fn a_commit_from_the_far_future_makes_room_as_well() {
        let mut parking = Parking::default();
        for commit in commits(PARKED_COMMITS_MAX + 1, 1) {
            let due_ms = if parking.is_empty() { u64::MAX } else { 10 };
            parking.park(commit, Wait::Until(due_ms));
        }
        assert_eq!(parking.release_due(10).len(), PARKED_COMMITS_MAX);
        assert_eq!((parking.next_due_ms(), parking.due.len()), (None, 0), "no time is left of what was dropped");
    }
}
