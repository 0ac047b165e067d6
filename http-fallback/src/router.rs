//! The routes that nodes serve to each other. They want no client token: what they show is no secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::StateView;

type StateSource = Arc<dyn Fn() -> StateView + Send + Sync>;

/// Serves what `state` says at the moment of each request.
pub fn router(state: impl Fn() -> StateView + Send + Sync + 'static) -> OpenApiRouter {
    let source: StateSource = Arc::new(state);
    OpenApiRouter::new().routes(routes!(state_now)).with_state(source)
}

/// What this node holds: lattice, state root, counts.
#[utoipa::path(
    get,
    path = "/api/lattice/state",
    tag = "lattice",
    responses((status = OK, description = "The node's state in short", body = StateView))
)]
async fn state_now(State(source): State<StateSource>) -> Json<StateView> {
    Json(source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> StateView {
        StateView {
            lattice_id: "aa".repeat(32),
            name: "one".into(),
            author: "bb".repeat(32),
            merkle_root: "cc".repeat(32),
            entries: 3,
            peers: 2,
            mode: "p2p".into(),
            frontier: "dd".repeat(32),
            log_size: 7,
            time_ms: 1_000,
        }
    }

    #[test]
    fn the_route_is_documented_with_every_field() {
        let documented = serde_json::to_value(router(view).into_openapi()).expect("plain data");
        assert!(documented["paths"]["/api/lattice/state"]["get"].is_object(), "{documented}");
        let shown = serde_json::to_value(view()).expect("plain data");
        let fields = &documented["components"]["schemas"]["StateView"]["properties"];
        for field in shown.as_object().expect("a struct").keys() {
            assert!(fields[field].is_object(), "{field} is missing in {fields}");
        }
    }
}
