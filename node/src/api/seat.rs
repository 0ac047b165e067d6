//! Writes and reads of the seat's keys: conditions, levels, and where the holder is.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::StatusCode};
use lattice::address::url_key;
use lattice::ids::CommitId;
use lattice::op::{Key, Op};

use super::ApiState;
use super::parameters::{Parameters, idempotency_key};
use super::problem::{Kind, Problem};
use super::shown;
use crate::seat::write_error::{SeatProblem, SeatWriteError};
use crate::seat::writing::{Level, SeatWrite};
use crate::view::{Entry, Receipt};
use crate::writer::seat::{Condition, EntryTag};

/// Query parameters of a write of the seat.
pub(super) const WRITE_PARAMETERS: [&str; 2] = ["level", "forward"];

/// Whether a key belongs to the seat.
pub(super) fn is_seat_key(state: &ApiState, key: &str) -> bool {
    let seat = state.seat.identity.genesis.seat();
    seat.is_some_and(|seat| key.strip_prefix(seat).is_some_and(|rest| rest.starts_with('/')))
}

/// Writes an operation of the seat at its holder, wherever that is.
pub(super) async fn write(
    state: &ApiState,
    op: Op,
    headers: &HeaderMap,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let level = match parameters.text("level") {
        None => Level::default(),
        Some(word) => Level::from_word(&word).ok_or_else(|| {
            Problem::new(Kind::BadRequest, format!("\"level\" is local, shadow or quorum, not {word:?}"))
        })?,
    };
    let is_forwarded = match parameters.text("forward").as_deref() {
        None | Some("yes") => true,
        Some("no") => false,
        Some(other) => {
            return Err(Problem::new(Kind::BadRequest, format!("\"forward\" is yes or no, not {other:?}")));
        }
    };
    if !is_forwarded && let Some(elsewhere) = redirected(state, op.key()).await? {
        return Ok(elsewhere);
    }
    let write = SeatWrite { ops: vec![op], condition: condition(headers)?, name: idempotency_key(headers)?, level };
    let written = state.seat.write(write).await?;
    let tag = EntryTag { commit: written.commit, op_index: 0 };
    let receipt: Json<Receipt> = Json(shown::receipt(written));
    Ok(([(header::ETAG, etag(tag))], receipt).into_response())
}

/// Reads under the holder's lease: what is answered was the newest when it was read.
pub(super) async fn read(state: &ApiState, key: &str) -> Result<Response, Problem> {
    let entry = state.seat.read(&Key::new(key)?).await?;
    let entry: Option<Entry> = entry
        .map(|json| serde_json::from_slice(&json))
        .transpose()
        .map_err(|error| Problem::new(Kind::NoHolder, format!("the holder's answer can't be read: {error}")))?;
    match entry.filter(|entry| !entry.deleted) {
        Some(entry) => Ok(with_etag(entry)),
        None => Err(Problem::new(Kind::NoSuchEntry, format!("there is no entry {key:?}"))),
    }
}

/// An entry with its version as an entity tag.
pub(super) fn with_etag(entry: Entry) -> Response {
    let tag = format!("\"{}-{}\"", entry.commit, entry.op_index);
    let mut response = Json(entry).into_response();
    // Digits and a dash.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn etag(tag: EntryTag) -> String {
    format!("\"{}-{}\"", tag.commit, tag.op_index)
}

/// What `If-Match` and `If-None-Match` ask for.
fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let bad = |detail: &str| Problem::new(Kind::BadRequest, detail);
    let text = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next().map(HeaderValue::to_str), values.next()) {
            (None, _) => Ok(None),
            (Some(Ok(text)), None) => Ok(Some(text.trim().to_owned())),
            _ => Err(bad("a condition is given once, as one entity tag or *")),
        }
    };
    match (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::Always),
        (None, Some(none)) if none == "*" => Ok(Condition::Absent),
        (None, Some(_)) => Err(bad("\"If-None-Match\" is * here: the key must have no value")),
        (Some(any), None) if any == "*" => Ok(Condition::Present),
        (Some(tag), None) => tag_of(&tag)
            .map(Condition::Is)
            .ok_or_else(|| bad("\"If-Match\" is the entity tag of one entry, as a read gives it, or *")),
        (Some(_), Some(_)) => Err(bad("give one of \"If-Match\" and \"If-None-Match\"")),
    }
}

fn tag_of(text: &str) -> Option<EntryTag> {
    let (commit, op_index) = text.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
    Some(EntryTag { commit: commit.parse::<CommitId>().ok()?, op_index: op_index.parse().ok()? })
}

/// Refuses conditions on keys that have no holder to judge them.
pub(super) fn expect_no_condition(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH) {
        let detail = "conditions hold for the seat's keys alone: any node writes other keys, and none can say what \
             stands there everywhere";
        return Err(Problem::new(Kind::Unprocessable, detail));
    }
    Ok(())
}

/// Refuses levels, and ways to the holder, of keys that have none.
pub(super) fn expect_no_level(parameters: &Parameters) -> Result<(), Problem> {
    match WRITE_PARAMETERS.into_iter().find(|name| parameters.has(name)) {
        None => Ok(()),
        Some(name) => {
            let detail = format!(
                "query parameter {name:?} holds for the seat's keys alone: another key has no holder, and is durable at the \
                 node that takes it"
            );
            Err(Problem::new(Kind::Unprocessable, detail))
        }
    }
}

/// Where the holder takes the same request, if that is another node.
async fn redirected(state: &ApiState, key: &Key) -> Result<Option<Response>, Problem> {
    let Some(body) = state.seat.body().filter(|body| body.holder != state.seat.own()) else { return Ok(None) };
    let published = Key::new(&url_key(&body.holder))?;
    let url = state.service.get(&published).await?.and_then(|entry| entry.value);
    let url = url.and_then(|url| String::from_utf8(url).ok()).ok_or_else(|| {
        Problem::new(Kind::Conflict, "the holder publishes no URL: leave \"forward\" out, or give it --http-url")
    })?;
    let key: String = percent_encoding::utf8_percent_encode(key.as_str(), percent_encoding::NON_ALPHANUMERIC).collect();
    let location = format!("{}/api/v1/entries/{key}", url.trim_end_matches('/'));
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()))
}

impl From<SeatWriteError> for Problem {
    fn from(error: SeatWriteError) -> Self {
        let kind = match error.kind() {
            SeatProblem::Condition => Kind::PreconditionFailed,
            SeatProblem::KeyReused => Kind::IdempotencyKeyReused,
            SeatProblem::Invalid => Kind::Unprocessable,
            SeatProblem::Busy => Kind::Busy,
            SeatProblem::Disk => Kind::Disk,
            SeatProblem::Uncertain => Kind::TooSlow,
            SeatProblem::NoSeat => Kind::Conflict,
            SeatProblem::NoHolder => Kind::NoHolder,
        };
        match error {
            SeatWriteError::Write(error) => Self::from(error),
            error @ (SeatWriteError::NoSeat
            | SeatWriteError::NoHolder(_)
            | SeatWriteError::Uncertain
            | SeatWriteError::Elsewhere { .. }) => Self::new(kind, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let tag = format!("\"{}-3\"", CommitId([7; 32]));
        let is = Condition::Is(EntryTag { commit: CommitId([7; 32]), op_index: 3 });
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let table: [(Headers<'_>, Option<Condition>); 9] = [
            (&[], Some(Condition::Always)),
            (&[("if-match", "*")], Some(Condition::Present)),
            (&[("if-none-match", "*")], Some(Condition::Absent)),
            (&[("if-match", &tag)], Some(is)),
            (&[("if-none-match", &tag)], None),
            (&[("if-match", &tag[1..])], None),
            (&[("if-match", "\"x-1\"")], None),
            (&[("if-match", "*"), ("if-none-match", "*")], None),
            (&[("if-match", "*"), ("if-match", "*")], None),
        ];
        for (pairs, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                let name = header::HeaderName::from_bytes(name.as_bytes()).expect("a name");
                headers.append(name, HeaderValue::from_str(value).expect("visible"));
            }
            assert_eq!(condition(&headers).ok(), expected, "{pairs:?}");
        }
    }
}
