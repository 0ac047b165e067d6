//! Messages read back, and nothing else does.

use super::*;
use crate::ids::{AuthorId, CommitId, StateRoot};
use crate::keys::SIGNATURE_BYTES;

#[test]
fn every_message_reads_back_and_nothing_else_does() {
    let position = MirrorPosition { log_size: 3, log_root: [4; 32], staged: (1, 9) };
    let write = ForwardedWrite {
        ops: vec![vec![1, 2]],
        condition: 3,
        tag: Some((CommitId([5; 32]), 1)),
        name: Some("once".to_owned()),
        level: 1,
    };
    let body = crate::seat::tests::first_body().hash();
    let requests = [
        SeatRequest::Vote { body: vec![7], carrier: Some(vec![8]) },
        SeatRequest::Renew { body, ticket: TicketWire(1, 2), carrier: None, lease_ms: 3 },
        SeatRequest::Release { ticket: TicketWire(1, 2) },
        SeatRequest::Inquire,
        SeatRequest::Fetch { term: 1, position, is_bare: true, wait_ms: 9, is_twin: false, paused_ms: 0 },
        SeatRequest::Fetch { term: 1, position, is_bare: false, wait_ms: 9, is_twin: true, paused_ms: 7 },
        SeatRequest::Write(Box::new(write)),
        SeatRequest::HandOver { term: 1, staged_seq: 2 },
        SeatRequest::Probe { carrier: None },
        SeatRequest::Stood { term: 3 },
        SeatRequest::Read { key: "green/k".to_owned() },
        SeatRequest::Await { author: AuthorId([1; 32]), term: 1, seq: 2, wait_ms: 3 },
        SeatRequest::Names { term: 1, after: 2 },
        SeatRequest::Terms { after: 3 },
    ];
    for request in requests {
        let bytes = request.encode();
        assert_eq!(SeatRequest::decode(&bytes), Ok(request));
        assert!(SeatRequest::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(SeatRequest::decode(&bytes[..bytes.len() - 1]).is_err());
    }
    let refusal =
        SeatRefusal { code: 1, term: 2, wait_ms: 3, holder: None, words: "why".to_owned(), carrier: Some(vec![1]) };
    let batch = Batch {
        records: vec![BatchRecord { record: vec![1], commits: vec![vec![2], vec![]] }],
        staged: vec![BatchStaged { commit: vec![3], name: None }],
        log_size: 4,
        last: (1, 5),
        is_released: false,
        is_behind: true,
    };
    let (commit, root) = (CommitId([1; 32]), StateRoot([2; 32]));
    let answers = [
        SeatAnswer::Refused(Box::new(refusal)),
        SeatAnswer::Voted([3; SIGNATURE_BYTES]),
        SeatAnswer::Done,
        SeatAnswer::Lease {
            rest_ms: 1,
            lease: Some((AuthorId([4; 32]), 5)),
            certified_term: 6,
            ballot_term: 7,
            released_by: None,
        },
        SeatAnswer::Probed { log_size: 1, waiting: 2, is_sound: true, disk_free: None, memory_free: Some(3) },
        SeatAnswer::Batch(Box::new(batch)),
        SeatAnswer::Written { commit, seq: 1, time_ms: 2, log_position: 3, root, entries: 4 },
        SeatAnswer::Entry(Some(b"{}".to_vec())),
        SeatAnswer::Names {
            names: vec![KeptName { name: "once".to_owned(), request_hash: [5; 32], term: 7, answer: vec![6] }],
            upto: 7,
            log_size: 8,
        },
        SeatAnswer::Terms(vec![vec![9], vec![10]]),
    ];
    for answer in answers {
        let bytes = answer.encode();
        assert_eq!(SeatAnswer::decode(&bytes), Ok(answer));
        assert!(SeatAnswer::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}

#[test]
fn more_than_a_message_may_have_is_refused() {
    let kept = KeptName { name: "n".to_owned(), request_hash: [5; 32], term: 7, answer: vec![6] };
    let names = |names| SeatAnswer::decode(&SeatAnswer::Names { names, upto: 1, log_size: 1 }.encode());
    assert!(names(vec![kept.clone(); NAMES_MAX]).is_ok());
    assert!(names(vec![kept.clone(); NAMES_MAX + 1]).is_err());
    assert!(names(vec![KeptName { name: String::new(), ..kept.clone() }]).is_err());
    assert!(names(vec![KeptName { answer: vec![0; 257], ..kept }]).is_err());
    let terms = |count| SeatAnswer::decode(&SeatAnswer::Terms(vec![vec![1]; count]).encode());
    assert!(terms(TERMS_MAX).is_ok() && terms(TERMS_MAX + 1).is_err());
}
