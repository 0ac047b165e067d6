//! What a pass still has to look at and to move: subtrees to compare, subtrees to list, keys to fetch and to push.
//!
//! Commits hold several operations, so moving one key often moves others. Nothing is queued by more than its key:
//! what has become equal meanwhile is dropped when its turn comes.

mod asked;
mod found;
mod listing;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use lattice::commit::{Commit, OpSlot};
use lattice::entry::{Entry, Version};
use lattice::ids::{KeyHash, LeafHash, StateRoot};
use lattice::merkle::Digest;
use lattice::tree::StateTree;
use lattice::tree::prefix::Prefix;

use crate::limits::{
    CHILDREN, COMPARE_LEAVES_MAX, COMPARE_NODES_MAX, DESCENT_BITS, FETCH_KEYS_MAX, FETCH_KEYS_MIN, LIST_LEAVES_MAX,
    LIST_PREFIXES_MAX,
};
use crate::message::Compared;
use crate::outcome::PeerFault;
use crate::sketch::{Item, SHORT_KEY_BYTES};
use crate::view::{KeyLeaf, Scope, View};
pub(super) use asked::Asked;
pub(super) use found::ours_of;
use listing::Listing;

/// An entry of ours that the peer lacks, or has otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) key: KeyHash,
    /// What we had there when the two were compared.
    ours: LeafHash,
    /// Whether the peer has another entry there.
    is_contested: bool,
}

/// The queues of one walk through the members or the state.
#[derive(Debug)]
pub(super) struct Work {
    scope: Scope,
    /// Subtrees that differ, with the peer's hash. The last is next, so the walk goes down before it goes on and
    /// the stack stays small: 16 children for each of 256 nodes, for each step down.
    stack: Vec<(Prefix, Digest)>,
    /// Subtrees of which one side has nothing, or far more than the other: listed, not descended.
    spans: BTreeSet<Prefix>,
    listing: Option<Listing>,
    wishes: VecDeque<KeyLeaf>,
    /// Keys to name in the next fetch: hardly more than an answer serves, since both ends look each of them up.
    fetch_keys: usize,
    /// Wishes that a sketch named, by as much of their hashes as an item holds.
    finds: VecDeque<Item>,
    /// Our root when the last of these were read out.
    found_at: Option<StateRoot>,
    pushes: VecDeque<Missing>,
    first_difference: Option<KeyHash>,
}

/// The peer's hash of the whole tree is not told; no hash is all zeros, so this differs from ours.
const UNKNOWN: Digest = [0; 32];

/// Spans to gather before they are listed, so that one request lists many.
const SPANS_READY: usize = LIST_PREFIXES_MAX;

impl Default for Work {
    fn default() -> Self {
        Self::new(Scope::State)
    }
}

impl Work {
    fn new(scope: Scope) -> Self {
        Self {
            scope,
            stack: Vec::new(),
            spans: BTreeSet::new(),
            listing: None,
            wishes: VecDeque::new(),
            fetch_keys: FETCH_KEYS_MAX,
            finds: VecDeque::new(),
            found_at: None,
            pushes: VecDeque::new(),
            first_difference: None,
        }
    }

    /// A walk through the entries under `@member/`: few, so they are listed at once.
    pub(super) fn on_members() -> Self {
        Self { spans: [Prefix::ALL].into(), ..Self::new(Scope::Members) }
    }

    /// A walk through the whole state, from the top.
    pub(super) fn on_state() -> Self {
        Self { stack: vec![(Prefix::ALL, UNKNOWN)], ..Self::new(Scope::State) }
    }

    /// What sketches find in the whole state, and the subtrees that they leave to the descent.
    pub(super) fn on_findings() -> Self {
        Self::new(Scope::State)
    }

    /// Leaves a subtree to the descent.
    pub(super) fn descend(&mut self, prefix: Prefix) {
        self.stack.push((prefix, UNKNOWN));
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn is_done(&self) -> bool {
        !self.has_questions() && self.wishes.is_empty() && self.finds.is_empty() && self.pushes.is_empty()
    }

    fn has_questions(&self) -> bool {
        !self.stack.is_empty() || !self.spans.is_empty() || self.listing.is_some()
    }

    /// The page of our tree where the first difference was seen.
    pub(super) fn first_difference<T: Copy>(&self, view: &View<T>) -> Prefix {
        self.first_difference.map_or(Prefix::ALL, |key| Prefix::of(&key, view.tree.page_of(&key).1.len()))
    }

    /// Whether a request's worth of keys is queued, or nothing is left to ask that could add to them.
    fn is_due(&self, is_searching: bool) -> bool {
        let most = self.wishes.len().max(self.finds.len()).max(self.pushes.len());
        most >= FETCH_KEYS_MAX || !(is_searching || self.has_questions())
    }

    /// Keys to fetch, at most a request's worth; `None` if there are none or too few yet.
    pub(super) fn next_fetch<T: Copy>(&mut self, view: &View<T>, is_searching: bool) -> Option<Asked> {
        if !self.is_due(is_searching) {
            return None;
        }
        let is_open = |wish: &KeyLeaf| view.leaf(&wish.key) != Some(wish.leaf);
        if let Some(exact) = take_open(&mut self.wishes, self.fetch_keys, is_open) {
            return Some(Asked::Exact(exact));
        }
        // What was read out of our own state is missing there; only another state is worth looking at.
        let is_as_found = self.found_at == Some(view.tree.root());
        take_open(&mut self.finds, self.fetch_keys, |item| is_as_found || found::is_missing(&view.tree, item))
            .map(Asked::Short)
    }

    /// Whether the next thing to do is to push.
    pub(super) fn pushes_are_due(&self, is_searching: bool) -> bool {
        !self.pushes.is_empty() && self.is_due(is_searching)
    }

    /// Keys to push, likewise. Fetches go first: where the peer's entry has won, ours need not move.
    pub(super) fn next_push<T: Copy>(&mut self, view: &View<T>, is_searching: bool) -> Option<Vec<Missing>> {
        if !self.is_due(is_searching) {
            return None;
        }
        // What stands at a contested key now, if not ours of then, is what the peer sent.
        let is_open = |missing: &Missing| !missing.is_contested || view.leaf(&missing.key) == Some(missing.ours);
        take_open(&mut self.pushes, FETCH_KEYS_MAX, is_open)
    }

    /// Puts back what was asked for and not served.
    pub(super) fn wish_again(&mut self, asked: Asked, served: usize) {
        self.fetch_keys = (2 * served).clamp(FETCH_KEYS_MIN, FETCH_KEYS_MAX);
        match asked {
            Asked::Exact(mut wishes) => put_back(&mut self.wishes, wishes.split_off(served)),
            Asked::Short(mut finds) => put_back(&mut self.finds, finds.split_off(served)),
        }
    }

    /// Drops the keys that commits hold which are about to be applied: what of theirs does not win is not worth
    /// asking for again.
    pub(super) fn forget_coming(&mut self, keys: &HashSet<KeyHash>) {
        self.wishes.retain(|wish| !keys.contains(&wish.key));
        if !self.finds.is_empty() {
            let short: HashSet<&[u8]> = keys.iter().map(|key| &key.0[..SHORT_KEY_BYTES]).collect();
            self.finds.retain(|item| !short.contains(&item.short_key()[..]));
        }
    }

    pub(super) fn push_again(&mut self, unserved: Vec<Missing>) {
        put_back(&mut self.pushes, unserved);
    }

    /// Drops the keys whose entries went along in commits that are pushed for other keys.
    pub(super) fn forget_sent<T: Copy>(&mut self, view: &View<T>, commits: &[Commit]) {
        if self.pushes.is_empty() {
            return;
        }
        let sent: BTreeMap<KeyHash, LeafHash> = commits.iter().flat_map(entries).collect();
        let went_along = |key: &KeyHash| sent.get(key).is_some_and(|leaf| view.leaf(key) == Some(*leaf));
        self.pushes.retain(|missing| !went_along(&missing.key));
    }

    /// Subtrees to compare; `None` if other work comes first.
    pub(super) fn next_compare<T: Copy>(&mut self, view: &View<T>) -> Option<Vec<(Prefix, Digest)>> {
        if self.listing.is_some() || self.spans.len() >= SPANS_READY {
            return None;
        }
        let mut nodes = Vec::new();
        while nodes.len() < COMPARE_NODES_MAX
            && let Some((prefix, theirs)) = self.stack.pop()
        {
            let ours = view.tree.subtree_hash(&prefix);
            if ours != theirs {
                nodes.push((prefix, ours));
            }
        }
        (!nodes.is_empty()).then_some(nodes)
    }

    pub(super) fn take_compared<T: Copy>(
        &mut self,
        view: &View<T>,
        nodes: &[Prefix],
        answers: Vec<Compared>,
    ) -> Result<(), PeerFault> {
        if answers.len() != nodes.len() {
            return Err(PeerFault::AnswerCount);
        }
        // Backwards, so that the stack gives the subtrees in order.
        for (prefix, answer) in nodes.iter().zip(answers).rev() {
            match answer {
                Compared::Same => {}
                Compared::Leaves(leaves) => self.take_leaves(view, prefix, &leaves)?,
                Compared::Children(hashes) => self.take_children(view, prefix, &hashes)?,
            }
        }
        Ok(())
    }

    fn take_leaves<T: Copy>(&mut self, view: &View<T>, prefix: &Prefix, theirs: &[KeyLeaf]) -> Result<(), PeerFault> {
        let are_under = theirs.iter().all(|leaf| prefix.covers(&leaf.key));
        if !are_under || !is_sorted(theirs) || theirs.len() > COMPARE_LEAVES_MAX {
            return Err(PeerFault::BadLeaves);
        }
        self.take_small(view, prefix, theirs, LIST_LEAVES_MAX as u64);
        Ok(())
    }

    /// Compares a subtree with what the peer has there, if we have at most `most` entries there and the queue has
    /// room for them; else it is listed later.
    fn take_small<T: Copy>(&mut self, view: &View<T>, prefix: &Prefix, theirs: &[KeyLeaf], most: u64) {
        if view.tree.subtree_len(prefix) > most || self.pushes.len() > LIST_LEAVES_MAX {
            self.spans.insert(*prefix);
        } else {
            let ours: Vec<_> = view.tree.leaves_under(prefix).map(KeyLeaf::from).collect();
            self.take_difference(&ours, theirs);
        }
    }

    fn take_children<T: Copy>(
        &mut self,
        view: &View<T>,
        prefix: &Prefix,
        hashes: &[Digest; CHILDREN],
    ) -> Result<(), PeerFault> {
        let children: Vec<_> = prefix.children(DESCENT_BITS).ok_or(PeerFault::TooDeep)?.collect();
        if view.tree.subtree_len(prefix) == 0 {
            self.spans.insert(*prefix);
            return Ok(());
        }
        let nothing = StateTree::<()>::default().subtree_hash(&Prefix::ALL);
        for (child, theirs) in children.into_iter().zip(hashes).rev() {
            if view.tree.subtree_hash(&child) == *theirs {
                continue;
            }
            if *theirs == nothing {
                self.take_small(view, &child, &[], COMPARE_LEAVES_MAX as u64);
            } else {
                self.stack.push((child, *theirs));
            }
        }
        Ok(())
    }

    /// Queues what differs between two sorted lists of the same stretch: both ways where both have something.
    fn take_difference(&mut self, ours: &[KeyLeaf], theirs: &[KeyLeaf]) {
        let ours_at = |key: &KeyHash| at(ours, key);
        let theirs_at = |key: &KeyHash| at(theirs, key);
        let wishes: Vec<_> = theirs.iter().filter(|leaf| ours_at(&leaf.key) != Some(leaf.leaf)).collect();
        let pushes: Vec<_> = ours.iter().filter(|leaf| theirs_at(&leaf.key) != Some(leaf.leaf)).collect();
        let first = wishes.first().into_iter().chain(pushes.first()).map(|leaf| leaf.key).min();
        self.first_difference = self.first_difference.into_iter().chain(first).min();
        self.wishes.extend(wishes.into_iter().copied());
        self.pushes.extend(pushes.iter().map(|leaf| Missing {
            key: leaf.key,
            ours: leaf.leaf,
            is_contested: theirs_at(&leaf.key).is_some(),
        }));
    }
}

fn put_back<I>(queue: &mut VecDeque<I>, items: Vec<I>) {
    items.into_iter().rev().for_each(|item| queue.push_front(item));
}

/// Takes at most `most` items that are still open; `None` if there are none.
fn take_open<I>(queue: &mut VecDeque<I>, most: usize, is_open: impl Fn(&I) -> bool) -> Option<Vec<I>> {
    let mut taken = Vec::new();
    while taken.len() < most
        && let Some(item) = queue.pop_front()
    {
        if is_open(&item) {
            taken.push(item);
        }
    }
    (!taken.is_empty()).then_some(taken)
}

/// The entries that a commit's live operations make if they win.
fn entries(commit: &Commit) -> impl Iterator<Item = (KeyHash, LeafHash)> {
    let header = *commit.signed().header();
    let id = commit.id();
    (0..).zip(commit.slots()).filter_map(move |(index, slot)| match slot {
        OpSlot::Live(op) => {
            let entry = Entry::of(op, Version::of(&header, id, index));
            Some((entry.key_hash(), entry.leaf()))
        }
        OpSlot::Dead(_) => None,
    })
}

fn at(leaves: &[KeyLeaf], key: &KeyHash) -> Option<LeafHash> {
    leaves.binary_search_by_key(key, |leaf| leaf.key).ok().map(|at| leaves[at].leaf)
}

fn is_sorted(leaves: &[KeyLeaf]) -> bool {
    leaves.is_sorted_by(|a, b| a.key < b.key)
}
