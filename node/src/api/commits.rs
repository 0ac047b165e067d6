//! Writing several operations at once, and handing in commits that a member signed elsewhere.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use lattice::commit::Commit;
use lattice::limits::COMMIT_OPS_MAX;
use lattice::op::Op;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Authorized;
use super::body::{self, Body};
use super::parameters::{Parameters, idempotency_key};
use super::problem::{Kind, Problem, ProblemView};
use super::shown;
use crate::service::{Service, Submitted};
use crate::view::Receipt;

/// Commits of other members in one request: as many as a gossip frame's transaction, and far more than a body
/// holds.
const COMMITS_MAX: usize = 1024;

/// Either operations to sign here, or commits signed elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCommits {
    /// Operations of one commit by this node: all or none of them happen. No key twice.
    ops: Option<Vec<NewOp>>,
    /// Canonical bytes of whole signed commits, each in base64.
    commits_base64: Option<Vec<String>>,
    /// With `ops`: leaves out those that would change nothing. Safe to repeat, so it takes no `Idempotency-Key`.
    #[serde(default)]
    changes_only: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum NewOp {
    /// Sets an entry.
    Put {
        /// The key.
        key: String,
        /// The value as text.
        value: Option<String>,
        /// The value in base64.
        value_base64: Option<String>,
    },
    /// Deletes an entry.
    Delete {
        /// The key.
        key: String,
    },
}

/// What became of operations of which only those that change something were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// Operations written.
    pub written: u64,
    /// Operations left out: the state was so already.
    pub unchanged: u64,
    /// The commit, unless nothing was written.
    pub receipt: Option<Receipt>,
}

/// What became of commits signed elsewhere, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Results {
    /// One for each commit.
    pub results: Vec<CommitResult>,
}

/// What became of one commit signed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitResult {
    /// The commit id.
    pub commit: String,
    /// `applied`, `waiting`, `dropped` or `refused`.
    pub outcome: String,
    /// Why, for people.
    pub detail: String,
}

/// What `POST /api/v1/commits` answers.
#[derive(ToSchema)]
#[schema(as = CommitsAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer in the OpenAPI document only")]
enum Answer {
    Written(Receipt),
    Changed(Changed),
    HandedIn(Results),
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(post))
}

/// Writes one commit of several operations, or hands in commits signed elsewhere by a member.
#[utoipa::path(post, path = "/api/v1/commits", tag = "commits", security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "The same key gives the same commit; signed commits are known by their id and need none")),
    request_body = NewCommits,
    responses((status = OK, body = Answer), (status = "default", body = ProblemView)))]
async fn post(
    _: Authorized,
    State(service): State<Service>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    Parameters::parse(query.as_deref(), &[])?;
    let idempotency = idempotency_key(&headers)?;
    if !body::is_json(&headers) {
        let detail = "send JSON, with the header \"Content-Type: application/json\"";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let NewCommits { ops, commits_base64, changes_only } = body::json(&body)?;
    match (ops, commits_base64) {
        (Some(ops), None) if changes_only => {
            if idempotency.is_some() {
                let detail = "leave the Idempotency-Key out: \"changes_only\" is safe to repeat without one";
                return Err(Problem::new(Kind::BadRequest, detail));
            }
            Ok(Json(write_changes(&service, checked_ops(ops)?).await?).into_response())
        }
        (Some(ops), None) => {
            let written = service.write(checked_ops(ops)?, idempotency).await?;
            Ok(Json(shown::receipt(written)).into_response())
        }
        (None, Some(_)) if changes_only => {
            Err(Problem::new(Kind::BadRequest, "\"changes_only\" goes with \"ops\", not with \"commits_base64\""))
        }
        (None, Some(commits)) => {
            let submitted = service.submit(decoded_commits(&commits)?).await;
            let results = submitted.into_iter().map(|(id, outcome)| result(id.to_string(), outcome)).collect();
            Ok(Json(Results { results }).into_response())
        }
        (Some(_), Some(_)) | (None, None) => {
            let detail = "give either \"ops\" (to be signed here) or \"commits_base64\" (signed elsewhere)";
            Err(Problem::new(Kind::BadRequest, detail))
        }
    }
}

async fn write_changes(service: &Service, ops: Vec<Op>) -> Result<Changed, Problem> {
    let count = ops.len();
    let ops = service.changes_among(ops).await?;
    let written = ops.len();
    let receipt = match written {
        0 => None,
        _ => Some(shown::receipt(service.write(ops, None).await?)),
    };
    Ok(Changed { written: written as u64, unchanged: (count - written) as u64, receipt })
}

fn checked_ops(ops: Vec<NewOp>) -> Result<Vec<Op>, Problem> {
    match ops.len() {
        0 => Err(Problem::new(Kind::Unprocessable, "a commit needs at least one operation")),
        1..=COMMIT_OPS_MAX => ops
            .into_iter()
            .enumerate()
            .map(|(index, op)| checked_op(op).map_err(|problem| problem.within(&format!("ops[{index}]"))))
            .collect(),
        count => {
            let detail = format!("a commit of {count} operations is beyond the {COMMIT_OPS_MAX} allowed; split it");
            Err(Problem::new(Kind::TooLarge, detail))
        }
    }
}

fn checked_op(op: NewOp) -> Result<Op, Problem> {
    match op {
        NewOp::Put { key, value, value_base64 } => Ok(Op::put(&key, &body::value_bytes(value, value_base64)?)?),
        NewOp::Delete { key } => Ok(Op::delete(&key)?),
    }
}

/// All or none: one commit that does not decode has no id to report a result under, so nothing is handed in.
fn decoded_commits(commits: &[String]) -> Result<Vec<Commit>, Problem> {
    if commits.len() > COMMITS_MAX {
        let detail = format!("{} commits are more than the {COMMITS_MAX} taken at once", commits.len());
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let decoded = commits.iter().enumerate().map(|(index, encoded)| {
        let field = format!("commits_base64[{index}]");
        let bytes = body::from_base64(&field, encoded)?;
        Commit::decode(&bytes).map_err(|error| Problem::from(error).within(&field))
    });
    decoded.collect()
}

fn result(commit: String, outcome: Submitted) -> CommitResult {
    let (outcome, detail) = match outcome {
        Submitted::Applied => ("applied", "its effect is in the state and durable here".to_owned()),
        Submitted::Waiting => {
            ("waiting", "kept for a while: its author is not known here yet, or its time is ahead".to_owned())
        }
        Submitted::Refused(refused) => ("refused", refused.to_string()),
    };
    CommitResult { commit, outcome: outcome.to_owned(), detail }
}
