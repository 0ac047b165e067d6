//! Proofs for auditors, to be checked offline with `lattice verify` or any program that knows the formats.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use lattice::ids::CommitId;
use lattice::op::Key;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::parameters::{KeyInPath, Parameters};
use super::problem::{Kind, Problem, ProblemView};
use crate::audit::proofs::NoProof;
use crate::service::Service;

/// That a log of one size is the beginning of the same log at another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyView {
    /// The smaller size.
    pub old: u64,
    /// The greater one.
    pub new: u64,
    /// Root at the smaller size, in base64.
    pub old_root: String,
    /// Root at the greater one.
    pub new_root: String,
    /// The consistency proof of RFC 9162, hashes in base64.
    pub proof: Vec<String>,
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(entry_by_path))
        .routes(routes!(entry_by_query))
        .routes(routes!(absence_by_path))
        .routes(routes!(absence_by_query))
        .routes(routes!(commit))
        .routes(routes!(record))
        .routes(routes!(consistency))
}

/// A bundle that proves the value of a key at the last checkpoint.
#[utoipa::path(get, path = "/api/v1/proof/entry/{*key}", tag = "proofs",
    params(("key" = String, Path, description = "The key, percent-encoded; slashes may stay")),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn entry_by_path(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
    KeyInPath(key): KeyInPath,
) -> Result<Response, Problem> {
    Parameters::parse(query.as_deref(), &[])?;
    Ok(text(service.prove_entry(&Key::new(&key)?).await?.to_string()))
}

/// The same for keys that a path can't carry.
#[utoipa::path(get, path = "/api/v1/proof/entry", tag = "proofs", params(("key" = String, Query)),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn entry_by_query(State(service): State<Service>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Ok(text(service.prove_entry(&key_of(query.as_deref())?).await?.to_string()))
}

/// A bundle that proves that a key has no value at the last checkpoint.
#[utoipa::path(get, path = "/api/v1/proof/absence/{*key}", tag = "proofs",
    params(("key" = String, Path, description = "The key, percent-encoded; slashes may stay")),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn absence_by_path(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
    KeyInPath(key): KeyInPath,
) -> Result<Response, Problem> {
    Parameters::parse(query.as_deref(), &[])?;
    Ok(text(service.prove_absence(&Key::new(&key)?).await?.to_string()))
}

/// The same for keys that a path can't carry.
#[utoipa::path(get, path = "/api/v1/proof/absence", tag = "proofs", params(("key" = String, Query)),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn absence_by_query(State(service): State<Service>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Ok(text(service.prove_absence(&key_of(query.as_deref())?).await?.to_string()))
}

/// A bundle that proves that the node applied a commit.
#[utoipa::path(get, path = "/api/v1/proof/commit/{id}", tag = "proofs",
    params(("id" = String, Path, description = "The commit, 64 hexadecimal digits"),
        ("record" = Option<u64>, Query, description = "Index of the record that names it, if it is an old one")),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn commit(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = Parameters::parse(query.as_deref(), &["record"])?.number("record")?;
    let id: CommitId = id.parse().map_err(|_| bad(format!("{id:?} is no commit: write its 64 hexadecimal digits")))?;
    Ok(text(service.prove_commit(id, record).await?.to_string()))
}

/// A tlog-proof (C2SP) of one record of the log; its extra data is the record.
#[utoipa::path(get, path = "/api/v1/proof/log/{index}", tag = "proofs",
    params(("index" = u64, Path, description = "Index of the record, from 0")),
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn record(State(service): State<Service>, Path(index): Path<String>) -> Result<Response, Problem> {
    Ok(text(service.prove_record(number(&index)?).await?.to_string()))
}

/// A proof that the log only grew from one size to another.
#[utoipa::path(get, path = "/api/v1/proof/consistency/{old}/{new}", tag = "proofs",
    params(("old" = u64, Path), ("new" = u64, Path, description = "At most the size of the last checkpoint")),
    responses((status = OK, body = ConsistencyView), (status = "default", body = ProblemView)))]
async fn consistency(
    State(service): State<Service>,
    Path((old, new)): Path<(String, String)>,
) -> Result<Json<ConsistencyView>, Problem> {
    let (old, new) = (number(&old)?, number(&new)?);
    let proven = service.prove_consistency(old, new).await?;
    Ok(Json(ConsistencyView {
        old,
        new,
        old_root: BASE64.encode(&proven.old_root),
        new_root: BASE64.encode(&proven.new_root),
        proof: proven.hashes.iter().map(|hash| BASE64.encode(hash)).collect(),
    }))
}

/// A proof is one of this moment: the next one may be at another checkpoint.
fn text(proof: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-cache")], proof).into_response()
}

fn key_of(query: Option<&str>) -> Result<Key, Problem> {
    let key = Parameters::parse(query, &["key"])?.text("key");
    let key =
        key.ok_or_else(|| bad("name the key: as the rest of the path, or as query parameter \"key\"".to_owned()))?;
    Ok(Key::new(&key)?)
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| bad(format!("{text:?} is no whole number")))
}

fn bad(detail: String) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}

impl From<NoProof> for Problem {
    fn from(error: NoProof) -> Self {
        let kind = match &error {
            NoProof::NoEntry(_) => Kind::NoSuchEntry,
            NoProof::Deleted(_) | NoProof::HasValue(_) => Kind::Conflict,
            NoProof::NoCommit(_) | NoProof::NotNamed { .. } | NoProof::BeyondLog { .. } => Kind::NoSuchRecord,
            NoProof::Sizes => Kind::BadRequest,
            NoProof::NotYet => Kind::NotReady,
            NoProof::Busy(_) | NoProof::Searching => Kind::Busy,
            NoProof::TooLarge(_) => Kind::TooLarge,
            NoProof::Store(failed) => Kind::from(failed),
        };
        Self::new(kind, error.to_string())
    }
}
