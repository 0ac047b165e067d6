//! The node's log for anyone to follow: checkpoint, tiles and records by the paths of C2SP tlog-tiles.

use std::sync::PoisonError;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use data_encoding::HEXLOWER;
use http_fallback::rate::Remote;
use lattice::log::tile::{BadPath, BundleId, TileId, encode_bundle};
use lattice::log::witness::AddCheckpoint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{Kind, Problem, ProblemView};
use crate::clock::now_ms;
use crate::service::Service;
use crate::store::StoreError;

/// A checkpoint is new every second while the log grows.
const MUTABLE: &str = "no-cache";

/// A tile under a checkpoint is never another: full ones for ever, narrow ones as the beginning of what they become.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(checkpoint))
        .routes(routes!(bundle))
        .routes(routes!(tile))
        .routes(routes!(checkpoints))
        .routes(routes!(forks))
        .routes(routes!(add_checkpoint))
        .routes(routes!(held))
}

/// What is known of the lattice's logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoints {
    /// Signed notes, one a log: the last checkpoint that this node knows, with its cosignatures.
    pub checkpoints: Vec<String>,
}

/// Logs that have two histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForksView {
    /// Evidence, one a log, to be checked with `lattice verify`.
    pub forks: Vec<String>,
}

/// The log's last checkpoint: a signed note with origin, size and root, and the cosignatures of other nodes.
#[utoipa::path(get, path = "/checkpoint", tag = "log",
    responses((status = OK, body = String, content_type = "text/plain"),
        (status = SERVICE_UNAVAILABLE, body = ProblemView, description = "None yet; come again after Retry-After seconds")))]
async fn checkpoint(State(service): State<Service>) -> Result<Response, Problem> {
    let checkpointed = service.states().borrow().checkpointed.clone();
    let signed = checkpointed.ok_or_else(|| {
        Problem::new(Kind::NotReady, "this node has signed no checkpoint of its log yet; ask again in a moment")
    })?;
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, MUTABLE)];
    Ok((headers, signed.signed.to_string()).into_response())
}

/// Hashes of one level of the log's tree, up to 256 of 32 bytes.
#[utoipa::path(get, path = "/tile/{*tile}", tag = "log",
    params(("tile" = String, Path, description = "LEVEL/INDEX or LEVEL/INDEX.p/WIDTH, such as 0/x001/234 or 1/000.p/7")),
    responses((status = OK, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = ProblemView)))]
async fn tile(State(service): State<Service>, Path(path): Path<String>) -> Result<Response, Problem> {
    let id: TileId = path.parse().map_err(bad_path)?;
    expect_signed(&service, id)?;
    let tile = service.inner.reader.tile(id).await?.ok_or_else(|| missing(&path))?;
    Ok(immutable(tile.encode()))
}

/// Records of the log, up to 256, each behind its length in two bytes.
#[utoipa::path(get, path = "/tile/entries/{*bundle}", tag = "log",
    params(("bundle" = String, Path, description = "INDEX or INDEX.p/WIDTH, such as x001/234 or 000.p/7")),
    responses((status = OK, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = ProblemView)))]
async fn bundle(State(service): State<Service>, Path(path): Path<String>) -> Result<Response, Problem> {
    let id: BundleId = path.parse().map_err(bad_path)?;
    expect_signed(&service, id.leaves())?;
    let records = service.inner.reader.records(id).await?.ok_or_else(|| missing(&path))?;
    let bytes = encode_bundle(&records).map_err(StoreError::damaged)?;
    Ok(immutable(bytes))
}

fn immutable(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, IMMUTABLE)], bytes).into_response()
}

fn bad_path(error: BadPath) -> Problem {
    Problem::new(Kind::BadRequest, error.to_string())
}

/// Records that no checkpoint covers yet may still be others after a crash, and answers are kept for ever by whoever
/// caches them.
fn expect_signed(service: &Service, tile: TileId) -> Result<(), Problem> {
    let (signed, wanted) = (service.states().borrow().checkpoint_size(), tile.log_size_min());
    if wanted <= signed {
        return Ok(());
    }
    let detail =
        format!("this log is signed up to {signed} records (see /checkpoint), fewer than the {wanted} asked for");
    Err(Problem::new(Kind::NoSuchRecord, detail))
}

/// No fault of this node's that passes: whoever follows the log must hear that it has lost what it signed.
fn missing(path: &str) -> Problem {
    Problem::new(
        Kind::NoSuchRecord,
        format!("this node signed its log beyond {path} and no longer has that; check its disk"),
    )
}

/// The last checkpoints that this node knows of all logs of the lattice, its own among them.
#[utoipa::path(get, path = "/api/v1/checkpoints", tag = "log", responses((status = OK, body = Checkpoints)))]
async fn checkpoints(State(service): State<Service>) -> Json<Checkpoints> {
    let own = service.states().borrow().checkpointed.clone();
    let own = own.iter().map(|own| own.signed.to_string());
    Json(Checkpoints { checkpoints: own.chain(service.inner.logs.all().iter().map(ToString::to_string)).collect() })
}

/// Evidence against logs that were caught with two checkpoints that contradict each other.
#[utoipa::path(get, path = "/api/v1/forks", tag = "log", responses((status = OK, body = ForksView)))]
async fn forks(State(service): State<Service>) -> Json<ForksView> {
    let forks = service.states().borrow().forks.clone();
    Json(ForksView { forks: forks.values().map(ToString::to_string).collect() })
}

/// Cosigns the checkpoint of a log of this lattice, if it grew from the one cosigned before (C2SP tlog-witness).
#[utoipa::path(post, path = "/witness/add-checkpoint", tag = "log",
    request_body(content = String, content_type = "text/plain"),
    responses((status = OK, body = String, content_type = "text/plain", description = "Signature lines"),
        (status = CONFLICT, description = "The size cosigned last, as text/x.tlog.size")))]
async fn add_checkpoint(
    State(state): State<ApiState>,
    remote: Option<Extension<Remote>>,
    request: Request,
) -> Result<Response, Problem> {
    let Extension(remote) = remote.unwrap_or_default();
    if !state.witness_rate.lock().unwrap_or_else(PoisonError::into_inner).take(now_ms(), remote) {
        return Err(Problem::new(Kind::Busy, "more requests to cosign come than this node takes from one address"));
    }
    let body = state.arriving.body(request).await?;
    // Once all is read: a place taken before would be held by whoever sends slowly.
    let busy = || Problem::new(Kind::Busy, "as many checkpoints as this node takes at once are being cosigned");
    let _place = state.witness_slots.try_acquire().map_err(|_| busy())?;
    let request = AddCheckpoint::parse(&body).map_err(|error| Problem::new(Kind::BadRequest, error.to_string()))?;
    let answer = state.audit.add_checkpoint(Box::new(request)).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media = if status == StatusCode::CONFLICT { "text/x.tlog.size" } else { "text/plain; charset=utf-8" };
    Ok((status, [(CONTENT_TYPE, media)], answer.body).into_response())
}

/// The last checkpoint held of a log, with its cosignatures (C2SP tlog-witness).
#[utoipa::path(get, path = "/witness/{origin_hash}/checkpoint", tag = "log",
    params(("origin_hash" = String, Path, description = "SHA-256 of the log's name, 64 hexadecimal digits in lower case")),
    responses((status = OK, body = String, content_type = "text/plain"), (status = NOT_FOUND, body = ProblemView)))]
async fn held(State(state): State<ApiState>, Path(hash): Path<String>) -> Result<Response, Problem> {
    let is_it = |origin: &str| HEXLOWER.encode(&Sha256::digest(origin.as_bytes())) == hash;
    let witnessed = state.service.states().borrow().witnessed.clone();
    let origin = witnessed.keys().find(|origin| is_it(origin));
    let found = origin.and_then(|origin| state.audit.held(origin)).ok_or_else(|| {
        Problem::new(Kind::NoSuchRecord, "this node holds no checkpoint of a log whose name has that hash")
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, MUTABLE)], found.to_string()).into_response())
}
