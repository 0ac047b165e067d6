//! Settings that change while the node runs: read again on SIGHUP or by order, taken on where that can be.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::problem::{Kind, Problem};
use crate::journal::Journal;
use crate::net::{Command, NetHandle};
use crate::settings::Settings;
use crate::settings::log::LogFilter;
use crate::settings::reload::reload;

/// Reads all sources of settings again.
pub type ReadAgain = Box<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// Logs by another filter from now on.
pub type LogBy = Box<dyn Fn(&LogFilter) -> Result<(), String> + Send + Sync>;

/// Whoever started the node: knows where settings come from, where is logged, and whom to show what.
pub struct Launcher {
    /// Reads all sources again.
    pub read: ReadAgain,
    /// Logs by this filter from now on.
    pub log_by: LogBy,
    /// Shows whoever started the node what runs and where.
    pub tell: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether that is to hold a ticket: a secret, which no log gets.
    pub with_ticket: bool,
}

impl Launcher {
    /// Settings that stay as they are.
    pub fn fixed(settings: Settings) -> Self {
        Self {
            read: Box::new(move || Ok(settings.clone())),
            log_by: Box::new(|_| Ok(())),
            tell: Arc::new(|_| ()),
            with_ticket: false,
        }
    }
}

/// What became of new settings, as an operator is shown it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadView {
    /// Names of those that were taken on.
    pub taken: Vec<String>,
    /// Those that need a new start, and why.
    pub refused: Vec<String>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// The filter.
    pub filter: String,
}

/// The settings in force, and how they change. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reloading {
    launcher: Arc<Launcher>,
    settings: Arc<watch::Sender<Settings>>,
    /// The filter in force, which an order may have changed since the settings said one.
    log: Arc<Mutex<LogFilter>>,
    net: NetHandle,
    journal: Arc<Journal>,
}

impl Reloading {
    pub(super) fn new(
        launcher: Launcher,
        settings: watch::Sender<Settings>,
        net: NetHandle,
        journal: Arc<Journal>,
    ) -> Self {
        let log = Arc::new(Mutex::new(settings.borrow().log.clone()));
        Self { launcher: Arc::new(launcher), settings: Arc::new(settings), log, net, journal }
    }

    /// Reads the settings again at each SIGHUP, until `stop` fires.
    pub(super) async fn on_signal(self, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::warn!(%error, "SIGHUP is not heard; use `lattice reload`"),
        };
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => drop(self.reload().await),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Takes on what can change. Settings that can't be meant change nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    async fn reload(&self) -> Result<ReloadView, String> {
        let wanted = tokio::task::block_in_place(|| (self.launcher.read)()).inspect_err(|why| {
            tracing::error!(why, "the settings can't be meant; those so far stay in force");
            self.journal.write("settings", format!("settings refused: {why}"), [("why", why.clone())]);
        })?;
        let now = self.settings.borrow().clone();
        let reloaded = reload(&now, &wanted);
        self.apply(&now, &reloaded.settings).await?;
        let refused = reloaded.refused.iter().map(|(name, why)| format!("{name} needs a new start: {why}"));
        let view =
            ReloadView { taken: reloaded.taken.iter().map(ToString::to_string).collect(), refused: refused.collect() };
        for refused in &view.refused {
            tracing::warn!("{refused}");
        }
        tracing::info!(taken = view.taken.join(" "), "settings read again");
        let words = format!("settings: {} taken on, {} need a new start", view.taken.len(), view.refused.len());
        self.journal.write("settings", words, [("taken", view.taken.join(" ")), ("refused", view.refused.join("; "))]);
        Ok(view)
    }

    async fn apply(&self, now: &Settings, next: &Settings) -> Result<(), String> {
        // Also when the settings are as before: an order may have changed it meanwhile.
        self.log_by(&next.log)?;
        let without = |list: &[libp2p::Multiaddr], other: &[libp2p::Multiaddr]| {
            list.iter().filter(|address| !other.contains(address)).cloned().collect::<Vec<_>>()
        };
        let command = Command::Reconfigure {
            peers: (without(&now.peers, &next.peers), without(&next.peers, &now.peers)),
            external: (without(&now.external, &next.external), without(&next.external, &now.external)),
            relays: next.relays.clone(),
        };
        self.net.command(command).await;
        self.settings.send_replace(next.clone());
        Ok(())
    }

    fn log_by(&self, filter: &LogFilter) -> Result<(), String> {
        (self.launcher.log_by)(filter)?;
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = filter.clone();
        Ok(())
    }

    /// Orders for the admin socket.
    pub(super) fn router(self) -> Router {
        Router::new().route("/reload", post(reload_now)).route("/log", get(log).post(set_log)).with_state(self)
    }
}

async fn reload_now(State(reloading): State<Reloading>) -> Result<Json<ReloadView>, Problem> {
    reloading.reload().await.map(Json).map_err(|why| Problem::new(Kind::Conflict, why))
}

async fn log(State(reloading): State<Reloading>) -> Json<LogView> {
    let filter = reloading.log.lock().unwrap_or_else(PoisonError::into_inner);
    Json(LogView { filter: filter.as_str().to_owned() })
}

async fn set_log(
    State(reloading): State<Reloading>,
    Json(LogView { filter }): Json<LogView>,
) -> Result<Json<LogView>, Problem> {
    let parsed: LogFilter = filter.parse().map_err(|why: String| Problem::new(Kind::BadRequest, why))?;
    reloading.log_by(&parsed).map_err(|why| Problem::new(Kind::Conflict, why))?;
    tracing::info!(filter, "logging by another filter, by order");
    Ok(Json(LogView { filter }))
}
