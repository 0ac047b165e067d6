//! The dashboard: its page, its files, and the stream that keeps it up to date.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::Stream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{Kind, Problem, ProblemView};
use crate::dashboard::files;
use crate::dashboard::live::{LIVE_MAX, Live};

/// Time of silence after which a comment shows that the stream lives; a look comes each second, so only a node that hangs
/// gets there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(file)).routes(routes!(live))
}

/// The dashboard, for people.
#[utoipa::path(get, path = "/", tag = "dashboard",
    responses((status = OK, body = String, content_type = "text/html")))]
async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    found("index.html", &headers)
}

/// A file of the dashboard.
#[utoipa::path(get, path = "/dashboard/{*file}", tag = "dashboard", params(("file" = String, Path)),
    responses((status = OK, body = String, content_type = "text/javascript"), (status = NOT_FOUND, body = ProblemView)))]
async fn file(headers: HeaderMap, Path(name): Path<String>) -> Result<Response, Problem> {
    found(&name, &headers)
}

fn found(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let missing = || Problem::new(Kind::NoSuchRoute, format!("the dashboard has no file {name:?}"));
    files::file(name, headers).ok_or_else(missing)
}

/// All that the dashboard shows, as server-sent events: first what is remembered (`samples`, `lanes`, `forks`,
/// `reconciles`, `happenings`, each a list) and `now`, then once a second `now` again, behind what is new. Forks come as
/// the whole list whenever it changes.
#[utoipa::path(get, path = "/api/v1/live", tag = "dashboard",
    responses((status = OK, body = String, content_type = "text/event-stream"), (status = "default", body = ProblemView)))]
async fn live(State(state): State<ApiState>) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let slot = Arc::clone(&state.live_slots).try_acquire_owned().map_err(|_| {
        let detail = format!("all {LIVE_MAX} places of the dashboard are taken; close one, or look at another node");
        Problem::new(Kind::Busy, detail)
    })?;
    Ok(Sse::new(Live::new(state.service, slot).into_stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
