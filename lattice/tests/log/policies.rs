//! Policies: the grammar as a table, and who is enough.

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::log::policy::{BadPolicy, NoPolicy, POLICY_BYTES_MAX, Policy, Refused};

use super::{LOG, checkpoint, key, leaves, log_key, name, secret};

/// `text` with `$log` and `$1` to `$9` in place of keys.
fn written(text: &str) -> String {
    let mut text = text.replace("$log", &log_key().to_string());
    for seed in 1..=9 {
        text = text.replace(&format!("${seed}"), &witness(seed).to_string());
    }
    text
}

fn witness(seed: u8) -> VerifierKey {
    key(&format!("w{seed}.example"), KeyKind::Cosigner, 10 + seed)
}

fn policy(text: &str) -> Policy {
    Policy::parse(written(text).as_bytes()).unwrap_or_else(|bad| panic!("{bad}\n{text}"))
}

/// A checkpoint of five records, cosigned by these.
fn cosigned(seeds: &[u8]) -> SignedCheckpoint {
    let mut signed = checkpoint(&leaves(5));
    for seed in seeds {
        let line = signed.cosign(100 + u64::from(*seed), witness(*seed).name(), &secret(10 + seed));
        signed.add(line, &witness(*seed)).expect("it holds");
    }
    signed
}

/// The example of C2SP tlog-policy.
const EXAMPLE: &str = "log $log\n\nwitness X1 $1\nwitness X2 $2\nwitness X3 $3\ngroup X-witnesses 2 X1 X2 X3\n\n\
    witness Y1 $4\nwitness Y2 $5\nwitness Y3 $6\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
    group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n";

#[test]
fn the_example_of_the_specification_is_judged_as_it_says() {
    let policy = policy(EXAMPLE);
    for (seeds, is_enough) in [
        (&[1, 2, 4][..], true),
        (&[1, 3, 6], true),
        (&[1, 2, 3, 4, 5, 6], true),
        (&[1, 4, 5, 6], false),
        (&[1, 2, 3], false),
        (&[4, 5, 6], false),
        (&[7, 8, 9], false),
        (&[], false),
    ] {
        assert_eq!(policy.judge(&cosigned(seeds)).is_ok(), is_enough, "{seeds:?}");
    }
    let judged = policy.judge(&cosigned(&[6, 2, 1, 9])).expect("enough");
    let found: Vec<_> = judged.witnesses.iter().map(|by| (by.name.to_string(), by.time_s)).collect();
    assert_eq!(found, [("X1".into(), 101), ("X2".into(), 102), ("Y3".into(), 106)]);
    assert_eq!(judged.log, log_key());
}

#[test]
fn a_refusal_says_what_was_wanted_who_is_there_and_who_is_not() {
    let refused = policy(EXAMPLE).judge(&cosigned(&[1, 9])).expect_err("not enough");
    assert_eq!(
        refused.to_string(),
        "the quorum is not reached: it wants 2 of the 2 in group X-and-Y (X-witnesses, Y-witnesses); \
         cosigned by X1; not by X2, X3, Y1, Y2, Y3"
    );
    let refused = policy("log $log\nwitness a $1\nwitness b $2\nquorum b\n").judge(&cosigned(&[])).expect_err("none");
    assert_eq!(
        refused.to_string(),
        "the quorum is not reached: it wants witness b; cosigned by nobody; not by b",
        "a witness beside the quorum is not missing"
    );
}

#[test]
fn unknown_logs_and_bad_signatures_are_refused_even_if_the_quorum_is_none() {
    let plain = policy("log $log\nwitness a $1\nquorum none\n");
    assert!(plain.judge(&cosigned(&[])).is_ok());
    assert_eq!(policy("quorum none").judge(&cosigned(&[])), Err(Refused::UnknownLog(LOG.into())));
    let other = SignedCheckpoint::sign(&name(LOG), 5, [7; 32], &secret(2));
    assert_eq!(plain.judge(&other), Err(Refused::NotSigned(LOG.into())));
    let other = SignedCheckpoint::sign(&name("another.example"), 5, [7; 32], &secret(1));
    assert_eq!(plain.judge(&other), Err(Refused::UnknownLog("another.example".into())));

    // Signature lines of one checkpoint below the text of another.
    let text = cosigned(&[1]).to_string();
    let (_, lines) = text.split_once("\n\n").expect("two parts");
    let own = SignedCheckpoint::sign(&name(LOG), 6, [7; 32], &secret(1));
    let (log_line, witness_line) = lines.split_once('\n').expect("two lines");
    let below = |lines: &str| SignedCheckpoint::parse(format!("{}\n{lines}\n", own.note().text()).as_bytes());
    let moved = below(log_line).expect("a checkpoint");
    assert!(matches!(plain.judge(&moved), Err(Refused::LogSignature(_))));
    let own_line = own.note().signatures()[0].to_string();
    let moved = below(&format!("{own_line}\n{}", witness_line.trim_end())).expect("a checkpoint");
    assert!(matches!(plain.judge(&moved), Err(Refused::Cosignature { name }) if name.to_string() == "a"));
}

#[test]
fn a_log_with_two_keys_is_accepted_by_either() {
    let second = key(LOG, KeyKind::Log, 2);
    let policy = Policy::of_members(vec![second, log_key()], Vec::new(), 0).expect("a policy");
    assert_eq!(policy.judge(&cosigned(&[])).map(|judged| judged.log), Ok(log_key()));
}

#[test]
fn what_the_grammar_allows_is_read() {
    for good in [
        "quorum none",
        "quorum none\n",
        "\n \t \n# comment \u{fffd}\n\t# another\n  quorum \t none \t\nlog $log\n",
        "log $log https://log.example/x?y=z#w\nquorum none\n",
        "witness a $1 https://w.example/\nquorum a\n",
        "witness none-such $1\nquorum none-such\n",
        "witness any $1\nwitness all $2\nwitness 3 $3\ngroup quorum any any all 3\nquorum quorum\n",
        "witness a $1\ngroup b 1 a\ngroup c all b\nquorum c\n",
        "witness a $1\nquorum a\nwitness b $2\ngroup g any a b\n",
        "witness \u{212a} $1\nwitness K $2\nquorum K\n",
    ] {
        let read = policy(good);
        assert_eq!(Policy::parse(&read.encode()), Ok(read.clone()), "{good}");
        assert_eq!(Policy::parse(read.to_string().as_bytes()), Ok(read), "{good}");
    }
    let bytes = [b"# \xff\nwitness \xff\xfe ", written("$1").as_bytes(), b" \x80\nquorum \xff\xfe\n"].concat();
    let read = Policy::parse(&bytes).expect("bytes above 0x7f mean themselves");
    assert_eq!(read.encode(), &bytes[4..]);
}

#[test]
fn what_the_grammar_forbids_is_refused_with_its_line_and_what_to_do() {
    for (bad, line, hint) in [
        ("quorum none\r\n", 1, "no carriage returns"),
        ("# \u{7f}\nquorum none\n", 1, "plain text"),
        ("# \0\nquorum none\n", 1, "plain text"),
        ("quorum none\n\nlogs $log\n", 3, "begin with log"),
        ("log\nquorum none\n", 1, "write log"),
        ("log $log url more\nquorum none\n", 1, "write log"),
        ("log nonsense\nquorum none\n", 1, "copy the key again"),
        ("log $1\nquorum none\n", 1, "take the other key"),
        ("log $log\nlog $log url\nquorum none\n", 2, "remove one"),
        ("witness a\nquorum none\n", 1, "write witness"),
        ("witness a $1 url more\nquorum none\n", 1, "write witness"),
        ("witness a $log\nquorum none\n", 1, "take the other key"),
        ("witness none $1\nquorum none\n", 1, "choose another"),
        ("witness a $1\nwitness a $2\nquorum none\n", 2, "choose another"),
        ("witness a $1\nwitness b $1\nquorum none\n", 2, "remove one"),
        ("witness a $1\ngroup a all a\nquorum none\n", 2, "choose another"),
        ("witness a $1\ngroup none all a\nquorum none\n", 2, "choose another"),
        ("group g\nquorum none\n", 1, "write group"),
        ("group g all\nquorum none\n", 1, "write group"),
        ("group g all a\nwitness a $1\nquorum none\n", 1, "define it first"),
        ("group g any g\nquorum none\n", 1, "define it first"),
        ("witness a $1\ngroup g all none\nquorum none\n", 2, "choose another"),
        ("witness a $1\ngroup g all a a\nquorum none\n", 2, "one only"),
        ("witness a $1\ngroup g all a\ngroup h all a\nquorum none\n", 3, "one only"),
        ("witness a $1\ngroup g 0 a\nquorum none\n", 2, "from 1 to 1"),
        ("witness a $1\ngroup g 2 a\nquorum none\n", 2, "from 1 to 1"),
        ("witness a $1\ngroup g 01 a\nquorum none\n", 2, "from 1 to 1"),
        ("witness a $1\ngroup g -1 a\nquorum none\n", 2, "from 1 to 1"),
        ("witness a $1\ngroup g ALL a\nquorum none\n", 2, "from 1 to 1"),
        ("quorum\n", 1, "write quorum"),
        ("quorum none none\n", 1, "write quorum"),
        ("quorum a\nwitness a $1\n", 1, "define it first"),
        ("quorum none\nquorum none\n", 2, "remove one"),
        ("QUORUM none\n", 1, "begin with log"),
    ] {
        let refused = Policy::parse(written(bad).as_bytes()).expect_err(bad);
        assert!(matches!(&refused, BadPolicy::Line { number, .. } if *number == line), "{bad:?}: {refused}");
        assert!(refused.to_string().contains(hint), "{bad:?}: {refused}");
    }
    for empty in ["", "\n", "# quorum none", "log $log\n"] {
        assert_eq!(Policy::parse(written(empty).as_bytes()), Err(BadPolicy::NoQuorum), "{empty:?}");
    }
}

#[test]
fn a_policy_is_bounded() {
    let many = |count: u16| {
        let line = |n: u16| {
            let secret = ed25519_dalek::SigningKey::from_bytes(&[n.to_be_bytes(); 16].concat().try_into().expect("32"));
            let public = secret.verifying_key().to_bytes();
            let of = |kind| VerifierKey::new(name(&format!("k{n}")), kind, public).expect("a key");
            let (log, witness) = (of(KeyKind::Log), of(KeyKind::Cosigner));
            let member = if n == 0 { "w0".to_owned() } else { format!("g{} w{n}", n - 1) };
            format!("log {log}\nwitness w{n} {witness}\ngroup g{n} all {member}\n")
        };
        let text: String = (0..count).map(line).collect();
        Policy::parse(format!("{text}quorum g{}\n", count - 1).as_bytes())
    };
    let most = many(256).expect("256 of each, each group around the one before");
    assert_eq!(Policy::parse(&most.encode()), Ok(most.clone()));
    assert!(matches!(most.judge(&cosigned(&[])), Err(Refused::UnknownLog(_))));
    assert!(many(257).expect_err("257 of each").to_string().contains("at most 256"));
    let filled = |bytes: usize| [b"quorum none\n#".as_slice(), &vec![b'x'; bytes - 14], b"\n"].concat();
    assert!(Policy::parse(&filled(POLICY_BYTES_MAX)).is_ok());
    assert_eq!(Policy::parse(&filled(POLICY_BYTES_MAX + 1)), Err(BadPolicy::TooLong(POLICY_BYTES_MAX + 1)));
    let long = format!("log {} {}\nquorum none\n", log_key(), "u".repeat(513));
    assert!(Policy::parse(long.as_bytes()).is_err());
}

#[test]
fn the_policy_of_a_lattice_reads_back_and_asks_for_its_threshold() {
    let witnesses = |names: &[&str]| -> Vec<_> {
        (1..).zip(names).map(|(seed, name)| ((*name).to_owned(), witness(seed))).collect()
    };
    let made = Policy::of_members(vec![log_key()], witnesses(&["one", "two", "three"]), 2).expect("a policy");
    assert_eq!(
        made.to_string(),
        written(
            "log $log\nwitness one $1\nwitness two $2\nwitness three $3\ngroup members 2 one two three\nquorum members\n"
        )
    );
    assert_eq!(Policy::parse(&made.encode()), Ok(made.clone()));
    assert!(made.judge(&cosigned(&[1, 3])).is_ok() && made.judge(&cosigned(&[3])).is_err());

    let odd = witnesses(&["two words", "none", "members", "same", "same", ""]);
    let odd = Policy::of_members(vec![log_key()], odd, 6).expect("a policy");
    let called: Vec<_> = odd.witnesses().iter().map(|witness| witness.name.to_string()).collect();
    let of_key = |seed| format!("w{seed}.example+{:08x}", witness(seed).id());
    assert_eq!(called, [of_key(1), of_key(2), of_key(3), "same".into(), of_key(5), of_key(6)]);
    assert_eq!(Policy::parse(&odd.encode()), Ok(odd));

    let none = Policy::of_members(vec![log_key()], Vec::new(), 0).expect("a policy");
    assert_eq!(none.to_string(), written("log $log\nquorum none\n"));
    for threshold in [0, 4] {
        let refused = Policy::of_members(vec![], witnesses(&["a", "b", "c"]), threshold);
        assert_eq!(refused, Err(NoPolicy::Threshold { threshold, witnesses: 3 }));
    }
    let twice = vec![("a".to_owned(), witness(1)), ("b".to_owned(), witness(1))];
    assert_eq!(Policy::of_members(vec![], twice, 1), Err(NoPolicy::Twice(witness(1))));
    assert_eq!(Policy::of_members(vec![witness(1)], vec![], 0), Err(NoPolicy::Kind(witness(1))));
}

#[test]
fn a_log_is_no_witness_of_its_own() {
    // Each member's log and witness have one public key. A node that cosigned its own checkpoint was one voice of its quorum,
    // and with two members the only one that was needed.
    let own = key("w.example", KeyKind::Cosigner, 1);
    let text = format!("log $log\nwitness own {own}\nwitness other $1\ngroup members 1 own other\nquorum members\n");
    let mut alone = checkpoint(&leaves(5));
    let line = alone.cosign(100, own.name(), &secret(1));
    alone.add(line, &own).expect("it holds");
    assert!(matches!(policy(&text).judge(&alone), Err(Refused::Quorum { .. })));
    let mut both = alone.clone();
    let line = both.cosign(100, witness(1).name(), &secret(11));
    both.add(line, &witness(1)).expect("it holds");
    let judged = policy(&text).judge(&both).expect("another one vouches");
    assert_eq!(judged.witnesses.len(), 1);
}
