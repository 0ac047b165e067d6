//! Known answers: the files `vectors/log_*.json` against this code, so that a stranger can write another.
//!
//! `LATTICE_WRITE_VECTORS=1 cargo test -p lattice --test log` writes the files anew: a difference in them is a change of
//! the format. Texts stand in them as they are, hashes and bytes in hex.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{Beginning, ForkEvidence};
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::log::policy::Policy;
use lattice::log::proof::Proof;
use lattice::log::tile::{BundleId, TileId, encode_bundle};
use lattice::log::tree;
use lattice::log::witness::{AddCheckpoint, Seen, Verdict, judge};
use lattice::merkle::{Digest, leaf_hash};
use serde_json::{Value, json};

use super::{LOG, key, log_key, name, root_of, secret, tile_set};

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn hexes(hashes: &[Digest]) -> Vec<String> {
    hashes.iter().map(hex).collect()
}

/// The records of all files: `record/0`, `record/1` and so on.
const RULE: &str = "record n is the text \"record/n\", n in decimal from 0; its leaf is SHA-256(0x00 ‖ record)";

/// The keys of all files.
const KEYS: &str = "the Ed25519 secret of a key is 32 times the byte named with it";

fn record(n: u64) -> String {
    format!("record/{n}")
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|n| leaf_hash(record(n).as_bytes())).collect()
}

/// The log of a liar: record 2 is another.
fn rewritten(count: u64) -> Vec<Digest> {
    let mut leaves = leaves(count);
    leaves[2] = leaf_hash(b"another record");
    leaves
}

fn head(leaves: &[Digest]) -> SignedCheckpoint {
    SignedCheckpoint::sign(&name(LOG), leaves.len() as u64, root_of(leaves), &secret(1))
}

fn witness(n: u8) -> VerifierKey {
    key(&format!("witness{n}.example"), KeyKind::Cosigner, n)
}

fn cosigned(leaves: &[Digest], witnesses: &[u8]) -> SignedCheckpoint {
    let mut signed = head(leaves);
    for n in witnesses {
        let line = signed.cosign(1_700_000_000 + u64::from(*n), witness(*n).name(), &secret(*n));
        signed.add(line, &witness(*n)).expect("it holds");
    }
    signed
}

fn policy(witnesses: &[u8], threshold: usize) -> Policy {
    let witnesses = witnesses.iter().map(|n| (format!("w{n}"), witness(*n))).collect();
    Policy::of_members(vec![log_key()], witnesses, threshold).expect("a policy")
}

fn trees_file() -> Value {
    let all = leaves(65_537);
    let case = |size: usize| json!({ "size": size, "root": hex(root_of(&all[..size])) });
    let sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 70, 255, 256, 257, 511, 512, 1_000, 65_535, 65_536, 65_537];
    json!({ "rule": RULE, "cases": sizes.map(case) })
}

fn proofs_file() -> Value {
    let all = leaves(300);
    let mut cases = Vec::new();
    for (index, size) in
        [(0u64, 1u64), (0, 2), (1, 2), (2, 3), (4, 7), (6, 7), (3, 8), (255, 300), (256, 300), (299, 300)]
    {
        let (leaf, some) = (&all[index as usize], &all[..size as usize]);
        let path = tree::inclusion(index, size, &tile_set(some)).expect("in the log");
        let case = |what: String, index: u64, path: &[Digest]| {
            let root = root_of(some);
            let holds = tree::verify_inclusion(leaf, index, size, path, &root).is_ok();
            json!({ "name": what, "kind": "inclusion", "holds": holds, "leaf": hex(leaf), "index": index, "size": size,
                    "path": hexes(path), "root": hex(root) })
        };
        cases.push(case(format!("record {index} of {size}"), index, &path));
        cases.push(case(
            format!("record {index} of {size}, a spare hash"),
            index,
            &[path.as_slice(), &[[0; 32]]].concat(),
        ));
        cases.push(case(format!("record {index} of {size} as one beyond"), size, &path));
        if let Some((_, short)) = path.split_last() {
            cases.push(case(format!("record {index} of {size}, a hash missing"), index, short));
            cases.push(case(format!("record {index} of {size} as its neighbour"), index ^ 1, &path));
        }
    }
    for (old, new) in
        [(0u64, 5u64), (5, 5), (1, 2), (1, 8), (2, 5), (3, 7), (4, 7), (6, 8), (255, 300), (256, 300), (257, 300)]
    {
        let some = &all[..new as usize];
        let proof = tree::consistency(old, new, &tile_set(some)).expect("it grew");
        let case = |what: String, old_root: Digest, proof: &[Digest]| {
            let root = root_of(some);
            let holds = tree::verify_consistency(old, new, &old_root, &root, proof).is_ok();
            json!({ "name": what, "kind": "consistency", "holds": holds, "old": old, "new": new,
                    "proof": hexes(proof), "old_root": hex(old_root), "new_root": hex(root) })
        };
        let old_root = root_of(&all[..old as usize]);
        cases.push(case(format!("{old} to {new}"), old_root, &proof));
        cases.push(case(format!("{old} to {new}, a spare hash"), old_root, &[proof.as_slice(), &[[0; 32]]].concat()));
        cases.push(case(format!("{old} to {new}, another old root"), [7; 32], &proof));
        if let Some((_, short)) = proof.split_last() {
            cases.push(case(format!("{old} to {new}, a hash missing"), old_root, short));
        }
    }
    json!({ "rule": RULE, "cases": cases })
}

fn tiles_file() -> Value {
    let all = leaves(70_000);
    let sized = |size: usize| {
        let of = |tile: &super::Tile| json!({ "path": tile.id().to_string(), "sha256": sha256(&tile.encode()) });
        let tiles = super::all_tiles(&all[..size]);
        let partial: Vec<_> = tiles.iter().filter(|tile| !tile.id().is_full()).map(of).collect();
        let full: Vec<_> = tiles.iter().filter(|tile| tile.id().is_full()).map(of).collect();
        json!({ "kind": "tiles", "size": size, "full": full.len(), "first_full": full.first(), "partial": partial })
    };
    let bundle = |first: u64, width: u16| {
        let records: Vec<_> = (first..first + u64::from(width)).map(record).collect();
        let bytes = encode_bundle(&records).expect("short records");
        let id = BundleId::new(first / 256, width).expect("it exists");
        json!({ "kind": "bundle", "path": id.to_string(), "bytes": hex(bytes) })
    };
    let path = |level, index, width| {
        let id = TileId::new(level, index, width).expect("it exists");
        json!({ "kind": "path", "path": id.to_string(), "level": level, "index": index.to_string(), "width": width })
    };
    let refused = |path: &str| {
        assert!(path.parse::<TileId>().is_err() && path.parse::<BundleId>().is_err(), "{path}");
        json!({ "kind": "refused", "path": path })
    };
    let mut cases: Vec<_> = [1, 255, 256, 257, 65_536, 70_000].map(sized).into();
    cases.extend([bundle(0, 1), bundle(256, 3)]);
    cases.extend([path(0, 1_234_067, 5), path(0, 1_234_067, 256), path(3, 1_000, 256), path(0, (1 << 54) - 1, 256)]);
    cases.extend(
        ["0/00", "0/0000", "0/x000/001", "0/001/002", "00/000", "8/000", "0/000.p/0", "0/000.p/256", "0/000.p/05"]
            .map(refused),
    );
    json!({ "rule": RULE, "cases": cases })
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex(sha2::Sha256::digest(bytes))
}

fn checkpoints_file() -> Value {
    let case = |what: &str, text: String, key: &VerifierKey, of: u8| {
        let read = SignedCheckpoint::parse(text.as_bytes());
        let signed = read.as_ref().ok().and_then(|read| read.note().signed_by(key).ok().flatten());
        let time = signed.and_then(|signed| signed.time_s);
        json!({ "name": what, "text": text, "reads": read.is_ok(), "key": key.to_string(), "secret": of,
                "holds": signed.is_some(), "time": time })
    };
    let both = cosigned(&leaves(5), &[2, 3]).to_string();
    let with = |from: &str, to: &str| both.replacen(from, to, 1);
    let cases = vec![
        case("signed", head(&leaves(5)).to_string(), &log_key(), 1),
        case("of an empty log", head(&[]).to_string(), &log_key(), 1),
        case("cosigned, the log's key", both.clone(), &log_key(), 1),
        case("cosigned, a witness's key", both.clone(), &witness(3), 3),
        case("cosigned, the key of another", both.clone(), &witness(4), 4),
        case("the same secret for the other purpose", both.clone(), &key(LOG, KeyKind::Cosigner, 1), 1),
        case("another size", with("\n5\n", "\n6\n"), &log_key(), 1),
        case("another size, the witness", with("\n5\n", "\n6\n"), &witness(2), 2),
        case("an extension line added", with("\n\n", "\nmore\n\n"), &log_key(), 1),
        case("a size with a leading zero", with("\n5\n", "\n05\n"), &log_key(), 1),
        case("no empty line", with("\n\n", "\n"), &log_key(), 1),
        case("no last newline", both.trim_end().to_owned(), &log_key(), 1),
        case("a carriage return", with("\n5\n", "\r\n5\n"), &log_key(), 1),
    ];
    json!({ "rule": RULE, "keys": KEYS, "cases": cases })
}

fn proof_files_file() -> Value {
    let all = leaves(11);
    let path = tree::inclusion(3, 11, &tile_set(&all)).expect("in the log");
    let proof = |extra: &[u8], index, witnesses: &[u8]| {
        Proof::new(extra.to_vec(), index, path.clone(), cosigned(&all, witnesses)).expect("small").to_string()
    };
    let case = |what: &str, text: String, leaf: Digest, policy: &Policy| {
        let read = Proof::parse(text.as_bytes());
        let holds = read.as_ref().is_ok_and(|proof| proof.verify(&leaf, policy).is_ok());
        json!({ "name": what, "text": text, "reads": read.is_ok(), "leaf": hex(leaf), "policy": policy.to_string(), "holds": holds })
    };
    let plain = proof(b"", 3, &[2, 3]);
    let cases = vec![
        case("record 3 of 11", plain.clone(), all[3], &policy(&[2, 3, 4], 2)),
        case("with extra data", proof(b"extra", 3, &[2, 3]), all[3], &policy(&[2, 3, 4], 2)),
        case("without quorum", proof(b"", 3, &[2]), all[3], &policy(&[2, 3, 4], 2)),
        case("no quorum wanted", proof(b"", 3, &[]), all[3], &policy(&[], 0)),
        case("another record", plain.clone(), all[4], &policy(&[2, 3, 4], 2)),
        case("another index", proof(b"", 2, &[2, 3]), all[3], &policy(&[2, 3, 4], 2)),
        case("empty extra data", plain.replacen("index", "extra \nindex", 1), all[3], &policy(&[2, 3, 4], 2)),
        case("another version", plain.replacen("@v1", "@v2", 1), all[3], &policy(&[2, 3, 4], 2)),
    ];
    json!({ "rule": RULE, "keys": KEYS, "cases": cases })
}

fn policies_file() -> Value {
    let written = |text: &str| {
        let text = text.replace("$log", &log_key().to_string());
        // The log's other key is that of a witness.
        let text = text.replace("$other", &key(LOG, KeyKind::Log, 2).to_string());
        (2..=4).fold(text, |text, n| text.replace(&format!("${n}"), &witness(n).to_string()))
    };
    let case = |what: &str, text: &str| {
        let text = written(text);
        let read = Policy::parse(text.as_bytes()).ok();
        let accepts = |by: &[u8]| read.as_ref().map(|policy| policy.judge(&cosigned(&leaves(5), by)).is_ok());
        let judged: Vec<_> = [&[][..], &[2], &[4], &[2, 3], &[2, 4], &[2, 3, 4]]
            .map(|by| json!({ "text": cosigned(&leaves(5), by).to_string(), "holds": accepts(by) }))
            .into();
        let judged = read.is_some().then_some(judged);
        json!({ "name": what, "text": text, "reads": read.is_some(),
                "canonical": read.as_ref().map(ToString::to_string), "checkpoints": judged })
    };
    let cases = vec![
        case("no quorum", "log $log\nquorum none\n"),
        case("one witness", "# one\nlog $log https://log.example/\n\nwitness  a\t$2\nwitness b $4\nquorum a\n"),
        case("two of three", "log $log\nwitness a $2\nwitness b $3\nwitness c $4\ngroup g 2 a b c\nquorum g\n"),
        case(
            "nested",
            "log $log\nwitness a $2\nwitness b $3\nwitness c $4\ngroup g any a b\ngroup h all g c\nquorum h\n",
        ),
        case("no log", "witness a $2\nquorum a\n"),
        case("a member twice", "log $log\nwitness a $2\ngroup g all a\ngroup h all g a\nquorum h\n"),
        case("a key twice", "log $log\nwitness a $2\nwitness b $2\nquorum a\n"),
        case("defined below", "log $log\nquorum a\nwitness a $2\n"),
        case("a threshold too high", "log $log\nwitness a $2\ngroup g 2 a\nquorum g\n"),
        case("two quorums", "log $log\nquorum none\nquorum none\n"),
        case("none", "log $log\n"),
        case("a log's key for a witness", "log $log\nwitness a $log\nquorum a\n"),
        case(
            "a log that cosigns by its other key",
            "log $log\nlog $other\nwitness a $2\nwitness b $4\ngroup g any a b\nquorum g\n",
        ),
    ];
    json!({ "rule": RULE, "keys": KEYS, "cases": cases })
}

fn witness_file() -> Value {
    let request = |old: u64, new: &[Digest]| {
        let proof = tree::consistency(old, new.len() as u64, &tile_set(new)).expect("it grew");
        AddCheckpoint { old, proof, checkpoint: head(new) }
    };
    let case = |what: &str, request: AddCheckpoint, latest: Option<u64>| {
        let latest = latest.map(|size| Seen { size, root: root_of(&leaves(size)) });
        let (status, is_fork) = match judge(&request, &[log_key()], latest) {
            Verdict::Cosign(_) => (200, false),
            Verdict::Refuse { why, is_fork } => (why.status(), is_fork),
        };
        let latest = latest.map(|seen| json!({ "size": seen.size, "root": hex(seen.root) }));
        json!({ "name": what, "text": request.to_string(), "log": log_key().to_string(), "latest": latest,
                "status": status, "is_fork": is_fork })
    };
    let mut stranger = request(0, &leaves(5));
    stranger.checkpoint = SignedCheckpoint::sign(&name("another.example"), 5, root_of(&leaves(5)), &secret(1));
    let mut other_key = request(0, &leaves(5));
    other_key.checkpoint = SignedCheckpoint::sign(&name(LOG), 5, root_of(&leaves(5)), &secret(2));
    let mut shrunk = request(4, &leaves(4));
    shrunk.old = 9;
    let mut spare = request(4, &leaves(9));
    spare.proof.push([0; 32]);
    let cases = vec![
        case("the first", request(0, &leaves(5)), None),
        case("growth", request(4, &leaves(9)), Some(4)),
        case("the same again", request(9, &leaves(9)), Some(9)),
        case("an unknown log", stranger, None),
        case("an unknown key", other_key, None),
        case("old beyond size", shrunk, Some(9)),
        case("another old size", request(4, &leaves(9)), Some(5)),
        case("an old checkpoint again", request(2, &leaves(3)), Some(5)),
        case("a spare hash", spare, Some(4)),
        case("rewritten", request(4, &rewritten(9)), Some(4)),
        case("one size, two roots", request(4, &rewritten(4)), Some(4)),
        case("one size, two roots, another old size", request(4, &rewritten(9)), Some(9)),
    ];
    json!({ "rule": RULE, "keys": KEYS, "cases": cases })
}

fn forks_file() -> Value {
    let beginning = |leaves: &[Digest], at: u64| {
        let proof = tree::consistency(at, leaves.len() as u64, &tile_set(leaves)).expect("it grew");
        Some(Beginning { root: root_of(&leaves[..at as usize]), proof })
    };
    let of_one_size = ForkEvidence::new(&head(&leaves(7)), &head(&rewritten(7)), None, &log_key()).expect("a fork");
    let later = |small, large| {
        let beginning = beginning(&rewritten(large), small);
        ForkEvidence::new(&head(&leaves(small)), &head(&rewritten(large)), beginning, &log_key()).expect("a fork")
    };
    let case = |what: &str, text: String, log: &VerifierKey| {
        let read = ForkEvidence::parse(text.as_bytes());
        let holds = read.as_ref().is_ok_and(|evidence| evidence.verify(log).is_ok());
        json!({ "name": what, "text": text, "log": log.to_string(), "reads": read.is_ok(), "holds": holds })
    };
    let text = of_one_size.to_string();
    let swapped = format!("lattice-fork/v1\n\n{}\n{}", of_one_size.second(), of_one_size.first());
    let grown = format!("lattice-fork/v1\n\n{}\n{}", head(&leaves(4)), head(&leaves(7)));
    let cases = vec![
        case("two roots of one size", text.clone(), &log_key()),
        case("another beginning, of 5 records", later(5, 9).to_string(), &log_key()),
        case("another beginning, of 4 records", later(4, 7).to_string(), &log_key()),
        case("the key of another", text.clone(), &key(LOG, KeyKind::Log, 2)),
        case("the larger root first", swapped, &log_key()),
        case("a log that grew", grown, &log_key()),
        case("another beginning claimed", later(5, 9).to_string().replacen("beginning ", "beginning A", 1), &log_key()),
        case("a size changed", text.replacen("\n7\n", "\n6\n", 1), &log_key()),
    ];
    json!({ "rule": RULE, "keys": KEYS, "cases": cases })
}

#[test]
fn every_file_says_what_the_code_does() {
    for (file, expected) in [
        ("log_trees.json", trees_file()),
        ("log_proofs.json", proofs_file()),
        ("log_tiles.json", tiles_file()),
        ("log_checkpoints.json", checkpoints_file()),
        ("log_proof_files.json", proof_files_file()),
        ("log_policies.json", policies_file()),
        ("log_witness.json", witness_file()),
        ("log_forks.json", forks_file()),
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        if std::env::var_os("LATTICE_WRITE_VECTORS").is_some_and(|value| value == "1") {
            let text = serde_json::to_string_pretty(&expected).expect("plain JSON");
            std::fs::write(&path, text + "\n").expect("the vectors folder can be written");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn both_what_holds_and_what_does_not_is_shown() {
    for file in [proofs_file(), checkpoints_file(), proof_files_file(), forks_file()] {
        let cases = file["cases"].as_array().expect("cases");
        let holding = cases.iter().filter(|case| case["holds"] == true).count();
        assert!(holding >= 2 && holding < cases.len(), "{holding} of {}", cases.len());
        assert!(cases.iter().all(|case| case["reads"] != false || case["holds"] == false));
    }
    let statuses: Vec<_> =
        witness_file()["cases"].as_array().expect("cases").iter().map(|c| c["status"].clone()).collect();
    assert_eq!(statuses, [200, 200, 200, 404, 403, 400, 409, 409, 422, 422, 422, 409]);
}
