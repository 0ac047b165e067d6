//! What a node says of itself: chains and their digest, evidence, heads, records.

use lattice::commit::{Commit, SignedHeader};
use lattice::equivocation::Equivocation;
use lattice::frontier::{Chain, Frontier};
use lattice::head::Head;
use lattice::ids::{CommitId, StateRoot, ValueHash};
use lattice::record::{Event, Record};
use serde_json::{Value, json};

use crate::commits::{commit, delete, put};
use crate::json;
use crate::world::{founded, keys};

/// Nine commits that follow each other.
fn followed() -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    for seq in 1..=9 {
        let prev = commits.last().map_or(CommitId::ZERO, Commit::id);
        commits.push(commit(seq, prev, seq * 10, vec![put("k", &[seq as u8])]));
    }
    commits
}

fn header(signed: &SignedHeader) -> Value {
    json!([json::hex(signed.header_bytes()), json::hex(signed.signature())])
}

fn chain(chain: &Chain) -> Value {
    let run = |run: &lattice::frontier::Run| json!({ "first": run.first, "prev": json::hex(run.prev.0), "last": header(&run.last) });
    json!({
        "tip": chain.tip.as_ref().map(header),
        "beyond": chain.beyond.iter().map(run).collect::<Vec<_>>(),
    })
}

pub(crate) fn chains_file() -> Value {
    let commits = followed();
    let case = |(name, noted): (&str, &[usize])| {
        let mut frontier = Frontier::default();
        let author = keys(1).author.id();
        for seq in noted {
            frontier.chain_mut(&author, 0).note(commits[seq - 1].signed());
        }
        let found = frontier.chain(&author, 0);
        json!({
            "name": name,
            "author": json::hex(author.0),
            "term": 0,
            "noted": noted,
            "chain": chain(&found),
            "bytes": json::hex(found.encode()),
            "frontier_digest": json::hex(frontier.digest()),
        })
    };
    let cases: [(&str, &[usize]); 5] = [
        ("nothing", &[]),
        ("one after the other", &[1, 2, 3]),
        ("two gaps", &[1, 2, 5, 6, 9]),
        ("the first is missing", &[3, 2]),
        ("a gap closed", &[1, 4, 3, 2]),
    ];
    let cases = cases.map(case);
    json!({ "cases": cases })
}

pub(crate) fn equivocations_file() -> Value {
    let (a, b) =
        (commit(4, CommitId([4; 32]), 10, vec![put("k", b"one")]), commit(4, CommitId([4; 32]), 10, vec![delete("k")]));
    let pair = Equivocation::of(a.signed(), b.signed()).expect("one place, two headers");
    assert!(pair.is_proven());
    json!({
        "cases": [{
            "name": "two headers for one place",
            "first": header(&pair.first),
            "second": header(&pair.second),
            "bytes": json::hex(pair.encode()),
        }]
    })
}

pub(crate) fn heads_file() -> Value {
    let head = Head {
        lattice: founded().id(),
        author: keys(1).author.id(),
        time_ms: 1_700_000_000_123,
        root: StateRoot([2; 32]),
        entries: 3,
        frontier: [4; 32],
        checkpoint_size: 5,
        estimator: std::array::from_fn(|i| i as u8),
    };
    let signed = head.sign(&keys(1).author);
    assert_eq!(signed.verified(), Some(head));
    json!({
        "cases": [{
            "name": "a head",
            "head": {
                "lattice": json::hex(head.lattice.0),
                "author": json::hex(head.author.0),
                "time_ms": head.time_ms,
                "root": json::hex(head.root.0),
                "entries": head.entries,
                "frontier": json::hex(head.frontier),
                "checkpoint_size": head.checkpoint_size,
                "estimator": json::hex(head.estimator),
            },
            "bytes": json::hex(signed.encode()),
        }]
    })
}

pub(crate) fn records_file() -> Value {
    let author = keys(2).author.id();
    let events = [
        (
            "a log is opened",
            Event::Opened { lattice: founded().id(), author },
            json!({ "opened": [json::hex(founded().id().0), json::hex(author.0)] }),
        ),
        (
            "commits are applied",
            Event::Applied { commits: vec![CommitId([3; 32]), CommitId([1; 32])] },
            json!({ "applied": [json::hex([3; 32]), json::hex([1; 32])] }),
        ),
        (
            "a reconcile ended",
            Event::Reconciled { peer: author, outcome: "equal".into(), received: 12, sent: 300 },
            json!({ "reconciled": [json::hex(author.0), "equal", 12, 300] }),
        ),
        (
            "the road changed",
            Event::Mode { mode: "http".into(), reason: "no peer for 60 s".into() },
            json!({ "mode": ["http", "no peer for 60 s"] }),
        ),
        (
            "members changed",
            Event::Membership { changes: vec![ValueHash([5; 32])], removed: 7 },
            json!({ "membership": [[json::hex([5; 32])], 7] }),
        ),
        ("the state as it stands", Event::Stated, json!({ "stated": [] })),
        (
            "the log goes on under a new origin",
            Event::Renamed { origin: "old/origin".into(), size: 300, root: [4; 32] },
            json!({ "renamed": ["old/origin", 300, json::hex([4; 32])] }),
        ),
        (
            "the seat moved",
            Event::Seat {
                old_term: 3,
                new_term: 4,
                step: "won".into(),
                reason: "the holder is silent".into(),
                votes: 2,
                lag: Some(1),
            },
            json!({ "seat": [3, 4, "won", "the holder is silent", 2, 1] }),
        ),
        (
            "a term came that another node stood for",
            Event::Seat { old_term: 3, new_term: 4, step: "learnt".into(), reason: "".into(), votes: 0, lag: None },
            json!({ "seat": [3, 4, "learnt", "", 0, null] }),
        ),
        ("entries were damaged", Event::Damaged { dropped: 2 }, json!({ "damaged": [2] })),
    ];
    let case = |(name, event, told): (&str, Event, Value)| {
        let (before, after) = (StateRoot([6; 32]), StateRoot([7; 32]));
        let record = Record { time_ms: 1_700_000_000_456, before, after, entries: 8, event };
        json!({
            "name": name,
            "time_ms": record.time_ms,
            "before": json::hex(before.0),
            "after": json::hex(after.0),
            "entries": record.entries,
            "event": told,
            "bytes": json::hex(record.encode()),
        })
    };
    let cases = events.map(case);
    json!({ "cases": cases })
}
