//! Which addresses are listened on, and what is served there.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use http_fallback::router::Source;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::api::auth::ApiToken;
use crate::audit::Audit;
use crate::home::Home;
use crate::net::address::listen_hint;
use crate::seat::admin::Admin;
use crate::seat::{self, Seat};
use crate::settings::Settings;

/// Ports taken before anything else happens: a node that can't have them changes nothing.
pub(super) struct Listeners {
    pub(super) http: Vec<TcpListener>,
    pub(super) lattice_http: Vec<TcpListener>,
    pub(super) admin_http: Vec<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            http: bind(&settings.http, "the API", "--http").await?,
            lattice_http: bind(&settings.lattice_http, "other nodes", "--lattice-http").await?,
            admin_http: bind(&settings.admin_http, "orders", "--admin-http").await?,
        })
    }
}

/// Listens for requests of `whom`, as the option `flag` says.
async fn bind(addresses: &[SocketAddr], whom: &str, flag: &str) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|error| {
            anyhow::anyhow!("can't serve {whom} on {address}: {error}; {}", listen_hint(error.kind(), flag))
        })?);
    }
    Ok(listeners)
}

/// What a task that serves is started with.
pub(super) struct Tasks<'a> {
    pub(super) tasks: &'a TaskTracker,
    pub(super) stop: &'a CancellationToken,
    /// Whether this node is hidden.
    pub(super) hidden: &'a watch::Receiver<bool>,
}

/// Serves clients, and other nodes as well if they have no addresses of their own.
pub(super) fn serve(
    home: &Home,
    audit: Audit,
    seat: Seat,
    reading: Option<ApiToken>,
    between_nodes: Option<Arc<dyn Source>>,
    listeners: Vec<TcpListener>,
    with: &Tasks<'_>,
) -> anyhow::Result<Vec<SocketAddr>> {
    if listeners.is_empty() {
        return Ok(Vec::new());
    }
    let (token, is_new) = home.token()?;
    if is_new {
        tracing::warn!(file = %home.path("api.token").display(), "the API token was lost; clients need this new one");
    }
    serve_while_shown(&api::router(audit, seat, token, reading, between_nodes), listeners, with)
}

/// Serves other nodes on addresses of their own.
pub(super) fn serve_nodes(
    source: Arc<dyn Source>,
    listeners: Vec<TcpListener>,
    with: &Tasks<'_>,
) -> anyhow::Result<Vec<SocketAddr>> {
    serve_while_shown(&api::router_between_nodes(source), listeners, with)
}

fn serve_while_shown(
    router: &Router,
    listeners: Vec<TcpListener>,
    with: &Tasks<'_>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    for listener in listeners {
        let serving = api::serve::serve_while_shown(listener, router.clone(), with.hidden.clone(), with.stop.clone());
        with.tasks.spawn(serving);
    }
    Ok(addresses)
}

/// Takes orders, about the seat and `more`: on the socket in the node's directory, and on `listeners`.
pub(super) fn serve_orders(
    admin: Admin,
    more: &Router,
    home: &Home,
    listeners: Vec<TcpListener>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    for listener in listeners {
        let router = seat::admin::guarded(admin.clone(), more.clone(), home.admin_token()?);
        tasks.spawn(api::serve::serve(listener, router, stop.clone()));
    }
    let socket = seat::admin::serve(admin, more.clone(), home.dir(), stop.clone());
    let socket =
        socket.map_err(|error| anyhow::anyhow!("can't make the admin socket in the data directory: {error}"))?;
    tasks.spawn(socket);
    Ok(())
}
