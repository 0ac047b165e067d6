//! The one place where an error becomes an answer: RFC 9457 problem details, with the status that fits who is
//! at fault.
//!
//! The sender's faults are 4xx: repeating the request will not help. Ours are 5xx and say when to come again.
//! Where nobody is at fault (a right that others gave or took), the request is fine and this lattice refuses
//! it: 403 or 409.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lattice::codec::DecodeError;
use lattice::commit::VerifyError;
use lattice::membership::NotAdmitted;
use lattice::op::BadOp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod kind;

pub use kind::Kind;

use crate::service::{InviteError, WriteError};
use crate::store::StoreError;

/// What every `type` of a problem starts with.
const TYPE_PREFIX: &str = "urn:problem-type:lattice:";

/// The media type of RFC 9457.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// Which kind of problem, stable for programs: `urn:problem-type:lattice:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time and what to do.
    pub detail: String,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
}

impl Problem {
    /// A problem of this kind; `detail` says what is wrong this time and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The same problem, found in this part of the request.
    pub fn within(self, part: &str) -> Self {
        Self { detail: format!("{part}: {}", self.detail), ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.row().0
    }

    /// The problem as it goes over the wire.
    pub fn view(&self) -> ProblemView {
        let (status, name, title) = self.kind.row();
        ProblemView {
            kind: format!("{TYPE_PREFIX}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(self.view())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.kind.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lattice\""));
        }
        response
    }
}

impl From<BadOp> for Problem {
    fn from(error: BadOp) -> Self {
        let kind = match error {
            BadOp::EmptyKey | BadOp::NulInKey => Kind::BadRequest,
            BadOp::LongKey { .. } | BadOp::LongValue { .. } => Kind::TooLarge,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<&VerifyError> for Kind {
    fn from(error: &VerifyError) -> Self {
        match error {
            VerifyError::BeyondLimit { .. } => Self::TooLarge,
            VerifyError::OtherLattice { .. }
            | VerifyError::WrongSignature { .. }
            | VerifyError::WrongOps { .. }
            | VerifyError::RepeatedKey(_) => Self::Unprocessable,
        }
    }
}

impl From<&NotAdmitted> for Kind {
    fn from(error: &NotAdmitted) -> Self {
        match error {
            NotAdmitted::Reserved { .. } | NotAdmitted::BeyondCut { .. } => Self::Forbidden,
            NotAdmitted::UnknownAuthor { .. } | NotAdmitted::UnknownTerm { .. } => Self::Conflict,
            NotAdmitted::MixedChange
            | NotAdmitted::BadChange(_)
            | NotAdmitted::BadUrl(_)
            | NotAdmitted::OutsideSeat { .. }
            | NotAdmitted::BadCertificate(_) => Self::Unprocessable,
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::BadOp(bad) => return Self::from(*bad),
            WriteError::Verify(refused) => Kind::from(refused),
            WriteError::NotAdmitted(refused) => Kind::from(refused),
            WriteError::Store(failed) => Kind::from(failed),
            WriteError::Empty => Kind::Unprocessable,
            WriteError::NotYetMember | WriteError::CatchingUp | WriteError::Unsure(_) | WriteError::Mirroring => {
                Kind::NotReady
            }
            WriteError::Clock(_) => Kind::Clock,
            WriteError::KeyReused => Kind::IdempotencyKeyReused,
            WriteError::NoInvitation | WriteError::NotAdmin => Kind::Forbidden,
            WriteError::ConditionFailed { .. } => Kind::PreconditionFailed,
            WriteError::NotHolder | WriteError::ConditionOpen | WriteError::Deposed => Kind::NoHolder,
            WriteError::SeatBusy | WriteError::Stopping => Kind::Busy,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<&StoreError> for Kind {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full | StoreError::ReadOnly => Self::Disk,
            StoreError::Dropped => Self::Busy,
            StoreError::Damaged(_) | StoreError::Uncertain | StoreError::Directory(_) | StoreError::Sqlite(_) => {
                Self::Database
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::from(&error), error.to_string())
    }
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        let kind = match &error {
            InviteError::NotAdmin => Kind::Forbidden,
            InviteError::NoAddress => Kind::Conflict,
            InviteError::Store(failed) => Kind::from(failed),
            InviteError::Unavailable(_) => Kind::Busy,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let kind = match &error {
            DecodeError::TooLong { .. } => Kind::TooLarge,
            DecodeError::Malformed(_)
            | DecodeError::NotCanonical
            | DecodeError::UnknownVersion { .. }
            | DecodeError::Invalid(_) => Kind::BadRequest,
        };
        Self::new(kind, error.to_string())
    }
}
