//! The daemon: opens the directory, starts the tasks, and ends them in order.
//!
//! ```text
//! gossip ─► ingest ─┐                        ┌─► frames ─► gossip
//! API ──────────────┼─► writer ─► SQLite ────┼─► published state ─► API, sync, heads
//! reconcile ────────┘                        └─► answers
//! ```
//!
//! # Reading order
//!
//! [`Node::start`] here; `opening`: what is found on disk; `parts`: what the tasks share; `tasks` and `serving`: what
//! runs; `reloading`: settings that change; `joining`: a node with a ticket; `announce`: what whoever started it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_fallback::router::Source;
use libp2p::PeerId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod opening;
mod parts;
mod tasks;
mod serving;
mod reloading;
mod joining;
mod announce;

use crate::counters::Counters;
use crate::dashboard;
use crate::fallback::Fallback;
use crate::home::{Home, HomeLock, RENAMING};
use crate::metrics::{self, Metrics};
use crate::seat::admin::Admin;
use crate::service::Service;
use crate::settings::Settings;
use crate::store::read::Reader;
use crate::writer::{Identity, writer};
pub use joining::Joined;
use parts::Parts;
use reloading::Reloading;
pub use reloading::{Launcher, LogBy, LogView, ReadAgain, ReloadView};
use serving::{Listeners, Tasks, serve, serve_nodes};

/// How long tasks that bring work may take to end: requests under way are answered, connections closed.
const TASKS_STOP: Duration = Duration::from_millis(2_500);

/// How long reads under way may take.
const READS_STOP: Duration = Duration::from_millis(500);

/// How long the writer may take for what it was given: its queue, and a last transaction. With the two above this is below
/// the five seconds after which supervisors begin to kill.
const WRITER_STOP: Duration = Duration::from_millis(1_500);

/// A node whose tasks run. Dropping it does not stop them; see [`Node::stop`].
pub struct Node {
    /// The handle that the API uses.
    pub service: Service,
    /// Where the API is bound.
    pub http: Vec<SocketAddr>,
    /// Where other nodes' requests are served, if not beside the API.
    pub lattice_http: Vec<SocketAddr>,
    home: Home,
    nudges: mpsc::Sender<PeerId>,
    writer_stop: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    writer_task: TaskTracker,
    reader: Reader,
    _lock: HomeLock,
}

/// Runs a node until `shutdown` fires.
///
/// # Errors
///
/// Whatever keeps it from starting, said so that an operator knows what to do.
pub async fn run(settings: Settings, launcher: Launcher, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (tell, with_ticket) = (launcher.tell.clone(), launcher.with_ticket);
    // Heard once, SIGHUP never again ends the process: one that comes before the settings can be read again is for nothing.
    let hangup = signal(SignalKind::hangup());
    let node = Node::start_from(&settings, launcher).await?;
    tell(&node.banner(&settings, with_ticket).await);
    drop(hangup);
    let joining = node.join_in_background()?;
    shutdown.cancelled().await;
    tracing::info!("stopping");
    if let Some(joining) = joining {
        joining.abort();
        // Aborted or done, it holds nothing any more.
        let _ = joining.await;
    }
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Runs a freshly created node just until it is let in. No API.
///
/// # Errors
///
/// Whatever keeps it from starting.
pub async fn join(mut settings: Settings) -> anyhow::Result<Joined> {
    settings.http.clear();
    settings.lattice_http.clear();
    settings.heartbeat.nodes.clear();
    let node = Node::start(&settings).await?;
    let outcome = node.redeem().await;
    node.stop().await;
    outcome
}

impl Node {
    /// Opens everything and starts all tasks.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        Self::start_from(settings, Launcher::fixed(settings.clone())).await
    }

    /// As [`Node::start`], with settings that can be read again.
    ///
    /// # Errors
    ///
    /// See [`run`].
    pub async fn start_from(settings: &Settings, launcher: Launcher) -> anyhow::Result<Self> {
        let home = Home::open(&settings.dir)?;
        let lock = home.lock()?;
        let genesis = home.genesis()?;
        let identity = Arc::new(Identity { lattice: genesis.id(), genesis, keys: home.keys()? });
        let listeners = Listeners::bind(settings).await?;
        let opened = opening::open_store(&home, &identity, settings).await?;
        let reader = Reader::new(opened.readers.clone());
        let (log_size, seq) = (opened.edge.size(), opening::own_seq(&opened, &identity));
        let begun = home.note_start(log_size, seq)?;
        opening::warn_of_doubt(begun);
        let (writer_task, writer, frames) = writer(identity.clone(), opened, begun).await?;
        home.remove(RENAMING)?;
        home.note_begun(log_size, seq)?;
        let membership = writer.published().membership.clone();
        let book = opening::peer_book(&home, settings, &identity, membership, begun.is_catching_up)?;
        let counters = Arc::new(Counters::default());
        let metrics = Arc::new(Metrics::new(counters.clone()));
        let writer_task = writer_task.measured_by(counters.measured.clone());
        let config = opening::net_config(settings, metrics.clone());
        let (swarm, net, streams) = crate::net::swarm::start(identity.clone(), config, book).await?;
        let (stop, writer_stop) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, writers) = (TaskTracker::new(), TaskTracker::new());
        writers.spawn(writer_task.run(writer_stop.clone()));
        tasks.spawn(swarm.run(stop.clone()));

        let (changing, changed) = watch::channel(settings.clone());
        let (parts, ends) = Parts::new(settings, &identity, &writer, &reader, &net, (counters, metrics), &stop)?;
        let nudges = parts.spawn_roads(&tasks, &stop, streams.gossip, streams.requests, ends.notes);
        parts.spawn_keepers(&tasks, &stop, changed.clone());
        tasks.spawn(tasks::tell_frames(net.clone(), frames, stop.clone()));
        tasks.spawn(crate::addressbook::keep(home.clone(), net.clone(), stop.clone()));
        let service = parts.service.clone();
        tasks.spawn(dashboard::recorder::record(service.clone(), stop.clone()));
        if begun.doubt.is_some() {
            let is_known_elsewhere = !crate::addressbook::load(&home).is_empty();
            tasks.spawn(parts.sync.clone().settle_doubt(is_known_elsewhere, stop.clone()));
            tasks.spawn(tasks::forget_doubt(home.clone(), service.states(), stop.clone()));
        }
        tasks.spawn(tasks::keep_high_water(home.clone(), service.states(), identity.clone(), stop.clone()));
        let (driver, seat, seat_handle) =
            parts.start_seat(changed.clone(), &home, ends.hidden, streams.seat_requests).await?;
        tasks.spawn(driver.run(stop.clone()));
        // Set once: this is the only start.
        let _ = service.inner.seat.set(seat_handle.watch());
        tasks.spawn(metrics::watching::watch(service.clone(), stop.clone()));
        let admin = Admin { seat: seat.clone(), handle: seat_handle, service: service.clone() };
        let reloading = Reloading::new(launcher, changing, net.clone(), service.inner.journal.clone());
        tasks.spawn(reloading.clone().on_signal(stop.clone()));
        serving::serve_orders(admin, &reloading.router(), &home, listeners.admin_http, &tasks, &stop)?;

        let with = Tasks { tasks: &tasks, stop: &stop, hidden: &parts.hidden };
        let read_token = if settings.api_token_read { Some(home.read_token_or_new()?) } else { home.read_token()? };
        let reading = read_token.clone().filter(|_| settings.api_token_read);
        let fallback =
            Fallback::start(service.clone(), parts.sync.clone(), changed, read_token, ends.board, &tasks, &stop)?;
        let beside = listeners.lattice_http.is_empty().then(|| fallback.clone() as Arc<dyn Source>);
        let http = serve(&home, parts.audit.clone(), seat, reading, beside, listeners.http, &with)?;
        let lattice_http = serve_nodes(fallback, listeners.lattice_http, &with)?;
        let node = Self {
            service,
            http,
            lattice_http,
            home,
            nudges,
            writer_stop,
            stop,
            tasks,
            writer_task: writers,
            reader,
            _lock: lock,
        };
        node.announce(&net)?;
        Ok(node)
    }

    /// Ends all tasks: first those that bring work, then the writer, which finishes what it has. What does not end in time
    /// is left to end with the process: nothing was acknowledged that is not durable.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        ended("tasks", TASKS_STOP, self.tasks.wait()).await;
        ended("reads", READS_STOP, self.reader.close()).await;
        self.writer_stop.cancel();
        self.writer_task.close();
        ended("writer", WRITER_STOP, self.writer_task.wait()).await;
        tasks::write_high_water(&self.home, &self.service.inner.writer.published(), &self.service.inner.identity);
        if let Err(error) = self.home.remove("run.json") {
            tracing::warn!(%error, "run.json stays behind");
        }
    }
}

/// Waits for one step of the stop, and says how it went.
async fn ended(step: &str, within: Duration, end: impl Future<Output = ()>) {
    let started = Instant::now();
    let is_in_time = tokio::time::timeout(within, end).await.is_ok();
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if is_in_time {
        tracing::info!(step, took_ms, "ended");
    } else {
        tracing::warn!(step, took_ms, "did not end in time and ends with the process; nothing acknowledged is lost");
    }
}
