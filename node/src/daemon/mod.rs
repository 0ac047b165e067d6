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
//! runs; `joining`: a node with a ticket; `announce`: what whoever started it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_fallback::router::Source;
use libp2p::PeerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod announce;
mod joining;
mod opening;
mod parts;
mod serving;
mod tasks;

use crate::counters::Counters;
use crate::dashboard;
use crate::fallback::Fallback;
use crate::home::{Home, HomeLock};
use crate::metrics::{self, Metrics};
use crate::net::swarm::NetConfig;
use crate::seat::admin::Admin;
use crate::service::{Service, WriteError};
use crate::settings::Settings;
use crate::store::read::Reader;
use crate::writer::{Identity, writer};
pub use joining::Joined;
use parts::Parts;
use serving::{Listeners, Tasks, serve, serve_nodes};

/// How long tasks may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

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
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let node = Node::start(&settings).await?;
    let joining = node.join_in_background()?;
    shutdown.cancelled().await;
    tracing::info!("stopping");
    if let Some(joining) = joining {
        joining.abort();
        // Aborted or done, it holds nothing any more.
        let _ = joining.await;
    }
    node.stop().await;
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
        let home = Home::open(&settings.dir)?;
        let lock = home.lock()?;
        let genesis = home.genesis()?;
        let identity = Arc::new(Identity { lattice: genesis.id(), genesis, keys: home.keys()? });
        let listeners = Listeners::bind(settings).await?;
        let opened = opening::open_store(&home, &identity, settings).await?;
        let reader = Reader::new(opened.readers.clone());
        let is_catching_up = home.note_start(opened.edge.size() == 0)?;
        if is_catching_up {
            tracing::warn!("{}", WriteError::CatchingUp);
        }
        let (writer_task, writer, frames) = writer(identity.clone(), opened, is_catching_up).await?;
        let membership = writer.published().membership.clone();
        let book = opening::peer_book(&home, settings, &identity, membership, is_catching_up)?;
        let counters = Arc::new(Counters::default());
        let metrics = Arc::new(Metrics::new(counters.clone()));
        let writer_task = writer_task.measured_by(counters.measured.clone());
        let config = NetConfig {
            listen: settings.p2p.clone(),
            external: settings.external.clone(),
            mdns: settings.mdns,
            metrics: metrics.clone(),
        };
        let (swarm, net, streams) = crate::net::swarm::start(identity.clone(), config, book).await?;
        let (stop, writer_stop) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, writers) = (TaskTracker::new(), TaskTracker::new());
        writers.spawn(writer_task.run(writer_stop.clone()));
        tasks.spawn(swarm.run(stop.clone()));

        let (parts, ends) = Parts::new(settings, &identity, &writer, &reader, &net, (counters, metrics), &stop)?;
        let nudges = parts.spawn_roads(&tasks, &stop, streams.gossip, streams.requests, ends.notes);
        parts.spawn_keepers(&tasks, &stop, settings);
        tasks.spawn(tasks::tell_frames(net.clone(), frames, stop.clone()));
        tasks.spawn(crate::addressbook::keep(home.clone(), net.clone(), stop.clone()));
        let service = parts.service.clone();
        tasks.spawn(dashboard::recorder::record(service.clone(), stop.clone()));
        if is_catching_up {
            tasks.spawn(tasks::forget_catching_up(home.clone(), service.states(), stop.clone()));
        }
        let (driver, seat, seat_handle) = parts.start_seat(settings, &home, ends.hidden, streams.seat_requests).await?;
        tasks.spawn(driver.run(stop.clone()));
        // Set once: this is the only start.
        let _ = service.inner.seat.set(seat_handle.watch());
        tasks.spawn(metrics::watching::watch(service.clone(), stop.clone()));
        let admin = Admin { seat: seat.clone(), handle: seat_handle, service: service.clone() };
        serving::serve_orders(admin, &home, listeners.admin_http, &tasks, &stop)?;

        let with = Tasks { tasks: &tasks, stop: &stop, hidden: &parts.hidden };
        let read_token = if settings.api_token_read { Some(home.read_token_or_new()?) } else { home.read_token()? };
        let reading = read_token.clone().filter(|_| settings.api_token_read);
        let fallback =
            Fallback::start(service.clone(), parts.sync.clone(), settings, read_token, ends.board, &tasks, &stop)?;
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

    /// Ends all tasks: first those that bring work, then the writer, which finishes what it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time; nothing acknowledged is lost");
        }
        self.reader.close().await;
        self.writer_stop.cancel();
        self.writer_task.close();
        self.writer_task.wait().await;
        if let Err(error) = self.home.remove("run.json") {
            tracing::warn!(%error, "run.json stays behind");
        }
    }
}
