//! Terms of a seat: bodies, votes, operators' approvals, certificates that hold and such that don't, and which terms count.

use std::collections::BTreeMap;

use lattice::ids::{AuthorId, LatticeId};
use lattice::membership::{Change, Membership};
use lattice::seat::{Approvals, Body, Certificate, Warrant, approval_text};
use serde_json::{Value, json};

use crate::json;
use crate::world::{keys, written};

fn author(n: u8) -> AuthorId {
    keys(n).author.id()
}

fn authors(of: &[u8]) -> Vec<AuthorId> {
    let mut authors: Vec<_> = of.iter().copied().map(author).collect();
    authors.sort_unstable();
    authors
}

/// Term 1: node 1 holds, 2 is its shadow, 3 a spare; 1, 2 and 3 vote.
fn first() -> Body {
    let genesis = written();
    Body {
        lattice: genesis.id(),
        seat: genesis.seat().expect("a seat").to_owned(),
        term: 1,
        holder: author(1),
        shadow: Some(author(2)),
        spares: vec![author(3)],
        voters: authors(&[1, 2, 3]),
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 1_700_000_000_000,
        reason: "created".to_owned(),
    }
}

/// The term after `before`, which its shadow takes over.
fn takeover(before: &Body, cut: u64) -> Body {
    Body {
        term: before.term + 1,
        holder: before.shadow.expect("a shadow"),
        shadow: before.spares.first().copied().or(Some(before.holder)),
        spares: Vec::new(),
        electors: before.voters.clone(),
        follows: Some(before.hash()),
        cut,
        log_size: 40 * before.term,
        log_root: [before.term as u8; 32],
        time_ms: before.time_ms + 90_000,
        reason: "Übernahme: the holder is silent".to_owned(),
        ..before.clone()
    }
}

fn voted(body: &Body, by: &[u8]) -> Certificate {
    let votes = by.iter().map(|n| (author(*n), body.vote(&keys(*n).author))).collect();
    Certificate { body: body.clone(), warrant: Warrant::Votes(votes) }
}

fn approved(body: &Body, by: &[u8]) -> Certificate {
    let line = |n: &u8| Approvals::by(body, &keys(*n), 1_700_000_000 + u64::from(*n));
    let approvals = by.iter().map(line).reduce(|a, b| a.joined(&b)).expect("one");
    Certificate { body: body.clone(), warrant: Warrant::Operators(approvals) }
}

fn body_of(body: &Body) -> Value {
    let hexes = |authors: &[AuthorId]| authors.iter().map(|author| json::hex(author.0)).collect::<Vec<_>>();
    json!({
        "lattice": json::hex(body.lattice.0),
        "seat": body.seat,
        "term": body.term,
        "holder": json::hex(body.holder.0),
        "shadow": body.shadow.map(|shadow| json::hex(shadow.0)),
        "spares": hexes(&body.spares),
        "voters": hexes(&body.voters),
        "electors": hexes(&body.electors),
        "follows": body.follows.map(|follows| json::hex(follows.as_bytes())),
        "cut": body.cut,
        "log_size": body.log_size,
        "log_root": json::hex(body.log_root),
        "time_ms": body.time_ms,
        "reason": body.reason,
    })
}

fn case((name, certificate): (&str, Certificate)) -> Value {
    let genesis = written();
    let Certificate { body, warrant } = &certificate;
    let warrant = match warrant {
        Warrant::Votes(votes) => {
            let votes: Vec<_> = votes.iter().map(|(by, signature)| [json::hex(by.0), json::hex(signature)]).collect();
            json!({ "votes": votes })
        }
        Warrant::Operators(approvals) => {
            json!({ "note": approvals.to_note(body).expect("a line at least").to_string() })
        }
    };
    json!({
        "name": name,
        "body": body_of(body),
        "body_bytes": json::hex(body.encode()),
        "body_hash": body.hash().to_string(),
        "approval_text": approval_text(body),
        "warrant": warrant,
        "bytes": json::hex(certificate.encode()),
        "key": certificate.to_op().expect("within its bound").key().as_str(),
        "refused": certificate.verify(&genesis, genesis.id()).err().map(|error| error.to_string()),
    })
}

/// A signature that does not hold, in place of one that does.
fn forged(body: &Body) -> Certificate {
    let mut votes: BTreeMap<_, _> = [1, 2, 3].into_iter().map(|n| (author(n), body.vote(&keys(n).author))).collect();
    votes.insert(author(1), body.vote(&keys(4).author));
    Certificate { body: body.clone(), warrant: Warrant::Votes(votes) }
}

fn certificates() -> Vec<(&'static str, Certificate)> {
    let first = first();
    let second = takeover(&first, 3);
    let third = takeover(&second, 5);
    let alone = Body { shadow: None, spares: Vec::new(), ..first.clone() };
    let moved = Body { voters: authors(&[2, 3, 4]), ..second.clone() };
    let by_hand = Body { holder: author(3), shadow: None, reason: "by hand".to_owned(), ..takeover(&first, 1) };
    // Stood for after term 1, settled by a vote that came late.
    let late = Body { holder: author(1), shadow: None, reason: "late".to_owned(), ..takeover(&first, 4) };
    let skipped = Body { term: 3, ..takeover(&first, 7) };
    let strangers = Body { electors: authors(&[2, 3, 4]), ..second.clone() };
    let with_lines = |certificate: Certificate, of: &Body| {
        let Warrant::Operators(approvals) = certificate.warrant else { unreachable!("made by operators") };
        Certificate { body: of.clone(), warrant: Warrant::Operators(approvals) }
    };
    vec![
        ("the first term, by operators", approved(&first, &[1, 2])),
        ("the first term without a shadow, by all", approved(&alone, &[1, 2, 3])),
        ("a takeover, by two of three votes", voted(&second, &[2, 3])),
        ("the term after it, by all votes", voted(&third, &[1, 2, 3])),
        ("voters change: both sides have a majority", voted(&moved, &[1, 2, 3])),
        ("a term settled over the voters' heads", approved(&by_hand, &[1, 3])),
        ("a term beside the line", voted(&late, &[1, 2])),
        ("a term that skips a number", voted(&skipped, &[2, 3])),
        ("electors that were not the voters before: no line has it", voted(&strangers, &[2, 3, 4])),
        ("one vote of three", voted(&second, &[2])),
        (
            "voters change: one vote of the new ones",
            voted(&Body { voters: authors(&[1, 4, 5]), ..second.clone() }, &[1, 2]),
        ),
        ("a vote of somebody who has none", voted(&second, &[1, 2, 4])),
        ("a vote that does not hold", forged(&second)),
        ("the first term by votes", voted(&first, &[1, 2, 3])),
        ("one operator of three", approved(&first, &[1])),
        ("a member that is no operator", approved(&first, &[1, 4])),
        ("approvals of another body", with_lines(approved(&first, &[1, 2]), &alone)),
        ("another seat of the genesis", approved(&Body { seat: "green".to_owned(), ..first.clone() }, &[1, 2])),
        ("another lattice", approved(&Body { lattice: LatticeId([9; 32]), ..first }, &[1, 2])),
    ]
}

/// What a set of certificates, by their numbers above, amounts to.
fn line((name, members): (&str, &[usize])) -> Value {
    let all = certificates();
    let changes = members.iter().map(|at| Change::Certify(Box::new(all[*at].1.clone())));
    let membership = Membership::of(&written(), changes);
    let terms = membership.seats().terms().map(|term| json!([term.certificate.body.term, term.hash.to_string()]));
    let chains = (1..=3).flat_map(|n| (1..=4).map(move |term| (author(n), term)));
    let last = chains.map(|(author, term)| {
        let last =
            membership.last_seq_in(&author, term).map(|last| if last == u64::MAX { json!("all") } else { json!(last) });
        json!([json::hex(author.0), term, last])
    });
    json!({ "name": name, "certificates": members, "line": terms.collect::<Vec<_>>(), "last": last.collect::<Vec<_>>() })
}

pub(crate) fn file() -> Value {
    let genesis = written();
    let lines: [(&str, &[usize]); 8] = [
        ("nothing", &[]),
        ("one term", &[0]),
        ("three terms", &[0, 2, 3]),
        ("a term without the one before", &[3]),
        ("operators before voters", &[0, 2, 5]),
        ("whoever went on from the voters' term decides", &[0, 2, 3, 5]),
        ("a certificate that comes to light late cuts nothing", &[0, 6, 7]),
        ("electors that were not the voters before", &[0, 8]),
    ];
    let cases: Vec<_> = certificates().into_iter().map(case).chain(lines.map(line)).collect();
    json!({
        "genesis": json::hex(genesis.encode()),
        "lattice": json::hex(genesis.id().0),
        "log_origin": lattice::log::checkpoint::seat_origin(&genesis.id(), genesis.seat().expect("a seat")).as_str(),
        "cases": cases,
    })
}

/// Bytes that no decoder may accept.
pub(crate) fn refused() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let body = |alter: fn(&mut Body)| {
        let mut body = takeover(&first(), 3);
        alter(&mut body);
        body.encode()
    };
    let certificate = voted(&takeover(&first(), 3), &[2, 3]).encode();
    let operators = approved(&first(), &[1, 2]).encode();
    let reversed = |bytes: &[u8], length: usize| {
        // Both items of the last list, which are as long.
        let (before, list) = bytes.split_at(bytes.len() - 2 * length);
        [before, &list[length..], &list[..length]].concat()
    };
    let line = Approvals::by(&first(), &keys(1), 1_700_000_001);
    let line = line.to_note(&first()).expect("a line").signatures()[0].to_string().len();
    vec![
        ("body", "term 0", body(|b| b.term = 0)),
        ("body", "a holder that is its own shadow", body(|b| b.shadow = Some(b.holder))),
        ("body", "spares without a shadow", body(|b| (b.spares, b.shadow) = (vec![author(4)], None))),
        ("body", "two voters", body(|b| b.voters.truncate(2))),
        ("body", "voters out of order", body(|b| b.voters.reverse())),
        ("body", "electors of a first term", body(|b| (b.follows, b.cut) = (None, 0))),
        ("body", "a first term that cuts", body(|b| (b.follows, b.electors) = (None, Vec::new()))),
        ("body", "a cut of 2^63", body(|b| b.cut = 1 << 63)),
        ("body", "a reason of two lines", body(|b| b.reason = "a\nb".to_owned())),
        ("body", "a reason of 257 bytes", body(|b| b.reason = "a".repeat(257))),
        ("certificate", "votes out of order", reversed(&certificate, 1 + 34 + 66)),
        ("certificate", "lines of operators out of order", reversed(&operators, 2 + line)),
        ("certificate", "an unknown warrant", {
            let mut unknown = certificate.clone();
            let body = takeover(&first(), 3).encode();
            let at = unknown.windows(body.len()).position(|window| window == body).expect("it is there") + body.len();
            unknown[at] = 2;
            unknown
        }),
    ]
}
