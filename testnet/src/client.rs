//! A thin client of a node's HTTP API: the few requests and fields that a testnet needs.

mod seat;
mod shapes;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use seat::{Level, SeatEntry};
pub use shapes::{Entry, Fallback, Happening, HttpPeer, Op, Peer, PeerCounts, Receipt, Status};

/// A request that takes longer has failed: a paused process accepts connections and never answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Entries that one page holds at most; the API allows no more.
const PAGE_ENTRIES: usize = 1000;

/// Why a request brought no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: the node is down, paused or overloaded. Whether a write took effect is unknown.
    #[error("no answer from {url}: {source}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// The node said no.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// The node's explanation.
        detail: String,
    },
    /// The answer is not what the API promises.
    #[error("{url} answered with something else than promised: {detail}")]
    Unreadable {
        /// What was asked.
        url: String,
        /// What was wrong.
        detail: String,
    },
}

/// Talks to one node. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

impl Client {
    /// A client for the node at `host:port` whose API token is `token`.
    ///
    /// # Errors
    /// If the address is none, or TLS cannot be set up on this machine.
    pub fn new(address: &str, token: &str) -> Result<Self, ClientError> {
        let base = format!("http://{address}/");
        // Plain HTTP, in images without CA certificates too.
        let http = reqwest::Client::builder().tls_certs_only([]).timeout(ANSWER_TIMEOUT).build();
        let http = http.map_err(|source| ClientError::Unreachable { url: base.clone(), source })?;
        let parsed =
            Url::parse(&base).map_err(|error| ClientError::Unreadable { url: base, detail: error.to_string() })?;
        Ok(Self { http, base: parsed, token: token.to_owned() })
    }

    /// The address that this client talks to, as a URL.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.send(self.request(Method::GET, "api/v1/status", &[])).await
    }

    /// The node's peers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn peers(&self) -> Result<Vec<Peer>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            peers: Vec<Peer>,
        }
        let answer: Answer = self.send(self.request(Method::GET, "api/v1/peers", &[])).await?;
        Ok(answer.peers)
    }

    /// The node's second road.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn fallback(&self) -> Result<Fallback, ClientError> {
        self.send(self.request(Method::GET, "api/v1/fallback", &[])).await
    }

    /// What happened to the node's roads behind number `after`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, after: u64) -> Result<Vec<Happening>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            events: Vec<Happening>,
        }
        let after = after.to_string();
        let answer: Answer = self.send(self.request(Method::GET, "api/v1/events", &[("after", &after)])).await?;
        Ok(answer.events)
    }

    /// Evidence that the node has of logs with two histories.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn forks(&self) -> Result<Vec<String>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            forks: Vec<String>,
        }
        let answer: Answer = self.send(self.request(Method::GET, "api/v1/forks", &[])).await?;
        Ok(answer.forks)
    }

    /// Whether the node is ready; the inner error is its reason.
    ///
    /// # Errors
    /// See [`ClientError`]; a node that is not ready is no error.
    pub async fn ready(&self) -> Result<Result<(), String>, ClientError> {
        let request = self.request(Method::GET, "ready", &[]);
        match self.answer(request).await {
            Ok(_) => Ok(Ok(())),
            Err(ClientError::Refused { status: 503, detail, .. }) => Ok(Err(detail)),
            Err(
                error
                @ (ClientError::Unreachable { .. } | ClientError::Refused { .. } | ClientError::Unreadable { .. }),
            ) => Err(error),
        }
    }

    /// The entry of a key, if there is one.
    ///
    /// # Errors
    /// See [`ClientError`]; an absent key is no error.
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>, ClientError> {
        match self.send(self.request(Method::GET, "api/v1/entries", &[("key", key)])).await {
            Ok(entry) => Ok(Some(entry)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(
                error
                @ (ClientError::Unreachable { .. } | ClientError::Refused { .. } | ClientError::Unreadable { .. }),
            ) => Err(error),
        }
    }

    /// Writes one key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put(&self, key: &str, value: &str) -> Result<Receipt, ClientError> {
        self.commit(&[Op::put(key, value)], None).await
    }

    /// Writes several operations as one commit. With an idempotency key the request may be repeated without being a
    /// second write.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn commit(&self, ops: &[Op], idempotency: Option<&str>) -> Result<Receipt, ClientError> {
        let body = serde_json::json!({ "ops": ops });
        let mut request = self.request(Method::POST, "api/v1/commits", &[]).json(&body);
        if let Some(key) = idempotency {
            request = request.header("Idempotency-Key", key);
        }
        self.send(request).await
    }

    /// Every entry whose key starts with `prefix`, by key, page after page. Memory: all of them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn entries(&self, prefix: &str) -> Result<BTreeMap<String, Entry>, ClientError> {
        #[derive(Deserialize)]
        struct Page {
            entries: Vec<Entry>,
            next: Option<String>,
        }
        let limit = PAGE_ENTRIES.to_string();
        let (mut all, mut after) = (BTreeMap::new(), None::<String>);
        loop {
            let mut query = vec![("prefix", prefix), ("limit", limit.as_str())];
            query.extend(after.as_deref().map(|key| ("after", key)));
            let page: Page = self.send(self.request(Method::GET, "api/v1/entries", &query)).await?;
            all.extend(page.entries.into_iter().map(|entry| (entry.key.clone(), entry)));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let (url, body) = self.answer(request).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Unreadable { url, detail: format!("{error} in {}", beginning(&body)) })
    }

    /// The URL asked and the body of an answer that says yes.
    async fn answer(&self, request: RequestBuilder) -> Result<(String, Vec<u8>), ClientError> {
        let unreachable = |source: reqwest::Error| ClientError::Unreachable {
            url: source.url().map_or_else(|| self.base.to_string(), ToString::to_string),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(unreachable)?;
        let (status, url) = (response.status(), response.url().to_string());
        let body = response.bytes().await.map_err(unreachable)?.to_vec();
        if status.is_success() {
            return Ok((url, body));
        }
        Err(refusal(url, status, &body))
    }
}

/// Reads a problem document (RFC 9457), or shows what came instead.
fn refusal(url: String, status: StatusCode, body: &[u8]) -> ClientError {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
        detail: Option<String>,
    }
    let detail = serde_json::from_slice::<Problem>(body)
        .map_or_else(|_| beginning(body), |problem| problem.detail.unwrap_or(problem.title));
    ClientError::Refused { url, status: status.as_u16(), detail }
}

/// As much of a body as fits a line.
fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_detail_the_title_or_the_body() {
        let text = |body: &str| refusal("u".into(), StatusCode::CONFLICT, body.as_bytes()).to_string();
        assert_eq!(text(r#"{"title":"full","detail":"free some space"}"#), "u answered 409: free some space");
        assert_eq!(text(r#"{"title":"full"}"#), "u answered 409: full");
        assert_eq!(text("nginx"), "u answered 409: nginx");
    }
}
