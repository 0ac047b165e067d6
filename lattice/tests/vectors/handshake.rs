//! What strangers send: frames, hellos, requests to join, tickets.

use lattice::commit::Commit;
use lattice::equivocation::Equivocation;
use lattice::frame::Frame;
use lattice::head::Head;
use lattice::hello::{Hello, JoinAnswer, JoinRequest};
use lattice::ids::{CommitId, StateRoot};
use lattice::ticket::Ticket;
use serde_json::{Value, json};

use crate::commits::{commit, delete, in_part, put, some_ops};
use crate::json;
use crate::world::{founded, keys, member};

pub(crate) fn frames_file() -> Value {
    let first = commit(1, CommitId::ZERO, 1_000, some_ops(2));
    let part = in_part(&commit(2, first.id(), 2_000, some_ops(3)), &[0]);
    let fork = commit(2, first.id(), 2_000, vec![delete("k"), put("l", b"")]);
    let pair = Equivocation::of(part.signed(), fork.signed()).expect("one place");
    let head = Head {
        lattice: founded().id(),
        author: keys(1).author.id(),
        time_ms: 9,
        root: StateRoot([2; 32]),
        entries: 0,
        frontier: [4; 32],
        checkpoint_size: 0,
        estimator: [6; lattice::head::ESTIMATOR_BYTES],
    };
    let head = head.sign(&keys(1).author);
    let case = |name: &str, kind: u64, items: &[Vec<u8>], frame: &Frame| {
        json!({
            "name": name,
            "kind": kind,
            "items": items.iter().map(json::hex).collect::<Vec<_>>(),
            "bytes": json::hex(frame.encode()),
        })
    };
    let commits = vec![first, part];
    let items: Vec<_> = commits.iter().map(Commit::encode).collect();
    json!({
        "cases": [
            case("commits", 0, &items, &Frame::Commits(commits)),
            case("a head", 1, &[head.encode()], &Frame::Head(Box::new(head))),
            case("evidence", 2, &[pair.encode()], &Frame::Equivocation(Box::new(pair))),
        ]
    })
}

pub(crate) fn hellos_file() -> Value {
    let (from, to) = (member(1, &[]).peer_id, member(2, &[]).peer_id);
    let hello = Hello::sign(&keys(1).author, founded().id(), &from, &to);
    assert!(hello.is_from(&from, &to));
    json!({
        "cases": [{
            "name": "from node 1 to node 2",
            "lattice": json::hex(hello.lattice.0),
            "author": json::hex(hello.author.0),
            "from": json::hex(from),
            "to": json::hex(to),
            "bytes": json::hex(hello.encode()),
        }]
    })
}

pub(crate) fn join_requests_file() -> Value {
    let (lattice, secret) = (founded().id(), [9; 16]);
    let request = JoinRequest::sign(&keys(5).author, lattice, secret, member(5, &[]));
    assert!(request.is_signed());
    json!({
        "cases": [{
            "name": "node 5 asks",
            "lattice": json::hex(lattice.0),
            "secret": json::hex(secret),
            "member": json::member(&request.member),
            "bytes": json::hex(request.encode()),
        }]
    })
}

pub(crate) fn join_answers_file() -> Value {
    let case = |name: &str, kind: u64, reason: &str, answer: JoinAnswer| json!({ "name": name, "kind": kind, "reason": reason, "bytes": json::hex(answer.encode()) });
    let (refused, not_now) = ("this invitation was used already", "the disk is full");
    json!({
        "cases": [
            case("welcome", 0, "", JoinAnswer::Welcome),
            case("refused", 1, refused, JoinAnswer::Refused(refused.into())),
            case("not now", 2, not_now, JoinAnswer::NotNow(not_now.into())),
        ]
    })
}

pub(crate) fn tickets_file() -> Value {
    let ticket = Ticket {
        genesis: founded(),
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".into(), "/dns4/example.org/udp/4001/quic-v1".into()],
        secret: [9; 16],
    };
    let text = ticket.to_string();
    assert_eq!(text.parse(), Ok(ticket.clone()));
    json!({
        "cases": [{
            "name": "a ticket",
            "genesis": json::hex(ticket.genesis.encode()),
            "addresses": ticket.addresses,
            "secret": json::hex(ticket.secret),
            "text": text,
        }]
    })
}
