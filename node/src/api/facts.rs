//! What a node says of itself: status, peers, health, readiness, metrics.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{Kind, Problem, ProblemView};
use crate::service::Service;
use crate::view::{Peer, Status};

/// The media type of OpenMetrics, which Prometheus reads.
const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All peers that a node knows of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// The peers.
    pub peers: Vec<Peer>,
}

/// That the process answers, or that it answers rightly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wellbeing {
    /// `alive` or `ready`.
    pub status: String,
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(peers))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
}

/// Everything a node says of itself at once.
#[utoipa::path(get, path = "/api/v1/status", tag = "facts", responses((status = OK, body = Status)))]
async fn status(State(service): State<Service>) -> Json<Status> {
    Json(service.status())
}

/// Each peer as this node sees it.
#[utoipa::path(get, path = "/api/v1/peers", tag = "facts", responses((status = OK, body = Peers)))]
async fn peers(State(service): State<Service>) -> Json<Peers> {
    Json(Peers { peers: service.peers() })
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
