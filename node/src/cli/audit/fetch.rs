//! What an auditor asks nodes for, bounded in bytes and time.

use std::sync::OnceLock;
use std::time::Duration;

use futures::future::try_join_all;
use http_fallback::client::NoAnswer;
use lattice::head::{Head, SignedHead};
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::NOTE_BYTES_MAX;
use lattice::log::tile::{BUNDLE_BYTES_MAX, BundleId, TILE_HASHES, Tile, TileId, decode_bundle};
use lattice::log::tree::{PROOF_HASHES_MAX, TileSet};
use lattice::merkle::Digest;
use reqwest::{Response, StatusCode};

use super::growth::Asked;
use crate::api::proofs::ConsistencyView;
use crate::net::address::cause;

/// Time to connect, and for a whole answer: the longest is a bundle of records, 16 MiB.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a consistency proof in JSON: 65 hashes of 44 characters, and names.
const CONSISTENCY_BYTES_MAX: usize = 1024 + PROOF_HASHES_MAX * 64;

/// Bytes of a refusal that are read for its words, and characters of them that are shown.
const REFUSAL_BYTES_MAX: usize = 4096;
const REFUSAL_CHARS_MAX: usize = 300;

/// Asks nodes.
pub(super) struct Fetch {
    plain: reqwest::Client,
    secure: OnceLock<Result<reqwest::Client, String>>,
    nodes: http_fallback::client::Client,
}

impl Fetch {
    /// Makes the clients.
    ///
    /// # Errors
    ///
    /// If this machine can make none.
    pub(super) fn new() -> Result<Self, String> {
        // Plain HTTP must work on a machine without CA certificates.
        let plain = builder().tls_certs_only([]).build().map_err(|error| cause(&error).to_string())?;
        let nodes = http_fallback::client::Client::new(CONNECT_TIMEOUT)?;
        Ok(Self { plain, secure: OnceLock::new(), nodes })
    }

    /// The client that knows the routes between nodes.
    pub(super) const fn nodes(&self) -> &http_fallback::client::Client {
        &self.nodes
    }

    /// The head of a node, if the node that it names signed it.
    pub(super) async fn head(&self, url: &str) -> Result<Head, NoAnswer> {
        let view = self.nodes.state(url).await?;
        let unreadable = |why: &str| NoAnswer::Unreadable(why.to_owned());
        let bytes = data_encoding::BASE64.decode(view.head.as_bytes()).map_err(|_| unreadable("the head"))?;
        let signed = SignedHead::decode(&bytes).map_err(|error| unreadable(&error.to_string()))?;
        signed.verified().ok_or_else(|| unreadable("the head is not signed by the node that it names"))
    }

    /// The last checkpoint of a node, nothing of it checked.
    pub(super) async fn checkpoint(&self, url: &str) -> Result<SignedCheckpoint, NoAnswer> {
        let bytes = self.get(url, "/checkpoint", NOTE_BYTES_MAX).await?;
        SignedCheckpoint::parse(&bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))
    }

    /// The node's proof that its log only grew.
    pub(super) async fn consistency(&self, url: &str, old: u64, new: u64) -> Asked {
        let path = format!("/api/v1/proof/consistency/{old}/{new}");
        let bytes = self.get(url, &path, CONSISTENCY_BYTES_MAX).await.map_err(|error| error.to_string())?;
        let view: ConsistencyView = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let hash =
            |text: &String| -> Option<Digest> { data_encoding::BASE64.decode(text.as_bytes()).ok()?.try_into().ok() };
        view.proof.iter().map(hash).collect::<Option<_>>().ok_or_else(|| "a line of it is no hash".to_owned())
    }

    /// Tiles of a node's log.
    pub(super) async fn tiles(&self, url: &str, ids: Vec<TileId>) -> Result<TileSet, String> {
        let tile = async |id: TileId| {
            let bytes = self.get(url, &format!("/tile/{id}"), TILE_HASHES * size_of::<Digest>()).await;
            Tile::decode(id, &bytes.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
        };
        Ok(try_join_all(ids.into_iter().map(tile)).await?.into_iter().collect())
    }

    /// Records of a node's log.
    pub(super) async fn records(&self, url: &str, id: BundleId) -> Result<Vec<Vec<u8>>, NoAnswer> {
        let bytes = self.get(url, &format!("/tile/entries/{id}"), BUNDLE_BYTES_MAX).await?;
        let records = decode_bundle(id, &bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))?;
        Ok(records.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// An answer of at most so many bytes.
    pub(super) async fn get(&self, url: &str, path: &str, bytes_max: usize) -> Result<Vec<u8>, NoAnswer> {
        let lost = |error: reqwest::Error| NoAnswer::Lost(cause(&error).to_string());
        let request = self.at(url)?.get(format!("{}{path}", url.trim_end_matches('/')));
        let response = request.send().await.map_err(lost)?;
        match response.status() {
            StatusCode::OK => read(response, bytes_max).await,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(NoAnswer::Busy),
            status if status.is_server_error() => Err(NoAnswer::Lost(format!("it answered {status}"))),
            status => {
                let body = read(response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
                Err(NoAnswer::Declined { status: status.as_u16(), detail: detail(status, &body) })
            }
        }
    }

    fn at(&self, url: &str) -> Result<&reqwest::Client, NoAnswer> {
        if !url.starts_with("https://") {
            return Ok(&self.plain);
        }
        let secure = self.secure.get_or_init(|| builder().build().map_err(|error| cause(&error).to_string()));
        secure.as_ref().map_err(|error| NoAnswer::Lost(format!("https is not possible on this machine: {error}")))
    }
}

fn builder() -> reqwest::ClientBuilder {
    // No redirects: what is asked is what the policy's owner meant.
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT)
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, NoAnswer> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer::Lost(cause(&error).to_string()))? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(NoAnswer::Unreadable(format!("it is longer than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The words of a problem document, or those of the status.
fn detail(status: StatusCode, body: &[u8]) -> String {
    let problem = serde_json::from_slice::<serde_json::Value>(body).ok();
    let words = problem.and_then(|problem| problem["detail"].as_str().map(str::to_owned));
    let words = words.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
    words.chars().filter(|c| !c.is_control()).take(REFUSAL_CHARS_MAX).collect()
}
