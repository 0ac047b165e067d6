//! The daemon: opens the directory, starts the tasks, and ends them in order.
//!
//! ```text
//! gossip ─► ingest ─┐                        ┌─► frames ─► gossip
//! API ──────────────┼─► writer ─► SQLite ────┼─► published state ─► API, sync, heads
//! reconcile ────────┘                        └─► answers
//! ```

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use http_fallback::client::Client;
use http_fallback::heartbeat::Board;
use http_fallback::router::Source;
use indicatif::ProgressBar;
use lattice::membership::Membership;
use lattice::ticket::Ticket;
use libp2p::{Multiaddr, PeerId};
use node_core::peers::PeerBook;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::auth::ApiToken;
use crate::audit::Audit;
use crate::counters::Counters;
use crate::fallback::Fallback;
use crate::home::{CATCHING_UP, Home, HomeLock};
use crate::ingest::Ingest;
use crate::join::{JoinRefused, Joining, inviters};
use crate::journal::Journal;
use crate::metrics::{self, Metrics};
use crate::net::address::{listen_hint, split, with_peer};
use crate::net::swarm::{NetConfig, keypair, name};
use crate::net::{Command, NetHandle};
use crate::scrub::Scrubber;
use crate::seat::admin::Admin;
use crate::seat::driver::{Driver, Parts};
use crate::seat::{self, Seat, Serving};
use crate::service::{Inner, Service, WriteError};
use crate::settings::Settings;
use crate::store::open::{Opened, open};
use crate::store::read::Reader;
use crate::store::rebuild::Progress;
use crate::sync::crossing::{Crossing, NOTES_MAX};
use crate::sync::{HEADS_MAX, Sync};
use crate::writer::{Identity, Published, WriterHandle, writer};
use crate::{addressbook, api, audit, dashboard, settings, terminal};

/// How long `join` waits for the inviting node.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Entries between two lines about a rebuild: about one a second.
const PROGRESS_ENTRIES: u64 = 200_000;

/// Pause between two passes of the scrubber over the stored entries.
const SCRUB_PAUSE: Duration = Duration::from_secs(60);

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

/// What `run.json` tells the command line and the testnet.
#[derive(Serialize)]
struct Running {
    pid: u32,
    http: Vec<String>,
    /// Empty if other nodes' requests come to the API's addresses.
    lattice_http: Vec<String>,
    p2p: Vec<String>,
}

/// How a join ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// This node is a member now.
    Member,
    /// The inviting node did not answer in time; `run` goes on trying.
    Unreachable,
    /// It said no.
    Refused(JoinRefused),
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
        let listeners = bind(&settings.http, "the API", "--http").await?;
        let lattice_listeners = bind(&settings.lattice_http, "other nodes", "--lattice-http").await?;
        let opened = open_store(&home, &identity, settings).await?;
        let reader = Reader::new(opened.readers.clone());
        let is_catching_up = home.note_start(opened.edge.size() == 0)?;
        if is_catching_up {
            tracing::warn!("{}", WriteError::CatchingUp);
        }
        let (writer_task, writer, frames) = writer(identity.clone(), opened, is_catching_up).await?;
        let book = peer_book(&home, settings, &identity, writer.published().membership.clone(), is_catching_up)?;
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
        let (board, board_out) = watch::channel(Board::default());
        let journal: Arc<Journal> = Arc::default();
        let inner = Inner {
            identity: identity.clone(),
            name: node_name(settings, &writer, &identity),
            writer: writer.clone(),
            reader: reader.clone(),
            net: net.clone(),
            counters: counters.clone(),
            metrics,
            journal: journal.clone(),
            dashboard: Arc::default(),
            board: board_out,
            logs: audit::Board::default(),
            confirmations: Mutex::default(),
            started: Instant::now(),
            seat: OnceLock::new(),
            join_refusal: OnceLock::new(),
            stop: stop.clone(),
        };
        let service = Service { inner: Arc::new(inner) };
        let client = Client::new(settings.heartbeat.timeout)
            .map_err(|why| anyhow::anyhow!("can't make an HTTP client: {why}"))?;
        let audit = Audit { service: service.clone(), board: service.inner.logs.clone(), client };
        let (notes, notes_out) = mpsc::channel(NOTES_MAX);
        // A mirror is one from its first moment on.
        let (hidden, hidden_out) = watch::channel(is_mirror(&identity, &writer.published()));
        let sync = Sync {
            identity: identity.clone(),
            writer: writer.clone(),
            reader: reader.clone(),
            net: net.clone(),
            counters: counters.clone(),
            audit: audit.clone(),
            journal,
            alarmed: Arc::default(),
            turns: Arc::default(),
            crossing: Arc::new(Crossing::new(notes)),
            hidden: hidden_out.clone(),
        };
        let (heads, heads_out) = mpsc::channel(HEADS_MAX);
        let (nudges, nudges_out) = mpsc::channel(1);
        let ingest = Ingest { identity, writer, net: net.clone(), heads, audit: audit.clone(), counters };

        let (tasks, writers) = (TaskTracker::new(), TaskTracker::new());
        writers.spawn(writer_task.run(writer_stop.clone()));
        tasks.spawn(swarm.run(stop.clone()));
        tasks.spawn(ingest.run(streams.gossip, stop.clone()));
        tasks.spawn(sync.clone().serve(streams.requests, stop.clone()));
        tasks.spawn(sync.clone().tell_heads(stop.clone()));
        tasks.spawn(sync.clone().tell_membership(stop.clone()));
        tasks.spawn(sync.clone().run(heads_out, nudges_out, notes_out, stop.clone()));
        tasks.spawn(audit.clone().gather_cosignatures(hidden_out.clone(), stop.clone()));
        let scrubber = Scrubber {
            writer: service.inner.writer.clone(),
            reader: reader.clone(),
            journal: service.inner.journal.clone(),
            pause: SCRUB_PAUSE,
        };
        tasks.spawn(scrubber.run(stop.clone()));
        let interval = Duration::from_millis(settings.checkpoint_ms);
        tasks.spawn(audit::keep_signed(service.inner.writer.clone(), interval, stop.clone()));
        tasks.spawn(tell_frames(net.clone(), frames, stop.clone()));
        tasks.spawn(hide(net.clone(), hidden_out.clone(), stop.clone()));
        tasks.spawn(dashboard::recorder::record(service.clone(), stop.clone()));
        tasks.spawn(addressbook::keep(home.clone(), net.clone(), stop.clone()));
        if is_catching_up {
            tasks.spawn(forget_catching_up(home.clone(), service.states(), stop.clone()));
        }
        let read_token = if settings.api_token_read { Some(home.read_token_or_new()?) } else { home.read_token()? };
        let reading = read_token.clone().filter(|_| settings.api_token_read);
        let mut session = [0; 8];
        getrandom::fill(&mut session).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let parts = Parts {
            identity: service.inner.identity.clone(),
            service: service.clone(),
            journal: service.inner.journal.clone(),
            requests: streams.seat_requests,
            settings: node_core::seat::own::Settings {
                timing: settings.seat.timing,
                no_shadow: settings.seat.no_shadow,
                session: u64::from_le_bytes(session),
            },
            hidden,
            on_change: settings.seat.on_change.clone(),
            home: home.clone(),
        };
        let (driver, seat, seat_handle) = Driver::start(
            Seat {
                identity: service.inner.identity.clone(),
                writer: service.inner.writer.clone(),
                reader: reader.clone(),
                net: net.clone(),
                sync: sync.clone(),
                timing: settings.seat.timing,
                serving: watch::channel(Serving::default()).1,
                carrier: Arc::default(),
                dir: settings.dir.as_path().into(),
            },
            parts,
        )
        .await?;
        tasks.spawn(driver.run(stop.clone()));
        // Set once: this is the only start.
        let _ = service.inner.seat.set(seat_handle.watch());
        tasks.spawn(metrics::watching::watch(service.clone(), stop.clone()));
        let admin = Admin { seat: seat.clone(), handle: seat_handle, service: service.clone() };
        for listener in bind(&settings.admin_http, "orders", "--admin-http").await? {
            let router = seat::admin::guarded(admin.clone(), home.admin_token()?);
            tasks.spawn(api::serve::serve(listener, router, stop.clone()));
        }
        let admin = seat::admin::serve(admin, &settings.dir, stop.clone());
        let admin =
            admin.map_err(|error| anyhow::anyhow!("can't make the admin socket in the data directory: {error}"))?;
        tasks.spawn(admin);
        let fallback = Fallback::start(service.clone(), sync, settings, read_token, board, &tasks, &stop)?;
        let beside = lattice_listeners.is_empty().then(|| fallback.clone() as Arc<dyn Source>);
        let with = Tasks { tasks: &tasks, stop: &stop, hidden: &hidden_out };
        let http = serve(&home, audit.clone(), seat, reading, beside, listeners, &with)?;
        let lattice_http = serve_nodes(fallback, lattice_listeners, &with)?;
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

    /// Shows the ticket to the inviting node for a while.
    async fn redeem(&self) -> anyhow::Result<Joined> {
        let Some(ticket) = self.home.ticket()? else { return Ok(Joined::Member) };
        match tokio::time::timeout(JOIN_TIMEOUT, self.joining(ticket).run()).await {
            Ok(Ok(())) => {
                self.home.remove("ticket")?;
                Ok(Joined::Member)
            }
            Ok(Err(refused)) => Ok(Joined::Refused(refused)),
            Err(_) => Ok(Joined::Unreachable),
        }
    }

    /// Goes on redeeming a ticket that `join` could not.
    fn join_in_background(&self) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
        let Some(ticket) = self.home.ticket()? else { return Ok(None) };
        let (joining, home, service) = (self.joining(ticket), self.home.clone(), self.service.clone());
        Ok(Some(tokio::spawn(async move {
            match joining.run().await {
                Ok(()) => {
                    tracing::info!("let into the lattice");
                    if let Err(error) = home.remove("ticket") {
                        tracing::warn!(%error, "the used ticket stays behind");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "ask for a new invitation and join with a new directory");
                    // Set once: this is the only task that redeems.
                    let _ = service.inner.join_refusal.set(error);
                }
            }
        })))
    }

    fn joining(&self, ticket: Ticket) -> Joining {
        let inner = &self.service.inner;
        Joining {
            identity: inner.identity.clone(),
            name: inner.name.clone(),
            ticket,
            writer: inner.writer.clone(),
            net: inner.net.clone(),
            nudges: self.nudges.clone(),
        }
    }

    fn announce(&self, net: &NetHandle) -> anyhow::Result<()> {
        let p2p: Vec<_> = net.view().listening.iter().map(|a| with_peer(a, net.own).to_string()).collect();
        let http: Vec<_> = self.http.iter().map(ToString::to_string).collect();
        let status = self.service.status();
        tracing::info!(
            name = status.name, lattice = status.lattice_name, root = %status.state_root, entries = status.entries,
            http = http.join(" "), p2p = p2p.join(" "), "running"
        );
        if !http.is_empty() {
            let lattice_http = self.lattice_http.iter().map(ToString::to_string).collect();
            let running = Running { pid: std::process::id(), http, lattice_http, p2p };
            if let Err(error) = self.home.write("run.json", 0o644, &serde_json::to_vec_pretty(&running)?) {
                // Reads and gossip go on without it; only the command line has to be told the address.
                tracing::error!(%error, "clients don't find this node by its directory; give them --url");
            }
        }
        Ok(())
    }
}

/// Whether this node copies the holder of the seat, by what it knew when it stopped.
fn is_mirror(identity: &Identity, published: &Published) -> bool {
    let own = identity.keys.author.id();
    let current = published.membership.seats().current().map(|term| &term.certificate.body);
    current.is_some_and(|body| body.mirrors().any(|mirror| *mirror == own))
}

/// Tells the swarm when this node hides, and when it is shown again.
async fn hide(net: NetHandle, mut hidden: watch::Receiver<bool>, stop: CancellationToken) {
    loop {
        let is_hidden = *hidden.borrow_and_update();
        net.command(Command::Hide(is_hidden)).await;
        tokio::select! {
            Ok(()) = hidden.changed() => {}
            () = stop.cancelled() => return,
        }
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
struct Tasks<'a> {
    tasks: &'a TaskTracker,
    stop: &'a CancellationToken,
    /// Whether this node is hidden.
    hidden: &'a watch::Receiver<bool>,
}

fn serve(
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
    let router = api::router(audit, seat, token, reading, between_nodes);
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    for listener in listeners {
        with.tasks.spawn(api::serve::serve_while_shown(
            listener,
            router.clone(),
            with.hidden.clone(),
            with.stop.clone(),
        ));
    }
    Ok(addresses)
}

/// Serves other nodes on addresses of their own.
fn serve_nodes(
    source: Arc<dyn Source>,
    listeners: Vec<TcpListener>,
    with: &Tasks<'_>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let router = api::router_between_nodes(source);
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    for listener in listeners {
        with.tasks.spawn(api::serve::serve_while_shown(
            listener,
            router.clone(),
            with.hidden.clone(),
            with.stop.clone(),
        ));
    }
    Ok(addresses)
}

async fn open_store(home: &Home, identity: &Identity, settings: &Settings) -> anyhow::Result<Opened> {
    let started = Instant::now();
    let bar = rebuild_bar();
    let is_hidden = bar.is_hidden();
    let mut told = 0;
    let show = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        // Without a terminal, a line now and then.
        if is_hidden && progress.done >= told + PROGRESS_ENTRIES {
            told = progress.done;
            tracing::info!(done = progress.done, total = progress.total, "rebuilding the state tree");
        }
    };
    let synchronous = match settings.synchronous {
        settings::typed::Synchronous::Full => crate::store::open::Synchronous::Full,
        settings::typed::Synchronous::Normal => crate::store::open::Synchronous::Normal,
    };
    let opened = open(&home.path("state.db"), identity.lattice, identity.keys.log_key(), synchronous, show).await;
    bar.finish_and_clear();
    let opened = opened?;
    let (entries, took_ms) = (opened.rebuilt.tree.len(), started.elapsed().as_millis() as u64);
    tracing::info!(entries, took_ms, "state proved against its root");
    Ok(opened)
}

fn rebuild_bar() -> ProgressBar {
    if std::io::stderr().is_terminal() { terminal::entries_bar("rebuilding") } else { ProgressBar::hidden() }
}

/// The book with everybody worth dialling: configured peers, inviters, and members met before.
fn peer_book(
    home: &Home,
    settings: &Settings,
    identity: &Identity,
    membership: Arc<Membership>,
    is_catching_up: bool,
) -> anyhow::Result<PeerBook> {
    let own = keypair(identity).public().to_peer_id();
    let mut book = PeerBook::new(name(&own), membership);
    for (peer, address) in addressbook::load(home) {
        let bare = split(&address).0.to_string();
        if is_catching_up {
            // Without a state nobody is known to be a member; those met before are all there is to ask.
            book.configure(name(&peer), bare);
        } else {
            book.learn(name(&peer), bare);
        }
    }
    let ticket = home.ticket()?;
    let invited_by = ticket.iter().flat_map(inviters).map(|(_, address)| address);
    for address in settings.peers.iter().cloned().chain(invited_by) {
        configure(&mut book, &address);
    }
    Ok(book)
}

fn configure(book: &mut PeerBook, address: &Multiaddr) {
    match split(address) {
        (bare, Some(peer)) => book.configure(name(&peer), bare.to_string()),
        (bare, None) => book.configure_address(bare.to_string()),
    }
}

/// The name given at the start, or the one that the membership knows, or the author's first digits.
fn node_name(settings: &Settings, writer: &WriterHandle, identity: &Identity) -> String {
    let author = identity.keys.author.id();
    let known = writer.published().membership.member(&author).map(|member| member.name.clone());
    settings.name.clone().or(known).unwrap_or_else(|| author.short())
}

/// Gossips what the writer made durable.
async fn tell_frames(net: NetHandle, mut frames: mpsc::Receiver<Vec<u8>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            Some(frame) = frames.recv() => net.command(Command::Publish(frame)).await,
            () = stop.cancelled() => return,
        }
    }
}

/// Removes the mark of a lost database once the writer knows what it signed before.
async fn forget_catching_up(home: Home, mut states: watch::Receiver<Arc<Published>>, stop: CancellationToken) {
    tokio::select! {
        Ok(_) = states.wait_for(|state| !state.is_catching_up) => match home.remove(CATCHING_UP) {
            Ok(()) => tracing::info!("caught up with a peer; this node writes again"),
            Err(error) => tracing::warn!(%error, "the mark of a lost database stays behind"),
        },
        () = stop.cancelled() => {}
    }
}
