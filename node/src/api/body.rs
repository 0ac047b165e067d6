//! Reading a request's body: bounded in bytes and in time, and JSON with an error that says where it is
//! wrong.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use data_encoding::BASE64;
use lattice::limits::COMMIT_BYTES_MAX;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// Bytes of a body that are read. The largest commit takes 342 KiB as base64; as JSON text it may take up to
/// six times its size if it is all control characters, which is what base64 is for. Four times covers all
/// other text.
pub const BODY_BYTES_MAX: usize = 4 * COMMIT_BYTES_MAX;

/// Time in which a body must have arrived: the largest at 35 kB/s (a guess). Strangers get less, see `arriving`.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A whole body.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Self::within(BODY_TIMEOUT, request, state).await
    }
}

impl Body {
    /// Reads a body that has so much time to arrive.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if it is too long, too slow, or breaks off.
    pub(super) async fn within<S: Send + Sync>(
        timeout: Duration,
        request: Request,
        state: &S,
    ) -> Result<Self, Problem> {
        match tokio::time::timeout(timeout, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::new(
                Kind::TooLarge,
                format!("the body is longer than {BODY_BYTES_MAX} bytes; split it into several requests"),
            )),
            Ok(Err(refused)) => Err(Problem::new(Kind::BadRequest, refused.body_text())),
            Err(_elapsed) => Err(Problem::new(
                Kind::RequestTimeout,
                format!("the body did not arrive within {} seconds", timeout.as_secs()),
            )),
        }
    }
}

/// The layer that makes [`Body`] stop at its bound.
pub(super) fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BODY_BYTES_MAX)
}

/// Whether the body says that it is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    is_of_type(headers, "application/json")
}

/// Whether the body says that it is a form, as `curl -d` does unasked.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    is_of_type(headers, "application/x-www-form-urlencoded")
}

fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = named.and_then(|value| value.split(';').next()).unwrap_or("");
    essence.trim().eq_ignore_ascii_case(media_type)
}

/// Reads a JSON body.
///
/// # Errors
///
/// A [`Problem`] that names line and column.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Kind::BadRequest, format!("the JSON body is not as expected: {error}")))
}

/// The bytes of a value given as text or as base64, exactly one of the two.
///
/// # Errors
///
/// A [`Problem`] for none, both, or what is not base64.
pub(super) fn value_bytes(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, Problem> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(encoded)) => from_base64("value_base64", &encoded),
        (None, None) | (Some(_), Some(_)) => Err(Problem::new(
            Kind::BadRequest,
            "give the value either as \"value\" (text) or as \"value_base64\" (bytes)",
        )),
    }
}

/// Decodes standard base64 with padding.
///
/// # Errors
///
/// A [`Problem`] that names the `field`.
pub(super) fn from_base64(field: &str, encoded: &str) -> Result<Vec<u8>, Problem> {
    BASE64
        .decode(encoded.as_bytes())
        .map_err(|error| Problem::new(Kind::BadRequest, format!("{field} is not base64 (standard, padded): {error}")))
}
