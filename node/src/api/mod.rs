//! The HTTP API: what clients may ask of a node, and nothing about how it is done.
//!
//! Handlers take a request apart, ask the [`Service`] and put the answer into the shapes of [`crate::view`].
//! They hold no state of the lattice and decide nothing about it.
//!
//! # Reading order
//!
//! 1. [`serve`], `slots`, `lingering`: connections, what bounds them and how they end. [`auth`]: who may write, and read.
//! 2. [`entries`], `seat`, [`commits`], [`watch`], [`facts`], [`invitations`], [`log`], [`proofs`], [`policy`],
//!    `dashboard`: the routes, one file per concern.
//! 3. [`parameters`], [`body`], [`arriving`], [`shown`]: how requests are read and entries are shown.
//! 4. [`problem`]: the one place where an error becomes an answer. [`openapi`]: what the API says of itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{FromRef, Request};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_fallback::rate::{Bucket, Buckets};
use http_fallback::router::Source;
use tokio::sync::Semaphore;

pub mod serve;
mod slots;
mod lingering;
pub mod auth;
pub mod entries;
mod seat;
pub mod commits;
pub mod watch;
pub mod facts;
pub mod invitations;
pub mod log;
pub mod proofs;
pub mod policy;
mod dashboard;
pub mod parameters;
pub mod body;
pub mod arriving;
pub mod shown;
pub mod problem;
pub mod openapi;

use arriving::Arriving;
use auth::{ApiToken, Readers};
use problem::{Kind, Problem};

use crate::audit::Audit;
use crate::dashboard::live::LIVE_MAX;
use crate::seat::Seat;
use crate::service::Service;

/// Time that one request may take until its answer begins. A write waits for at most a few transactions; ten
/// seconds on a slow disk, with room (a guess).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What the handlers share.
#[derive(Clone)]
struct ApiState {
    service: Service,
    token: Arc<ApiToken>,
    watch_slots: Arc<Semaphore>,
    live_slots: Arc<Semaphore>,
    audit: Audit,
    witness_slots: Arc<Semaphore>,
    witness_rate: Arc<Mutex<Buckets>>,
    arriving: Arriving,
    seat: Seat,
}

/// Checkpoints cosigned at once for whoever asks by the standard route; each is a transaction.
const WITNESS_SLOTS: usize = 4;

/// Requests to cosign a second by that route, of all and of one address, and as many twice in one moment: as between nodes
/// (`http_fallback::router`). Each may cost a signature check, whoever asks.
const WITNESS_PER_SECOND: u64 = 500;
const WITNESS_PER_SECOND_EACH: u64 = 50;

impl FromRef<ApiState> for Service {
    fn from_ref(state: &ApiState) -> Self {
        state.service.clone()
    }
}

/// All routes of a node for clients, and with `between_nodes` those for other nodes. Whoever shows `token` may write; if
/// `reading` is a token, who reads must show that or this one.
pub fn router(
    audit: Audit,
    seat: Seat,
    token: ApiToken,
    reading: Option<ApiToken>,
    between_nodes: Option<Arc<dyn Source>>,
) -> Router {
    let readers = reading.map(|reading| Readers { reading, writing: token.clone() });
    let state = ApiState {
        service: audit.service.clone(),
        token: Arc::new(token),
        watch_slots: Arc::new(Semaphore::new(watch::STREAMS_MAX)),
        live_slots: Arc::new(Semaphore::new(LIVE_MAX)),
        audit,
        witness_slots: Arc::new(Semaphore::new(WITNESS_SLOTS)),
        witness_rate: Arc::new(Mutex::new(Buckets::new(
            Bucket::new(WITNESS_PER_SECOND, 2 * WITNESS_PER_SECOND),
            Bucket::new(WITNESS_PER_SECOND_EACH, 2 * WITNESS_PER_SECOND_EACH),
        ))),
        arriving: Arriving::default(),
        seat,
    };
    bounded(openapi::documented(state, readers, between_nodes))
}

/// The routes for other nodes alone, for an address of their own.
pub fn router_between_nodes(source: Arc<dyn Source>) -> Router {
    bounded(openapi::documented_between_nodes(source))
}

/// What holds for every route: an end in time, and an answer where nothing is served.
fn bounded(routes: Router) -> Router {
    routes
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(within_time))
        .layer(middleware::from_fn(closed_after_refusal))
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(Kind::NoSuchRoute, format!("nothing is served at {}; see /openapi.json for what is", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("{} does not answer {method}; see /openapi.json for what it answers", uri.path()),
    )
}

/// Closes the connection after the refusal of a request that has a body: what of it was not read is no next
/// request. And after one that came too soon: who asks too often does not keep a place for it.
async fn closed_after_refusal(request: Request, next: Next) -> Response {
    let has_body = !request.body().is_end_stream();
    let mut response = next.run(request).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let must_wait = response.status() == StatusCode::TOO_MANY_REQUESTS;
    if must_wait || has_body && refused {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => Problem::new(
            Kind::TooSlow,
            "this node did not answer in time; a write may still become durable, so repeat it with the same \
             Idempotency-Key",
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests;
