//! What the API says of itself at `/openapi.json`, put together from the handlers.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use super::{ApiState, body, commits, entries, facts, invitations, watch};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lattice node",
        description = "A key/value state that many nodes hold together without a leader. Reading is open to whoever \
            reaches the port; writing takes the node's token."
    ),
    modifiers(&Token)
)]
struct Document;

/// Declares the bearer token that the writing routes name.
struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", bearer);
    }
}

/// All routes, and the route that describes them.
pub(super) fn documented(state: ApiState) -> Router {
    let service = state.service.clone();
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(entries::routes())
        .merge(commits::routes())
        .merge(watch::routes())
        .merge(facts::routes())
        .merge(invitations::routes())
        .with_state(state)
        .merge(http_fallback::router::router(move || service.state()))
        .split_for_parts();
    template_wildcards(&mut document);
    let text: axum::body::Bytes = document.to_json().unwrap_or_default().into();
    routes
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], text.clone())))
        .layer(body::limit())
}

/// OpenAPI knows no wildcards: the rest of a path is one parameter there.
fn template_wildcards(document: &mut utoipa::openapi::OpenApi) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}
