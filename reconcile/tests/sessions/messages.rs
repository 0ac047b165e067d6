//! One of each message, always the same bytes: for the vectors and for the tests of bounds.

use lattice::commit::{Commit, OpSlot};
use lattice::frontier::Chain;
use lattice::ids::{KeyHash, LeafHash, StateRoot};
use lattice::op::Op;
use lattice::tree::prefix::Prefix;
use reconcile::message::Compared;
use reconcile::view::{KeyLeaf, Scope};
use reconcile::{Intake, Refusal, RefusedFor, Request, Response, Summary};

use crate::node::{Pen, author_id};

fn summary() -> Summary {
    Summary { root: StateRoot([0x11; 32]), entries: 70_000, members: StateRoot([0x22; 32]), frontier: [0x33; 32] }
}

pub(crate) fn leaf(n: u8) -> KeyLeaf {
    KeyLeaf { key: KeyHash([n; 32]), leaf: LeafHash([n ^ 0xff; 32]) }
}

/// A commit of two operations, the second by hash alone.
pub(crate) fn commit() -> Commit {
    let ops = vec![Op::put("colour", b"green").expect("small"), Op::delete("shape").expect("small")];
    let whole = Pen::new().write(2, ops);
    let mut slots = whole.slots().to_vec();
    slots[1] = OpSlot::Dead(slots[1].hash());
    Commit::from_parts(whole.signed().clone(), slots)
}

fn chain() -> Chain {
    let mut chain = Chain::default();
    chain.note(commit().signed());
    chain
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let (all, deep) = (Prefix::ALL, Prefix::of(&KeyHash([0xab; 32]), 12));
    let list = |scope, prefixes, after| Request::List { scope, prefixes, after };
    vec![
        ("open", Request::Open(summary())),
        ("compare", Request::Compare { nodes: vec![(all, [0x44; 32]), (deep, [0x55; 32])] }),
        ("list members", list(Scope::Members, vec![all], None)),
        ("list state, second page", list(Scope::State, vec![deep], Some(leaf(0xab).key))),
        ("fetch", Request::Fetch { keys: vec![leaf(1).key, leaf(2).key] }),
        ("push", Request::Push { commits: vec![commit()] }),
        ("frontier", Request::Frontier { after: None }),
        ("frontier, second page", Request::Frontier { after: Some((author_id(2), 0)) }),
    ]
}

pub(crate) fn responses() -> Vec<(&'static str, Response)> {
    let answers = vec![
        Compared::Same,
        Compared::Children(Box::new(std::array::from_fn(|i| [i as u8; 32]))),
        Compared::Leaves(vec![leaf(1), leaf(2)]),
    ];
    let refusal = Refusal {
        commit: commit().id(),
        why: RefusedFor::BeyondCut,
        reason: "author was cut after its commit 7".to_owned(),
        evidence: Some(commit()),
    };
    let root = StateRoot([0x11; 32]);
    vec![
        ("opened", Response::Opened(summary())),
        ("compared", Response::Compared { answers }),
        ("listed", Response::Listed { leaves: vec![leaf(1), leaf(2)], more: true }),
        ("listed, nothing", Response::Listed { leaves: vec![], more: false }),
        ("commits", Response::Commits { commits: vec![commit()], served: 3 }),
        ("pushed", Response::Pushed(Intake { applied: 2, waiting: 1, refused: vec![refusal] })),
        ("frontier", Response::Frontier { root, chains: vec![((author_id(2), 0), chain())], more: false }),
        ("busy", Response::Busy),
        ("refused", Response::Refused { reason: "not a member of this lattice".to_owned() }),
    ]
}
