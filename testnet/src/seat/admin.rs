//! The admin socket of one node: orders about the seat, and the fields of its answers that a testnet needs.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Name of the socket in a node's directory.
const SOCKET: &str = "admin.sock";

/// A switchover is answered when it is over; a paused node never answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why an order brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No answer: the node does not run, or is paused.
    #[error("no answer at the admin socket: {0}")]
    Silent(String),
    /// The node said no.
    #[error("the admin socket answered {status}: {words}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The node's explanation.
        words: String,
    },
    /// The answer is not what was promised.
    #[error("the admin socket answered with something else than promised: {0}")]
    Unreadable(String),
}

/// The seat, as one node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SeatStatus {
    /// The highest term settled.
    pub term: u64,
    /// Author key of the holder.
    pub holder: Option<String>,
    /// Author key of the shadow.
    pub shadow: Option<String>,
    /// Author keys of the spares.
    pub spares: Vec<String>,
    /// What the node is.
    pub role: String,
    /// What it is in the middle of.
    pub doing: String,
    /// Whether it serves the seat under a lease.
    pub is_serving: bool,
    /// Commits staged there.
    pub staged: u64,
    /// Records in its copy of the seat's log.
    pub log_size: u64,
    /// Root of its state.
    pub state_root: String,
    /// How far mirrors are behind.
    pub lag: Vec<MirrorLag>,
    /// What would be lost if the holder died now.
    pub takeover: Option<String>,
    /// Whether the shadow could take over now; only the holder knows.
    pub is_takeover_possible: Option<bool>,
}

/// How far a mirror is behind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MirrorLag {
    /// Author key of the mirror.
    pub mirror: String,
    /// Records that it lacks.
    pub records: u64,
    /// Milliseconds since it was heard of.
    pub silent_ms: u64,
    /// Whether it is being seeded.
    pub is_seeding: bool,
}

/// A commit in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Quarantined {
    /// Its id.
    pub commit: String,
    /// The term it was written in.
    pub term: u64,
    /// Whether it was in the state until a cut took it out.
    pub was_in_state: bool,
}

#[derive(Deserialize)]
struct QuarantinePage {
    commits: Vec<Quarantined>,
    next: Option<String>,
}

/// Talks to one node's admin socket. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Admin {
    http: reqwest::Client,
}

impl Admin {
    /// The socket of the node in `dir`, running or not.
    ///
    /// # Errors
    /// If no client can be made on this machine.
    pub fn of(dir: &Path) -> Result<Self, AdminError> {
        // The node may be another process by the next question.
        let http = reqwest::Client::builder().unix_socket(dir.join(SOCKET)).pool_max_idle_per_host(0);
        let http = http.no_proxy().tls_certs_only([]).timeout(ANSWER_TIMEOUT).build();
        http.map(|http| Self { http }).map_err(|error| AdminError::Silent(error.to_string()))
    }

    /// What the node knows of the seat.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn seat(&self) -> Result<SeatStatus, AdminError> {
        self.get("/seat").await
    }

    /// Hands the seat over; answered when it has moved.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn switchover(&self) -> Result<SeatStatus, AdminError> {
        self.post("/seat/switchover", json!({})).await
    }

    /// What cuts took away at this node and nobody has dealt with.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn quarantine(&self) -> Result<Vec<Quarantined>, AdminError> {
        let (mut all, mut path) = (Vec::new(), "/quarantine".to_owned());
        loop {
            let page: QuarantinePage = self.get(&path).await?;
            all.extend(page.commits);
            let Some(next) = page.next else { return Ok(all) };
            path = format!("/quarantine?after={next}");
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminError> {
        self.send(Method::GET, path, None).await
    }

    /// Gives an order.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, order: Value) -> Result<T, AdminError> {
        self.send(Method::POST, path, Some(order)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        order: Option<Value>,
    ) -> Result<T, AdminError> {
        let mut request = self.http.request(method, format!("http://admin{path}"));
        if let Some(order) = order {
            request = request.json(&order);
        }
        let silent = |error: reqwest::Error| AdminError::Silent(error.without_url().to_string());
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(silent)?;
        if !status.is_success() {
            let words = String::from_utf8_lossy(&body).into_owned();
            return Err(AdminError::Refused { status: status.as_u16(), words });
        }
        serde_json::from_slice(&body).map_err(|error| AdminError::Unreadable(error.to_string()))
    }
}
