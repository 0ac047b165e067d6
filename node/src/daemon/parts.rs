//! What the tasks of a node share, made once, and the tasks that work with it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use http_fallback::client::Client;
use http_fallback::heartbeat::Board;
use libp2p::PeerId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::opening::{is_mirror, node_name};
use super::tasks;
use crate::audit::{self, Audit};
use crate::counters::Counters;
use crate::home::Home;
use crate::ingest::Ingest;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::net::{Gossip, NetHandle, Request};
use crate::scrub::Scrubber;
use crate::seat::driver::{self, Driver, SeatHandle};
use crate::seat::room::Room;
use crate::seat::{Seat, Serving};
use crate::service::{Inner, Service};
use crate::settings::Settings;
use crate::store::read::Reader;
use crate::sync::crossing::{Crossing, NOTES_MAX, Note};
use crate::sync::{HEADS_MAX, Sync};
use crate::writer::{Identity, WriterHandle};

/// Pause between two passes of the scrubber over the stored entries.
const SCRUB_PAUSE: Duration = Duration::from_secs(60);

/// What the tasks work with.
pub(super) struct Parts {
    pub(super) service: Service,
    pub(super) audit: Audit,
    pub(super) sync: Sync,
    /// Whether this node mirrors the seat's holder.
    pub(super) hidden: watch::Receiver<bool>,
}

/// The ends that one task each takes.
pub(super) struct Ends {
    /// Where the second road shows what it does.
    pub(super) board: watch::Sender<Board>,
    /// Where the seat says whether this node is hidden.
    pub(super) hidden: watch::Sender<bool>,
    /// What the sync task is told of sessions that cross.
    pub(super) notes: mpsc::Receiver<Note>,
}

impl Parts {
    pub(super) fn new(
        settings: &Settings,
        identity: &Arc<Identity>,
        writer: &WriterHandle,
        reader: &Reader,
        net: &NetHandle,
        (counters, metrics): (Arc<Counters>, Arc<Metrics>),
        stop: &CancellationToken,
    ) -> anyhow::Result<(Self, Ends)> {
        let (board, board_out) = watch::channel(Board::default());
        let (notes, notes_out) = mpsc::channel(NOTES_MAX);
        // A mirror is one from its first moment on.
        let (hidden, hidden_out) = watch::channel(is_mirror(identity, &writer.published()));
        let journal: Arc<Journal> = Arc::default();
        let inner = Inner {
            identity: identity.clone(),
            name: node_name(settings, writer, identity),
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
        let sync = Sync {
            identity: identity.clone(),
            writer: writer.clone(),
            reader: reader.clone(),
            net: net.clone(),
            counters,
            audit: audit.clone(),
            journal,
            alarmed: Arc::default(),
            turns: Arc::default(),
            crossing: Arc::new(Crossing::new(notes)),
            hidden: hidden_out.clone(),
        };
        Ok((Self { service, audit, sync, hidden: hidden_out }, Ends { board, hidden, notes: notes_out }))
    }

    /// Starts what takes from peers and tells them; gives back how a session with one of them is asked for.
    pub(super) fn spawn_roads(
        &self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        gossip: mpsc::Receiver<Gossip>,
        requests: mpsc::Receiver<Request>,
        notes: mpsc::Receiver<Note>,
    ) -> mpsc::Sender<PeerId> {
        let (heads, heads_out) = mpsc::channel(HEADS_MAX);
        let (nudges, nudges_out) = mpsc::channel(1);
        let (sync, audit) = (&self.sync, &self.audit);
        let ingest = Ingest {
            identity: sync.identity.clone(),
            writer: sync.writer.clone(),
            net: sync.net.clone(),
            heads,
            audit: audit.clone(),
            counters: sync.counters.clone(),
        };
        tasks.spawn(ingest.run(gossip, stop.clone()));
        tasks.spawn(sync.clone().serve(requests, stop.clone()));
        tasks.spawn(sync.clone().tell_heads(stop.clone()));
        tasks.spawn(sync.clone().tell_membership(stop.clone()));
        tasks.spawn(sync.clone().run(heads_out, nudges_out, notes, stop.clone()));
        tasks.spawn(audit.clone().gather_cosignatures(self.hidden.clone(), stop.clone()));
        tasks.spawn(tasks::hide(sync.net.clone(), self.hidden.clone(), stop.clone()));
        nudges
    }

    /// Starts what keeps the node's own house: its entries looked at, its log signed.
    pub(super) fn spawn_keepers(
        &self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        settings: watch::Receiver<Settings>,
    ) {
        let sync = &self.sync;
        let scrubber = Scrubber {
            writer: sync.writer.clone(),
            reader: sync.reader.clone(),
            journal: sync.journal.clone(),
            pause: SCRUB_PAUSE,
        };
        tasks.spawn(scrubber.run(stop.clone()));
        tasks.spawn(audit::keep_signed(sync.writer.clone(), settings, stop.clone()));
    }

    /// Sets up this node's part in the seat.
    pub(super) async fn start_seat(
        &self,
        settings: watch::Receiver<Settings>,
        home: &Home,
        hidden: watch::Sender<bool>,
        requests: mpsc::Receiver<Request>,
    ) -> anyhow::Result<(Driver, Seat, SeatHandle)> {
        let mut session = [0; 8];
        getrandom::fill(&mut session).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let sync = &self.sync;
        let parts = driver::Parts {
            identity: sync.identity.clone(),
            service: self.service.clone(),
            journal: sync.journal.clone(),
            requests,
            session: u64::from_le_bytes(session),
            hidden,
            wanted: settings.clone(),
            home: home.clone(),
        };
        let timing = settings.borrow().seat.timing;
        let seat = Seat {
            identity: sync.identity.clone(),
            writer: sync.writer.clone(),
            reader: sync.reader.clone(),
            net: sync.net.clone(),
            sync: sync.clone(),
            timing,
            serving: watch::channel(Serving::default()).1,
            asked: Seat::asked_places(),
            carrier: Arc::default(),
            home: home.clone(),
            room: watch::channel(Room::default()).1,
        };
        Ok(Driver::start(seat, parts).await?)
    }
}
