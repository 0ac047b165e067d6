//! How many questions of the seat there are at once, so that what clients cause never takes the place of the seat's own.
//!
//! A forwarded write waits until the shadow has it. Were those that wait to fill a connection, or the holder's answers, no
//! lease could be renewed and no shadow could fetch what they wait for.

use std::sync::Arc;

use lattice::seat::message::SeatRequest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::net::SEAT_STREAMS_MAX;

/// Questions that clients caused, on their way from one node at once; beyond it they wait. A connection's streams are one
/// bound for both directions: each end may ask as many, and some more are not answered yet that nobody waits for any more.
pub(super) const CLIENTS_ASKED_MAX: usize = 20;

const _: () = assert!(3 * CLIENTS_ASKED_MAX < SEAT_STREAMS_MAX, "the seat's own questions find a stream");

/// Answers that one node makes at once to what clients of others caused (nine nodes that forward all they may); beyond it
/// the asker is told to come again.
const CLIENTS_ANSWERED_MAX: usize = 192;

/// The same for the seat's own questions: two of each other member of a large seat, and what a mirror that is seeded asks.
const OWN_ANSWERED_MAX: usize = 64;

/// Places for answers that are being made.
#[derive(Debug)]
pub(super) struct Places {
    clients: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            clients: Arc::new(Semaphore::new(CLIENTS_ANSWERED_MAX)),
            own: Arc::new(Semaphore::new(OWN_ANSWERED_MAX)),
        }
    }

    /// A place for the answer to this question, if there is one.
    pub(super) fn take(&self, question: &SeatRequest) -> Option<OwnedSemaphorePermit> {
        let of = if is_of_client(question) { &self.clients } else { &self.own };
        of.clone().try_acquire_owned().ok()
    }
}

/// Whether a client waits for the answer.
fn is_of_client(question: &SeatRequest) -> bool {
    match question {
        SeatRequest::Write(_) | SeatRequest::Read { .. } | SeatRequest::Await { .. } => true,
        SeatRequest::Vote { .. }
        | SeatRequest::Renew { .. }
        | SeatRequest::Release { .. }
        | SeatRequest::Inquire
        | SeatRequest::HandOver { .. }
        | SeatRequest::Probe { .. }
        | SeatRequest::Stood { .. }
        | SeatRequest::Fetch { .. }
        | SeatRequest::Names { .. }
        | SeatRequest::Terms { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_fill_their_own_places_and_leave_the_seats() {
        let places = Places::new();
        let (read, probe) = (SeatRequest::Read { key: "green/k".to_owned() }, SeatRequest::Probe { carrier: None });
        let mut waiting: Vec<_> = std::iter::from_fn(|| places.take(&read)).collect();
        assert_eq!(waiting.len(), CLIENTS_ANSWERED_MAX);
        let own: Vec<_> = std::iter::from_fn(|| places.take(&probe)).collect();
        assert_eq!(own.len(), OWN_ANSWERED_MAX, "the shadow's fetch is among these, which clients wait for");
        waiting.pop();
        assert!(
            places.take(&read).is_some() && places.take(&probe).is_none(),
            "a place is free once its answer is made"
        );
    }
}
