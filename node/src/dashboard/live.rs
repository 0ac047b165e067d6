//! One reader's place in what the dashboard shows: first all that is remembered, then what is new, once a second.

use std::sync::Arc;

use axum::response::sse::Event;
use futures::stream::{self, Stream, StreamExt};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::shown::Now;
use crate::journal::HAPPENINGS_MAX;
use crate::service::Service;

/// Readers at once: some people, each with a few windows (a guess).
pub const LIVE_MAX: usize = 32;

/// A reader. It is told of nothing twice, and nothing is kept for it: a slow one finds more when it comes again.
pub struct Live {
    service: Service,
    ticks: watch::Receiver<Arc<str>>,
    sample: u64,
    lane: u64,
    forks: Option<u64>,
    reconcile: u64,
    happening: u64,
    _slot: OwnedSemaphorePermit,
}

impl Live {
    /// A reader who has seen nothing yet.
    pub fn new(service: Service, slot: OwnedSemaphorePermit) -> Self {
        let ticks = service.inner.dashboard.ticks();
        Self { service, ticks, sample: 0, lane: 0, forks: None, reconcile: 0, happening: 0, _slot: slot }
    }

    /// All that it is told, until the node stops.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, std::convert::Infallible>> {
        let batches = stream::unfold((Some(self), true), |(live, is_first)| async move {
            let mut live = live?;
            if is_first {
                let now = serde_json::to_string(&Now::of(&live.service)).unwrap_or_default();
                return Some((live.batch(&now), (Some(live), false)));
            }
            let stopped = live.service.stopped();
            let now = tokio::select! {
                Ok(()) = live.ticks.changed() => live.ticks.borrow_and_update().clone(),
                () = stopped.cancelled() => return None,
            };
            Some((live.batch(&now), (Some(live), false)))
        });
        batches.flat_map(|batch| stream::iter(batch.into_iter().map(Ok)))
    }

    /// What is new, the past first: whoever reads `now` knows all that led to it.
    fn batch(&mut self, now: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let service = &self.service;
        let dashboard = &service.inner.dashboard;
        let samples = dashboard.samples(self.sample);
        self.sample = samples.last().map_or(self.sample, |last| last.number);
        add(&mut events, "samples", &samples);
        let (lanes, last) = dashboard.lanes(self.lane);
        self.lane = last;
        add(&mut events, "lanes", &lanes);
        let (forks, version) = dashboard.forks(self.forks);
        self.forks = Some(version);
        add(&mut events, "forks", &forks.unwrap_or_default());
        let reconciles = service.inner.counters.reconciles_behind(self.reconcile);
        self.reconcile = reconciles.last().map_or(self.reconcile, |last| last.number);
        add(&mut events, "reconciles", &reconciles);
        let happenings = service.happenings(self.happening, HAPPENINGS_MAX);
        self.happening = happenings.last().map_or(self.happening, |last| last.number);
        add(&mut events, "happenings", &happenings);
        events.push(Event::default().event("now").data(now));
        events
    }
}

fn add<T: Serialize>(events: &mut Vec<Event>, kind: &str, items: &[T]) {
    if !items.is_empty() {
        // JSON of plain text and numbers always serializes and never holds a line break.
        events.push(Event::default().event(kind).json_data(items).unwrap_or_default());
    }
}
