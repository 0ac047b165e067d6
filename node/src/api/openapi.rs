//! What the API says of itself at `/openapi.json`, put together from the handlers.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::routing::get;
use http_fallback::router::Source;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use super::auth::{Readers, may_read};
use super::problem::MEDIA_TYPE;
use super::{ApiState, body, commits, dashboard, entries, facts, invitations, log, policy, proofs, watch};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lattice node",
        description = "A key/value state that many nodes hold together without a leader. Reading is open to whoever \
            reaches the port, unless the node was started with --api-token-read: then it takes the read token or the \
            node's own. Writing takes the node's own."
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
pub(super) fn documented(state: ApiState, readers: Option<Readers>, between_nodes: Option<Arc<dyn Source>>) -> Router {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .merge(entries::routes())
        .merge(commits::routes())
        .merge(watch::routes())
        .merge(facts::routes())
        .merge(invitations::routes())
        .merge(log::routes())
        .merge(proofs::routes())
        .merge(policy::routes())
        .merge(dashboard::routes())
        .with_state(state);
    let routes = match readers {
        Some(readers) => routes.layer(middleware::from_fn_with_state(Arc::new(readers), may_read)),
        None => routes,
    };
    with_document(match between_nodes {
        Some(source) => routes.merge(http_fallback::router::router(source)),
        None => routes,
    })
    .layer(body::limit())
}

/// The routes for other nodes alone, and the route that describes them.
pub(super) fn documented_between_nodes(source: Arc<dyn Source>) -> Router {
    with_document(OpenApiRouter::with_openapi(Document::openapi()).merge(http_fallback::router::router(source)))
}

fn with_document(routes: OpenApiRouter) -> Router {
    let (routes, mut document) = routes.split_for_parts();
    template_wildcards(&mut document);
    name_problems(&mut document);
    let text: axum::body::Bytes = document.to_json().unwrap_or_default().into();
    routes.route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], text.clone())))
}

/// Every answer that is a problem has the media type of one.
fn name_problems(document: &mut utoipa::openapi::OpenApi) {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| [&mut item.get, &mut item.put, &mut item.post, &mut item.delete]).flatten();
    for (status, response) in operations.flat_map(|operation| &mut operation.responses.responses) {
        // "default" is whatever is not listed, and all that goes well is.
        let is_problem = status == "default" || status.starts_with(['4', '5']);
        if let (true, RefOr::T(response)) = (is_problem, response) {
            let contents = std::mem::take(&mut response.content);
            response.content = contents.into_values().map(|content| (MEDIA_TYPE.to_owned(), content)).collect();
        }
    }
}

/// OpenAPI knows no wildcards: the rest of a path is one parameter there.
fn template_wildcards(document: &mut utoipa::openapi::OpenApi) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}
