//! The one place where an error becomes an answer: RFC 9457 problem details, with the status that fits who is at fault.
//!
//! The sender's faults are 4xx: repeating the request will not help. Ours are 5xx and say when to come again. Where
//! nobody is at fault (a right that others gave or took), the request is fine and this lattice refuses it: 403 or 409.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lattice::codec::DecodeError;
use lattice::commit::VerifyError;
use lattice::membership::NotAdmitted;
use lattice::op::BadOp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// Kinds of problems that programs can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request can't be read.
    BadRequest,
    /// No token, or not this node's.
    Unauthorized,
    /// A key that clients do not write, or a right that this node does not have.
    Forbidden,
    /// The key holds nothing.
    NoSuchEntry,
    /// Nothing is served there.
    NoSuchRoute,
    /// Something is served there, but not by this method.
    MethodNotAllowed,
    /// The request's body did not arrive in time.
    RequestTimeout,
    /// This node's place in the lattice does not allow it now.
    Conflict,
    /// Beyond a limit of the format, the lattice or this API.
    TooLarge,
    /// A body of another kind than expected.
    UnsupportedMediaType,
    /// Readable, but no lattice takes it.
    Unprocessable,
    /// The same idempotency key with another request.
    IdempotencyKeyReused,
    /// The database fails or is damaged.
    Database,
    /// Too much at once, or stopping.
    Busy,
    /// Not let in yet, syncing or divergent.
    NotReady,
    /// This machine's clock is behind.
    Clock,
    /// The disk is full or read-only.
    Disk,
    /// This node did not answer in time.
    TooSlow,
}

impl Kind {
    /// Status, name in the `type`, title.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "bad-request",
                "The request can't be read",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "A valid token is needed",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NoSuchEntry => (StatusCode::NOT_FOUND, "no-such-entry", "No such entry"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "Nothing is served here"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Not served by this method",
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The request did not arrive in time",
            ),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Not possible at this node now"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Beyond a limit"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "A body of another kind is needed",
            ),
            Self::Unprocessable => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "unprocessable",
                "Not acceptable",
            ),
            Self::IdempotencyKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key was used before",
            ),
            Self::Database => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "database",
                "The database of this node fails",
            ),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once"),
            Self::NotReady => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-ready",
                "This node is not ready",
            ),
            Self::Clock => (
                StatusCode::SERVICE_UNAVAILABLE,
                "clock",
                "This machine's clock is off",
            ),
            Self::Disk => (StatusCode::INSUFFICIENT_STORAGE, "disk", "The disk refuses"),
            Self::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "too-slow", "No answer in time"),
        }
    }

    /// Seconds after which a repeated request may succeed, for what is this node's fault.
    const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::Busy | Self::TooSlow => Some(1),
            Self::NotReady => Some(5),
            Self::Clock | Self::Disk | Self::Database => Some(30),
            Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NoSuchEntry
            | Self::NoSuchRoute
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::Conflict
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::Unprocessable
            | Self::IdempotencyKeyReused => None,
        }
    }
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
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// The same problem, found in this part of the request.
    pub fn within(self, part: &str) -> Self {
        Self {
            detail: format!("{part}: {}", self.detail),
            ..self
        }
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
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"lattice\""),
            );
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
            NotAdmitted::UnknownAuthor { .. } | NotAdmitted::NoSeat { .. } => Self::Conflict,
            NotAdmitted::MixedChange | NotAdmitted::BadChange(_) => Self::Unprocessable,
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
            WriteError::NotYetMember => Kind::NotReady,
            WriteError::Clock(_) => Kind::Clock,
            WriteError::KeyReused => Kind::IdempotencyKeyReused,
            WriteError::NoInvitation | WriteError::NotAdmin => Kind::Forbidden,
            WriteError::Stopping => Kind::Busy,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<&StoreError> for Kind {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full | StoreError::ReadOnly => Self::Disk,
            StoreError::Damaged(_) | StoreError::Sqlite(_) => Self::Database,
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
