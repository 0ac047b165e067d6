//! The routes that nodes serve to each other. `PROTOCOL.md` gives them byte by byte.
//!
//! The state is open to anyone. The rest wants a member's signature, or for reading an auditor's token; it is judged
//! before a byte of the body is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::bufread::ZstdEncoder;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use lattice::ids::{AuthorId, LatticeId};
use lattice::log::exchange::EXCHANGE_BYTES_MAX;
use lattice::transfer::Cursor;
use reconcile::limits::MESSAGE_BYTES_MAX;
use tokio::sync::Semaphore;
use tokio_util::io::{ReaderStream, StreamReader};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::state::StateView;

/// Where a node says what it holds.
pub const STATE_PATH: &str = "/api/lattice/state";

/// Where it gives all of it.
pub const FULL_PATH: &str = "/api/lattice/state/full";

/// Where it answers the messages of a session.
pub const RECONCILE_PATH: &str = "/api/lattice/reconcile";

/// Where it answers questions about logs.
pub const WITNESS_PATH: &str = "/api/lattice/witness";

/// Media type of messages and of the whole state.
pub const MEDIA_TYPE: &str = "application/vnd.lattice";

/// Time in which a body must have arrived: the largest at 70 kB/s (a guess).
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Streams of the whole state at once: each keeps a reader of the database busy.
pub const FULL_STREAMS_MAX: usize = 2;

/// Questions about logs at once, of strangers and members alike: each up to 132 KiB and a transaction.
const QUESTIONS_MAX: usize = 16;

/// Time for one stream of the whole state. Past it the stream is cut, and whoever reads it resumes: a slow reader
/// must not hold a place for ever.
const FULL_TIMEOUT: Duration = Duration::from_secs(600);

/// What the routes show and do: the daemon, or a test.
pub trait Source: Send + Sync + 'static {
    /// The lattice.
    fn lattice(&self) -> LatticeId;
    /// The node that answers.
    fn author(&self) -> AuthorId;
    /// The wall clock in milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// What the node holds now.
    fn state(&self) -> StateView;
    /// Whether this author may ask for sessions and the whole state.
    fn may_reconcile(&self, author: &AuthorId) -> bool;
    /// Whether this is the token with which auditors read the whole state. Takes the same time for all wrong ones.
    fn is_read_token(&self, shown: &[u8]) -> bool;
    /// Answers a question about logs (`lattice::log::exchange`).
    fn witness(&self, question: Vec<u8>) -> BoxFuture<'_, String>;
    /// A place for one message of this author, to be held until it is answered; `None` if all are taken or it holds its
    /// share.
    fn place(&self, author: AuthorId) -> Option<Place>;
    /// Answers one message of a session with a node of this lattice, which this author sent.
    fn reconcile(&self, author: AuthorId, message: Vec<u8>) -> BoxFuture<'_, Reply>;
    /// The encoded parts of [`lattice::transfer`] behind a cursor, some at a time; an error cuts the stream.
    fn full(&self, after: Cursor) -> BoxStream<'static, io::Result<Bytes>>;
}

/// Something that is given back when it is dropped.
pub type Place = Box<dyn std::any::Any + Send>;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer(Vec<u8>),
    /// No room now.
    Busy,
    /// The message is none.
    Unreadable(String),
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    source: Arc<dyn Source>,
    gate: Arc<Gate>,
    full_places: Arc<Semaphore>,
    questions: Arc<Semaphore>,
}

/// The routes over a source.
pub fn router(source: Arc<dyn Source>) -> OpenApiRouter {
    let full_places = Arc::new(Semaphore::new(FULL_STREAMS_MAX));
    let questions = Arc::new(Semaphore::new(QUESTIONS_MAX));
    let shared = Shared { source, gate: Arc::default(), full_places, questions };
    OpenApiRouter::new()
        .routes(routes!(state_now))
        .routes(routes!(state_full))
        .routes(routes!(reconcile_message))
        .routes(routes!(witness_question))
        .with_state(shared)
}

/// What this node holds: lattice, state root, counts, mode, and its signed head.
#[utoipa::path(
    get,
    path = "/api/lattice/state",
    tag = "lattice",
    responses((status = OK, description = "The node's state in short", body = StateView),
        (status = TOO_MANY_REQUESTS, description = "Come again after Retry-After seconds"))
)]
async fn state_now(State(shared): State<Shared>, request: Request) -> Result<Json<StateView>, Refusal> {
    let remote = request.extensions().get().copied().unwrap_or_default();
    shared.gate.open(shared.source.now_ms(), remote)?;
    Ok(Json(shared.source.state()))
}

/// The whole state as a stream of commits, for members (a signature in `Authorization: Lattice …`) and auditors
/// (`Authorization: Bearer` with the token in the node's file `read.token`). Ends with an end part, or was cut.
#[utoipa::path(
    get,
    path = "/api/lattice/state/full",
    tag = "lattice",
    params(("after" = Option<String>, Query, description = "Cursor: give only what lies behind it"),
        ("Authorization" = String, Header, description = "`Lattice CREDENTIALS` or `Bearer TOKEN`"),
        ("Accept-Encoding" = Option<String>, Header, description = "`zstd` for a compressed stream")),
    responses((status = OK, body = Vec<u8>, content_type = "application/vnd.lattice"),
        (status = UNAUTHORIZED, description = "Not signed, stale, replayed, or for another node"),
        (status = SERVICE_UNAVAILABLE, description = "All places are taken; come again after Retry-After seconds"))
)]
async fn state_full(State(shared): State<Shared>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    shared.gate.reader(shared.source.as_ref(), &parts)?;
    let after = cursor(parts.uri.query())?;
    let place = shared.full_places.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let until = tokio::time::Instant::now() + FULL_TIMEOUT;
    let in_time = move |_: &io::Result<Bytes>| {
        let _place = &place;
        std::future::ready(tokio::time::Instant::now() < until)
    };
    let bytes = shared.source.full(after).take_while(in_time);
    let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if !accepts_zstd(&parts.headers) {
        return Ok(([media_type], Body::from_stream(bytes)).into_response());
    }
    let compressed = ReaderStream::new(ZstdEncoder::new(StreamReader::new(bytes)));
    let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    Ok(([media_type, encoding], Body::from_stream(compressed)).into_response())
}

/// One message of a reconcile session, for members.
#[utoipa::path(
    post,
    path = "/api/lattice/reconcile",
    tag = "lattice",
    params(("Authorization" = String, Header, description = "`Lattice CREDENTIALS`: the author's signature")),
    request_body(content = Vec<u8>, content_type = "application/vnd.lattice", description = "A request of at most 2 MiB"),
    responses((status = OK, body = Vec<u8>, content_type = "application/vnd.lattice"),
        (status = UNAUTHORIZED, description = "Not signed, stale, replayed, another body, or for another node"),
        (status = PAYLOAD_TOO_LARGE, description = "More than 2 MiB"),
        (status = TOO_MANY_REQUESTS, description = "Come again after Retry-After seconds"),
        (status = SERVICE_UNAVAILABLE, description = "No room for a session now"))
)]
async fn reconcile_message(State(shared): State<Shared>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let authorization = shared.gate.member(shared.source.as_ref(), &parts)?;
    // Before a byte is read: a body takes memory for as long as its sender likes to send it.
    let _place = shared.source.place(authorization.author).ok_or(Refusal::Busy)?;
    let message = whole(&parts.headers, body, MESSAGE_BYTES_MAX).await?;
    if !authorization.is_body(&message) {
        return Err(Refusal::Unauthorized("the body is not the one that was signed".to_owned()));
    }
    match shared.source.reconcile(authorization.author, message.into()).await {
        Reply::Answer(bytes) => {
            Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], bytes).into_response())
        }
        Reply::Busy => Err(Refusal::Busy),
        Reply::Unreadable(why) => Err(Refusal::BadRequest(why)),
    }
}

/// A question about logs and its answer, as nodes put them over libp2p: `add-checkpoint` (C2SP tlog-witness), what is held
/// of a log, how this node's own log grew. Open to anyone: a checkpoint is judged by its signature.
#[utoipa::path(
    post,
    path = "/api/lattice/witness",
    tag = "lattice",
    request_body(content = String, content_type = "text/plain", description = "A question of at most 132 KiB"),
    responses((status = OK, body = String, content_type = "text/plain", description = "A status, a line feed, a text"),
        (status = PAYLOAD_TOO_LARGE, description = "A longer question"),
        (status = TOO_MANY_REQUESTS, description = "Come again after Retry-After seconds"),
        (status = SERVICE_UNAVAILABLE, description = "No room for a question now"))
)]
async fn witness_question(State(shared): State<Shared>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    shared.gate.open(shared.source.now_ms(), parts.extensions.get().copied().unwrap_or_default())?;
    let _place = shared.questions.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
    let question = whole(&parts.headers, body, EXCHANGE_BYTES_MAX).await?;
    let answer = shared.source.witness(question.into()).await;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], answer).into_response())
}

/// Reads a body to its end, within bounds of size and time.
async fn whole(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let claimed = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if claimed.is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge { limit });
    }
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // A body without a length that passes the limit, or one that broke off: nobody hears the answer to that.
        Ok(Err(_)) => Err(Refusal::TooLarge { limit }),
        Err(_elapsed) => Err(Refusal::TooSlow),
    }
}

/// The one parameter of the whole state.
fn cursor(query: Option<&str>) -> Result<Cursor, Refusal> {
    match query {
        None | Some("") => Ok(Cursor::default()),
        Some(query) => match query.strip_prefix("after=").map(str::parse) {
            Some(Ok(cursor)) => Ok(cursor),
            Some(Err(error)) => Err(Refusal::BadRequest(format!("query parameter \"after\": {error}"))),
            None => Err(Refusal::BadRequest("the only query parameter here is \"after\"".to_owned())),
        },
    }
}

fn accepts_zstd(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("zstd") && !is_refused
    })
}

#[cfg(test)]
mod tests;
