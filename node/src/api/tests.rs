//! How errors become answers, as a table. What the routes do is tested against a running node, in `tests/`.

use lattice::clock::ClockBehind;
use lattice::codec::DecodeError;
use lattice::commit::VerifyError;
use lattice::fault::Fault;
use lattice::ids::{AuthorId, CommitId, LatticeId};
use lattice::membership::NotAdmitted;
use lattice::op::BadOp;
use lattice::seat::NotWarranted;

use super::problem::{MEDIA_TYPE, Problem};
use super::*;
use crate::service::{InviteError, WriteError};
use crate::store::StoreError;

fn write_errors() -> Vec<(WriteError, u16)> {
    let verify = WriteError::Verify;
    let refused = WriteError::NotAdmitted;
    let author = AuthorId([1; 32]);
    let id = CommitId([2; 32]);
    vec![
        (verify(VerifyError::OtherLattice { found: LatticeId([1; 32]), ours: LatticeId([2; 32]) }), 422),
        (verify(VerifyError::WrongSignature { id }), 422),
        (verify(VerifyError::WrongOps { id }), 422),
        (verify(VerifyError::BeyondLimit { what: "a key's length", found: 9, limit: 8 }), 413),
        (verify(VerifyError::RepeatedKey("k".into())), 422),
        (refused(NotAdmitted::UnknownAuthor { author }), 409),
        (refused(NotAdmitted::BeyondCut { author, term: 0, last_seq: 1, seq: 2 }), 403),
        (refused(NotAdmitted::Reserved { prefix: "@".into() }), 403),
        (refused(NotAdmitted::UnknownTerm { term: 1 }), 409),
        (refused(NotAdmitted::OutsideSeat { term: 1, key: "k".into() }), 422),
        (refused(NotAdmitted::BadCertificate(NotWarranted::OtherLattice)), 422),
        (refused(NotAdmitted::MixedChange), 422),
        (refused(NotAdmitted::BadChange("why")), 422),
        (refused(NotAdmitted::BadUrl("why")), 422),
        (WriteError::Clock(ClockBehind { behind_ms: 9, max_drift_ms: 8 }), 503),
        (WriteError::Store(StoreError::Full), 507),
        (WriteError::Store(StoreError::ReadOnly), 507),
        (WriteError::Store(StoreError::Damaged("a page".into())), 500),
        (WriteError::Store(StoreError::Sqlite("an index".into())), 500),
        (WriteError::Empty, 422),
        (WriteError::NotYetMember, 503),
        (WriteError::NoInvitation, 403),
        (WriteError::NotAdmin, 403),
        (WriteError::KeyReused, 422),
        (WriteError::Stopping, 503),
        (WriteError::BadOp(BadOp::EmptyKey), 400),
        (WriteError::BadOp(BadOp::NulInKey), 400),
        (WriteError::BadOp(BadOp::LongKey { bytes: 9, limit: 8 }), 413),
        (WriteError::BadOp(BadOp::LongValue { bytes: 9, limit: 8 }), 413),
    ]
}

#[test]
fn a_write_error_has_the_status_of_the_one_at_fault() {
    for (error, status) in write_errors() {
        let (fault, text) = (error.fault(), error.to_string());
        let problem = Problem::from(error);
        assert_eq!(problem.status().as_u16(), status, "{text}");
        assert_eq!(problem.view().detail, text);
        let fits = match fault {
            Fault::Sender => matches!(status, 400..=499),
            Fault::Us => matches!(status, 500..=599),
            Fault::Nobody => matches!(status, 403 | 409 | 503),
        };
        assert!(fits, "{text}: {fault:?} and {status}");
        let response = problem.into_response();
        assert_eq!(response.headers().contains_key("retry-after"), status >= 500, "{text}");
    }
}

#[test]
fn other_errors() {
    let table = [
        (Problem::from(StoreError::Damaged("page 3".into())), 500),
        (Problem::from(InviteError::NotAdmin), 403),
        (Problem::from(InviteError::NoAddress), 409),
        (Problem::from(InviteError::Store(StoreError::Full)), 507),
        (Problem::from(InviteError::Unavailable("stopping".into())), 503),
        (Problem::from(DecodeError::NotCanonical), 400),
        (Problem::from(DecodeError::TooLong { bytes: 9, limit: 8 }), 413),
        (Problem::new(Kind::Unauthorized, "x"), 401),
    ];
    for (problem, status) in table {
        assert_eq!(problem.status().as_u16(), status, "{problem:?}");
    }
}

#[test]
fn problems_are_rfc_9457() {
    let problem = Problem::new(Kind::Unauthorized, "show the token");
    let view = serde_json::to_value(problem.view()).expect("plain data");
    assert_eq!(
        view,
        serde_json::json!({
            "type": "urn:problem-type:lattice:unauthorized",
            "title": "A valid token is needed",
            "status": 401,
            "detail": "show the token",
        })
    );
    let response = problem.into_response();
    assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"lattice\"");
}
