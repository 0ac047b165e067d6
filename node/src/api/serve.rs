//! Connections of one listening address: accepted, bounded in number and in time, closed in order.
//!
//! The router answers requests; this file keeps those who never finish one from taking all places. What is
//! not HTTP gets a 400 from hyper and is closed.

use std::convert::Infallible;
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
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lingering::Lingering;
use super::problem::{Kind, MEDIA_TYPE, Problem};
pub use super::slots::CONNECTIONS_MAX;
use super::slots::{BusyBody, Slot, Slots};

/// Time for the whole head of a request, and for which an idle connection is kept: half-open ones end here.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head; a key of 512 bytes takes 1536 percent-encoded.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Time that running requests get to end after the node was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause after a failed accept, which fails at once again while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`, but for the times at which this node is hidden: then nobody listens.
pub async fn serve_while_shown(
    listener: TcpListener,
    router: Router,
    mut hidden: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    let address = listener.local_addr();
    // Not even a queue of connections, if this node starts hidden.
    let mut listener = Some(listener).filter(|_| !*hidden.borrow());
    while !shutdown.is_cancelled() {
        let shown = tokio::select! {
            shown = becomes(&mut hidden, false) => shown,
            () = shutdown.cancelled() => return,
        };
        let again = match (listener.take(), &address) {
            (Some(listener), _) => Ok(listener),
            (None, Ok(address)) => TcpListener::bind(address).await,
            (None, Err(error)) => Err(std::io::Error::new(error.kind(), error.to_string())),
        };
        let until = shutdown.child_token();
        match again {
            Ok(again) if shown => {
                let serving = serve(again, router.clone(), until.clone());
                tokio::pin!(serving);
                tokio::select! {
                    () = &mut serving => {}
                    _ = becomes(&mut hidden, true) => {
                        until.cancel();
                        serving.await;
                    }
                }
            }
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%error, "the API can't be served again where it was");
                tokio::time::sleep(ACCEPT_PAUSE * 10).await;
            }
        }
    }
}

/// Waits until a switch stands so; `false` if nobody can turn it any more.
async fn becomes(switch: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    switch.wait_for(|is_so| *is_so == wanted).await.is_ok()
}

/// Serves `router` on `listener` until `shutdown`; then lets running requests end, and returns once all are
/// closed.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let slots = Slots::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => match slots.take(address.ip()) {
                Some(slot) => {
                    let remote = Remote::of(address.ip());
                    connections.spawn(connection(stream, remote, router.clone(), shutdown.clone(), slot));
                }
                None => turn_away(&stream),
            },
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

/// Tells a connection beyond the places to come again, and closes it: one that waited unseen would not know why.
fn turn_away(stream: &TcpStream) {
    // A new socket's buffer takes this at once; if not, closing says enough.
    let _ = stream.try_write(no_place().as_bytes());
}

/// The answer to a request that is not read.
fn no_place() -> String {
    let words = "all connections that this address may have are busy; end some, or come again in a moment";
    let problem = Problem::new(Kind::Busy, words).view();
    // Plain text serializes.
    let body = serde_json::to_string(&problem).unwrap_or_default();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: {MEDIA_TYPE}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connection(stream: TcpStream, remote: Remote, router: Router, shutdown: CancellationToken, slot: Slot) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection of the API was closed at once");
        return;
    }
    let router = TowerToHyperService::new(router);
    let slot = &slot;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(remote);
        let (busy, answer) = (slot.busy(), router.call(request));
        async move { Ok::<_, Infallible>(answer.await?.map(|body| BusyBody { body, _busy: busy })) }
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
        () = slot.close.cancelled() => return,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_no_place_is_told_in_an_answer_that_is_whole() {
        let answer = no_place();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 503 ") && head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["status"], 503);
    }
}
