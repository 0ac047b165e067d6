//! The second road, wired to this node: whom the heartbeat asks, how differences are healed, what strangers may ask.
//!
//! Decisions are those of `http_fallback`; this moves what they need between store, writer and sockets.
//!
//! # Reading order
//!
//! 1. `beating`: what the heartbeat drives. `urls`: whom to ask, and our own URL. `heal`: sessions and whole states.
//! 2. `serving`: what the routes show.

mod beating;
mod urls;
mod heal;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_fallback::client::Client;
use http_fallback::heartbeat::{self, Board};
use lattice::ids::AuthorId;
use lattice::record::Event;
use lattice::transfer::Cursor;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::auth::ApiToken;
use crate::journal::Journal;
use crate::service::Service;
use crate::settings::Settings;
use crate::sync::Sync;
use crate::writer::job::Job;

/// Log records that wait for the writer. A mode changes at most once a second.
const NOTES_MAX: usize = 64;

/// The second road of this node.
pub struct Fallback {
    service: Service,
    sync: Sync,
    client: Client,
    journal: Arc<Journal>,
    settings: watch::Receiver<Settings>,
    /// Lets auditors read the whole state.
    read_token: Option<ApiToken>,
    /// Who answered last at configured URLs. A node that lost its database knows members by nothing else.
    vouched: Mutex<BTreeSet<AuthorId>>,
    /// How far the whole state of a peer came before its stream was cut.
    cursors: Mutex<BTreeMap<AuthorId, Cursor>>,
    notes: mpsc::Sender<Event>,
}

impl Fallback {
    /// Sets the road up and starts its tasks: heartbeat, records, and our own URL.
    ///
    /// # Errors
    ///
    /// If this machine can make no HTTP client.
    pub fn start(
        service: Service,
        sync: Sync,
        settings: watch::Receiver<Settings>,
        read_token: Option<ApiToken>,
        board: watch::Sender<Board>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let heartbeat = settings.borrow().heartbeat.clone();
        let client =
            Client::new(heartbeat.timeout).map_err(|why| anyhow::anyhow!("can't make an HTTP client: {why}"))?;
        let (notes, notes_out) = mpsc::channel(NOTES_MAX);
        let fallback = Arc::new(Self {
            journal: service.inner.journal.clone(),
            service,
            sync,
            client: client.clone(),
            read_token,
            vouched: Mutex::default(),
            cursors: Mutex::default(),
            notes,
            settings,
        });
        tasks.spawn(heartbeat::run(fallback.clone(), client, heartbeat.numbers, board, stop.clone()));
        tasks.spawn(write_notes(fallback.sync.clone(), notes_out, stop.clone()));
        tasks.spawn(fallback.clone().publish_url(stop.clone()));
        Ok(fallback)
    }
}

/// Hands records to the writer in their order, waiting for room as the heartbeat must not.
async fn write_notes(sync: Sync, mut notes: mpsc::Receiver<Event>, stop: CancellationToken) {
    loop {
        tokio::select! {
            Some(event) = notes.recv() => sync.writer.send(Job::Note { event }).await,
            () = stop.cancelled() => return,
        };
    }
}

/// Small tables of plain values: a panic elsewhere leaves them whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
