//! The kinds of problems: a table of status, name and title, and when to come again.

use axum::http::StatusCode;

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
    /// The log, as signed, does not reach as far.
    NoSuchRecord,
    /// Nothing is served there.
    NoSuchRoute,
    /// Something is served there, but not by this method.
    MethodNotAllowed,
    /// The request's body did not arrive in time.
    RequestTimeout,
    /// This node's place in the lattice does not allow it now.
    Conflict,
    /// What the request says must stand at a key does not.
    PreconditionFailed,
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
    /// No node holds the seat, or its holder can't answer for a write now.
    NoHolder,
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
    pub(super) const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request can't be read"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NoSuchEntry => (StatusCode::NOT_FOUND, "no-such-entry", "No such entry"),
            Self::NoSuchRecord => (StatusCode::NOT_FOUND, "no-such-record", "The log has no such record"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "Nothing is served here"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not served by this method")
            }
            Self::RequestTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The request did not arrive in time")
            }
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Not possible at this node now"),
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "The entry is another one")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Beyond a limit"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "A body of another kind is needed")
            }
            Self::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "Not acceptable"),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The idempotency key was used before")
            }
            Self::Database => (StatusCode::INTERNAL_SERVER_ERROR, "database", "The database of this node fails"),
            Self::NoHolder => (StatusCode::SERVICE_UNAVAILABLE, "no-holder", "The seat is not served now"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "This node is not ready"),
            Self::Clock => (StatusCode::SERVICE_UNAVAILABLE, "clock", "This machine's clock is off"),
            Self::Disk => (StatusCode::INSUFFICIENT_STORAGE, "disk", "The disk refuses"),
            Self::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "too-slow", "No answer in time"),
        }
    }

    /// Seconds after which a repeated request may succeed, for what is this node's fault.
    pub(super) const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::Busy | Self::TooSlow | Self::NoHolder => Some(1),
            Self::NotReady => Some(5),
            Self::Clock | Self::Disk | Self::Database => Some(30),
            Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NoSuchEntry
            | Self::NoSuchRecord
            | Self::NoSuchRoute
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::Unprocessable
            | Self::IdempotencyKeyReused => None,
        }
    }
}
