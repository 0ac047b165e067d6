//! What must hold whatever happens: an observer who sees every signature and every answer, and looks into every disk.

use std::collections::BTreeMap;

use lattice::address::url_key;
use lattice::commit::VerifiedCommit;
use lattice::entry::Version;
use lattice::ids::{AuthorId, CommitId, KeyHash};
use lattice::membership::is_change_key;
use lattice::tree::{Leaf, StateTree};

use super::message::NodeIndex;
use super::node::database::Database;
use super::node::{Identity, Node};

/// A rule was broken: what happened, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

/// Shorthand for the checks.
pub(crate) type Holds = Result<(), Violation>;

fn broken<T>(what: String) -> Result<T, Violation> {
    Err(Violation(what))
}

/// Whether an operation does not count at a node, as far as it knows the members.
fn beyond_cut(node: &Node, version: &Version) -> bool {
    let last_seq = node.state.membership.last_seq(&version.author);
    last_seq.is_none_or(|last_seq| version.seq > last_seq)
}

/// The observer.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Every commit that its author signed, a liar's as well.
    signed: BTreeMap<CommitId, VerifiedCommit>,
    /// The commit that became durable somewhere at each place of an honest author's chain. One that was signed and lost
    /// in a crash before anybody knew of it leaves its place free.
    places: BTreeMap<(AuthorId, u64), CommitId>,
    /// What each node acknowledged: the greatest version by key.
    acknowledged: BTreeMap<NodeIndex, BTreeMap<KeyHash, Version>>,
    liar: Option<AuthorId>,
    /// How many commits were acknowledged.
    pub(crate) acknowledgements: u64,
}

impl Oracle {
    pub(crate) fn new(liar: Option<AuthorId>) -> Self {
        Self { liar, ..Self::default() }
    }

    pub(crate) fn sees_signed(&mut self, commit: VerifiedCommit) {
        self.signed.insert(commit.id(), commit);
    }

    /// A node told its client that a write is in: from now on it must be there.
    pub(crate) fn sees_acknowledged(&mut self, node: NodeIndex, commit: &VerifiedCommit) {
        self.acknowledgements += 1;
        let promised = self.acknowledged.entry(node).or_default();
        for (index, op) in commit.live_ops() {
            let version = Version::of(commit.header(), commit.id(), index);
            let greatest = promised.entry(op.key().hash()).or_insert(version);
            if version.cmp_ordinary(greatest).is_gt() {
                *greatest = version;
            }
        }
    }

    /// Commits that a transaction took in: signed by whom they name, let in by the rules, not from what was the future
    /// when they were judged.
    pub(crate) fn check_stored(&mut self, node: &Node, commits: &[(VerifiedCommit, u64)]) -> Holds {
        let identity = &node.identity;
        for (commit, judged_ms) in commits {
            let (id, header) = (commit.id().short(), commit.header());
            let signature = commit.commit().signed().signature();
            let is_genuine = |known: &VerifiedCommit| known.commit().signed().signature() == signature;
            if !self.signed.get(&commit.id()).is_some_and(is_genuine) {
                return broken(format!("{} took in commit {id}, which nobody signed so", identity.index));
            }
            let ahead_ms = header.time.ahead_of(*judged_ms);
            if ahead_ms > identity.genesis.limits.max_drift_ms {
                return broken(format!("{} took in commit {id} from {ahead_ms} ms in the future", identity.index));
            }
            let first = *self.places.entry((header.author, header.seq)).or_insert(commit.id());
            if first != commit.id() && Some(header.author) != self.liar {
                let (author, seq) = (header.author.short(), header.seq);
                return broken(format!("{author}, who is honest, signed two commits for number {seq}"));
            }
        }
        Ok(())
    }

    /// Nothing here damages a disk, so no node may say that its own is. A liar can make it believe so, and so can a cut: it
    /// empties a key at one node, and the frontier of that node, which still covers what stood there, goes on to others.
    pub(crate) fn check_damage(&self, node: &Node, damaged: &[KeyHash]) -> Holds {
        let is_cut = |version: &Version| beyond_cut(node, version);
        let is_emptied = |key: &&KeyHash| self.versions_at(key).any(|version| is_cut(&version));
        match damaged.iter().find(|key| self.liar.is_none() && !is_emptied(key)) {
            Some(key) => broken(format!("{} calls key {} damaged, and it is not", node.identity.index, key.short())),
            None => Ok(()),
        }
    }

    /// All that costs as much as the state is large.
    pub(crate) fn check_deep(&self, node: &Node) -> Holds {
        self.check_root(node)?;
        self.check_valid(node)?;
        self.check_frontier(node)
    }

    /// What a node acknowledged is on its disk, or something greater is, unless a cut took it or took what had won over
    /// it: then the key is filled by whoever still holds its greatest valid entry, if anybody does.
    pub(crate) fn check_kept(&self, promised_by: NodeIndex, node: &Node) -> Holds {
        let is_cut = |version: &Version| beyond_cut(node, version);
        for (key, version) in self.acknowledged.get(&promised_by).into_iter().flatten() {
            let row = node.state.tree.get(key).map(|leaf| leaf.tag);
            let stored = row.and_then(|row| node.database.version(row));
            let is_gone = stored.is_none_or(|stored| stored.cmp_ordinary(version).is_lt());
            let is_emptied = || self.versions_at(key).any(|won| won.cmp_ordinary(version).is_gt() && is_cut(&won));
            if is_gone && !is_cut(version) && !is_emptied() {
                return broken(format!(
                    "{} has lost what {promised_by} acknowledged: commit {} (number {}) at key {}",
                    node.identity.index,
                    version.commit.short(),
                    version.seq,
                    key.short()
                ));
            }
        }
        Ok(())
    }

    /// All operations on a key that anybody signed.
    fn versions_at(&self, key: &KeyHash) -> impl Iterator<Item = Version> {
        self.signed.values().flat_map(move |commit| {
            let at_key = commit.live_ops().filter(|(_, op)| op.key().hash() == *key);
            at_key.map(|(index, _)| Version::of(commit.header(), commit.id(), index))
        })
    }

    /// Every stored entry may be there: its author is a member and not cut before it, and its key is one that may
    /// be written.
    fn check_valid(&self, node: &Node) -> Holds {
        let Identity { index, genesis, .. } = &*node.identity;
        let membership = &node.state.membership;
        for (_, entry, commit) in node.database.rows() {
            let (header, key) = (commit.signed.header(), entry.op.key().as_str());
            if membership.last_seq_in(&header.author, header.term).is_none_or(|last_seq| header.seq > last_seq) {
                return broken(format!(
                    "{index} holds {key:?} of commit {} (number {}), whose author has no right to it",
                    commit.signed.id().short(),
                    header.seq
                ));
            }
            let is_change = is_change_key(key);
            let is_reserved = key.starts_with('@') || genesis.is_seat_key(key);
            let is_allowed = if is_change {
                genesis.admins.contains(&header.author)
            } else {
                !is_reserved || key == url_key(&header.author)
            };
            if !is_allowed {
                return broken(format!("{index} holds {key:?}, which its author may not write"));
            }
        }
        Ok(())
    }

    /// The root is that of a tree built anew from the stored rows alone, and it is the stored root.
    fn check_root(&self, node: &Node) -> Holds {
        let entries = node.database.rows().map(|(_, entry, commit)| Database::entry(entry, commit));
        let mut leaves: Vec<_> =
            entries.map(|entry| Leaf { key: entry.key_hash(), leaf: entry.leaf(), tag: () }).collect();
        leaves.sort_by_key(|leaf| leaf.key);
        let mut naive = StateTree::default();
        for leaf in leaves {
            if naive.insert(leaf).is_some() {
                return broken(format!("{} stores two entries for one key", node.identity.index));
            }
        }
        let (ours, stored) = (node.state.tree.root(), node.database.root);
        if naive.root() != ours || stored != ours {
            return broken(format!(
                "{} says its root is {}, stored is {}, its rows give {}",
                node.identity.index,
                ours.short(),
                stored.short(),
                naive.root().short()
            ));
        }
        Ok(())
    }

    /// The frontier tells the truth: the effect of each commit it covers is in the state. A liar can make it lie, since
    /// it decides nothing, and a cut empties keys below it: then there is nothing to check.
    fn check_frontier(&self, node: &Node) -> Holds {
        let state = &node.state;
        if self.liar.is_some() || state.membership.has_cuts() {
            return Ok(());
        }
        let covered = self.places.iter().filter(|((author, seq), _)| state.frontier.covers(author, 0, *seq));
        for commit in covered.filter_map(|(_, id)| self.signed.get(id)) {
            for (op_index, op) in commit.live_ops() {
                let version = Version::of(commit.header(), commit.id(), op_index);
                let row = state.tree.get(&op.key().hash()).map(|leaf| leaf.tag);
                let stored = row.and_then(|row| node.database.version(row));
                if stored.is_none_or(|stored| stored.cmp_ordinary(&version).is_lt()) {
                    return broken(format!(
                        "{} says in its frontier that commit {} (number {}) is in, and it is not",
                        node.identity.index,
                        commit.id().short(),
                        commit.header().seq
                    ));
                }
            }
        }
        Ok(())
    }
}
