//! Orders about the seat, by a unix socket that only this node's user may open. The public API never takes them.
//!
//! What operators settle is in [`settling`], what lost its place in [`quarantine`].

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use lattice::ids::AuthorId;
use node_core::seat::event::Order;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::driver::SeatHandle;
use super::status::SeatStatus;
use super::{Seat, quarantine, settling};
use crate::api::auth::{ApiToken, bearer};
use crate::api::problem::{Kind, Problem};
use crate::clock::now_ms;
use crate::service::Service;
use crate::view::SeatTermView;

/// Name of the socket in a node's directory.
pub const SOCKET: &str = "admin.sock";

/// Longest pause: a day. Whoever forgets it must not find out by a holder that nobody replaced.
const PAUSE_SECONDS_MAX: u64 = 24 * 3600;

/// How long an order waits to be shown: some of the driver's ticks.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// What the admin routes share.
#[derive(Clone)]
pub struct Admin {
    /// The seat here.
    pub seat: Seat,
    /// The driver.
    pub handle: SeatHandle,
    /// Where certificates are written.
    pub service: Service,
}

/// How long takeovers are paused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pause {
    /// Seconds.
    pub seconds: u64,
}

/// Other mirrors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mirrors {
    /// The shadow: an author key, or a member's name.
    pub shadow: String,
    /// Spares in their order.
    #[serde(default)]
    pub spares: Vec<String>,
}

/// Serves the socket until `stop` fires, with `more` routes beside those of the seat.
///
/// # Errors
///
/// If the socket can't be made.
pub fn serve(
    admin: Admin,
    more: Router,
    dir: &Path,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + use<>> {
    let path = dir.join(SOCKET);
    // One of a process that was killed; the directory's lock says that no other runs.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The directory is this user's alone, so nobody comes in before the mode is set.
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = router(admin).merge(more);
    Ok(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!(%error, "the admin socket is closed");
        }
        // Gone already is as good.
        let _ = std::fs::remove_file(&path);
    })
}

/// The same routes for a loopback port, for whoever shows the token.
pub fn guarded(admin: Admin, more: Router, token: ApiToken) -> Router {
    let token = Arc::new(token);
    router(admin).merge(more).layer(middleware::from_fn(move |request: Request, next: Next| {
        let token = token.clone();
        async move {
            let shown = request.headers().get(AUTHORIZATION).and_then(|header| bearer(header.as_bytes()));
            if shown.is_some_and(|shown| token.is(shown)) {
                return next.run(request).await;
            }
            let detail = "orders need the header \"Authorization: Bearer TOKEN\"; the token is in the file admin.token \
                of the node's directory";
            Problem::new(Kind::Unauthorized, detail).into_response()
        }
    }))
}

/// The admin routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/seat", get(status))
        .route("/seat/create", post(settling::create))
        .route("/seat/settle", post(settling::settle))
        .route("/seat/approve", post(settling::approve))
        .route("/seat/promote", post(settling::promote))
        .route("/seat/switchover", post(switchover))
        .route("/seat/pause", post(pause))
        .route("/seat/resume", post(resume))
        .route("/seat/mirrors", post(mirrors))
        .route("/seat/degrade", post(degrade))
        .route("/seat/history", get(history))
        .route("/quarantine", get(quarantine::list))
        .route("/quarantine/size", get(quarantine::size))
        .route("/quarantine/{commit}", get(quarantine::show))
        .route("/quarantine/{commit}/drop", post(quarantine::drop_one))
        .route("/quarantine/{commit}/resubmit", post(quarantine::resubmit))
        .with_state(Arc::new(admin))
}

pub(super) type Admins = State<Arc<Admin>>;

async fn status(State(admin): Admins) -> Json<SeatStatus> {
    Json(admin.handle.status())
}

async fn switchover(State(admin): Admins) -> Result<Json<SeatStatus>, Problem> {
    admin.moved_by(Order::Switchover).await
}

async fn pause(State(admin): Admins, Json(Pause { seconds }): Json<Pause>) -> Result<Json<SeatStatus>, Problem> {
    if !(1..=PAUSE_SECONDS_MAX).contains(&seconds) {
        let detail = format!("a pause lasts a second at least and {} hours at most", PAUSE_SECONDS_MAX / 3600);
        return Err(Problem::new(Kind::Unprocessable, detail));
    }
    if !matches!(admin.handle.status().role.as_str(), "holder" | "shadow" | "spare") {
        let detail = "this node neither holds nor mirrors the seat, so it takes nothing over; pause the shadow";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let Json(_before) = admin.order(Order::Pause { for_ms: seconds.saturating_mul(1000) }).await?;
    admin.shown_once(|status| status.paused_ms > 0).await
}

async fn resume(State(admin): Admins) -> Result<Json<SeatStatus>, Problem> {
    let Json(_before) = admin.order(Order::Resume).await?;
    admin.shown_once(|status| status.paused_ms == 0).await
}

async fn degrade(State(admin): Admins) -> Result<Json<SeatStatus>, Problem> {
    admin.moved_by(Order::Degrade).await
}

async fn mirrors(State(admin): Admins, Json(typed): Json<Mirrors>) -> Result<Json<SeatStatus>, Problem> {
    let shadow = admin.member(&typed.shadow)?;
    let spares = typed.spares.iter().map(|spare| admin.member(spare)).collect::<Result<Vec<_>, _>>()?;
    let mut named: Vec<_> = spares.iter().chain([&shadow]).collect();
    named.sort_unstable();
    if named.contains(&&admin.seat.own()) || named.windows(2).any(|pair| pair[0] == pair[1]) {
        let detail = "shadow and spares are different nodes, and the holder is none of them";
        return Err(Problem::new(Kind::Unprocessable, detail));
    }
    admin.moved_by(Order::ChangeShadow { shadow, spares }).await
}

async fn history(State(admin): Admins) -> Json<Vec<SeatTermView>> {
    Json(super::status::history(&admin.seat))
}

impl Admin {
    async fn order(&self, order: Order) -> Result<Json<SeatStatus>, Problem> {
        match self.handle.order(order).await {
            Some(Ok(())) => Ok(Json(self.handle.status())),
            Some(Err(refused)) => Err(Problem::new(Kind::Conflict, refused.to_string())),
            None => Err(Problem::new(Kind::Busy, "this node is stopping")),
        }
    }

    /// The status once it shows what was ordered; the driver makes it at its next tick.
    async fn shown_once(&self, is_shown: impl FnMut(&SeatStatus) -> bool) -> Result<Json<SeatStatus>, Problem> {
        let mut changes = self.handle.watch();
        // A pause may be over before it was seen.
        let shown = tokio::time::timeout(SHOWN_WITHIN, changes.wait_for(is_shown)).await;
        Ok(Json(shown.ok().and_then(Result::ok).map_or_else(|| self.handle.status(), |status| status.clone())))
    }

    /// The member of this author key, or the one member of this name.
    pub(super) fn member(&self, typed: &str) -> Result<AuthorId, Problem> {
        let published = self.seat.writer.published();
        let membership = &published.membership;
        if let Ok(author) = typed.parse::<AuthorId>() {
            return membership
                .member(&author)
                .map(|member| member.author)
                .ok_or_else(|| Problem::new(Kind::Unprocessable, format!("{typed} is no member of this lattice")));
        }
        let mut named =
            membership.members().filter(|member| member.name == typed && membership.is_active(&member.author));
        match (named.next(), named.next()) {
            (Some(member), None) => Ok(member.author),
            (None, _) => Err(Problem::new(Kind::Unprocessable, format!("no member is called {typed:?}"))),
            (Some(_), Some(_)) => {
                let detail = format!("several members are called {typed:?}; give the author key");
                Err(Problem::new(Kind::Unprocessable, detail))
            }
        }
    }

    /// Gives an order whose end is the next term, and waits for that; the driver gives up by itself.
    async fn moved_by(&self, order: Order) -> Result<Json<SeatStatus>, Problem> {
        let (term, ordered_ms) = (self.handle.status().term, now_ms());
        let Json(_before) = self.order(order).await?;
        let mut changes = self.handle.watch();
        let moved = changes.wait_for(|status| status.term > term);
        let within = Duration::from_millis(self.seat.timing.moved_ms());
        match tokio::time::timeout(within, moved).await {
            Ok(Ok(status)) => Ok(Json(status.clone())),
            Ok(Err(_)) => Err(Problem::new(Kind::Busy, "this node is stopping")),
            Err(_) => {
                let SeatStatus { doing, last_alarm, .. } = self.handle.status();
                let alarm = last_alarm.filter(|alarm| alarm.time_ms >= ordered_ms);
                let alarm = alarm.map_or_else(String::new, |alarm| format!("; it said: {}", alarm.what));
                let detail = format!(
                    "the seat did not move within {} s; this node is {doing}{alarm}. `lattice seat status` shows what becomes of it",
                    within.as_secs()
                );
                Err(Problem::new(Kind::TooSlow, detail))
            }
        }
    }
}
