//! Following changes as server-sent events, resumable from a log position.
//!
//! Each stream owns its place in the log and asks the store for what came after it; nothing is queued for it
//! meanwhile. So a slow reader costs no memory and misses nothing but versions that were overwritten before
//! it came.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::parameters::Parameters;
use super::problem::{Kind, Problem, ProblemView};
use super::shown;
use crate::service::{Cursor, ReadError, Service};
use crate::writer::Published;

/// Streams at once: a quarter of the connections of one address (a guess).
pub const STREAMS_MAX: usize = 64;

/// Entries read for one stream at once: 32 of the largest values are 2 MB.
const BATCH_ENTRIES_MAX: usize = 32;

/// Shortest time between two reads for one stream: under load each read finds the changes of several
/// transactions, and all streams together leave the store to others.
const READ_EVERY: Duration = Duration::from_millis(20);

/// Time of silence after which a comment shows that the stream lives, below the usual minute of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(watch))
}

/// Changes as they become durable: `event: entry` with an Entry in `data`, deleted ones included. The last
/// event of a batch has the log position as `id`; give it as `Last-Event-ID` or `from` to go on behind it.
#[utoipa::path(get, path = "/api/v1/watch", tag = "entries",
    params(("prefix" = Option<String>, Query, description = "Keys that start so"),
        ("from" = Option<u64>, Query, description = "Log position to start behind; 0 for all, by default now"),
        ("Last-Event-ID" = Option<u64>, Header, description = "As `from`, and goes over it")),
    responses((status = OK, body = String, content_type = "text/event-stream"),
        (status = "default", body = ProblemView)))]
async fn watch(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, ReadError>>>, Problem> {
    let mut parameters = Parameters::parse(query.as_deref(), &["prefix", "from"])?;
    let from = match last_event_id(&headers)? {
        Some(position) => Some(position),
        None => parameters.number("from")?,
    };
    let prefix = parameters.text("prefix").unwrap_or_default();
    let stream = Watch::open(state.service, state.watch_slots, prefix, from).await?.into_stream();
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(header) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let position = header.to_str().ok().and_then(|text| text.parse().ok());
    position.map(Some).ok_or_else(|| {
        Problem::new(Kind::BadRequest, "the Last-Event-ID header must be the log position of an earlier event's id")
    })
}

/// One stream's place in the log.
struct Watch {
    service: Service,
    states: tokio::sync::watch::Receiver<Arc<Published>>,
    prefix: String,
    /// Everything up to this log position was delivered.
    position: u64,
    /// Everything before this was; it also stands within what one log record covers.
    cursor: Cursor,
    /// When the store was last found to hold nothing more.
    idle_since: Option<Instant>,
    _slot: OwnedSemaphorePermit,
}

impl Watch {
    async fn open(service: Service, slots: Arc<Semaphore>, prefix: String, from: Option<u64>) -> Result<Self, Problem> {
        let slot = slots.try_acquire_owned().map_err(|_| {
            let detail = format!("all {STREAMS_MAX} streams of this node are taken; close one, or ask another node");
            Problem::new(Kind::Busy, detail)
        })?;
        let mut states = service.states();
        // Seen here, so that only what comes later wakes the stream.
        let now = states.borrow_and_update().log_size;
        let position = from.unwrap_or(now);
        if position > now {
            let detail = format!(
                "the log of this node ends at position {now}, {position} is beyond it: positions are each node's own, and a \
                 new log starts at 0"
            );
            return Err(Problem::new(Kind::Conflict, detail));
        }
        let cursor = service.cursor_at(position).await?;
        Ok(Self { service, states, prefix, position, cursor, idle_since: None, _slot: slot })
    }

    /// Begins with an event without data, which readers do not show: it carries the position to resume from.
    fn into_stream(self) -> impl Stream<Item = Result<Event, ReadError>> {
        let start = Event::default().id(self.position.to_string());
        let batches = stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            match watch.next_batch().await {
                Ok(Some(events)) => Some((events, Some(watch))),
                Ok(None) => None,
                // Told once, then the stream ends: the client comes again and is told the reason by status.
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        stream::once(async { Ok(start) }).chain(batches.flat_map(stream::iter))
    }

    /// Waits for changes behind the position and moves it behind them; `None` once the node stops.
    async fn next_batch(&mut self) -> Result<Option<Vec<Result<Event, ReadError>>>, ReadError> {
        while !self.service.stopped().is_cancelled() {
            // What is durable by now is read now, so it need not wake the stream again.
            self.states.mark_unchanged();
            let changes = self.service.changes(&self.prefix, self.cursor, BATCH_ENTRIES_MAX).await?;
            self.cursor = changes.cursor;
            self.position = self.position.max(changes.upto);
            if !changes.entries.is_empty() {
                let last = changes.entries.len() - 1;
                let events = changes.entries.into_iter().enumerate().map(|(index, entry)| {
                    let event = event(entry);
                    Ok(if index == last { event.id(self.position.to_string()) } else { event })
                });
                return Ok(Some(events.collect()));
            }
            if !changes.more && !self.woken().await {
                break;
            }
        }
        Ok(None)
    }

    /// Waits until there may be more to read, and not sooner than a while after the last time; false once the
    /// node stops.
    async fn woken(&mut self) -> bool {
        let stopped = self.service.stopped();
        let states = &mut self.states;
        let not_before = self.idle_since.map(|since| since + READ_EVERY);
        let woken = async {
            let changed = states.changed().await.is_ok();
            if let Some(instant) = not_before {
                tokio::time::sleep_until(instant).await;
            }
            changed
        };
        let woken = tokio::select! {
            () = stopped.cancelled() => false,
            woken = woken => woken,
        };
        self.idle_since = Some(Instant::now());
        woken
    }
}

fn event(entry: crate::service::StoredEntry) -> Event {
    let event = Event::default().event("entry");
    // JSON of plain text and numbers always serializes and never holds a line break.
    event.json_data(shown::entry(entry)).unwrap_or_default()
}
