//! A drain: no write is taken any more, and what was taken has to come to its end before the seat moves.

use node_core::seat::candidacy::Position;
use node_core::seat::event::Event;

use super::driver::Driver;
use crate::writer::seat::Outbox;

/// A drain that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draining {
    /// Whether the shadow is to have it all: it follows.
    until_shadow_has_all: bool,
    /// Records of the seat's log when nothing was staged any more.
    records: Option<u64>,
}

impl Draining {
    pub(super) fn new(until_shadow_has_all: bool) -> Self {
        Self { until_shadow_has_all, records: None }
    }
}

impl Driver {
    /// Tells the controller when no write is under way any more. A shadow that has staged everything could follow, but
    /// mirrors that have applied more than it has would have to be seeded: it gets the records as well, and none gets more.
    pub(super) fn look_at_drain(&mut self, position: Position) {
        let Some(mut draining) = self.draining.filter(|_| self.is_held) else { return };
        let published = self.seat.writer.published();
        if published.seat.staged == 0 && draining.records.is_none() {
            // Ordinary writes go on and on, and are not waited for.
            draining.records = Some(self.seat.writer.with_outbox(Outbox::hold));
            self.draining = Some(draining);
        }
        let has_all = draining.records.is_some_and(|records| self.shadow_has_records(position.term, records));
        // Where the disk takes nothing more, the shadow applies what both have staged.
        let is_stuck = published.trouble.is_some() || self.opening.is_ill();
        if !draining.until_shadow_has_all || has_all || (is_stuck && self.shadow_has_staged(&position)) {
            self.draining = None;
            self.queue.push_back(Event::Drained(position));
        }
    }

    /// Whether the shadow has staged all that this node has.
    fn shadow_has_staged(&self, position: &Position) -> bool {
        let shadow = self.certified.as_ref().and_then(|body| body.shadow);
        shadow.is_some_and(|shadow| self.outlook.has_staged(shadow, (position.term, position.staged_seq)))
    }

    fn shadow_has_records(&self, term: u64, records: u64) -> bool {
        let shadow = self.certified.as_ref().and_then(|body| body.shadow);
        shadow.is_some_and(|shadow| self.outlook.has_records(shadow, term, records))
    }
}
