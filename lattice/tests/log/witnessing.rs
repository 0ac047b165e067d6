//! Witnessing: the table of answers of C2SP tlog-witness.

use data_encoding::BASE64;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{EVIDENCE_TEXT_BYTES_MAX, FORK_EVIDENCE_BYTES_MAX, ForkEvidence};
use lattice::log::note::KeyKind;
use lattice::log::tree;
use lattice::log::witness::{
    ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint, BadRequest, Refusal, Seen, Verdict, judge, parse_conflict,
    parse_cosignatures,
};

use super::{LOG, checkpoint, extended, key, leaves, log_key, name, root_of, secret, signed, tile_set};

/// The request of a log that grew from `old` to `new` records.
fn request(old: u64, new: u64) -> AddCheckpoint {
    let all = leaves(new);
    let proof = tree::consistency(old, new, &tile_set(&all)).expect("it grew");
    AddCheckpoint { old, proof, checkpoint: checkpoint(&all) }
}

fn seen(size: u64) -> Option<Seen> {
    Some(Seen { size, root: root_of(&leaves(size)) })
}

/// The status that the specification wants, and whether both checkpoints prove a fork.
fn answer(request: &AddCheckpoint, latest: Option<Seen>) -> (u16, bool) {
    match judge(request, &[log_key()], latest) {
        Verdict::Cosign(new) => {
            assert_eq!(
                (new.size, &new.root),
                (request.checkpoint.checkpoint().size(), request.checkpoint.checkpoint().root())
            );
            (200, false)
        }
        Verdict::Refuse { why, is_fork } => (why.status(), is_fork),
    }
}

#[test]
fn honest_growth_is_cosigned() {
    for (old, new) in [(0, 0), (0, 1), (0, 300), (1, 1), (1, 2), (7, 300), (256, 257), (300, 300)] {
        let latest = if old == 0 { None } else { seen(old) };
        assert_eq!(answer(&request(old, new), latest), (200, false), "{old} to {new}");
    }
    assert_eq!(answer(&request(0, 5), seen(0)), (200, false), "an empty log was seen");
}

#[test]
fn each_refusal_has_the_status_that_the_specification_wants() {
    let with = |alter: &dyn Fn(&mut AddCheckpoint)| {
        let mut request = request(4, 9);
        alter(&mut request);
        request
    };
    let other_root = |size: u64| signed(size, [7; 32]);
    for (what, request, latest, expected) in [
        ("nothing seen, but an old size", request(4, 9), None, (409, false)),
        ("another old size", request(4, 9), seen(5), (409, false)),
        ("old size zero to ask for the size", request(0, 9), seen(5), (409, false)),
        ("an older checkpoint", request(2, 3), seen(5), (409, false)),
        ("old beyond size", with(&|r| r.old = 10), seen(10), (400, false)),
        ("a flipped bit in the proof", with(&|r| r.proof[0][0] ^= 1), seen(4), (422, false)),
        ("a spare hash", with(&|r| r.proof.push([0; 32])), seen(4), (422, false)),
        ("no proof", with(&|r| r.proof.clear()), seen(4), (422, false)),
        ("another root", with(&|r| r.checkpoint = other_root(9)), seen(4), (422, false)),
        ("a proof from nothing", with(&|r| r.old = 0), None, (422, false)),
        ("one size, two roots", AddCheckpoint { checkpoint: other_root(4), ..request(4, 4) }, seen(4), (422, true)),
        (
            "one size, two roots, stale",
            AddCheckpoint { checkpoint: other_root(5), ..request(4, 5) },
            seen(5),
            (409, true),
        ),
        ("one size, and a proof", AddCheckpoint { proof: vec![[0; 32]], ..request(4, 4) }, seen(4), (422, false)),
        ("an empty log with a root", AddCheckpoint { checkpoint: other_root(0), ..request(0, 0) }, None, (422, false)),
        ("two empty logs", AddCheckpoint { checkpoint: other_root(0), ..request(0, 0) }, seen(0), (422, true)),
    ] {
        assert_eq!(answer(&request, latest), expected, "{what}");
    }
}

#[test]
fn who_signed_is_judged_before_anything_else() {
    // All else is wrong with this request too.
    let wrong = |checkpoint| AddCheckpoint { old: 99, proof: vec![[0; 32]; 63], checkpoint };
    let verdict = |checkpoint| match judge(&wrong(checkpoint), &[log_key(), key("b", KeyKind::Log, 2)], seen(5)) {
        Verdict::Refuse { why, is_fork } => (why, is_fork),
        Verdict::Cosign(_) => panic!("cosigned"),
    };
    let of_stranger = SignedCheckpoint::sign(&name("stranger"), 5, [7; 32], &secret(1));
    assert_eq!(verdict(of_stranger), (Refusal::UnknownLog("stranger".into()), false));
    let by_stranger = SignedCheckpoint::sign(&name(LOG), 5, [7; 32], &secret(3));
    assert_eq!(verdict(by_stranger), (Refusal::NotSigned, false));
    let text = signed(5, [7; 32]).to_string().replacen("\n5\n", "\n6\n", 1);
    let altered = SignedCheckpoint::parse(text.as_bytes()).expect("a checkpoint");
    assert_eq!(verdict(altered), (Refusal::Signature(name(LOG)), false));
    assert_eq!(verdict(signed(5, [7; 32])).0.status(), 400);
    let statuses = [Refusal::UnknownLog(String::new()), Refusal::NotSigned, Refusal::Signature(name("a"))];
    assert_eq!(statuses.map(|refusal| refusal.status()), [404, 403, 403]);
}

/// A log whose checkpoints were too long for evidence could fork and nothing would have come of it.
#[test]
fn what_no_evidence_has_room_for_is_not_cosigned() {
    let asked = |line: &str| AddCheckpoint { old: 0, proof: vec![], checkpoint: extended(5, [7; 32], line) };
    let text = signed(5, [7; 32]).note().text().len() + 1;
    let longest = "x".repeat(EVIDENCE_TEXT_BYTES_MAX - text);
    assert_eq!(answer(&asked(&longest), None), (200, false));
    assert_eq!(answer(&asked(&format!("{longest}x")), None), (400, false));
    // Two of the longest fit, with the longest proof.
    let evidence =
        ForkEvidence::new(&extended(5, [7; 32], &longest), &extended(5, [8; 32], &longest), None, &log_key());
    let proof = 64 * 45 + "beginning ".len();
    assert!(evidence.expect("two roots").to_string().len() + proof <= FORK_EVIDENCE_BYTES_MAX);
}

#[test]
fn a_conflict_is_answered_with_the_size_alone() {
    let Verdict::Refuse { why, .. } = judge(&request(4, 9), &[log_key()], seen(7)) else { panic!("cosigned") };
    assert_eq!((why.status(), why.body()), (409, "7\n".to_owned()));
    let Verdict::Refuse { why, .. } = judge(&request(4, 9), &[log_key()], None) else { panic!("cosigned") };
    assert_eq!((why.status(), why.body()), (409, "0\n".to_owned()));
}

#[test]
fn the_answers_of_a_witness_are_read_strictly() {
    let signed = checkpoint(&leaves(5));
    let line = |seed: u8, of: &str| signed.cosign(7, &name(of), &secret(seed));
    let body = format!("{}\n{}\n", line(2, "w2"), line(3, "w3"));
    assert_eq!(parse_cosignatures(body.as_bytes()), Some(vec![line(2, "w2"), line(3, "w3")]));
    assert!(parse_cosignatures(body.repeat(144).as_bytes()).is_some());
    for bad in ["", "\n", body.trim_end(), &format!("{body}\n"), &format!("\n{body}"), &body.repeat(145), "5\n"] {
        assert_eq!(parse_cosignatures(bad.as_bytes()), None, "{:?}", bad.chars().take(40).collect::<String>());
    }
    assert_eq!(parse_conflict(b"0\n"), Some(0));
    for bad in ["", "5", "05\n", "5\n\n", " 5\n", "five\n"] {
        assert_eq!(parse_conflict(bad.as_bytes()), None, "{bad:?}");
    }
}

/// The example of the specification.
const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

#[test]
fn a_request_is_read_as_the_specification_writes_it() {
    let read = AddCheckpoint::parse(EXAMPLE.as_bytes()).expect("its example");
    assert_eq!((read.old, read.proof.len(), read.checkpoint.checkpoint().size()), (20_852_014, 4, 20_852_163));
    assert_eq!(read.to_string(), EXAMPLE);
    for (old, new) in [(0, 0), (0, 5), (5, 5), (4, 9)] {
        let request = request(old, new);
        assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request));
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let with = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1);
    let hashes = format!("old 20852014\n{}", format!("{}\n", BASE64.encode(&[7; 32])).repeat(60));
    for (bad, why) in [
        (String::new(), BadRequest::Text),
        ("old 5".to_owned(), BadRequest::Text),
        ("old 5\n".to_owned(), BadRequest::Text),
        (with("old 20852014", "old 020852014"), BadRequest::Old),
        (with("old 20852014", "old -1"), BadRequest::Old),
        (with("old 20852014", "old  1"), BadRequest::Old),
        (with("old 20852014", "Old 1"), BadRequest::Old),
        (with("old 20852014\n", ""), BadRequest::Old),
        (with("old 20852014", "old 18446744073709551616"), BadRequest::Old),
        (with("PlRN", "PlR"), BadRequest::Hash(1)),
        (with("jrJZ", " jrJZ"), BadRequest::Hash(2)),
        (with("old 20852014\n", &hashes), BadRequest::TooManyHashes),
        ("x".repeat(ADD_CHECKPOINT_BYTES_MAX + 1), BadRequest::TooLong(ADD_CHECKPOINT_BYTES_MAX + 1)),
    ] {
        let head: String = bad.chars().take(60).collect();
        assert_eq!(AddCheckpoint::parse(bad.as_bytes()), Err(why), "{head:?}");
    }
    let crlf = EXAMPLE.replace('\n', "\r\n");
    assert!(AddCheckpoint::parse(crlf.as_bytes()).is_err());
    assert!(matches!(AddCheckpoint::parse(b"old 5\n\n"), Err(BadRequest::Checkpoint(_))));
}
