//! Reading and writing single entries, and listing them.
//!
//! A key is the rest of the path, percent-decoded, or the query parameter `key`: HTTP clients fold `.` and
//! `..` segments of a path away before they send it, and some tidy up empty segments.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use lattice::op::{Key, Op};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Authorized;
use super::body::{self, Body};
use super::parameters::{KeyInPath, Parameters, idempotency_key};
use super::problem::{Kind, Problem, ProblemView};
use super::{seat, shown};
use crate::service::{Service, StoredEntry};
use crate::view::{Entry, Receipt};

/// Entries in a page when the client names no limit.
pub const LIST_LIMIT_DEFAULT: u64 = 100;

/// Entries in a page at most.
pub const LIST_LIMIT_MAX: u64 = 1000;

/// Bytes of values after which a page ends early: a page of the largest values would be 64 MB.
const LIST_BYTES_TARGET: usize = 4 * 1024 * 1024;

/// Entries read at once for a page: 64 of the largest are as much as a page may hold.
const LIST_CHUNK: usize = 64;

/// A page of entries in key order, tombstones left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// If there are more: the last key of this page, to be given as `after`.
    pub next: Option<String>,
}

/// A value to put, in one of two forms.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewValue {
    /// The value as text.
    value: Option<String>,
    /// The value in base64.
    value_base64: Option<String>,
}

/// What `GET /api/v1/entries` answers: a page, or with `key` one entry.
#[derive(ToSchema)]
#[schema(as = EntriesAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer in the OpenAPI document only")]
enum Answer {
    One(Entry),
    Page(Listing),
}

/// The headers of a write.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the headers in the OpenAPI document only")]
struct WriteHeaders {
    /// The same key gives the same commit
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
    /// Of the seat's keys: only if the entry has this ETag; `*`: if it has any value
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// Of the seat's keys: `*`, only if there is no value
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// What the query of a write may say beside the key.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query in the OpenAPI document only")]
struct WriteQuery {
    /// Of the seat's keys: durable at the holder (`local`), at its shadow too (`shadow`, the default), and at a majority
    /// of the voters (`quorum`)
    level: Option<String>,
    /// `no`: a node that does not hold the seat answers with the holder's address (307)
    forward: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_or_get, put_by_query, delete_by_query)).routes(routes!(
        get_by_path,
        put_by_path,
        delete_by_path
    ))
}

/// One entry.
#[utoipa::path(get, path = "/api/v1/entries/{*key}", tag = "entries",
    params(("key" = String, Path, description = "The key, percent-encoded; slashes may stay"),
        ("consistency" = Option<String>, Query, description = "`seat`: as the seat's holder has it under its lease")),
    responses((status = OK, body = Entry, description = "The entry; its version is the ETag"),
        (status = NOT_FOUND, body = ProblemView),
        (status = "default", body = ProblemView)))]
async fn get_by_path(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    KeyInPath(key): KeyInPath,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::parse(query.as_deref(), &["consistency"])?;
    get(&state, &key, parameters.text("consistency")).await
}

/// Sets an entry. JSON bodies hold the value as text or base64; any other body is the value.
#[utoipa::path(put, path = "/api/v1/entries/{*key}", tag = "entries", security(("token" = [])),
    params(("key" = String, Path, description = "The key, percent-encoded; slashes may stay"), WriteHeaders, WriteQuery),
    request_body(content((NewValue = "application/json"), (String = "application/octet-stream"))),
    responses((status = OK, body = Receipt, description = "Durable; the version of a seat's entry is the ETag"),
        (status = TEMPORARY_REDIRECT, description = "The same request at the seat's holder"),
        (status = PRECONDITION_FAILED, body = ProblemView, description = "The entry is not what the headers ask for"),
        (status = "default", body = ProblemView)))]
async fn put_by_path(
    _: Authorized,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    KeyInPath(key): KeyInPath,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let op = put_op(&key, &headers, &body)?;
    write(&state, op, &headers, query.as_deref()).await
}

/// Deletes an entry; a tombstone stays.
#[utoipa::path(delete, path = "/api/v1/entries/{*key}", tag = "entries", security(("token" = [])),
    params(("key" = String, Path, description = "The key, percent-encoded; slashes may stay"), WriteHeaders, WriteQuery),
    responses((status = OK, body = Receipt, description = "Durable; the version of a seat's entry is the ETag"),
        (status = TEMPORARY_REDIRECT, description = "The same request at the seat's holder"),
        (status = PRECONDITION_FAILED, body = ProblemView, description = "The entry is not what the headers ask for"),
        (status = "default", body = ProblemView)))]
async fn delete_by_path(
    _: Authorized,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    KeyInPath(key): KeyInPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    write(&state, Op::delete(&key)?, &headers, query.as_deref()).await
}

/// Entries in key order, a page at a time; or, with `key`, that one entry.
#[utoipa::path(get, path = "/api/v1/entries", tag = "entries",
    params(("key" = Option<String>, Query, description = "This entry alone, for keys that a path can't carry"),
        ("prefix" = Option<String>, Query, description = "Keys that start so"),
        ("after" = Option<String>, Query, description = "Keys greater than this one"),
        ("limit" = Option<u64>, Query, description = "Entries in the page, 1 to 1000, by default 100"),
        ("consistency" = Option<String>, Query, description = "`seat`, with `key`: as the holder has it under its lease")),
    responses((status = OK, body = Answer), (status = "default", body = ProblemView)))]
async fn list_or_get(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let known = ["key", "prefix", "after", "limit", "consistency"];
    let mut parameters = Parameters::parse(query.as_deref(), &known)?;
    if let Some(key) = parameters.text("key") {
        let consistency = parameters.text("consistency");
        parameters.expect_none_beside("key")?;
        return get(&state, &key, consistency).await;
    }
    if parameters.text("consistency").is_some() {
        return Err(Problem::new(Kind::BadRequest, "query parameter \"consistency\" means nothing without \"key\""));
    }
    let prefix = parameters.text("prefix").unwrap_or_default();
    let after = parameters.text("after");
    let limit = match parameters.number("limit")?.unwrap_or(LIST_LIMIT_DEFAULT) {
        limit @ 1..=LIST_LIMIT_MAX => limit as usize,
        limit => {
            let detail = format!("\"limit\" must be between 1 and {LIST_LIMIT_MAX}, not {limit}");
            return Err(Problem::new(Kind::BadRequest, detail));
        }
    };
    let page = list(&state.service, &prefix, after, limit).await?;
    Ok(Json(page).into_response())
}

/// Sets the entry named by the query.
#[utoipa::path(put, path = "/api/v1/entries", tag = "entries", security(("token" = [])),
    params(("key" = String, Query, description = "The key"), WriteHeaders, WriteQuery),
    request_body(content((NewValue = "application/json"), (String = "application/octet-stream"))),
    responses((status = OK, body = Receipt, description = "Durable; the version of a seat's entry is the ETag"),
        (status = TEMPORARY_REDIRECT, description = "The same request at the seat's holder"),
        (status = PRECONDITION_FAILED, body = ProblemView, description = "The entry is not what the headers ask for"),
        (status = "default", body = ProblemView)))]
async fn put_by_query(
    _: Authorized,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let op = put_op(&key_in_query(query.as_deref())?, &headers, &body)?;
    write(&state, op, &headers, query.as_deref()).await
}

/// Deletes the entry named by the query; a tombstone stays.
#[utoipa::path(delete, path = "/api/v1/entries", tag = "entries", security(("token" = [])),
    params(("key" = String, Query, description = "The key"), WriteHeaders, WriteQuery),
    responses((status = OK, body = Receipt, description = "Durable; the version of a seat's entry is the ETag"),
        (status = TEMPORARY_REDIRECT, description = "The same request at the seat's holder"),
        (status = PRECONDITION_FAILED, body = ProblemView, description = "The entry is not what the headers ask for"),
        (status = "default", body = ProblemView)))]
async fn delete_by_query(
    _: Authorized,
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    write(&state, Op::delete(&key_in_query(query.as_deref())?)?, &headers, query.as_deref()).await
}

fn key_in_query(query: Option<&str>) -> Result<String, Problem> {
    Parameters::parse(query, &["key", "level", "forward"])?.text("key").ok_or_else(|| {
        let detail = "name the key: /api/v1/entries/KEY, or /api/v1/entries?key=KEY";
        Problem::new(Kind::BadRequest, detail)
    })
}

async fn get(state: &ApiState, key: &str, consistency: Option<String>) -> Result<Response, Problem> {
    match consistency.as_deref() {
        None => {}
        Some("seat") if seat::is_seat_key(state, key) => return seat::read(state, key).await,
        Some("seat") => {
            let detail = "only the seat's keys have a holder to read them from";
            return Err(Problem::new(Kind::Unprocessable, detail));
        }
        Some(other) => {
            return Err(Problem::new(Kind::BadRequest, format!("\"consistency\" can be seat, not {other:?}")));
        }
    }
    let stored = state.service.get(&Key::new(key)?).await?;
    match stored.filter(|entry| entry.value.is_some()) {
        Some(entry) => Ok(seat::with_etag(shown::entry(entry))),
        None => Err(Problem::new(Kind::NoSuchEntry, format!("there is no entry {key:?}"))),
    }
}

fn put_op(key: &str, headers: &HeaderMap, body: &[u8]) -> Result<Op, Problem> {
    if body::is_form(headers) {
        let detail = "a form is no value: send it with \"Content-Type: application/octet-stream\", or JSON as \
            \"application/json\" (curl -d says that it sends a form; curl -T FILE, or -H with one of the two, does not)";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    if body::is_json(headers) {
        let NewValue { value, value_base64 } = body::json(body)?;
        Ok(Op::put(key, &body::value_bytes(value, value_base64)?)?)
    } else {
        Ok(Op::put(key, body)?)
    }
}

/// Writes one operation: at this node, or, of the seat, at its holder.
async fn write(state: &ApiState, op: Op, headers: &HeaderMap, query: Option<&str>) -> Result<Response, Problem> {
    if seat::is_seat_key(state, op.key().as_str()) {
        let mut parameters = Parameters::parse(query, &[&["key"][..], &seat::WRITE_PARAMETERS].concat())?;
        parameters.text("key");
        return seat::write(state, op, headers, parameters).await;
    }
    seat::expect_no_level(&Parameters::parse(query, &[&["key"][..], &seat::WRITE_PARAMETERS].concat())?)?;
    seat::expect_no_condition(headers)?;
    let written = state.service.write(vec![op], idempotency_key(headers)?).await?;
    Ok(Json(shown::receipt(written)).into_response())
}

/// Collects a page in chunks, so that it can end by its bytes too, and looks one entry further to know the
/// end.
async fn list(service: &Service, prefix: &str, after: Option<String>, limit: usize) -> Result<Listing, Problem> {
    let mut page: Vec<StoredEntry> = Vec::new();
    let mut bytes = 0;
    loop {
        let chunk = LIST_CHUNK.min(limit + 1 - page.len());
        let from = page.last().map(|entry| entry.key.as_str()).or(after.as_deref());
        let found = service.list(prefix, from, chunk).await?;
        let at_end = found.len() < chunk;
        for entry in found {
            let full = page.len() == limit || (bytes > LIST_BYTES_TARGET && !page.is_empty());
            if full {
                return Ok(listing(page, true));
            }
            bytes += entry.value.as_ref().map_or(0, Vec::len);
            page.push(entry);
        }
        if at_end {
            return Ok(listing(page, false));
        }
    }
}

fn listing(page: Vec<StoredEntry>, more: bool) -> Listing {
    let next = page.last().filter(|_| more).map(|entry| entry.key.to_string());
    Listing { entries: page.into_iter().map(shown::entry).collect(), next }
}
