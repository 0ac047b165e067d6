//! A thin HTTP client of one node: sends a request, gives the answer or one error that says what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response, header};
use serde::de::DeserializeOwned;

use super::exit::Failure;
use super::target::Target;
use crate::api::REQUEST_TIMEOUT;
use crate::api::auth::ApiToken;
use crate::api::parameters::IDEMPOTENCY_HEADER;
use crate::api::problem::ProblemView;
use crate::api::serve::HEAD_TIMEOUT;
use crate::net::address::cause;

/// Time to connect: a node that listens answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for which an idle connection is used again: less than the node keeps it, or a request would meet its
/// closing.
const IDLE_TIMEOUT: Duration = HEAD_TIMEOUT.checked_div(2).expect("two is not zero");

/// Silence after which an answer to a question is given up: a node answers from memory or with one page of its database
/// (a guess, with room for a slow disk or a long way).
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which an answer to a write, or a stream, is given up: longer than the node takes for a request or between two signs
/// of life.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10).saturating_add(REQUEST_TIMEOUT);

/// Why a node gave no answer, or which refusal it gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The directory has no running node.
    #[error("no node is running on {}; start it with `lattice run --dir {}`", .0.display(), .0.display())]
    NoNode(PathBuf),
    /// The node's address does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that no node gives.
    #[error("{0}")]
    BadAnswer(String),
    /// What was typed does not lead to a request.
    #[error("{0}")]
    BadTarget(String),
    /// The node said no, and why.
    #[error("{detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The node's words.
        detail: String,
        /// After how many seconds to come again, if that may help.
        retry_after_seconds: Option<u64>,
    },
}

/// A client of one node.
#[derive(Clone)]
pub struct Client {
    reads: reqwest::Client,
    patient: reqwest::Client,
    base: String,
    token: Option<ApiToken>,
    advice: String,
    pid: Option<u32>,
}

impl Client {
    /// A client of the node that `target` means.
    ///
    /// # Errors
    ///
    /// [`Failure`] if no node runs there, or what was typed can't be meant.
    pub fn of(target: &Target) -> Result<Self, Failure> {
        let http = |silence: Duration| {
            reqwest::Client::builder()
                // Plain HTTP to this machine or through a tunnel: no proxy in between, and no need of CA
                // certificates, without which the client would refuse to be built.
                .no_proxy()
                .tls_certs_only([])
                .redirect(reqwest::redirect::Policy::none())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(silence)
                .build()
                .map_err(|error| Failure::CouldNotTell(format!("can't make an HTTP client: {error}")))
        };
        Ok(Self {
            reads: http(READ_TIMEOUT)?,
            patient: http(SILENCE_TIMEOUT)?,
            base: target.base_url()?,
            token: target.token()?,
            advice: target.advice(),
            pid: target.pid(),
        })
    }

    /// A request that reads. It shows the token, too: some nodes want one from their readers.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.authorized(self.reads.get(format!("{}{path}", self.base)))
    }

    /// A request whose answer goes on, with long silences in it.
    pub fn stream(&self, path: &str) -> RequestBuilder {
        self.authorized(self.request(Method::GET, path))
    }

    /// A request that writes: it shows the token.
    pub fn write(&self, method: Method, path: &str, idempotency_key: Option<&str>) -> RequestBuilder {
        let request = self.authorized(self.request(method, path));
        match idempotency_key {
            Some(key) => request.header(IDEMPOTENCY_HEADER, key),
            None => request,
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.patient.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and gives the answer, if it is not a refusal.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let response = self.send(request).await?;
        Ok(response.bytes().await.map_err(|error| self.broken(&error))?.into())
    }

    /// Sends a request and reads the JSON of its answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let bytes = self.bytes(request).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            ClientError::BadAnswer(format!(
                "{} gave an answer that this program does not understand ({error}); \
                 is a lattice node of this version there?",
                self.base
            ))
        })
    }

    /// The words for a request that found no answer, or only half of one.
    pub fn broken(&self, error: &reqwest::Error) -> ClientError {
        if error.is_builder() {
            return ClientError::BadTarget(format!("{} can't be asked: {}", self.base, cause(error)));
        }
        if let (true, Some(pid)) = (error.is_timeout(), self.pid.filter(|pid| is_running(*pid))) {
            return ClientError::Unreachable(format!(
                "no answer from the node at {} in time: process {pid} runs but does not answer; look at its log, or \
                 stop it and start it again",
                self.base
            ));
        }
        ClientError::Unreachable(format!(
            "no answer from the node at {} ({}); {}",
            self.base,
            cause(error),
            self.advice
        ))
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after_seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let problem = response.bytes().await.ok().and_then(|body| serde_json::from_slice::<ProblemView>(&body).ok());
        match problem {
            Some(problem) => {
                ClientError::Refused { status: status.as_u16(), detail: problem.detail, retry_after_seconds }
            }
            None => ClientError::BadAnswer(format!("{} answered {status}, but not as a lattice node does", self.base)),
        }
    }
}

/// The path of an entry. The key stands in the query, where no client folds `..` segments away.
pub fn entry_path(key: &str) -> String {
    format!("/api/v1/entries?key={}", encoded(key))
}

/// Percent-encodes a text for a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Whether there is such a process on this machine.
fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
