//! The task that looks at a node now and then, for figures of states that begin and end.

use std::collections::BTreeSet;
use std::time::Duration;

use lattice::ids::AuthorId;
use tokio_util::sync::CancellationToken;

use super::measured::seconds;
use super::takeover::Takeover;
use crate::clock::steady_ms;
use crate::service::Service;

/// Time between two looks: what is shorter than the time between two scrapes is nobody's alarm.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until `stop` fires.
pub async fn watch(service: Service, stop: CancellationToken) {
    let metrics = service.inner.metrics.clone();
    let mut takeover = Takeover::default();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seat = service.seat_changed();
    loop {
        let seat_changed = async {
            match &mut seat {
                Some(seat) => seat.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = seat_changed => {}
            _ = tick.tick() => metrics.look(steady_ms(), agrees(&service)),
            () = stop.cancelled() => return,
        }
        if let Some(took_ms) = takeover.look(steady_ms(), &service.seat()) {
            service.inner.counters.measured.failover.observe(seconds(took_ms));
        }
    }
}

/// Whether this node and all peers that it can compare itself with are in step.
fn agrees(service: &Service) -> bool {
    let (published, book) = (service.inner.writer.published(), service.inner.net.view().book);
    let term = published.membership.seats().current();
    // Mirrors state no heads: the holder compares itself with them, record by record.
    let mirrors: BTreeSet<AuthorId> =
        term.into_iter().flat_map(|term| term.certificate.body.mirrors()).copied().collect();
    if mirrors.contains(&service.inner.identity.keys.author.id()) {
        return true;
    }
    let now = steady_ms();
    let is_in_step = |name| match book.author(name) {
        Some(author) if !mirrors.contains(&author) => book.is_in_sync(now, name, &published.root),
        Some(_) | None => true,
    };
    let board = service.inner.board.borrow();
    let beats_differ = board.mode == http_fallback::mode::Mode::Http && board.peers.iter().any(|peer| peer.count > 0);
    book.peers().all(|(name, _)| is_in_step(name)) && !beats_differ
}
