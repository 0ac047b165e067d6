//! What carries the messages of a session: a libp2p peer or a URL. Who is behind it was settled before.

use std::sync::Arc;
use std::time::Duration;

use http_fallback::client::{Client, NoAnswer};
use http_fallback::router::{FULL_PATH, RECONCILE_PATH};
use lattice::authorization::{Asked, Authorization, NONCE_BYTES};
use lattice::fault::Fault;
use lattice::ids::AuthorId;
use libp2p::PeerId;
use reconcile::message::{Request, Response};

use super::Sync;
use crate::clock::now_ms;
use crate::net::{Command, Protocol};
use crate::writer::Identity;

/// Time for the first answer of a session over HTTP, which takes the peer no work. Sessions go one after another: a peer
/// that shows its state and then is silent must not keep the others waiting.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for an answer that needs no work.
///
/// # Errors
///
/// [`NoAnswer::Lost`] after [`BEGIN_TIMEOUT`]; else what the answer is.
pub(crate) async fn begun_in_time<T>(answer: impl Future<Output = Result<T, NoAnswer>>) -> Result<T, NoAnswer> {
    let late = || NoAnswer::Lost(format!("no answer within {} s", BEGIN_TIMEOUT.as_secs()));
    tokio::time::timeout(BEGIN_TIMEOUT, answer).await.unwrap_or_else(|_| Err(late()))
}

/// A way to one peer.
#[derive(Clone)]
pub enum Road {
    /// A connection that proved this lattice.
    P2p(PeerId),
    /// Plain HTTP, every request signed.
    Http(HttpRoad),
}

/// Plain HTTP to one node.
#[derive(Clone)]
pub struct HttpRoad {
    /// Sends the requests.
    pub client: Client,
    /// Who signs them.
    pub identity: Arc<Identity>,
    /// Where the node answers.
    pub url: String,
    /// Which node it is: a signature holds for this one only.
    pub receiver: AuthorId,
}

impl Road {
    /// The peer as people are shown it.
    pub fn shown(&self) -> String {
        match self {
            Self::P2p(peer) => peer.to_string(),
            Self::Http(http) => http.url.clone(),
        }
    }

    /// Sends a request and gives the answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn ask(&self, sync: &Sync, request: &Request) -> Result<Response, String> {
        let bytes = match self {
            Self::P2p(peer) => sync.net.request(*peer, Protocol::Reconcile, request.encode()).await?,
            Self::Http(http) => match http.ask(request).await {
                Ok(bytes) => bytes,
                // The words that libp2p's answering side would have used.
                Err(NoAnswer::Busy) => return Ok(Response::Busy),
                Err(error @ NoAnswer::Declined { .. }) => return Ok(Response::Refused { reason: error.to_string() }),
                Err(error @ (NoAnswer::Lost(_) | NoAnswer::Unreadable(_))) => return Err(error.to_string()),
            },
        };
        match Response::decode(&bytes) {
            Ok(response) => Ok(response),
            Err(error) => {
                if error.fault() == Fault::Sender {
                    self.blame(sync).await;
                }
                Err(format!("the answer does not decode: {error}"))
            }
        }
    }

    /// The peer did what no honest one does. A URL has no connection to close: the heartbeat's breaker keeps away.
    async fn blame(&self, sync: &Sync) {
        match self {
            Self::P2p(peer) => sync.net.command(Command::Strike(*peer)).await,
            Self::Http(http) => tracing::warn!(url = http.url, "a peer's answer over http is none"),
        }
    }
}

impl HttpRoad {
    async fn ask(&self, request: &Request) -> Result<Vec<u8>, NoAnswer> {
        let message = request.encode();
        let credentials = self.sign("POST", RECONCILE_PATH, &message)?;
        let answer = self.client.reconcile(&self.url, &credentials, message);
        match request {
            Request::Open { .. } => begun_in_time(answer).await,
            Request::Symbols { .. }
            | Request::FetchShort { .. }
            | Request::Compare { .. }
            | Request::List { .. }
            | Request::Fetch { .. }
            | Request::Push { .. }
            | Request::Frontier { .. } => answer.await,
        }
    }

    /// Signs one request to this node. `path` has its query.
    pub(crate) fn sign(&self, method: &str, path: &str, body: &[u8]) -> Result<Authorization, NoAnswer> {
        debug_assert!(path.starts_with(RECONCILE_PATH) || path.starts_with(FULL_PATH));
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|error| NoAnswer::Lost(format!("this machine gives no randomness: {error}")))?;
        let asked = Asked { lattice: self.identity.lattice, receiver: self.receiver, method, path };
        Ok(Authorization::sign(&self.identity.keys.author, &asked, body, now_ms(), nonce))
    }
}
