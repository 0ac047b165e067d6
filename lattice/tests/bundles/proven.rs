//! What bundles prove, and that their bytes depend on that alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};

use lattice::bundle::{Bundle, Fact};
use lattice::log::note::KeyKind;
use lattice::op::{Key, Op};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::world::{NODES, WITNESSES, World, keys, one_of_each, policy, policy_without_witnesses, verifier};

#[test]
fn an_entry_names_its_value_author_and_commit() {
    let mut world = World::with_keys(40);
    let ops = ["x", "y", "z"].map(|key| Op::put(key, key.as_bytes()).expect("small"));
    let commit = world.commit(4, ops.into());
    let proven = world.bundle(world.entry("y")).verify(&policy(WITNESSES)).expect("it holds");
    let Fact::Value { key, value, by } = proven.fact else { panic!("{:?}", proven.fact) };
    assert_eq!((key.as_str(), value.as_deref()), ("y", Some(b"y".as_slice())));
    let header = commit.signed().header();
    assert_eq!((by.author, by.commit, by.seq), (keys(4).author.id(), commit.id(), header.seq));
    assert_eq!((by.time_ms, proven.entries, proven.root), (header.time.millis(), 43, world.tree.root()));
    assert_eq!(proven.index as usize, world.records.len() - 1);
    assert_eq!(proven.judged.log, verifier(1, KeyKind::Log));
    let names: Vec<_> = proven.judged.witnesses.iter().map(|cosigned| cosigned.name.to_string()).collect();
    assert_eq!(names, ["node2", "node3", "node4", "node5"]);
}

#[test]
fn no_witness_is_needed_where_the_policy_asks_for_none() {
    for (what, bundle) in one_of_each() {
        let proven = bundle.verify(&policy_without_witnesses()).expect(what);
        assert_eq!(proven.judged.witnesses, []);
    }
}

#[test]
fn bytes_are_those_of_what_is_shown_and_read_as_the_same() {
    for ((what, one), (_, again)) in one_of_each().into_iter().zip(one_of_each()) {
        assert_eq!(one.to_string(), again.to_string(), "{what}");
        assert_eq!(Bundle::parse(one.to_string().as_bytes()).as_ref(), Ok(&one), "{what}");
        assert!(Bundle::is_one(one.to_string().as_bytes()));
        let head = one.to_string().split_once("\n\n").expect("two parts").0.to_owned();
        assert!(head.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{head}");
    }
    assert!(!Bundle::is_one(b"lattice-proof/v1") && !Bundle::is_one(b"c2sp.org/tlog-proof@v1\n"));
}

#[test]
fn the_lines_for_people_say_it_all() {
    let mut world = World::new();
    world.commit(2, vec![Op::put("a/b \"\u{202e}", b"green").expect("small")]);
    let text = world.bundle(world.entry("a/b \"\u{202e}")).to_string();
    let head: Vec<_> = text.lines().take_while(|line| !line.is_empty()).collect();
    let author = keys(2).author.id();
    for (line, starts) in head.iter().zip([
        "lattice-proof/v1",
        "claim the key has the value",
        r#"key "a/b \"\u202e""#,
        "value 5 bytes, SHA-256 ba4788b226aa8dc2e6dc74248bb9f618cfa8c959e0c26c147be48f6839a0b088",
        "lattice a7a7a7a7a7a7a7a7",
        &format!("author {author}"),
        "commit ",
        "time 2025-06-15T15:06:41.007Z",
        "state ",
        "record 1 of 2, written 2025-06-15T15:06:41.014Z",
        r#"log "a7a7a7a7a7a7a7a7/"#,
        "proof SHA-256/128 ",
    ]) {
        assert!(line.starts_with(starts), "{line:?} does not start with {starts:?}");
    }
    assert_eq!(head.len(), 12);
}

#[test]
fn every_key_of_random_lattices_is_shown_as_it_stands() {
    let op = ("[a-z\u{e9}/]{1,3}", prop::option::of(prop::collection::vec(any::<u8>(), 0..40)));
    let commits = prop::collection::vec((1..=NODES, prop::collection::vec(op, 1..9)), 0..40);
    let seed = RandomState::new().build_hasher().finish();
    let config = Config { cases: 24, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    let run = TestRunner::new(config).run(&commits, |commits| {
        let mut world = World::new();
        let mut model = BTreeMap::new();
        for (node, ops) in commits {
            let mut seen = BTreeSet::new();
            let ops: Vec<_> = ops.into_iter().filter(|(key, _)| seen.insert(key.clone())).collect();
            let op = |(key, value): &(String, Option<Vec<u8>>)| match value {
                Some(value) => Op::put(key, value).expect("small"),
                None => Op::delete(key).expect("small"),
            };
            world.commit(node, ops.iter().map(op).collect());
            model.extend(ops);
        }
        for (key, value) in &model {
            let bundle = world.bundle(world.entry(key));
            assert_eq!(Bundle::parse(bundle.to_string().as_bytes()).as_ref(), Ok(&bundle));
            let fact = bundle.verify(&policy(1)).expect("it holds").fact;
            let Fact::Value { key: found, value: its, .. } = fact else { panic!("{fact:?}") };
            prop_assert_eq!((found.as_str(), &its), (key.as_str(), value));
            prop_assert!(world.bundle(world.absence(key)).verify(&policy(1)).is_err(), "it is there");
        }
        for key in ["A", "absent", "-"] {
            let bundle = world.bundle(world.absence(key));
            assert_eq!(Bundle::parse(bundle.to_string().as_bytes()).as_ref(), Ok(&bundle));
            let fact = bundle.verify(&policy(1)).expect("it holds").fact;
            prop_assert_eq!(fact, Fact::Absent { key: Key::new(key).expect("small") });
        }
        prop_assert_eq!(world.keys().count(), model.len());
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}
