//! A node in memory: joins commits as the store does, keeps what won, and forgets the rest but for its hash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, OpSlot, SignedHeader, VerifiedCommit};
use lattice::entry::{Entry, Version, wins};
use lattice::frontier::{Chain, Frontier};
use lattice::genesis::{Genesis, Member};
use lattice::ids::{AuthorId, CommitId, KeyHash, LatticeId, StateRoot};
use lattice::keys::NodeKeys;
use lattice::membership::{Change, MEMBER_PREFIX, Membership, NotAdmitted};
use lattice::op::{Key, Op};
use lattice::tree::{Leaf, StateTree};
use reconcile::limits::COMMITS_MAX;
use reconcile::message::{ChainId, commit_bytes_at_most};
use reconcile::{Answer, Index, Intake, Refusal, RefusedFor, Request, Response, View, responder};

/// The lattice of all tests, founded by author 1; authors 2 to 5 are members from the start.
pub(crate) fn genesis() -> Arc<Genesis> {
    static GENESIS: OnceLock<Arc<Genesis>> = OnceLock::new();
    let found = || {
        let mut genesis = Genesis::founded_by("test", "one", &NodeKeys::from_seed([1; 32]), vec![1; 38]);
        genesis.members.extend((2..=5).map(member));
        genesis.members.sort_by_key(|member| member.author);
        Arc::new(genesis)
    };
    GENESIS.get_or_init(found).clone()
}

/// What a genesis or a membership change says of an author.
pub(crate) fn member(author: u8) -> Member {
    let keys = NodeKeys::from_seed([author; 32]);
    Member {
        name: format!("node {author}"),
        author: keys.author.id(),
        log_key: keys.log_key(),
        peer_id: vec![author; 38],
        roles: BTreeSet::new(),
    }
}

pub(crate) fn author_id(author: u8) -> AuthorId {
    NodeKeys::from_seed([author; 32]).author.id()
}

/// Authors write here: each has one chain, whoever holds its commits.
pub(crate) struct Pen {
    chains: BTreeMap<u8, (u64, CommitId)>,
    time: u64,
}

impl Pen {
    pub(crate) fn new() -> Self {
        Self { chains: BTreeMap::new(), time: 1_000 }
    }

    /// The author's next commit, later than all before.
    pub(crate) fn write(&mut self, author: u8, ops: Vec<Op>) -> Commit {
        self.time += 1;
        self.write_at(author, self.time, ops)
    }

    pub(crate) fn write_at(&mut self, author: u8, millis: u64, ops: Vec<Op>) -> Commit {
        let (seq, prev) = self.chains.get(&author).copied().unwrap_or((0, CommitId::ZERO));
        let time = Timestamp::from_millis(millis);
        let draft = Draft { lattice: lattice_id(), term: 0, seq: seq + 1, prev, time };
        let commit = draft.sign(&NodeKeys::from_seed([author; 32]).author, ops);
        self.chains.insert(author, (seq + 1, commit.id()));
        commit
    }

    pub(crate) fn put(&mut self, author: u8, key: &str, value: &str) -> Commit {
        self.write(author, vec![Op::put(key, value.as_bytes()).expect("small")])
    }

    /// One commit that puts these keys, each to its own name.
    pub(crate) fn put_all(&mut self, author: u8, keys: impl IntoIterator<Item = String>) -> Commit {
        self.write(author, keys.into_iter().map(|key| Op::put(&key, key.as_bytes()).expect("small")).collect())
    }

    /// The founder changes the membership.
    pub(crate) fn change(&mut self, change: &Change) -> Commit {
        self.write(1, vec![change.to_op().expect("small")])
    }
}

pub(crate) fn lattice_id() -> LatticeId {
    static ID: OnceLock<LatticeId> = OnceLock::new();
    *ID.get_or_init(|| genesis().id())
}

#[derive(Clone)]
struct Stored {
    signed: SignedHeader,
    slots: Vec<OpSlot>,
}

/// A node's state.
#[derive(Clone)]
pub(crate) struct Node {
    genesis: Arc<Genesis>,
    membership: Membership,
    entries: BTreeMap<KeyHash, Entry>,
    commits: BTreeMap<CommitId, Stored>,
    tree: Index<()>,
    members: StateTree<()>,
    frontier: Frontier,
    parked: Vec<VerifiedCommit>,
}

impl Node {
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        Self {
            membership: Membership::of(&genesis, []),
            genesis,
            entries: BTreeMap::new(),
            commits: BTreeMap::new(),
            tree: Index::default(),
            members: StateTree::default(),
            frontier: Frontier::default(),
            parked: Vec::new(),
        }
    }

    pub(crate) fn with<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Self {
        let mut node = Self::new();
        node.apply(commits.into_iter().cloned().collect());
        node
    }

    pub(crate) fn root(&self) -> StateRoot {
        self.tree.root()
    }

    pub(crate) fn len(&self) -> u64 {
        self.tree.len()
    }

    pub(crate) fn value_hash(&self, key: &str) -> Option<lattice::ids::ValueHash> {
        self.entries.get(&Key::new(key).expect("small").hash())?.value
    }

    pub(crate) fn view(&self) -> View<()> {
        let (tree, members) = (self.tree.clone(), self.members.clone());
        View { tree, members, frontier: self.frontier.digest() }
    }

    /// All commits, as they are stored.
    pub(crate) fn commits(&self) -> impl Iterator<Item = Commit> {
        self.commits.keys().map(|id| self.commit(id))
    }

    /// Commits that wait for their author to become a member.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Commit> {
        self.parked.iter().map(|commit| commit.commit().clone())
    }

    /// The root of a tree built anew from the entries.
    pub(crate) fn naive_root(&self) -> StateRoot {
        let mut tree = StateTree::default();
        for (key, entry) in &self.entries {
            tree.insert(Leaf { key: *key, leaf: entry.leaf(), tag: () });
        }
        tree.root()
    }

    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The one way in.
    pub(crate) fn apply(&mut self, commits: Vec<Commit>) -> Intake {
        let mut intake = Intake::default();
        for commit in commits {
            let id = commit.id();
            match commit.verify_for(&self.genesis, lattice_id()) {
                Ok(commit) => self.admit(commit, &mut intake),
                Err(error) => intake.refused.push(refusal(id, RefusedFor::Invalid, error.to_string(), None)),
            }
        }
        intake
    }

    fn admit(&mut self, commit: VerifiedCommit, intake: &mut Intake) {
        let id = commit.id();
        match self.membership.admit(&self.genesis, lattice_id(), &commit) {
            Ok(()) => intake.applied += u64::from(self.join(&commit)),
            Err(NotAdmitted::UnknownAuthor { .. }) => {
                intake.waiting += 1;
                self.parked.push(commit);
            }
            Err(error) => {
                let why = match error {
                    NotAdmitted::BeyondCut { .. } => RefusedFor::BeyondCut,
                    _ => RefusedFor::NotAdmitted,
                };
                let evidence = self.cut_of(&commit.header().author);
                intake.refused.push(refusal(id, why, error.to_string(), evidence));
            }
        }
    }

    /// Whether any operation won.
    fn join(&mut self, commit: &VerifiedCommit) -> bool {
        let mut won = false;
        for (index, op) in commit.live_ops() {
            let version = Version::of(commit.header(), commit.id(), index);
            won |= self.join_op(commit, op, version);
        }
        if commit.is_whole() {
            let header = commit.header();
            self.frontier.chain_mut(&header.author, header.term).note(commit.commit().signed());
        }
        if won && commit.live_ops().any(|(_, op)| op.key().as_str().starts_with(MEMBER_PREFIX)) {
            self.membership_changed();
        }
        won
    }

    fn join_op(&mut self, commit: &VerifiedCommit, op: &Op, version: Version) -> bool {
        let key = op.key().hash();
        if let Some(old) = self.entries.get(&key) {
            if !wins(&self.genesis, op.key(), &version, &old.version) {
                return false;
            }
            let old = old.version;
            self.kill(&old);
        }
        let stored = self.commits.entry(version.commit).or_insert_with(|| Stored {
            signed: commit.commit().signed().clone(),
            slots: commit.commit().slots().iter().map(|slot| OpSlot::Dead(slot.hash())).collect(),
        });
        stored.slots[version.op_index as usize] = OpSlot::Live(op.clone());
        self.set_entry(key, Entry::of(op, version));
        true
    }

    fn set_entry(&mut self, key: KeyHash, entry: Entry) {
        let leaf = Leaf { key, leaf: entry.leaf(), tag: () };
        self.tree.insert(leaf);
        if entry.key.as_str().starts_with(MEMBER_PREFIX) {
            self.members.insert(leaf);
        }
        self.entries.insert(key, entry);
    }

    /// Replaces an operation that lost by its hash; a commit without a live one is forgotten.
    fn kill(&mut self, version: &Version) {
        let stored = self.commits.get_mut(&version.commit).expect("an entry's commit is stored");
        let slot = &mut stored.slots[version.op_index as usize];
        *slot = OpSlot::Dead(slot.hash());
        if stored.slots.iter().all(|slot| matches!(slot, OpSlot::Dead(_))) {
            self.commits.remove(&version.commit);
        }
    }

    fn changes(&self) -> Vec<(Change, CommitId)> {
        let members = self.members.leaves().map(|leaf| &self.entries[&leaf.key]);
        members.map(|entry| (self.change_of(entry), entry.version.commit)).collect()
    }

    fn change_of(&self, entry: &Entry) -> Change {
        let slot = &self.commits[&entry.version.commit].slots[entry.version.op_index as usize];
        let OpSlot::Live(op) = slot else { panic!("an entry's operation is live") };
        Change::decode(op.value().expect("never deleted")).expect("admitted")
    }

    /// The commit that cut an author.
    fn cut_of(&self, author: &AuthorId) -> Option<Commit> {
        let is_cut = |change: &Change| matches!(change, Change::Revoke { author: cut, .. } if cut == author);
        let (_, id) = self.changes().into_iter().find(|(change, _)| is_cut(change))?;
        Some(self.commit(&id))
    }

    /// Removes what a new cut left behind, and tries again what waited.
    fn membership_changed(&mut self) {
        self.membership = Membership::of(&self.genesis, self.changes().into_iter().map(|(change, _)| change));
        let is_beyond =
            |entry: &Entry| self.membership.last_seq(&entry.version.author).is_none_or(|last| entry.version.seq > last);
        let gone: Vec<_> =
            self.entries.iter().filter(|(_, e)| is_beyond(e)).map(|(key, e)| (*key, e.version)).collect();
        for (key, version) in gone {
            self.kill(&version);
            self.entries.remove(&key);
            self.tree.remove(&key);
        }
        for commit in std::mem::take(&mut self.parked) {
            self.admit(commit, &mut Intake::default());
        }
    }

    fn commit(&self, id: &CommitId) -> Commit {
        let stored = &self.commits[id];
        Commit::from_parts(stored.signed.clone(), stored.slots.clone())
    }

    /// As the node's store loads: in key order, each commit once, until the bytes are used up.
    pub(crate) fn load(&self, keys: &[KeyHash], max_bytes: usize) -> (Vec<Commit>, usize) {
        let (mut ids, mut commits, mut bytes) = (BTreeSet::new(), Vec::new(), 0);
        for (at, key) in keys.iter().enumerate() {
            let Some(id) = self.entries.get(key).map(|entry| entry.version.commit) else {
                continue;
            };
            if !ids.insert(id) {
                continue;
            }
            let commit = self.commit(&id);
            bytes += commit_bytes_at_most(&commit);
            if !commits.is_empty() && (bytes > max_bytes || commits.len() == COMMITS_MAX) {
                return (commits, at);
            }
            commits.push(commit);
        }
        (commits, keys.len())
    }

    pub(crate) fn raise(&mut self, root: StateRoot, chains: Vec<(ChainId, Chain)>) {
        if self.root() != root {
            return;
        }
        for ((author, term), chain) in chains {
            if chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last)).all(SignedHeader::is_signed) {
                self.frontier.chain_mut(&author, term).raise_to(&chain);
            }
        }
    }

    /// Answers as a responder.
    pub(crate) fn answer(&mut self, request: Request) -> Response {
        match responder::answer(request, &self.view()) {
            Answer::Reply(response) => response,
            Answer::Load { keys, max_bytes } => {
                let (commits, served) = self.load(&keys, max_bytes);
                responder::loaded(commits, served)
            }
            Answer::Apply { commits } => responder::applied(self.apply(commits)),
            Answer::ReadFrontier { after } => {
                let chains = self.frontier.chains().filter(|(id, _)| after.is_none_or(|after| **id > after));
                responder::read(self.root(), chains.map(|(id, chain)| (*id, chain.clone())))
            }
        }
    }
}

fn refusal(commit: CommitId, why: RefusedFor, reason: String, evidence: Option<Commit>) -> Refusal {
    let evidence = evidence.filter(|_| why == RefusedFor::BeyondCut);
    Refusal { commit, why, reason, evidence }
}
