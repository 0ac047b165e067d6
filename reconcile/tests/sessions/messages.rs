//! One of each message, always the same bytes: for the vectors and for the tests of bounds.

use lattice::commit::{Commit, OpSlot};
use lattice::frontier::Chain;
use lattice::ids::{KeyHash, LeafHash, StateRoot};
use lattice::op::Op;
use lattice::tree::Leaf;
use lattice::tree::prefix::Prefix;
use reconcile::message::{Compared, Flight, Stretch};
use reconcile::view::{KeyLeaf, Scope};
use reconcile::{Index, Intake, Refusal, RefusedFor, Request, Response, Summary};

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

/// What a state of three entries sends along: two symbols and the estimator.
fn flight() -> Flight {
    let mut index = Index::default();
    for n in 1..=3 {
        index.insert(Leaf { key: leaf(n).key, leaf: leaf(n).leaf, tag: () });
    }
    let estimator = Some(Box::new(*index.sketch().estimator()));
    Flight { estimator, symbols: index.sketch().symbols(0, 2).collect() }
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let (all, deep) = (Prefix::ALL, Prefix::of(&KeyHash([0xab; 32]), 12));
    let stretch = |prefix, from, count| Stretch { prefix, from, count };
    let list = |scope, prefixes, after| Request::List { scope, prefixes, after };
    vec![
        ("open", Request::Open { summary: summary(), symbols: 22, estimate: true }),
        ("open, foretold", Request::Open { summary: summary(), symbols: 16_384, estimate: false }),
        ("symbols", Request::Symbols { parts: vec![stretch(all, 28, 100), stretch(deep, 0, 7)] }),
        ("fetch short", Request::FetchShort { keys: vec![[1; 8], [2; 8]] }),
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
    let estimator = flight().estimator.expect("given");
    let opened = |flight| Response::Opened { summary: summary(), flight: Some(flight) };
    vec![
        ("opened", Response::Opened { summary: summary(), flight: None }),
        ("opened, other root", opened(flight())),
        ("opened, symbols alone", opened(Flight { estimator: None, ..flight() })),
        ("opened, members differ", opened(Flight { symbols: vec![], ..flight() })),
        ("symbols", Response::Symbols { root, estimator, parts: vec![flight().symbols, vec![]] }),
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
