//! The asking side of the second road: requests to one URL, bounded in bytes and time.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use async_compression::tokio::bufread::ZstdDecoder;
use async_compression::zstd::DParameter;
use futures::TryStreamExt;
use lattice::authorization::{Authorization, SCHEME};
use lattice::codec::DecodeError;
use lattice::log::exchange::EXCHANGE_BYTES_MAX;
use lattice::transfer::{Cursor, Part, Parts};
use reconcile::limits::MESSAGE_BYTES_MAX;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;

use crate::router::{FULL_PATH, MEDIA_TYPE, RECONCILE_PATH, STATE_PATH, WITNESS_PATH};
use crate::state::HeadView;

/// Time to connect, and for a whole beat, unless configured.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for one message of a session, for which the peer may apply a thousand commits or read as many; and for what anyone
/// may read, of which the longest is a bundle of records, 16 MiB.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Silence after which a stream of the whole state is given up.
const STREAM_SILENCE: Duration = Duration::from_secs(30);

/// Bytes of an answer about a state: ten times what one takes.
const STATE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a refusal that are read for its words.
const REFUSAL_BYTES_MAX: usize = 4 * 1024;

/// Characters of those words that are shown: they stand on one line of a log.
const REFUSAL_CHARS_MAX: usize = 300;

/// Bytes of a stream read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The greatest window of a compressed stream, as a power of two: 8 MiB, as RFC 9659 asks. A stranger's claim beyond it
/// is not allocated.
const WINDOW_LOG_MAX: u32 = 23;

/// Time for which an idle connection is used again: less than a node keeps it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request brought no answer to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The peer has no room now.
    #[error("the peer has no room now")]
    Busy,
    /// The peer does not answer this, now or later.
    #[error("the peer answered {status}: {detail}")]
    Declined {
        /// HTTP status.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// It did not come through.
    #[error("{0}")]
    Lost(String),
    /// The answer does not decode, or is longer than it may be.
    #[error("the answer does not decode: {0}")]
    Unreadable(String),
}

impl From<DecodeError> for NoAnswer {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Asks peers. Cheap to clone but for the first `https` request.
#[derive(Debug, Clone)]
pub struct Client {
    plain: reqwest::Client,
    secure: OnceLock<Result<reqwest::Client, String>>,
    answer_timeout: Duration,
}

impl Client {
    /// A client that gives a beat this long.
    ///
    /// # Errors
    ///
    /// If this machine can make none.
    pub fn new(answer_timeout: Duration) -> Result<Self, String> {
        // Plain HTTP must work on a machine without CA certificates.
        let plain = builder(answer_timeout).tls_certs_only([]).build().map_err(|error| cause(&error))?;
        Ok(Self { plain, secure: OnceLock::new(), answer_timeout })
    }

    /// Asks what a node holds: its signed head.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn state(&self, url: &str) -> Result<HeadView, NoAnswer> {
        let request = self.at(url)?.get(joined(url, STATE_PATH)).timeout(self.answer_timeout);
        let bytes = read(send(request).await?, STATE_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))
    }

    /// Asks for what anyone may read, at most so many bytes.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn get(&self, url: &str, path: &str, bytes_max: usize) -> Result<Vec<u8>, NoAnswer> {
        let request = self.at(url)?.get(joined(url, path)).timeout(MESSAGE_TIMEOUT);
        read(send(request).await?, bytes_max).await
    }

    /// Asks for what some nodes let only those read who show the node's read token, at most so many bytes.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn get_for_auditor(
        &self,
        url: &str,
        path: &str,
        token: &str,
        bytes_max: usize,
    ) -> Result<Vec<u8>, NoAnswer> {
        let request = self.at(url)?.get(joined(url, path)).timeout(MESSAGE_TIMEOUT);
        read(send(request.header(header::AUTHORIZATION, format!("Bearer {token}"))).await?, bytes_max).await
    }

    /// Sends a message of a session; the credentials are for `POST` to [`RECONCILE_PATH`] with this body.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn reconcile(
        &self,
        url: &str,
        credentials: &Authorization,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, NoAnswer> {
        let request = self.at(url)?.post(joined(url, RECONCILE_PATH)).timeout(MESSAGE_TIMEOUT);
        let request = request.header(header::CONTENT_TYPE, MEDIA_TYPE).body(message);
        read(send(signed(request, credentials)).await?, MESSAGE_BYTES_MAX).await
    }

    /// Asks a question about logs.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn witness(&self, url: &str, question: String) -> Result<Vec<u8>, NoAnswer> {
        let request = self.at(url)?.post(joined(url, WITNESS_PATH)).timeout(self.answer_timeout);
        let request = request.header(header::CONTENT_TYPE, "text/plain; charset=utf-8").body(question);
        read(send(request).await?, EXCHANGE_BYTES_MAX).await
    }

    /// Asks for the whole state; the credentials are for `GET` to [`full_path`].
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn full(
        &self,
        url: &str,
        credentials: &Authorization,
        after: Option<Cursor>,
    ) -> Result<FullState, NoAnswer> {
        self.full_as(url, format!("{SCHEME} {}", credentials.to_text()), after).await
    }

    /// Asks for the whole state as an auditor does, with the node's read token.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn full_for_auditor(&self, url: &str, token: &str, after: Option<Cursor>) -> Result<FullState, NoAnswer> {
        self.full_as(url, format!("Bearer {token}"), after).await
    }

    async fn full_as(&self, url: &str, authorization: String, after: Option<Cursor>) -> Result<FullState, NoAnswer> {
        let request = self.at(url)?.get(joined(url, &full_path(after))).header(header::ACCEPT_ENCODING, "zstd");
        let request = request.header(header::AUTHORIZATION, authorization);
        let response = tokio::time::timeout(MESSAGE_TIMEOUT, send(request)).await;
        Ok(FullState::of(response.map_err(|_| NoAnswer::Lost("no answer in time".to_owned()))??))
    }

    fn at(&self, url: &str) -> Result<&reqwest::Client, NoAnswer> {
        if !url.starts_with("https://") {
            return Ok(&self.plain);
        }
        let secure = self.secure.get_or_init(|| builder(self.answer_timeout).build().map_err(|error| cause(&error)));
        secure.as_ref().map_err(|error| NoAnswer::Lost(format!("https is not possible on this machine: {error}")))
    }
}

/// The path and query that asks for the whole state behind a cursor.
pub fn full_path(after: Option<Cursor>) -> String {
    after.map_or_else(|| FULL_PATH.to_owned(), |after| format!("{FULL_PATH}?after={after}"))
}

/// A whole state as it comes.
pub struct FullState {
    bytes: Box<dyn AsyncRead + Send + Sync + Unpin>,
    parts: Parts,
    buffer: Vec<u8>,
}

impl FullState {
    fn of(response: Response) -> Self {
        let is_zstd = response.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value == "zstd");
        let raw = BufReader::new(StreamReader::new(Box::pin(response.bytes_stream().map_err(io::Error::other))));
        let window = [DParameter::window_log_max(WINDOW_LOG_MAX)];
        let bytes: Box<dyn AsyncRead + Send + Sync + Unpin> =
            if is_zstd { Box::new(ZstdDecoder::with_params(raw, &window)) } else { Box::new(raw) };
        Self { bytes, parts: Parts::default(), buffer: vec![0; CHUNK_BYTES] }
    }

    /// The next part; `None` once the end came.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Lost`] if the stream was cut, [`NoAnswer::Unreadable`] if it is none.
    pub async fn next_part(&mut self) -> Result<Option<Part>, NoAnswer> {
        loop {
            if let Some(part) = self.parts.next_part()? {
                return Ok(Some(part));
            }
            if self.parts.is_over() {
                return Ok(None);
            }
            let read = tokio::time::timeout(STREAM_SILENCE, self.bytes.read(&mut self.buffer)).await;
            match read {
                Ok(Ok(0)) => return Err(NoAnswer::Lost("the stream was cut".to_owned())),
                Ok(Ok(length)) => self.parts.push(&self.buffer[..length]),
                Ok(Err(error)) => return Err(NoAnswer::Lost(format!("the stream broke: {error}"))),
                Err(_elapsed) => return Err(NoAnswer::Lost("the stream fell silent".to_owned())),
            }
        }
    }
}

fn builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // No redirects and no proxy: credentials are for the node at this URL and for nobody in between.
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.connect_timeout(connect_timeout).pool_idle_timeout(IDLE_TIMEOUT)
}

fn joined(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}

fn signed(request: RequestBuilder, credentials: &Authorization) -> RequestBuilder {
    request.header(header::AUTHORIZATION, format!("{SCHEME} {}", credentials.to_text()))
}

/// Sends a request and gives the answer if it is a yes.
async fn send(request: RequestBuilder) -> Result<Response, NoAnswer> {
    let response = request.send().await.map_err(|error| NoAnswer::Lost(cause(&error)))?;
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(NoAnswer::Busy),
        // A proxy before the peer, or the peer, is in trouble that passes.
        status if status.is_server_error() => Err(NoAnswer::Lost(format!("the peer answered {status}"))),
        status => {
            let body = read(response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
            Err(NoAnswer::Declined { status: status.as_u16(), detail: detail(status, &body) })
        }
    }
}

/// Reads a body of at most so many bytes.
async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, NoAnswer> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer::Lost(cause(&error)))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(NoAnswer::Unreadable(format!("it is longer than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What a refusal says, or else what its status says.
fn detail(status: StatusCode, body: &[u8]) -> String {
    if status.is_redirection() {
        return "redirects are not followed; give the URL it leads to".to_owned();
    }
    let words = words(body);
    // A page of a web server or proxy says no more than its status.
    let is_page = words.trim_start().starts_with('<');
    if words.trim().is_empty() || is_page {
        return status.canonical_reason().unwrap_or("no reason given").to_owned();
    }
    words
}

/// The detail of a problem document, or as much of another text as fits a line.
fn words(body: &[u8]) -> String {
    let problem = serde_json::from_slice::<serde_json::Value>(body).ok();
    let detail = problem.and_then(|problem| problem["detail"].as_str().map(str::to_owned));
    let text = detail.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect()
}

/// The innermost cause, which is what a person can do something about.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { explained(innermost.to_string()) }
}

/// Words of the TLS library that mean nothing to an operator, put into words that do. Its errors lie in types that can't
/// be named here.
fn explained(cause: String) -> String {
    if cause.contains("InvalidContentType") {
        return "the other side answers no TLS; try http:// instead of https://".to_owned();
    }
    cause
}

#[cfg(test)]
mod tests;
