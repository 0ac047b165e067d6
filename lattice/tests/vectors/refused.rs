//! Bytes that no implementation may accept.

use lattice::authorization::{Asked, Authorization};
use lattice::clock::Timestamp;
use lattice::commit::Header;
use lattice::ids::{AuthorId, CommitId, StateRoot};
use lattice::membership::Change;
use lattice::transfer::Part;
use serde_json::{Value, json};

use crate::commits::{commit, some_ops};
use crate::world::{founded, keys, written};
use crate::{json, seats};

/// `bytes` with `from` replaced by `to` at its first place.
fn with(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

fn header(alter: fn(&mut Header)) -> Vec<u8> {
    let mut header = *commit(1, CommitId::ZERO, 1_000, some_ops(1)).signed().header();
    alter(&mut header);
    header.encode()
}

fn revoke(last_seq: u64) -> Vec<u8> {
    Change::Revoke { author: AuthorId([1; 32]), last_seq }.encode()
}

fn genesis(alter: fn(&mut lattice::genesis::Genesis)) -> Vec<u8> {
    let mut genesis = written();
    alter(&mut genesis);
    genesis.encode()
}

fn ops() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("op", "an integer in a longer form", vec![0x83, 0x18, 0x00, 0x61, b'k', 0x41, b'v']),
        ("op", "a length in a longer form", vec![0x83, 0x00, 0x78, 0x01, b'k', 0x41, b'v']),
        ("op", "a list of indefinite length", vec![0x9f, 0x00, 0x61, b'k', 0x41, b'v', 0xff]),
        ("op", "bytes of indefinite length", vec![0x83, 0x00, 0x61, b'k', 0x5f, 0x41, b'v', 0xff]),
        ("op", "a byte too many", vec![0x83, 0x00, 0x61, b'k', 0x41, b'v', 0x00]),
        ("op", "an item too many", vec![0x84, 0x00, 0x61, b'k', 0x41, b'v', 0x00]),
        ("op", "an item too few", vec![0x82, 0x00, 0x61, b'k']),
        ("op", "text where bytes belong", vec![0x83, 0x00, 0x61, b'k', 0x61, b'v']),
        ("op", "a list where bytes belong", vec![0x83, 0x00, 0x61, b'k', 0x81, 0x01]),
        ("op", "a tag", vec![0xc0, 0x83, 0x00, 0x61, b'k', 0x41, b'v']),
        ("op", "an empty key", vec![0x83, 0x00, 0x60, 0x41, b'v']),
        ("op", "NUL in a key", vec![0x83, 0x00, 0x61, 0x00, 0x41, b'v']),
        ("op", "a key that is not UTF-8", vec![0x83, 0x00, 0x61, 0xff, 0x41, b'v']),
        ("op", "a put without a value", vec![0x83, 0x00, 0x61, b'k', 0xf6]),
        ("op", "a delete with a value", vec![0x83, 0x01, 0x61, b'k', 0x41, b'v']),
        ("op", "undefined for null", vec![0x83, 0x01, 0x61, b'k', 0xf7]),
        ("op", "an unknown kind", vec![0x83, 0x02, 0x61, b'k', 0x41, b'v']),
        ("op", "a negative kind", vec![0x83, 0x20, 0x61, b'k', 0x41, b'v']),
        ("op", "a claimed length of 2^40", vec![0x83, 0x00, 0x61, b'k', 0x5b, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
    ]
}

fn signed() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let whole = commit(1, CommitId::ZERO, 1_000, some_ops(2)).encode();
    let id = founded().id();
    vec![
        ("header", "number 0", header(|h| h.seq = 0)),
        ("header", "the first of a chain names one before it", header(|h| h.prev = CommitId([1; 32]))),
        ("header", "no operations", header(|h| h.op_count = 0)),
        ("header", "1025 operations", header(|h| h.op_count = 1025)),
        ("header", "number 2^63", header(|h| (h.seq, h.prev) = (1 << 63, CommitId([1; 32])))),
        ("header", "time 2^63", header(|h| h.time = Timestamp(1 << 63))),
        ("header", "term 2^63", header(|h| h.term = 1 << 63)),
        ("header", "version 2", with(&header(|_| {}), &[0x89, 0x01], &[0x89, 0x02])),
        (
            "header",
            "a lattice id of 31 bytes",
            with(&header(|_| {}), &[&[0x58, 0x20], &id.0[..1]].concat(), &[0x58, 0x1f]),
        ),
        ("commit", "fewer operations than its header says", {
            let first = some_ops(1)[0].encode();
            let pair = [&[0x82, 0x00, 0x40 | first.len() as u8], first.as_slice()].concat();
            with(&with(&whole, &pair, &[]), &[0x82, 0x82, 0x00], &[0x81, 0x82, 0x00])
        }),
        ("commit", "an operation of unknown kind", with(&whole, &[0x82, 0x82, 0x00], &[0x82, 0x82, 0x02])),
        ("commit", "a dead operation of another length", with(&whole, &[0x82, 0x82, 0x00], &[0x82, 0x82, 0x01])),
    ]
}

fn documents() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let add = Change::Add(written().members[0].clone()).encode();
    let admins = written().admins;
    let (first, last) = (admins.first().expect("three"), admins.last().expect("three"));
    let swapped = with(&with(&written().encode(), &first.0, &[0; 32]), &last.0, &first.0);
    let swapped = with(&swapped, &[0; 32], &last.0);
    vec![
        ("genesis", "no admin", genesis(|g| g.admins.clear())),
        ("genesis", "admins out of order", swapped),
        ("genesis", "members out of order", genesis(|g| g.members.reverse())),
        ("genesis", "a member twice", genesis(|g| g.members.insert(0, g.members[0].clone()))),
        ("genesis", "a seat prefix under @", genesis(|g| g.seat_prefixes = ["@x/".into()].into())),
        ("genesis", "a seat prefix without a slash", genesis(|g| g.seat_prefixes = ["x".into()].into())),
        ("genesis", "a limit beyond the format", genesis(|g| g.limits.value_bytes = 65_537)),
        ("genesis", "a name of two lines", genesis(|g| g.name = "a\nb".into())),
        ("change", "an unknown kind", vec![0x82, 0x03, 0x00]),
        ("change", "a cut of 2^63", revoke(1 << 63)),
        ("change", "an unknown role", with(&add, b"witness", b"witless")),
        ("change", "roles out of order", with(&add, b"\x67witness\x65voter", b"\x65voter\x67witness")),
        ("prefix", "bits beyond its length", vec![0x82, 0x0c, 0x42, 0xff, 0xff]),
        ("prefix", "too few bytes", vec![0x82, 0x0c, 0x41, 0xff]),
        ("prefix", "257 bits", [&[0x82, 0x19, 0x01, 0x01, 0x58, 0x21], [0; 33].as_slice()].concat()),
    ]
}

fn sent() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let hello = lattice::hello::Hello::sign(&keys(1).author, founded().id(), b"a", b"b").encode();
    let extended = |map: &[u8]| [&hello[..hello.len() - 1], map].concat();
    vec![
        ("frame", "no commits", vec![0x84, 0x01, 0x00, 0x80, 0xa0]),
        ("frame", "an unknown kind", vec![0x84, 0x01, 0x05, 0x81, 0x41, 0x00, 0xa0]),
        ("frame", "two heads", vec![0x84, 0x01, 0x01, 0x82, 0x41, 0x00, 0x41, 0x00, 0xa0]),
        ("frame", "a commit that does not decode", vec![0x84, 0x01, 0x00, 0x81, 0x41, 0x00, 0xa0]),
        ("hello", "an extension twice", extended(&[0xa2, 0x61, b'x', 0x40, 0x61, b'x', 0x40])),
        ("hello", "extensions out of order", extended(&[0xa2, 0x61, b'y', 0x40, 0x61, b'x', 0x40])),
        ("hello", "a longer name before a shorter", extended(&[0xa2, 0x62, b'a', b'a', 0x40, 0x61, b'b', 0x40])),
        ("hello", "an extension that is not bytes", extended(&[0xa1, 0x61, b'x', 0x00])),
        ("join answer", "version 2", vec![0x83, 0x02, 0x00, 0x60]),
        ("join answer", "a welcome with a reason", vec![0x83, 0x01, 0x00, 0x61, b'x']),
        ("join answer", "kind 3", vec![0x83, 0x01, 0x03, 0x60]),
        ("ticket", "another prefix", b"lattice2AAAA".to_vec()),
        ("ticket", "a character that base64url lacks", b"lattice1AA+A".to_vec()),
        ("ticket", "spare bits that are set", b"lattice1hB".to_vec()),
    ]
}

fn over_http() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let asked = Asked { lattice: founded().id(), receiver: AuthorId([2; 32]), method: "GET", path: "/" };
    let signed = Authorization::sign(&keys(1).author, &asked, b"", 1_000, [9; 16]).encode();
    let end = Part::End { root: StateRoot([2; 32]), entries: 3 }.encode().split_off(4);
    let commit = Part::Commit { row: 1, commit: Box::new(commit(1, CommitId::ZERO, 1_000, some_ops(1))) };
    let commit = commit.encode().split_off(4);
    vec![
        ("authorization", "an unknown version", with(&signed, &[0x86, 0x01], &[0x86, 0x02])),
        (
            "authorization",
            "a nonce of 15 bytes",
            with(&signed, &[&[0x50], [9; 16].as_slice()].concat(), &[&[0x4f], [9; 15].as_slice()].concat()),
        ),
        ("authorization", "a byte too many", [&signed, &[0x00][..]].concat()),
        ("part", "an unknown kind", with(&end, &[0x83, 0x02], &[0x83, 0x03])),
        ("part", "an item too few", with(&end, &[0x83, 0x02], &[0x82, 0x02])),
        ("part", "a kind in a longer form", with(&end, &[0x83, 0x02], &[0x83, 0x18, 0x02])),
        ("part", "a commit with a byte too many", [commit.as_slice(), &[0x00]].concat()),
    ]
}

pub(crate) fn file() -> Value {
    let all = [ops(), signed(), documents(), seats::refused(), sent(), over_http()].concat();
    let case =
        |(kind, why, bytes): (&str, &str, Vec<u8>)| json!({ "kind": kind, "why": why, "bytes": json::hex(bytes) });
    json!({ "cases": all.into_iter().map(case).collect::<Vec<_>>() })
}
