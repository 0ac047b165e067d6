//! What goes over plain HTTP: published URLs, credentials of requests, the parts of a whole state.

use lattice::address::{is_url, url_key};
use lattice::authorization::{Asked, Authorization};
use lattice::ids::{CommitId, StateRoot};
use lattice::transfer::{Cursor, Part};
use serde_json::{Value, json};

use crate::commits::{commit, in_part, some_ops};
use crate::json;
use crate::world::{founded, keys};

pub(crate) fn urls_file() -> Value {
    let texts = [
        "http://192.0.2.7:4800",
        "https://node.example",
        "http://[2001:db8::1]:4800/lattice",
        "http://a_b.example:1/x/%20y",
        "http://a:65535/x:y",
        "http://",
        "http:///x",
        "HTTP://a",
        "ftp://a",
        "http://user@a",
        "http://a?x",
        "http://a/#x",
        "http://a b",
        "http://ä",
        "http://:80",
        "http://a:",
        "http://a:0",
        "http://a:080",
        "http://a:65536",
        "http://a:1:2",
        "http://2001:db8::1",
        "http://[2001:db8::1",
        "http://[2001:db8::1]80",
        "http://[2001:db8::1]:0",
        "http://[a.example]",
    ];
    let case = |text: &str| json!({ "text": text, "is_url": is_url(text) });
    let longest = format!("http://a/{}", "p".repeat(503));
    let mut cases: Vec<_> = texts.map(case).into();
    cases.extend([case(&longest), case(&format!("{longest}p"))]);
    let author = keys(1).author.id();
    json!({ "author": json::hex(author.0), "key": url_key(&author), "cases": cases })
}

pub(crate) fn authorizations_file() -> Value {
    let case = |method: &str, path: &str, body: &[u8]| {
        let asked = Asked { lattice: founded().id(), receiver: keys(2).author.id(), method, path };
        let signed = Authorization::sign(&keys(1).author, &asked, body, 1_700_000_000_000, [9; 16]);
        assert!(signed.is_for(&asked) && signed.is_body(body));
        json!({
            "name": format!("{method} {path}"),
            "lattice": json::hex(asked.lattice.0),
            "receiver": json::hex(asked.receiver.0),
            "method": method,
            "path": path,
            "body": json::hex(body),
            "author": json::hex(signed.author.0),
            "time_ms": signed.time_ms,
            "nonce": json::hex(signed.nonce),
            "bytes": json::hex(signed.encode()),
            "text": signed.to_text(),
        })
    };
    json!({
        "cases": [
            case("POST", "/api/lattice/reconcile", b"a message"),
            case("GET", "/api/lattice/state/full", b""),
            case("GET", "/api/lattice/state/full?after=00000000000000ab-12", b""),
        ]
    })
}

pub(crate) fn transfers_file() -> Value {
    let whole = commit(1, CommitId::ZERO, 1_000, some_ops(2));
    let part = in_part(&commit(2, whole.id(), 2_000, some_ops(3)), &[0]);
    let after = Cursor { epoch: 0xab, row: 7 };
    let parts = [
        ("a header", Part::Header { lattice: founded().id(), root: StateRoot([2; 32]), entries: 3, after }),
        ("a commit", Part::Commit { row: 8, commit: Box::new(whole) }),
        ("a commit in part", Part::Commit { row: 300, commit: Box::new(part) }),
        ("the end", Part::End { root: StateRoot([3; 32]), entries: 4 }),
    ];
    let case = |(name, part): &(&str, Part)| {
        let fields = match part {
            Part::Header { lattice, root, entries, after } => json!({
                "lattice": json::hex(lattice.0),
                "root": json::hex(root.0),
                "entries": entries,
                "after": after.to_string(),
            }),
            Part::Commit { row, commit } => json!({ "row": row, "commit": json::hex(commit.encode()) }),
            Part::End { root, entries } => json!({ "root": json::hex(root.0), "entries": entries }),
        };
        json!({ "name": name, "part": fields, "bytes": json::hex(&part.encode()[4..]) })
    };
    let stream: Vec<u8> = parts.iter().flat_map(|(_, part)| part.encode()).collect();
    json!({ "stream": json::hex(stream), "cases": parts.iter().map(case).collect::<Vec<_>>() })
}
