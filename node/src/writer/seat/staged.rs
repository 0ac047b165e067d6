//! The commits that are staged here, found by place, id, name and key.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lattice::commit::VerifiedCommit;
use lattice::ids::{AuthorId, CommitId};
use lattice::op::Key;

use super::job::EntryTag;
use super::outbox::Carried;
use crate::writer::Reply;
use crate::writer::job::IdempotencyKey;

/// Commits, and bytes of values, that may be staged: some seconds of the fastest writer. Further writes are refused
/// until the shadow has caught up.
pub(crate) const STAGED_COMMITS_MAX: usize = 4096;
pub(super) const STAGED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Term, and number there.
pub(in crate::writer) type Place = (u64, u64);

/// A commit that is staged here, or about to be.
pub(in crate::writer) struct StagedCommit {
    pub(in crate::writer) commit: VerifiedCommit,
    pub(in crate::writer) name: Option<IdempotencyKey>,
    /// Who is answered when it is in the state.
    pub(in crate::writer) waiting: Vec<Reply>,
    /// Whether it is on its way into the state.
    pub(super) is_released: bool,
}

impl StagedCommit {
    pub(in crate::writer) fn new(commit: VerifiedCommit, name: Option<IdempotencyKey>) -> Self {
        Self { commit, name, waiting: Vec::new(), is_released: false }
    }

    pub(super) fn place(&self) -> Place {
        (self.commit.header().term, self.commit.header().seq)
    }

    pub(super) fn bytes(&self) -> usize {
        self.commit.live_ops().map(|(_, op)| op.key().as_str().len() + op.value().map_or(0, <[u8]>::len)).sum()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.commit.live_ops().map(|(_, op)| op.key())
    }

    pub(in crate::writer) fn carried(&self) -> Carried {
        let bytes = self.commit.commit().encode().into();
        Carried { id: self.commit.id(), place: self.place(), bytes, name: self.name.clone() }
    }
}

/// All staged commits by place: durable ones first, and then those of the write that is being gathered.
#[derive(Default)]
pub(in crate::writer) struct Staged {
    commits: BTreeMap<Place, StagedCommit>,
    ids: HashMap<CommitId, Place>,
    names: HashMap<IdempotencyKey, Place>,
    keys: HashMap<Key, BTreeSet<Place>>,
    bytes: usize,
    /// Those that are not durable yet, each with whom to answer once it is, if not later. They have the highest places.
    pub(super) gathered: Vec<(Place, Option<Reply>)>,
}

impl Staged {
    pub(in crate::writer) fn len(&self) -> usize {
        self.commits.len()
    }

    /// The last place that is durable.
    pub(in crate::writer) fn last(&self) -> Option<Place> {
        match self.gathered.first() {
            Some((first, _)) => self.commits.range(..first).next_back(),
            None => self.commits.iter().next_back(),
        }
        .map(|(place, _)| *place)
    }

    /// Adds a commit, or takes the place of the one that was there.
    pub(in crate::writer) fn insert(&mut self, commit: StagedCommit) {
        let place = commit.place();
        drop(self.take(place));
        self.bytes += commit.bytes();
        self.ids.insert(commit.commit.id(), place);
        if let Some(name) = &commit.name {
            self.names.insert(name.clone(), place);
        }
        for key in commit.keys() {
            self.keys.entry(key.clone()).or_default().insert(place);
        }
        self.commits.insert(place, commit);
    }

    pub(in crate::writer) fn take(&mut self, place: Place) -> Option<StagedCommit> {
        let taken = self.commits.remove(&place)?;
        self.bytes -= taken.bytes();
        self.ids.remove(&taken.commit.id());
        if let Some(name) = taken.name.as_ref().filter(|name| self.names.get(*name) == Some(&place)) {
            self.names.remove(name);
        }
        for key in taken.keys() {
            if let Some(places) = self.keys.get_mut(key) {
                places.remove(&place);
                if places.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        Some(taken)
    }

    pub(in crate::writer) fn at(&self, place: Place) -> Option<&StagedCommit> {
        self.commits.get(&place)
    }

    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut StagedCommit> {
        self.commits.get_mut(&place)
    }

    /// By place, the lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &StagedCommit)> {
        self.commits.iter().map(|(place, staged)| (*place, staged))
    }

    /// The places of a term up to one of it, the lowest first.
    pub(super) fn of_term_upto(&self, upto: Place) -> Vec<Place> {
        self.commits.range((upto.0, 0)..=upto).map(|(place, _)| *place).collect()
    }

    pub(in crate::writer) fn of_id(&self, id: &CommitId) -> Option<&StagedCommit> {
        self.commits.get(self.ids.get(id)?)
    }

    pub(super) fn named(&mut self, name: Option<&IdempotencyKey>) -> Option<&mut StagedCommit> {
        self.commits.get_mut(self.names.get(name?)?)
    }

    /// The last commit of an author in a term.
    pub(super) fn last_of(&self, author: &AuthorId, term: u64) -> Option<(u64, CommitId)> {
        let mut of_term = self.commits.range((term, 0)..=(term, u64::MAX)).rev();
        let last = of_term.find(|(_, staged)| staged.commit.header().author == *author);
        last.map(|((_, seq), staged)| (*seq, staged.commit.id()))
    }

    /// Bytes of keys and values of all of it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_full(&self) -> bool {
        self.commits.len() >= STAGED_COMMITS_MAX || self.bytes >= STAGED_BYTES_MAX
    }

    /// The entry that stands at a key once all of this is in the state, if any of it writes the key.
    pub(super) fn standing(&self, key: &Key) -> Option<Option<EntryTag>> {
        let staged = self.commits.get(self.keys.get(key)?.last()?)?;
        let (op_index, op) = staged.commit.live_ops().find(|(_, op)| op.key() == key)?;
        Some(op.value().is_some().then(|| EntryTag { commit: staged.commit.id(), op_index }))
    }
}

#[cfg(test)]
mod tests {
    use lattice::clock::Timestamp;
    use lattice::commit::Draft;
    use lattice::ids::LatticeId;
    use lattice::keys::NodeKeys;
    use lattice::limits::VALUE_BYTES_MAX;
    use lattice::op::Op;

    use super::*;

    fn staged(seq: u64, ops: Vec<Op>) -> StagedCommit {
        let draft =
            Draft { lattice: LatticeId::ZERO, term: 1, seq, prev: CommitId::ZERO, time: Timestamp::from_millis(seq) };
        let commit = draft.sign(&NodeKeys::from_seed([1; 32]).author, ops);
        let genesis = lattice::genesis::Genesis::founded_by("t", "0", &NodeKeys::from_seed([1; 32]), vec![0; 38]);
        StagedCommit::new(commit.verify_for(&genesis, LatticeId::ZERO).expect("signed"), None)
    }

    #[test]
    fn long_values_fill_it_before_many_commits_do_and_there_is_room_once_they_leave() {
        let value = vec![7; VALUE_BYTES_MAX];
        let ops = || (0..3).map(|n| Op::put(&format!("green/{n}"), &value).expect("within limits")).collect();
        let mut all = Staged::default();
        let full = (1..).find(|seq| {
            all.insert(staged(*seq, ops()));
            all.is_full()
        });
        let full = full.expect("full");
        let (most, bytes) = (STAGED_BYTES_MAX / (3 * VALUE_BYTES_MAX) + 1, all.bytes);
        assert_eq!((full, all.len()), (most as u64, most));
        assert!(
            bytes < STAGED_BYTES_MAX + lattice::limits::COMMIT_BYTES_MAX,
            "by one commit too many at most: {bytes}"
        );
        // Its place taken by another commit, a commit counts no more.
        all.insert(staged(full, vec![Op::put("green/0", b"v").expect("small")]));
        assert!(!all.is_full());
        (1..=full).for_each(|seq| drop(all.take((1, seq))));
        assert_eq!((all.len(), all.bytes, all.keys.len(), all.ids.len()), (0, 0, 0, 0));
    }
}
