//! Connections of one listening address: accepted, bounded in number and in time, closed in order.
//!
//! The router answers requests; this file keeps those who never finish one from taking all places. What is
//! not HTTP gets a 400 from hyper and is closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http_fallback::rate::Remote;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lingering::Lingering;

/// Connections at once. More wait in the system's backlog until one closes. Memory: some 100 KiB each while
/// they are served (a guess), a few MiB for those that read the largest pages.
pub const CONNECTIONS_MAX: usize = 256;

/// Time for the whole head of a request, and for which an idle connection is kept: half-open ones end here.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head; a key of 512 bytes takes 1536 percent-encoded.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Time that running requests get to end after the node was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause after a failed accept, which fails at once again while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`; then lets running requests end, and returns once all are
/// closed.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, remote, slot)) => {
                connections.spawn(connection(stream, remote, router.clone(), shutdown.clone(), slot));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection of the API");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        connections.shutdown().await;
    }
}

/// Waits for a free place first, so that a connection is never accepted only to be turned away.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Remote, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, Remote::of(address.ip()), slot))
}

async fn connection(
    stream: TcpStream,
    remote: Remote,
    router: Router,
    shutdown: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(remote);
        router.call(request)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Lingering::new(stream)), service)
    );
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // A stranger's half a request is no news for the operator.
        tracing::debug!(%error, "a connection of the API ended early");
    }
}
