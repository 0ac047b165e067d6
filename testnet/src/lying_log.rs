//! A node's log as a liar serves it: the real one until it is told to lie, then a copy that was changed and signed with
//! the node's own key. What an auditor must catch.
//!
//! Everything that a lie does not touch is passed on from the real node.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lattice::keys::NodeKeys;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::KeyName;
use lattice::log::tile::{BundleId, TILE_HASHES, TILE_HEIGHT, TileId, decode_bundle, encode_bundle};
use lattice::merkle::{self, Digest, leaf_hash};
use lattice::record::Record;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bytes of an answer that is passed on: a bundle of the longest records.
const PASSED_ON_BYTES: usize = 32 * 1024 * 1024;

/// What is served instead of the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// An early record says something else, and all hashes above it fit.
    RewrittenRecord,
    /// Another root for the size that was shown last.
    SecondHistory,
    /// The log ends where it did when the lie began; what came since is kept back.
    OldCheckpoint,
    /// The tree is the real one, but one record that is served is not the one in it.
    AlteredRecord,
    /// The tree is the real one, but a bundle lacks a record.
    DroppedRecord,
}

/// Why the log can't be copied.
#[derive(Debug, thiserror::Error)]
pub enum NoCopy {
    /// The node does not answer, or not as it should.
    #[error("the node's log can't be read: {0}")]
    Node(String),
    /// No port, or no key.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct LyingLog {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    real: String,
    client: reqwest::Client,
    log: SigningLog,
    copy: Mutex<Option<Copy>>,
}

/// Who signs.
struct SigningLog {
    keys: NodeKeys,
}

impl std::fmt::Debug for SigningLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningLog")
    }
}

/// The log as it is told.
#[derive(Debug)]
struct Copy {
    lie: Lie,
    checkpoint: String,
    records: Vec<Vec<u8>>,
    /// Of the records that the tree is over.
    leaves: Vec<Digest>,
}

impl LyingLog {
    /// Stands before the node at `real`, whose keys are `keys`; says the truth at first.
    ///
    /// # Errors
    ///
    /// [`NoCopy::Io`] without a port.
    pub async fn before(real: &str, keys: NodeKeys) -> Result<Self, NoCopy> {
        let client = reqwest::Client::builder().tls_certs_only([]).build();
        let client = client.map_err(|error| NoCopy::Node(error.to_string()))?;
        let real = real.trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared { real, client, log: SigningLog { keys }, copy: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move {
            // Ends with the process, or when it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, shared, task })
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Begins to lie, over the log as it is signed now.
    ///
    /// # Errors
    ///
    /// [`NoCopy`] if the real log can't be read.
    pub async fn lie(&self, lie: Lie) -> Result<(), NoCopy> {
        let copy = self.shared.copied(lie).await?;
        *self.shared.copy.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        Ok(())
    }
}

impl Drop for LyingLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn get(&self, path: &str) -> Result<Vec<u8>, NoCopy> {
        let lost = |error: reqwest::Error| NoCopy::Node(error.to_string());
        let answer = self.client.get(format!("{}{path}", self.real)).send().await.map_err(lost)?;
        let answer = answer.error_for_status().map_err(lost)?;
        Ok(answer.bytes().await.map_err(lost)?.to_vec())
    }

    async fn copied(&self, lie: Lie) -> Result<Copy, NoCopy> {
        let unreadable = |what: &dyn std::fmt::Display| NoCopy::Node(what.to_string());
        let checkpoint = self.get("/checkpoint").await?;
        let signed = SignedCheckpoint::parse(&checkpoint).map_err(|error| unreadable(&error))?;
        let size = signed.checkpoint().size();
        let mut records = Vec::new();
        for index in 0..size.div_ceil(TILE_HASHES as u64) {
            let leaves = TileId::at_size(0, index, size).ok_or_else(|| unreadable(&"no such tile"))?;
            let id = BundleId::new(index, leaves.width()).ok_or_else(|| unreadable(&"no such bundle"))?;
            let bytes = self.get(&format!("/tile/entries/{id}")).await?;
            let bundle = decode_bundle(id, &bytes).map_err(|error| unreadable(&error))?;
            records.extend(bundle.into_iter().map(<[u8]>::to_vec));
        }
        let mut leaves: Vec<Digest> = records.iter().map(|record| leaf_hash(record)).collect();
        // An early record that is not the first: one that the auditor has seen.
        let early = records.len() / 2;
        let altered = |record: &[u8]| {
            let record = Record::decode(record).map_err(|error| unreadable(&error))?;
            Ok::<_, NoCopy>(Record { time_ms: record.time_ms + 1, ..record }.encode())
        };
        match lie {
            Lie::RewrittenRecord | Lie::SecondHistory => {
                records[early] = altered(&records[early])?;
                leaves[early] = leaf_hash(&records[early]);
            }
            Lie::OldCheckpoint => {}
            Lie::AlteredRecord => records[early] = altered(&records[early])?,
            Lie::DroppedRecord => drop(records.remove(early)),
        }
        let checkpoint = match lie {
            Lie::RewrittenRecord => {
                // One more record, so that it is no second history of the same size.
                records.push(records[early].clone());
                leaves.push(leaves[early]);
                self.sign(signed.checkpoint().origin(), &leaves)?
            }
            Lie::SecondHistory => self.sign(signed.checkpoint().origin(), &leaves)?,
            Lie::OldCheckpoint | Lie::AlteredRecord | Lie::DroppedRecord => signed.to_string(),
        };
        Ok(Copy { lie, checkpoint, records, leaves })
    }

    fn sign(&self, origin: &str, leaves: &[Digest]) -> Result<String, NoCopy> {
        let name: KeyName = origin.parse().map_err(|error| NoCopy::Node(format!("{error}")))?;
        let signed = SignedCheckpoint::sign(&name, leaves.len() as u64, merkle::root(leaves), &self.log.keys.log);
        Ok(signed.to_string())
    }
}

impl Copy {
    /// The lie at a path; `None` for what is passed on.
    fn at(&self, path: &str) -> Option<Response> {
        if path == "/checkpoint" {
            return Some(self.checkpoint.clone().into_response());
        }
        if self.lie == Lie::OldCheckpoint {
            return None;
        }
        if path.starts_with("/api/v1/proof/consistency/") {
            // It has tiles to show instead.
            return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        if let Some(bundle) = path.strip_prefix("/tile/entries/") {
            let bytes = bundle.parse::<BundleId>().ok().and_then(|id| self.bundle(id));
            return Some(bytes.map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response));
        }
        let tile = path.strip_prefix("/tile/")?.parse::<TileId>().ok();
        let bytes = tile.and_then(|id| self.tile(id));
        Some(bytes.map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response))
    }

    fn bundle(&self, id: BundleId) -> Option<Vec<u8>> {
        let first = usize::try_from(id.leaves().index()).ok()? * TILE_HASHES;
        let end = (first + usize::from(id.leaves().width())).min(self.records.len());
        encode_bundle(self.records.get(first..end)?).ok()
    }

    fn tile(&self, id: TileId) -> Option<Vec<u8>> {
        let span = 1_usize.checked_shl(TILE_HEIGHT * u32::from(id.level()))?;
        let first = usize::try_from(id.index()).ok()? * TILE_HASHES;
        let hashes = (first..first + usize::from(id.width())).map(|hash| {
            let leaves = self.leaves.get(hash.checked_mul(span)?..(hash + 1).checked_mul(span)?)?;
            Some(merkle::root(leaves))
        });
        Some(hashes.collect::<Option<Vec<Digest>>>()?.concat())
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let lie = shared.copy.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|copy| copy.at(&path));
    match lie {
        Some(lie) => lie,
        None => passed_on(&shared, request, &path).await.unwrap_or(StatusCode::BAD_GATEWAY.into_response()),
    }
}

async fn passed_on(shared: &Shared, request: Request, path: &str) -> Option<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, PASSED_ON_BYTES).await.ok()?;
    let mut onward = shared.client.request(parts.method, format!("{}{path}", shared.real)).body(body);
    for name in ["authorization", "accept-encoding"] {
        if let Some(value) = parts.headers.get(name) {
            onward = onward.header(name, value);
        }
    }
    let answer = onward.send().await.ok()?;
    let status = answer.status();
    let encoding = answer.headers().get("content-encoding").cloned();
    let bytes = answer.bytes().await.ok()?;
    let mut response = (status, bytes.to_vec()).into_response();
    if let Some(encoding) = encoding {
        response.headers_mut().insert("content-encoding", encoding);
    }
    Some(response)
}
