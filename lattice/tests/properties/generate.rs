//! Random lattices: a few authors, few keys and few moments, so that ties, overwrites and deletes are common.

use std::sync::OnceLock;

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, OpSlot, VerifiedCommit};
use lattice::genesis::{Genesis, Member};
use lattice::ids::CommitId;
use lattice::keys::NodeKeys;
use lattice::op::Op;
use proptest::prelude::*;

/// Authors of every random history.
pub(crate) const AUTHORS: usize = 3;

/// Keys that a history writes: ordinary ones and one under the seat prefix.
const KEYS: [&str; 6] = ["a", "b", "c/d", "green/seat", "ключ", "z"];

pub(crate) struct World {
    pub(crate) keys: Vec<NodeKeys>,
    pub(crate) genesis: Genesis,
}

/// One lattice for all tests: deriving keys costs more than most cases.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let keys: Vec<_> = (1..=AUTHORS as u8).map(|seed| NodeKeys::from_seed([seed; 32])).collect();
        let mut genesis = Genesis::founded_by("random", "first", &keys[0], vec![1; 38]);
        genesis.members = keys.iter().map(member).collect();
        genesis.members.sort_by_key(|member| member.author);
        World { keys, genesis }
    })
}

pub(crate) fn member(keys: &NodeKeys) -> Member {
    Member {
        name: "node".into(),
        author: keys.author.id(),
        log_key: keys.log_key(),
        peer_id: vec![1; 38],
        roles: [].into(),
    }
}

/// What one commit of a history does.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) author: usize,
    pub(crate) seq: u64,
    pub(crate) millis: u64,
    pub(crate) ops: Vec<Op>,
}

impl Step {
    /// Signs the step. `prev` is made up: the join does not look at it, and forks must merge as well.
    pub(crate) fn sign(&self) -> Commit {
        let world = world();
        let draft = Draft {
            lattice: world.genesis.id(),
            term: 0,
            seq: self.seq,
            prev: CommitId([u8::from(self.seq > 1); 32]),
            time: Timestamp::from_millis(self.millis),
        };
        draft.sign(&world.keys[self.author].author, self.ops.clone())
    }
}

/// A put or a delete of one of the few keys.
pub(crate) fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![1 => Just(None), 2 => (0u8..3).prop_map(Some)];
    (0..KEYS.len(), value).prop_map(|(key, value)| match value {
        Some(byte) => Op::put(KEYS[key], &[byte; 3]).expect("small"),
        None => Op::delete(KEYS[key]).expect("small"),
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    (0..AUTHORS, 1u64..4, 1u64..4, prop::collection::vec(op(), 1..5)).prop_map(|(author, seq, millis, ops)| {
        let mut ops = ops;
        ops.sort_by(|a, b| a.key().cmp(b.key()));
        ops.dedup_by(|a, b| a.key() == b.key());
        Step { author, seq, millis, ops }
    })
}

/// Verified commits, forks and ties among them.
pub(crate) fn history() -> impl Strategy<Value = Vec<VerifiedCommit>> {
    prop::collection::vec(step(), 1..10).prop_map(|steps| steps.iter().map(|step| verified(step.sign())).collect())
}

pub(crate) fn verified(commit: Commit) -> VerifiedCommit {
    commit.verify(&world().genesis).expect("made to be valid")
}

/// The same commit with every operation dead whose bit in `mask` is not set.
pub(crate) fn in_part(commit: &VerifiedCommit, mask: u8) -> VerifiedCommit {
    let commit = commit.commit();
    let slots = commit
        .slots()
        .iter()
        .enumerate()
        .map(|(at, slot)| match mask >> (at % 8) & 1 {
            1 => slot.clone(),
            _ => OpSlot::Dead(slot.hash()),
        })
        .collect();
    verified(Commit::from_parts(commit.signed().clone(), slots))
}
