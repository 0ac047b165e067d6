//! How these routes say no: RFC 9457 problem details, with a status that tells the caller whose turn it is.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lattice::authorization::SCHEME;

/// Seconds after which to come again when all places are taken; a place is taken for milliseconds.
const BUSY_SECONDS: u32 = 1;

/// Seconds after which to come again when the nonces of a minute are used up.
const NONCES_SECONDS: u32 = 60;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request can't be read.
    BadRequest(String),
    /// Not signed, not in time, or not for this node.
    Unauthorized(String),
    /// Signed by somebody who may not ask this.
    Forbidden(String),
    /// The body is too long.
    TooLarge { limit: usize },
    /// The body did not come in time.
    TooSlow,
    /// Too many requests.
    TooMany { retry_seconds: u32 },
    /// All places are taken.
    Busy,
}

impl Refusal {
    /// Too many requests a second.
    pub(crate) const RATE: Self = Self::TooMany { retry_seconds: BUSY_SECONDS };

    /// Too many signed requests in a minute.
    pub(crate) const NONCES: Self = Self::TooMany { retry_seconds: NONCES_SECONDS };

    /// Status, name in the `type`, title.
    fn row(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request", "The request can't be read"),
            Self::Unauthorized(_) => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "Credentials that hold here are needed")
            }
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Beyond a limit"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The request did not arrive in time"),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::BadRequest(why) | Self::Unauthorized(why) | Self::Forbidden(why) => why.clone(),
            Self::TooLarge { limit } => format!("the body is longer than {limit} bytes"),
            Self::TooSlow => "the body did not arrive in time".to_owned(),
            Self::TooMany { retry_seconds } => format!("come again in {retry_seconds} s"),
            Self::Busy => "all places are taken; come again".to_owned(),
        }
    }

    fn retry_seconds(&self) -> Option<u32> {
        match self {
            Self::TooMany { retry_seconds } => Some(*retry_seconds),
            Self::Busy => Some(BUSY_SECONDS),
            Self::BadRequest(_)
            | Self::Unauthorized(_)
            | Self::Forbidden(_)
            | Self::TooLarge { .. }
            | Self::TooSlow => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, name, title) = self.row();
        let problem = serde_json::json!({
            "type": format!("urn:problem-type:lattice:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        let mut response = (status, problem.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(SCHEME));
        }
        response
    }
}
