//! Known answers: `vectors/bundles.json` against this code, so that a stranger can write another verifier.
//!
//! `LATTICE_WRITE_VECTORS=1 cargo test -p lattice --test bundles` writes the file anew: a difference in it is a change
//! of the format. Bundles and policies stand in it as the texts that they are.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use lattice::bundle::shown::Claim;
use lattice::bundle::{BadBundle, Bundle, Fact, NotShown, Proven, Written};
use lattice::commit::SignedHeader;
use lattice::ids::{AuthorId, LatticeId};
use lattice::log::policy::Policy;
use lattice::log::proof::Proof;
use lattice::op::Op;
use serde_json::{Value, json};

use super::world::{
    LATTICE, WITNESSES, World, keys, one_of_each, origin, policy, policy_without_witnesses, resealed, signed,
};

const KEYS: &str = "seed of node n: 32 bytes of n; the first node keeps the log, the other four cosign it";

/// From when on times are written as numbers.
const YEAR_10000_MS: u64 = 253_402_300_800_000;

fn written(by: &Written) -> Value {
    json!({ "author": by.author.to_string(), "commit": by.commit.to_string(), "seq": by.seq, "time_ms": by.time_ms })
}

/// What is proven, in the words of `lattice::bundle`.
fn proven(proven: &Proven) -> Value {
    let (fact, key, value, by) = match &proven.fact {
        Fact::Value { key, value, by } => ("value", Some(key.as_str()), value.as_deref(), Some(written(by))),
        Fact::Absent { key } => ("absent", Some(key.as_str()), None, None),
        Fact::Applied { by } => ("applied", None, None, Some(written(by))),
    };
    let witnesses = proven.judged.witnesses.iter();
    json!({
        "fact": fact,
        "key": key,
        "value": value.map(|value| HEXLOWER.encode(value)),
        "by": by,
        "root": proven.root.to_string(),
        "entries": proven.entries,
        "index": proven.index,
        "written_ms": proven.written_ms,
        "log": proven.judged.log.to_string(),
        "witnesses": witnesses.map(|seen| json!({ "name": seen.name.to_string(), "time_s": seen.time_s })).collect::<Vec<_>>(),
    })
}

/// The step at which a bundle is refused.
fn step(refused: &NotShown) -> &'static str {
    match refused {
        NotShown::Signature => "signature",
        NotShown::Operation => "operation",
        NotShown::State(_) => "state",
        NotShown::Entries { .. } => "entries",
        NotShown::OtherLattice => "lattice",
        NotShown::OtherRecord => "record",
        NotShown::NotLast { .. } => "last",
        NotShown::Log(_) => "log",
    }
}

fn form(bad: &BadBundle) -> &'static str {
    match bad {
        BadBundle::TooLong(_) => "length",
        BadBundle::FirstLine => "first line",
        BadBundle::Text => "text",
        BadBundle::Proof(_) => "proof",
        BadBundle::Shown(_) => "shown",
        BadBundle::Origin => "origin",
        BadBundle::Head => "head",
    }
}

fn case(name: &str, text: &str, policy: &Policy) -> Value {
    let (verdict, step, proven) = match Bundle::parse(text.as_bytes()).map(|bundle| bundle.verify(policy)) {
        Ok(Ok(found)) => ("proven", None, Some(proven(&found))),
        Ok(Err(refused)) if refused.is_undecided() => ("undecided", Some(step(&refused)), None),
        Ok(Err(refused)) => ("refuted", Some(step(&refused)), None),
        Err(bad) => ("refuted", Some(form(&bad)), None),
    };
    json!({ "name": name, "text": text, "policy": policy.to_string(), "verdict": verdict, "step": step, "proven": proven })
}

/// A small world: two commits, one of two operations, and a record of the state as it stands.
fn world() -> World {
    let mut world = World::new();
    world.commit(2, vec![Op::put("a", b"1").expect("small")]);
    world.commit(3, vec![Op::put("b", b"2").expect("small"), Op::delete("c").expect("small")]);
    world.stated();
    world
}

fn with_proof(bundle: &Bundle, witnesses: &[u8], change: impl FnOnce(&mut u64, &mut Vec<[u8; 32]>)) -> String {
    let (mut index, mut path) = (bundle.proof().index(), bundle.proof().path().to_vec());
    change(&mut index, &mut path);
    let head = bundle.proof().checkpoint().checkpoint();
    let proof = Proof::new(Vec::new(), index, path, signed(head.size(), *head.root(), witnesses)).expect("small");
    Bundle::new(bundle.shown().clone(), &proof).expect("small").to_string()
}

/// The commit with a record that says it was applied.
fn at_its_record(signed: SignedHeader) -> String {
    let mut world = world();
    world.applied(signed.id());
    world.bundle(Claim::Commit(signed)).to_string()
}

/// A commit of an author whose key is the identity of the group: without a check for small order, anybody can sign it.
fn small_order() -> SignedHeader {
    let mut header = *world().entry_shown("b").signed.header();
    let (mut identity, mut signature) = ([0; 32], [0; 64]);
    (identity[0], signature[0]) = (1, 1);
    header.author = AuthorId(identity);
    SignedHeader::decode(&header.encode(), signature).expect("a header")
}

/// The same signature with the group's order added to S, which some verifiers accept.
fn with_second_s(signed: &SignedHeader) -> SignedHeader {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut signature = *signed.signature();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    SignedHeader::decode(signed.header_bytes(), signature).expect("a header")
}

/// Bundles that read well, but not all of them prove something.
fn claims() -> Vec<(&'static str, String)> {
    let world = world();
    let entry = |change: &dyn Fn(&mut lattice::bundle::shown::EntryShown)| {
        let mut shown = world.entry_shown("b");
        change(&mut shown);
        world.bundle(Claim::Entry(Box::new(shown))).to_string()
    };
    let absence = |change: &dyn Fn(&mut lattice::tree::proof::AbsenceProof)| {
        let Claim::Absence { key, mut proof } = world.absence("d") else { panic!("an absence") };
        change(&mut proof);
        world.bundle(Claim::Absence { key, proof }).to_string()
    };
    let forged = |shown: &mut lattice::bundle::shown::EntryShown| {
        let mut signature = *shown.signed.signature();
        signature[40] ^= 1;
        shown.signed = SignedHeader::decode(shown.signed.header_bytes(), signature).expect("a header");
    };
    let commit = Claim::Commit(world.entry_shown("b").signed);
    let mut elsewhere = super::vectors::world();
    elsewhere.lattice = LatticeId([0xa8; 32]);
    elsewhere.commit(4, vec![Op::put("e", b"").expect("small")]);
    let good = world.bundle(world.entry("b"));
    let small_order = at_its_record(small_order());
    let second_s = at_its_record(with_second_s(&world.entry_shown("b").signed));
    let mut moved = good.shown().clone();
    moved.record = world.records[1].clone();
    vec![
        ("another operation of the commit", entry(&|shown| shown.op_index = 1)),
        ("another value", entry(&|shown| shown.op = Op::put("b", b"3").expect("small"))),
        ("another commit's header", entry(&|shown| shown.signed = world.entry_shown("a").signed)),
        ("a spare hash behind the operation", entry(&|shown| shown.op_path.push([0; 32]))),
        ("a forged signature", entry(&forged)),
        ("another place in the page", entry(&|shown| shown.proof.page_index ^= 1)),
        ("a spare hash beside the path", entry(&|shown| shown.proof.siblings.push([0; 32]))),
        ("another number of entries", entry(&|shown| shown.proof.entries = 4)),
        ("a page of 33 entries", entry(&|shown| shown.proof.page_len = 33)),
        ("absence, an entry of the page left out", absence(&|proof| drop(proof.page.pop()))),
        ("absence, entries in another order", absence(&|proof| proof.page.swap(0, 1))),
        ("absence, an entry twice", absence(&|proof| proof.page.insert(1, proof.page[0].clone()))),
        ("absence of a key that is there", world.bundle(world.absence("b")).to_string()),
        ("not the last record", world.bundle_at(2, world.entry("b")).to_string()),
        ("a commit at the record that names it", world.bundle_at(2, commit.clone()).to_string()),
        ("a commit at another's record", world.bundle_at(1, commit.clone()).to_string()),
        ("a commit at a record of another kind", world.bundle_at(3, commit).to_string()),
        ("an entry of another lattice", elsewhere.bundle(elsewhere.entry("e")).to_string()),
        ("an author of small order", small_order),
        ("a signature with S beyond the group order", second_s),
        ("another record", Bundle::new(moved, good.proof()).expect("small").to_string()),
        ("a hash of the log's path changed", with_proof(&good, &[2, 3, 4, 5], |_, path| path[0][0] ^= 1)),
        ("a hash of the log's path missing", with_proof(&good, &[2, 3, 4, 5], |_, path| path.truncate(1))),
        ("a spare hash in the log's path", with_proof(&good, &[2, 3, 4, 5], |_, path| path.push([0; 32]))),
        ("beyond the log", with_proof(&good, &[2, 3, 4, 5], |index, _| *index = 4)),
    ]
}

/// A good bundle with its text changed.
fn texts() -> Vec<(&'static str, String)> {
    let world = world();
    let good = world.bundle(world.entry("b")).to_string();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from:?}");
        good.replacen(from, to, 1)
    };
    let name = origin(2).to_string();
    let line = good.lines().find(|line| line.starts_with(&format!("— {name}"))).expect("node 2 cosigned").to_owned();
    let log_line = good.lines().find(|line| line.starts_with('—')).expect("the log signed").to_owned();
    let joined = {
        // The same bytes as two pieces of base64, the first of them padded.
        let at = line.len() - 8;
        format!("{}AAA={}", &line[..at], &line[at + 4..])
    };
    let again = |from: &str, to: &str| resealed(&with(from, to));
    let recoded = |change: &dyn Fn(&mut Vec<u8>)| {
        let bundle = Bundle::parse(good.as_bytes()).expect("good");
        let mut extra = bundle.shown().encode();
        change(&mut extra);
        let proof = bundle.proof();
        let proof = Proof::new(extra, proof.index(), proof.path().to_vec(), proof.checkpoint().clone()).expect("small");
        resealed(&format!("{}\n\n{proof}", good.split_once("\n\n").expect("two parts").0))
    };
    vec![
        ("another claim in the lines for people", with("has the value", "is deleted")),
        ("another key in the lines for people", with("key \"b\"", "key \"a\"")),
        ("a line more for people", with("\n\n", "\nand more\n\n")),
        ("another hash of the proof", with("proof SHA-256/128 ", "proof SHA-256/128 0")),
        (
            "no hash of the proof",
            good.lines().filter(|line| !line.starts_with("proof S")).map(|l| l.to_owned() + "\n").collect(),
        ),
        ("the name of a cosignature, the hash of the proof not", with(&name, &origin(3).to_string())),
        ("a cosignature left out, the hash of the proof not", with(&format!("{line}\n"), "")),
        (
            "the order of cosignatures, the hash of the proof not",
            with(&format!("{log_line}\n{line}\n"), &format!("{line}\n{log_line}\n")),
        ),
        ("another version", with("proof/v1", "proof/v2")),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("no last newline", good.trim_end().to_owned()),
        ("an empty line more", with("\n\n", "\n\n\n")),
        ("an index with a leading zero", again("index 3", "index 03")),
        ("the size of the log changed", again("\n4\n", "\n5\n")),
        ("base64 of two pieces", again(&line, &joined)),
        ("a cosignature that does not hold", again(&line, &line.replace('A', "B"))),
        ("a cosignature of another's name", again(&name, &origin(3).to_string())),
        ("a cosignature left out", again(&format!("{line}\n"), "")),
        ("a line of a stranger", again(&line, &format!("{line}\n— stranger.example AAAAAAAA"))),
        ("the log's signature left out", again(&format!("{log_line}\n"), "")),
        ("a byte behind the CBOR", recoded(&|extra| extra.push(0))),
        ("a number in a long form", recoded(&|extra| drop(extra.splice(1..2, [0x18, 0x01])))),
        ("a claim of unknown kind", recoded(&|extra| extra[2] = 3)),
        ("a later version of what is shown", recoded(&|extra| extra[1] = 2)),
        ("no empty line", good.split_once("\n\n").expect("two parts").0.to_owned() + "\n"),
        ("no bundle", "c2sp.org/tlog-proof@v1\n".to_owned()),
        ("nothing", String::new()),
    ]
}

fn file() -> Value {
    let all = policy(WITNESSES);
    let mut cases: Vec<_> = one_of_each()
        .into_iter()
        .filter(|(what, _)| !what.contains("301"))
        .map(|(name, bundle)| case(name, &bundle.to_string(), &all))
        .collect();
    cases.extend(claims().into_iter().map(|(name, text)| case(name, &text, &all)));
    cases.extend(texts().into_iter().map(|(name, text)| case(name, &text, &all)));
    let mut late = world();
    late.now_ms = YEAR_10000_MS;
    late.stated();
    let late = late.bundle(late.absence("d")).to_string();
    let good = world().bundle(world().entry("b"));
    let (text, three) = (good.to_string(), with_proof(&good, &[2, 3, 5], |_, _| ()));
    let (mut unknown, mut other_key) = (all.to_string(), all.to_string());
    let log = all.logs()[0].key.to_string();
    let replace = |policy: &mut String, name, of: u8| {
        let public = keys(of).log_key().0;
        let key = lattice::log::note::VerifierKey::new(name, lattice::log::note::KeyKind::Log, public).expect("a key");
        *policy = policy.replace(&log, &key.to_string());
    };
    replace(&mut unknown, origin(2), 2);
    replace(&mut other_key, origin(1), 2);
    let wrong = with_proof(&good, &[2, 3], |_, path| path[0][0] ^= 1);
    let nested = format!(
        "log {log}\n{}",
        all.to_string().lines().filter(|line| line.starts_with("witness")).collect::<Vec<_>>().join("\n")
    ) + "\ngroup east any node2 node3\ngroup west all node4 node5\ngroup both all east west\nquorum both\n";
    let read = |text: &str| Policy::parse(text.as_bytes()).expect("a policy");
    cases.extend([
        case("a record by a clock in the year 10000", &late, &all),
        case("no witness asked for", &text, &policy_without_witnesses()),
        case("three of four", &three, &policy(3)),
        case("three of four, four wanted", &three, &policy(4)),
        case("nested groups", &text, &read(&nested)),
        case("nested groups, one missing", &three, &read(&nested)),
        case("a log that the policy does not name", &text, &read(&unknown)),
        case("another key of the log", &text, &read(&other_key)),
        case("a log that the policy does not name, and a wrong path", &wrong, &read(&unknown)),
        case("too few witnesses, and a wrong path", &wrong, &all),
    ]);
    json!({ "keys": KEYS, "lattice": LATTICE.to_string(), "cases": cases })
}

#[test]
fn the_file_says_what_the_code_does() {
    let expected = file();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/bundles.json");
    if std::env::var_os("LATTICE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(&expected).expect("plain JSON");
        std::fs::write(&path, text + "\n").expect("the vectors folder can be written");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let by_name =
        |file: &Value| file["cases"].as_array().expect("cases").iter().map(|c| c["name"].clone()).collect::<Vec<_>>();
    assert_eq!(by_name(&found), by_name(&expected));
    for (found, expected) in
        found["cases"].as_array().into_iter().flatten().zip(expected["cases"].as_array().into_iter().flatten())
    {
        assert_eq!(found, expected, "{}", expected["name"]);
    }
    assert_eq!(found, expected);
}

#[test]
fn the_file_has_every_verdict_and_every_step() {
    let file = file();
    let cases = file["cases"].as_array().expect("cases");
    let count = |verdict: &str| cases.iter().filter(|case| case["verdict"] == verdict).count();
    assert!(count("proven") > 12 && count("refuted") > 40 && count("undecided") > 3, "{}", cases.len());
    for step in [
        "signature",
        "operation",
        "state",
        "entries",
        "lattice",
        "record",
        "last",
        "log",
        "first line",
        "text",
        "proof",
        "shown",
        "head",
    ] {
        assert!(cases.iter().any(|case| case["step"] == step), "{step}");
    }
}
