//! Known answers: the files in `vectors/` against this code, so that a stranger can write another.
//!
//! The cases are built from fixed seeds and compared with what the files say, field by field; then every encoding in
//! them is decoded again. `LATTICE_WRITE_VECTORS=1 cargo test -p lattice --test vectors` writes the files anew: a
//! difference in them is a change of the format.

mod chains;
mod commits;
mod handshake;
mod http;
mod json;
mod membership;
mod refused;
mod seats;
mod states;
mod world;

use std::path::PathBuf;

use lattice::authorization::Authorization;
use lattice::codec;
use lattice::commit::{Commit, Header};
use lattice::entry::Entry;
use lattice::equivocation::Equivocation;
use lattice::frame::Frame;
use lattice::frontier::Chain;
use lattice::genesis::Genesis;
use lattice::head::SignedHead;
use lattice::hello::{Hello, JoinAnswer, JoinRequest};
use lattice::membership::Change;
use lattice::op::Op;
use lattice::record::Record;
use lattice::seat::{Body, Certificate};
use lattice::ticket::Ticket;
use lattice::transfer::Part;
use lattice::tree::prefix::{Prefix, PrefixWire};
use serde_json::Value;

/// Compares a file with what the code says today, or writes it.
fn assert_file(name: &str, expected: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if std::env::var_os("LATTICE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(expected).expect("plain JSON");
        std::fs::write(&path, text + "\n").expect("the vectors folder can be written");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(found["cases"].as_array().map(Vec::len), expected["cases"].as_array().map(Vec::len), "{name}");
    for (found, expected) in found["cases"].as_array().into_iter().flatten().zip(cases(expected)) {
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(&found, expected, "{name}");
}

fn cases(file: &Value) -> &[Value] {
    file["cases"].as_array().expect("a file has cases")
}

/// What decoding and encoding again gives; `None` if the bytes are refused.
fn again(kind: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    match kind {
        "op" => Op::decode(bytes).ok().map(|v| v.encode()),
        "header" => Header::decode(bytes).ok().map(|v| v.encode()),
        "commit" => Commit::decode(bytes).ok().map(|v| v.encode()),
        "entry" => Entry::decode(bytes).ok().map(|v| v.encode()),
        "genesis" => Genesis::decode(bytes).ok().map(|v| v.encode()),
        "body" => Body::decode(bytes).ok().map(|v| v.encode()),
        "certificate" => Certificate::decode(bytes).ok().map(|v| v.encode()),
        "change" => Change::decode(bytes).ok().map(|v| v.encode()),
        "chain" => Chain::decode(bytes).ok().map(|v| v.encode()),
        "head" => SignedHead::decode(bytes).ok().map(|v| v.encode()),
        "record" => Record::decode(bytes).ok().map(|v| v.encode()),
        "frame" => Frame::decode(bytes).ok().map(|v| v.encode()),
        "equivocation" => Equivocation::decode(bytes).ok().map(|v| v.encode()),
        "hello" => Hello::decode(bytes).ok().map(|v| v.encode()),
        "join request" => JoinRequest::decode(bytes).ok().map(|v| v.encode()),
        "join answer" => JoinAnswer::decode(bytes).ok().map(|v| v.encode()),
        "ticket" => {
            let ticket: Ticket = std::str::from_utf8(bytes).ok()?.parse().ok()?;
            Some(ticket.to_string().into_bytes())
        }
        "authorization" => Authorization::decode(bytes).ok().map(|v| v.encode()),
        "part" => Part::decode(bytes).ok().map(|v| v.encode().split_off(4)),
        "prefix" => {
            let wire: PrefixWire<'_> = codec::decode(bytes, 64).ok()?;
            Prefix::try_from(&wire).ok().map(|prefix| codec::encode(&prefix.to_wire()))
        }
        other => panic!("no decoder is called {other:?}"),
    }
}

/// Every case's `bytes` is the one encoding of a value of this kind.
fn assert_decodes(kind: &str, file: &Value) {
    for case in cases(file) {
        let bytes = json::bytes(&case["bytes"]);
        assert_eq!(again(kind, &bytes), Some(bytes), "{kind}: {}", case["name"]);
    }
}

#[test]
fn every_file_says_what_the_code_does() {
    for (file, kind, expected) in [
        ("keys.json", None, world::keys_file()),
        ("genesis.json", Some("genesis"), world::genesis_file()),
        ("ops.json", Some("op"), commits::ops_file()),
        ("commits.json", Some("commit"), commits::commits_file()),
        ("entries.json", Some("entry"), states::entries_file()),
        ("join.json", None, states::join_file()),
        ("trees.json", None, states::trees_file()),
        ("proofs.json", None, states::proofs_file()),
        ("prefixes.json", Some("prefix"), states::prefixes_file()),
        ("membership.json", Some("change"), membership::file()),
        ("seats.json", None, seats::file()),
        ("chains.json", Some("chain"), chains::chains_file()),
        ("equivocations.json", Some("equivocation"), chains::equivocations_file()),
        ("heads.json", Some("head"), chains::heads_file()),
        ("records.json", Some("record"), chains::records_file()),
        ("frames.json", Some("frame"), handshake::frames_file()),
        ("hellos.json", Some("hello"), handshake::hellos_file()),
        ("join_requests.json", Some("join request"), handshake::join_requests_file()),
        ("join_answers.json", Some("join answer"), handshake::join_answers_file()),
        ("tickets.json", None, handshake::tickets_file()),
        ("urls.json", None, http::urls_file()),
        ("authorizations.json", Some("authorization"), http::authorizations_file()),
        ("transfers.json", Some("part"), http::transfers_file()),
        ("refused.json", None, refused::file()),
    ] {
        assert_file(file, &expected);
        if let Some(kind) = kind {
            assert_decodes(kind, &expected);
        }
    }
}

#[test]
fn certificates_and_their_bodies_have_one_encoding() {
    for case in cases(&seats::file()).iter().filter(|case| case["bytes"].is_string()) {
        for (kind, bytes) in
            [("certificate", &case["bytes"]), ("change", &case["bytes"]), ("body", &case["body_bytes"])]
        {
            let bytes = json::bytes(bytes);
            assert_eq!(again(kind, &bytes), Some(bytes), "{kind}: {}", case["name"]);
        }
    }
}

#[test]
fn what_the_files_call_refused_is_refused() {
    for case in cases(&refused::file()) {
        let kind = case["kind"].as_str().expect("a kind");
        let bytes = json::bytes(&case["bytes"]);
        assert_eq!(again(kind, &bytes), None, "{kind}: {}", case["why"]);
    }
}
