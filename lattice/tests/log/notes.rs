//! Notes and checkpoints: those of the specifications, those of `signed_note`, ours at theirs, and what is refused.

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use lattice::ids::{AuthorId, LatticeId};
use lattice::log::checkpoint::{BadCheckpoint, NotAdded, NotOfLog, SignedCheckpoint, is_of_lattice, origin};
use lattice::log::note::{BadNote, KeyKind, Note, SignatureLine, VerifierKey};
use signed_note::{Note as TheirNote, StandardSigner, StandardVerifier, VerifierList};

use super::{LOG, checkpoint, key, leaves, log_key, name, secret, signed};

/// The example of C2SP signed-note.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The example of C2SP tlog-cosignature. Its keys are published nowhere, so only its form can be met.
const EXAMPLE_COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

const WITNESS: &str = "witness.example/w1";

fn witness_key() -> VerifierKey {
    key(WITNESS, KeyKind::Cosigner, 9)
}

#[test]
fn the_example_of_the_specification_verifies() {
    let key: VerifierKey = EXAMPLE_KEY.parse().expect("its key");
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note = Note::parse(EXAMPLE_NOTE.as_bytes()).expect("its note");
    assert_eq!(note.to_string(), EXAMPLE_NOTE);
    assert!(note.signed_by(&key).expect("it holds").is_some());
    assert_eq!(note.signed_by(&log_key()), Ok(None), "an unknown key is ignored");
}

#[test]
fn the_cosigned_example_of_the_specification_is_read() {
    let signed = SignedCheckpoint::parse(EXAMPLE_COSIGNED.as_bytes()).expect("its checkpoint");
    assert_eq!((signed.checkpoint().origin(), signed.checkpoint().size()), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(signed.to_string(), EXAMPLE_COSIGNED);
}

/// The key in the text form of `signed_note`.
fn their_signer(of: &str, seed: u8) -> StandardSigner {
    let id = key(of, KeyKind::Log, seed).id();
    let secret = BASE64.encode(&[&[1], [seed; 32].as_slice()].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{of}+{id:08x}+{secret}")).expect("a signer")
}

fn their_verifiers(keys: &[VerifierKey]) -> VerifierList {
    let verifier = |key: &VerifierKey| StandardVerifier::new(&key.to_string()).expect("our keys are theirs");
    VerifierList::new(keys.iter().map(|key| Box::new(verifier(key)) as Box<dyn signed_note::Verifier>).collect())
}

#[test]
fn ours_verify_with_signed_note_and_theirs_with_ours() {
    let ours = checkpoint(&leaves(5));
    let theirs = TheirNote::from_bytes(ours.to_string().as_bytes()).expect("they read ours");
    let (verified, unknown) = theirs.verify(&their_verifiers(&[log_key()])).expect("they verify ours");
    assert_eq!((verified.len(), unknown.len()), (1, 0));

    let text = ours.note().text();
    let mut theirs = TheirNote::new(text.as_bytes(), &[]).expect("a text");
    theirs.add_sigs(&[&their_signer(LOG, 1), &their_signer("another.example", 2)]).expect("signed");
    let read = SignedCheckpoint::parse(&theirs.to_bytes()).expect("we read theirs");
    assert_eq!(read.verify(&log_key()), Ok(()));
    let bare = read.bare(&log_key()).expect("it is signed");
    assert_eq!(bare.to_string(), ours.to_string(), "Ed25519 signs one way");
}

#[test]
fn a_checkpoint_is_read_as_tlog_tiles_reads_it() {
    let ours = checkpoint(&leaves(5));
    let theirs = tlog_tiles::checkpoint::Checkpoint::from_bytes(ours.note().text().as_bytes());
    let head = ours.checkpoint();
    let theirs = theirs.expect("they read ours");
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (head.origin(), head.size(), *head.root()));
}

#[test]
fn a_cosignature_is_over_time_and_text_as_the_specification_writes_it() {
    let signed = checkpoint(&leaves(5));
    let line = signed.cosign(1_679_315_147, &name(WITNESS), &secret(9));
    let message = format!("cosignature/v1\ntime 1679315147\n{}", signed.note().text());
    let (id, time) = (witness_key().id().to_be_bytes(), 1_679_315_147u64.to_be_bytes());
    let by_hand = [id.as_slice(), &time, &secret(9).sign(message.as_bytes()).to_bytes()].concat();
    assert_eq!(line.to_string(), format!("— {WITNESS} {}", BASE64.encode(&by_hand)));

    let mut cosigned = signed.clone();
    assert_eq!(cosigned.add(line.clone(), &witness_key()), Ok(true));
    assert_eq!(cosigned.cosigned_by(&witness_key()), Ok(Some(1_679_315_147)));
    assert_eq!(signed.cosigned_by(&witness_key()), Ok(None));
    let theirs = TheirNote::from_bytes(cosigned.to_string().as_bytes()).expect("they read it");
    let (verified, unknown) = theirs.verify(&their_verifiers(&[log_key()])).expect("an unknown cosigner is no harm");
    assert_eq!((verified.len(), unknown.len()), (1, 1));
}

#[test]
fn a_key_for_one_purpose_never_serves_the_other() {
    // One secret signs as a log and as a witness, as a node's log key does.
    let (as_log, as_witness) = (log_key(), key(LOG, KeyKind::Cosigner, 1));
    assert_ne!(as_log.id(), as_witness.id());
    let mut signed = checkpoint(&leaves(5));
    assert_eq!(signed.verify(&as_witness), Err(NotOfLog::NotALogKey(name(LOG))));
    let line = signed.cosign(7, &name(LOG), &secret(1));
    assert_eq!(signed.add(line.clone(), &as_log), Err(NotAdded::NotAWitness(name(LOG))));
    assert_eq!(signed.add(line, &as_witness), Ok(true));
    assert_eq!((signed.verify(&as_log), signed.cosigned_by(&as_witness)), (Ok(()), Ok(Some(7))));

    // A signature moved to a line that claims the other purpose does not hold.
    let log_line = signed.note().signatures()[0].to_string();
    let bytes = BASE64.decode(log_line.rsplit(' ').next().expect("base64").as_bytes()).expect("base64");
    let moved = [as_witness.id().to_be_bytes().as_slice(), &[0; 7], &[7], &bytes[4..]].concat();
    let moved = SignatureLine::parse(&format!("— {LOG} {}", BASE64.encode(&moved))).expect("a line");
    assert!(matches!(checkpoint(&leaves(5)).add(moved, &as_witness), Err(NotAdded::Signature(_))));
}

#[test]
fn a_checkpoint_of_another_log_or_key_is_refused() {
    let signed = checkpoint(&leaves(5));
    let other = key("example.org/other", KeyKind::Log, 1);
    assert!(matches!(signed.verify(&other), Err(NotOfLog::OtherOrigin { .. })));
    assert_eq!(signed.verify(&key(LOG, KeyKind::Log, 2)), Err(NotOfLog::NotSigned(name(LOG))));
    let forged = SignedCheckpoint::sign(&name(LOG), 5, [7; 32], &secret(1)).to_string();
    let (_, signature) = forged.split_once("\n\n").expect("two parts");
    let mixed = format!("{}\n{signature}", signed.note().text());
    let mixed = SignedCheckpoint::parse(mixed.as_bytes()).expect("a checkpoint");
    assert!(matches!(mixed.verify(&log_key()), Err(NotOfLog::Signature(_))));
}

#[test]
fn one_line_per_witness_stays_the_newest_in_an_order_of_its_own() {
    let signed = checkpoint(&leaves(5));
    let witnesses: Vec<_> = (2..6).map(|seed| key(&format!("w{}", 9 - seed), KeyKind::Cosigner, seed)).collect();
    let line = |seed: u8, time| signed.cosign(time, witnesses[usize::from(seed) - 2].name(), &secret(seed));
    let grown = |order: &[(u8, u64)]| {
        let mut grown = signed.clone();
        for (seed, time) in order {
            grown.add(line(*seed, *time), &witnesses[usize::from(*seed) - 2]).expect("it holds");
        }
        grown
    };
    let one = grown(&[(2, 10), (3, 10), (4, 10), (5, 10), (3, 20), (4, 5)]);
    let other = grown(&[(5, 10), (3, 20), (4, 10), (3, 10), (2, 10)]);
    assert_eq!(one.to_string(), other.to_string());
    let names: Vec<_> = one.note().signatures().iter().map(|line| line.name().as_str()).collect();
    assert_eq!(names, [LOG, "w4", "w5", "w6", "w7"]);
    assert_eq!(one.cosigned_by(&witnesses[1]), Ok(Some(20)));

    let mut merged = grown(&[(2, 10), (3, 10)]);
    assert_eq!(merged.merge(&one, &witnesses), Ok(3), "two new and one newer");
    assert_eq!(merged.to_string(), one.to_string());
    assert_eq!(merged.merge(&one, &witnesses), Ok(0));
    let mut some = signed.clone();
    assert_eq!(some.merge(&one, &witnesses[..1]), Ok(1), "lines of unknown keys stay behind");
    assert_eq!(some.merge(&checkpoint(&leaves(6)), &witnesses), Err(NotAdded::OtherText));
}

#[test]
fn a_strangers_line_in_a_witnesss_name_neither_enters_nor_stays() {
    let witness = witness_key();
    let signed = checkpoint(&leaves(5));
    let forged = signed.cosign(u64::MAX, &name(WITNESS), &secret(8)).to_string();
    let bytes = BASE64.decode(forged.rsplit(' ').next().expect("base64").as_bytes()).expect("base64");
    let forged = [witness.id().to_be_bytes().as_slice(), &bytes[4..]].concat();
    let forged = format!("— {WITNESS} {}", BASE64.encode(&forged));
    let line = SignatureLine::parse(&forged).expect("a line");
    assert!(matches!(signed.clone().add(line, &witness), Err(NotAdded::Signature(_))));
    let poisoned = SignedCheckpoint::parse(format!("{signed}{forged}\n").as_bytes()).expect("a checkpoint");
    assert!(poisoned.cosigned_by(&witness).is_err(), "a known key's line that fails condemns the note");
    assert!(matches!(signed.clone().merge(&poisoned, std::slice::from_ref(&witness)), Err(NotAdded::Signature(_))));
    let good = signed.cosign(5, &name(WITNESS), &secret(9));
    for lines in [format!("{good}\n{forged}"), format!("{forged}\n{good}")] {
        let both = SignedCheckpoint::parse(format!("{signed}{lines}\n").as_bytes()).expect("a checkpoint");
        assert!(both.cosigned_by(&witness).is_err(), "of several lines by one key all must hold");
    }
    let mut healed = poisoned;
    healed.add(good, &witness).expect("the true one");
    assert_eq!(healed.cosigned_by(&witness), Ok(Some(5)));
}

#[test]
fn a_time_outside_of_what_a_cosignature_can_say_is_refused() {
    let signed = checkpoint(&leaves(5));
    for time in [0u64, 1 << 63, u64::MAX] {
        let message = format!("cosignature/v1\ntime {time}\n{}", signed.note().text());
        let signature = secret(9).sign(message.as_bytes()).to_bytes();
        let bytes = [witness_key().id().to_be_bytes().as_slice(), &time.to_be_bytes(), &signature].concat();
        let line = SignatureLine::parse(&format!("— {WITNESS} {}", BASE64.encode(&bytes))).expect("a line");
        assert!(signed.clone().add(line, &witness_key()).is_err(), "{time}");
    }
}

#[test]
fn no_flipped_bit_of_a_cosigned_checkpoint_is_accepted_as_the_same_statement() {
    let mut signed = checkpoint(&leaves(5));
    let line = signed.cosign(1_700_000_000, &name(WITNESS), &secret(9));
    signed.add(line, &witness_key()).expect("it holds");
    let bytes = signed.to_string().into_bytes();
    for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        let Ok(read) = SignedCheckpoint::parse(&flipped) else { continue };
        assert_eq!(read.to_string().as_bytes(), flipped, "one encoding");
        let is_signed = read.verify(&log_key()).is_ok();
        let is_cosigned = read.cosigned_by(&witness_key()) == Ok(Some(1_700_000_000));
        assert!(!(is_signed && is_cosigned), "byte {at}, bit {bit}");
    }
}

#[test]
fn what_is_no_note_is_refused() {
    let line = "— a AAAAAQI=\n";
    assert!(Note::parse(format!("text\n\n{line}").as_bytes()).is_ok());
    assert!(Note::parse(format!("a\n\nb\n\n\n{line}").as_bytes()).is_ok(), "empty lines in the text");
    assert!(Note::parse(format!("text\n\n{}", line.repeat(288)).as_bytes()).is_ok());
    for (bad, why) in [
        (String::new(), BadNote::Parts),
        ("text\n".into(), BadNote::Parts),
        (format!("text\n{line}"), BadNote::Parts),
        (format!("\n{line}"), BadNote::Parts),
        (format!("text\n\n{}", line.trim_end()), BadNote::Parts),
        ("text\n\n".into(), BadNote::Parts),
        (format!("text\n\n{line}\n"), BadNote::Parts),
        (format!("te\txt\n\n{line}"), BadNote::Text),
        (format!("te\rxt\n\n{line}"), BadNote::Text),
        (format!("te\0xt\n\n{line}"), BadNote::Text),
        (format!("text\n\n{line}- a AAAAAQI=\n"), BadNote::Line(2)),
        ("text\n\n—  AAAAAQI=\n".into(), BadNote::Line(1)),
        ("text\n\n— a+b AAAAAQI=\n".into(), BadNote::Line(1)),
        ("text\n\n— a\u{a0}b AAAAAQI=\n".into(), BadNote::Line(1)),
        ("text\n\n— a AAAAAQJ=\n".into(), BadNote::Line(1)),
        ("text\n\n— a AAAAAQI\n".into(), BadNote::Line(1)),
        ("text\n\n— a AAAAAQI= \n".into(), BadNote::Line(1)),
        ("text\n\n— a  AAAAAQI=\n".into(), BadNote::Line(1)),
        ("text\n\n— a AAAAAA==\n".into(), BadNote::Line(1)),
        ("text\n\n— a AAAA\n".into(), BadNote::Line(1)),
        ("text\n\n— a\n".into(), BadNote::Line(1)),
        (format!("text\n\n— {} AAAAAQI=\n", "n".repeat(256)), BadNote::Line(1)),
        (format!("text\n\n{}", line.repeat(289)), BadNote::TooManySignatures),
        (format!("{}\n\n{line}", "t".repeat(1 << 17)), BadNote::TooLong((1 << 17) + 2 + line.len())),
    ] {
        let head: String = bad.chars().take(40).collect();
        assert_eq!(Note::parse(bad.as_bytes()), Err(why), "{head:?}");
    }
    assert_eq!(Note::parse(b"te\xffxt\n\n\xe2\x80\x94 a AAAAAQI=\n"), Err(BadNote::Text));
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = BASE64.encode(&[7; 32]);
    let note = |text: &str| format!("{text}\n— a AAAAAQI=\n");
    let read = |text: &str| SignedCheckpoint::parse(note(text).as_bytes()).map(|signed| signed.to_string());
    let extended = format!("a log\n0\n{root}\nmore\nand more\n");
    assert_eq!(read(&extended), Ok(note(&extended)), "extension lines stay as they are");
    let top = format!("o\n{}\n{root}\n", 1u64 << 62);
    assert_eq!(read(&top), Ok(note(&top)));
    for (bad, why) in [
        (format!("o\n1\n{root}\n\nmore\n"), BadCheckpoint::Lines),
        (format!("o\n1\n{root}\n\n"), BadCheckpoint::Lines),
        (format!("\no\n1\n{root}\n"), BadCheckpoint::Lines),
        ("o\n1\n".to_owned(), BadCheckpoint::Lines),
        (format!("o\n01\n{root}\n"), BadCheckpoint::Size),
        (format!("o\n-1\n{root}\n"), BadCheckpoint::Size),
        (format!("o\n1 \n{root}\n"), BadCheckpoint::Size),
        (format!("o\n{}\n{root}\n", (1u64 << 62) + 1), BadCheckpoint::Size),
        (format!("o\n1\n{}\n", BASE64.encode(&[7; 31])), BadCheckpoint::Root),
        (format!("o\n1\n{}\n", BASE64.encode(&[7; 33])), BadCheckpoint::Root),
        (format!("o\n1\n {root}\n"), BadCheckpoint::Root),
        (format!("o\n1\n{}\n", root.replace("c=", "d=")), BadCheckpoint::Root),
    ] {
        assert_eq!(read(&bad), Err(why), "{bad:?}");
    }
}

#[test]
fn a_verifier_key_with_a_mistake_is_refused_and_says_which() {
    for bad in [
        "",
        "name",
        "name+12345678",
        &EXAMPLE_KEY.replace("530d903a", "530d903b"),
        &EXAMPLE_KEY.replace("530d903a", "530D903A"),
        &EXAMPLE_KEY.replace("530d903a", "30d903a"),
        &EXAMPLE_KEY.replace("foo", "bar"),
        &EXAMPLE_KEY.replace("example", "exa mple"),
        &EXAMPLE_KEY.replace("+Aeky", "+Beky"),
        &EXAMPLE_KEY[..EXAMPLE_KEY.len() - 4],
        &format!("{EXAMPLE_KEY} "),
        &format!("+{EXAMPLE_KEY}"),
        // The neutral point of the curve, under which anything can be signed.
        &format!("n+00000000+{}", BASE64.encode(&[&[1, 1], [0; 31].as_slice()].concat())),
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad:?}");
    }
    let long = format!("{}+00000000+AQ==", "n".repeat(256));
    assert!(long.parse::<VerifierKey>().is_err());
}

#[test]
fn the_origin_of_a_log_names_lattice_author_and_opening() {
    let (lattice, author) = (LatticeId([0xab; 32]), AuthorId([0x12; 32]));
    let first = format!("{}/{}", "ab".repeat(8), "12".repeat(16));
    assert_eq!(origin(&lattice, &author, 1).as_str(), first);
    assert_eq!(origin(&lattice, &author, 2).as_str(), format!("{first}/2"));
    let longest = origin(&lattice, &author, u64::MAX);
    assert!(is_of_lattice(longest.as_str(), &lattice) && !is_of_lattice(longest.as_str(), &LatticeId([0xac; 32])));
    assert!(!is_of_lattice("", &lattice) && !is_of_lattice(&first.replace("ab", "AB"), &lattice));
    let signed = SignedCheckpoint::sign(&longest, 3, [7; 32], &SigningKey::from_bytes(&[1; 32]));
    assert_eq!(SignedCheckpoint::parse(signed.to_string().as_bytes()), Ok(signed));
}

#[test]
fn the_note_of_the_largest_policy_fits() {
    // 256 witnesses with the longest names that a lattice has.
    let mut full = signed(5, [7; 32]);
    let (lattice, longest) = (LatticeId([0xab; 32]), u64::MAX);
    for n in 0..=255u8 {
        let of = origin(&lattice, &AuthorId([n; 32]), longest);
        let key = SigningKey::from_bytes(&[n; 32]);
        let witness = VerifierKey::new(of.clone(), KeyKind::Cosigner, key.verifying_key().to_bytes()).expect("a key");
        assert_eq!(full.add(full.cosign(1, &of, &key), &witness), Ok(true));
    }
    assert_eq!(SignedCheckpoint::parse(full.to_string().as_bytes()), Ok(full));
}
