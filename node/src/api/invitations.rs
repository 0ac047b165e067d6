//! Inviting another node: one ticket, for one node, to be redeemed here.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Authorized;
use super::problem::{Problem, ProblemView};
use crate::service::Service;

/// A ticket, which is a secret: whoever has it can join.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// One line, to be given to `lattice join`.
    pub ticket: String,
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(invite))
}

/// Prints a ticket that lets one node join the lattice.
#[utoipa::path(post, path = "/api/v1/invitations", tag = "members", security(("token" = [])),
    responses((status = OK, body = Invitation), (status = "default", body = ProblemView)))]
async fn invite(_: Authorized, State(service): State<Service>) -> Result<impl IntoResponse, Problem> {
    let ticket = service.invite().await?.to_string();
    Ok(([(CACHE_CONTROL, "no-store")], Json(Invitation { ticket })))
}
