//! What a node says of itself: status, peers, health, readiness, metrics.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::parameters::Parameters;
use super::problem::{Kind, Problem, ProblemView};
use crate::journal::{HAPPENINGS_MAX, Happening};
use crate::seat::status::SeatStatus;
use crate::service::Service;
use crate::view::{Fallback, Peer, Status, Unanswered};

/// The media type of OpenMetrics, which Prometheus reads.
const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All peers that a node knows of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// The peers.
    pub peers: Vec<Peer>,
    /// Configured addresses at which no peer has answered yet.
    pub unanswered: Vec<Unanswered>,
}

/// That the process answers, or that it answers rightly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wellbeing {
    /// `alive` or `ready`.
    pub status: String,
}

/// Some of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Happenings {
    /// The oldest first.
    pub events: Vec<Happening>,
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(peers))
        .routes(routes!(seat))
        .routes(routes!(fallback))
        .routes(routes!(events))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
}

/// Everything a node says of itself at once.
#[utoipa::path(get, path = "/api/v1/status", tag = "facts", responses((status = OK, body = Status)))]
async fn status(State(service): State<Service>) -> Json<Status> {
    Json(service.status())
}

/// The seat: who holds it, how far its mirrors are, and what would be lost if the holder died now.
#[utoipa::path(get, path = "/api/v1/seat", tag = "facts", responses((status = OK, body = SeatStatus)))]
async fn seat(State(service): State<Service>) -> Json<SeatStatus> {
    Json(service.seat())
}

/// Each peer as this node sees it.
#[utoipa::path(get, path = "/api/v1/peers", tag = "facts", responses((status = OK, body = Peers)))]
async fn peers(State(service): State<Service>) -> Json<Peers> {
    Json(Peers { peers: service.peers(), unanswered: service.unanswered() })
}

/// The second road: mode, since when and why, and each peer that is asked over HTTP.
#[utoipa::path(get, path = "/api/v1/fallback", tag = "facts", responses((status = OK, body = Fallback)))]
async fn fallback(State(service): State<Service>) -> Json<Fallback> {
    Json(service.fallback())
}

/// What happened to this node's roads, the oldest first: the last 1024 things since start.
#[utoipa::path(get, path = "/api/v1/events", tag = "facts",
    params(("after" = Option<u64>, Query, description = "Only those behind this number; 0 by default"),
        ("limit" = Option<u64>, Query, description = "At most so many; 1024 by default")),
    responses((status = OK, body = Happenings), (status = "default", body = ProblemView)))]
async fn events(State(service): State<Service>, RawQuery(query): RawQuery) -> Result<Json<Happenings>, Problem> {
    let mut parameters = Parameters::parse(query.as_deref(), &["after", "limit"])?;
    let after = parameters.number("after")?.unwrap_or(0);
    let limit = parameters.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(HAPPENINGS_MAX);
    Ok(Json(Happenings { events: service.happenings(after, limit) }))
}

/// Whether the process answers at all. Restart it if not.
#[utoipa::path(get, path = "/health", tag = "facts", responses((status = OK, body = Wellbeing)))]
async fn health() -> Json<Wellbeing> {
    Json(Wellbeing { status: "alive".to_owned() })
}

/// Whether the node serves right answers now. Send it no clients if not.
#[utoipa::path(get, path = "/ready", tag = "facts",
    responses((status = OK, body = Wellbeing), (status = SERVICE_UNAVAILABLE, body = ProblemView)))]
async fn ready(State(service): State<Service>) -> Result<Json<Wellbeing>, Problem> {
    match service.ready() {
        Ok(()) => Ok(Json(Wellbeing { status: "ready".to_owned() })),
        Err(reason) => Err(Problem::new(Kind::NotReady, reason)),
    }
}

/// Metrics as OpenMetrics text, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "facts",
    responses((status = OK, body = String, content_type = "application/openmetrics-text")))]
async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_MEDIA_TYPE)], service.metrics())
}
