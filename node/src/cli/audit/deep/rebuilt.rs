//! A state rebuilt from commits, joined like a node joins them.

use std::sync::Arc;

use lattice::commit::VerifiedCommit;
use lattice::entry::{Entry, Version, wins};
use lattice::genesis::Genesis;
use lattice::ids::{LatticeId, StateRoot};
use lattice::membership::{Change, Membership, NotAdmitted, is_change_key};
use lattice::op::Key;
use lattice::tree::{Leaf, StateTree};

/// Commits that wait for what lets them count (a guess). A node gives all changes of membership and certificates first, in
/// no order, so one of them may come before that which names its author; hardly any lattice has as many.
const WAITING_MAX: usize = 4096;

/// What a node's commits amount to.
pub(super) struct Rebuilt {
    genesis: Arc<Genesis>,
    lattice: LatticeId,
    membership: Membership,
    tree: StateTree<Version>,
    /// Commits joined.
    commits: u64,
    waiting: Vec<Hashed>,
}

/// A commit whose signature holds, with the entries that it would make.
pub(super) struct Hashed {
    commit: VerifiedCommit,
    entries: Vec<(Key, Leaf<Version>)>,
}

/// Hashes what a commit would make.
pub(super) fn hash(commit: VerifiedCommit) -> Hashed {
    let (header, id) = (*commit.header(), commit.id());
    let entry = |(index, op)| {
        let version = Version::of(&header, id, index);
        let entry = Entry::of(op, version);
        let leaf = Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: version };
        (entry.key, leaf)
    };
    let entries = commit.live_ops().map(entry).collect();
    Hashed { commit, entries }
}

impl Rebuilt {
    /// The empty state of a lattice.
    pub(super) fn of(genesis: Arc<Genesis>) -> Self {
        let (lattice, membership) = (genesis.id(), Membership::of(&genesis, []));
        Self { genesis, lattice, membership, tree: StateTree::default(), commits: 0, waiting: Vec::new() }
    }

    /// The empty state of the same lattice.
    pub(super) fn anew(&self) -> Self {
        Self::of(self.genesis.clone())
    }

    /// The founding document.
    pub(super) fn genesis(&self) -> Arc<Genesis> {
        self.genesis.clone()
    }

    /// The lattice.
    pub(super) const fn lattice(&self) -> LatticeId {
        self.lattice
    }

    /// The root.
    pub(super) fn root(&self) -> StateRoot {
        self.tree.root()
    }

    /// Entries, tombstones included.
    pub(super) fn entries(&self) -> u64 {
        self.tree.len()
    }

    /// Commits joined.
    pub(super) const fn commits(&self) -> u64 {
        self.commits
    }

    /// Joins a commit, and those that waited for it.
    ///
    /// # Errors
    ///
    /// Why it does not count, in words.
    pub(super) fn take(&mut self, hashed: Hashed) -> Result<(), String> {
        let mut due = vec![hashed];
        while let Some(next) = due.pop() {
            match self.membership.admit(&self.genesis, self.lattice, &next.commit) {
                Ok(()) => {
                    if self.join(next) {
                        due.append(&mut self.waiting);
                    }
                }
                Err(NotAdmitted::UnknownAuthor { .. } | NotAdmitted::UnknownTerm { .. })
                    if self.waiting.len() < WAITING_MAX =>
                {
                    self.waiting.push(next);
                }
                Err(why) => return Err(uncounted(&next.commit, &why)),
            }
        }
        Ok(())
    }

    /// Joins a commit that counts; tells whether others may count with it.
    fn join(&mut self, hashed: Hashed) -> bool {
        let Hashed { commit, entries } = hashed;
        let mut is_change = false;
        for (_, op) in commit.live_ops().filter(|(_, op)| is_change_key(op.key().as_str())) {
            if let Some(Ok(change)) = op.value().map(Change::decode) {
                self.membership.join(change);
                is_change = true;
            }
        }
        for (key, leaf) in entries {
            let loses = |held: &Leaf<Version>| !wins(&self.genesis, &key, &leaf.tag, &held.tag);
            if !self.tree.get(&leaf.key).is_some_and(loses) {
                self.tree.insert(leaf);
            }
        }
        self.commits += 1;
        is_change
    }

    /// The whole of it.
    ///
    /// # Errors
    ///
    /// If a commit came that never counted.
    pub(super) fn finish(self) -> Result<Self, String> {
        let Some(first) = self.waiting.first() else { return Ok(self) };
        let judged = self.membership.admit(&self.genesis, self.lattice, &first.commit);
        Err(judged.map_or_else(|why| uncounted(&first.commit, &why), |()| "a commit was forgotten".to_owned()))
    }
}

fn uncounted(commit: &VerifiedCommit, why: &NotAdmitted) -> String {
    format!("commit {} is served and does not count: {why}", commit.id().short())
}

#[cfg(test)]
mod tests {
    use lattice::clock::Timestamp;
    use lattice::commit::Draft;
    use lattice::genesis::Member;
    use lattice::ids::CommitId;
    use lattice::keys::NodeKeys;
    use lattice::op::Op;

    use super::*;

    fn keys(n: u8) -> NodeKeys {
        NodeKeys::from_seed([n; 32])
    }

    fn commit(genesis: &Genesis, by: u8, op: Op) -> Hashed {
        let draft =
            Draft { lattice: genesis.id(), term: 0, seq: 1, prev: CommitId::ZERO, time: Timestamp::from_millis(1) };
        hash(draft.sign(&keys(by).author, vec![op]).verify(genesis).expect("signed"))
    }

    #[test]
    fn what_comes_before_its_author_waits_and_a_stranger_never_counts() {
        let genesis = Arc::new(Genesis::founded_by("test", "1", &keys(1), vec![1; 38]));
        let (author, log_key) = (keys(2).author.id(), keys(2).log_key());
        let member = Member { name: "2".to_owned(), author, log_key, peer_id: vec![2; 38], roles: [].into() };
        let put = |key: &str| Op::put(key, b"v").expect("small");
        let mut rebuilt = Rebuilt::of(genesis.clone());
        rebuilt.take(commit(&genesis, 2, put("k"))).expect("it waits");
        assert_eq!(rebuilt.entries(), 0);
        rebuilt.take(commit(&genesis, 1, Change::Add(member).to_op().expect("small"))).expect("counts");
        let mut rebuilt = rebuilt.finish().expect("all count");
        assert_eq!((rebuilt.entries(), rebuilt.commits()), (2, 2));
        rebuilt.take(commit(&genesis, 3, put("l"))).expect("it waits");
        assert!(rebuilt.finish().is_err_and(|why| why.contains("is not a member")));
    }
}
