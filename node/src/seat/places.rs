//! How many questions of the seat there are at once, so that what clients cause never takes the place of the seat's own.
//!
//! A forwarded write waits until the shadow has it. Were those that wait to fill a connection, or the holder's answers, no
//! lease could be renewed and no shadow could fetch what they wait for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lattice::ids::AuthorId;
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

/// Commits with certificates that are being learnt at once, of 62 KiB and the check of up to 30 votes each. Beyond it they
/// are dropped: who has one sends it again with its next question.
const LEARNT_MAX: usize = 32;

/// The same of one asker: its probe, its vote, its lease, and one more that overlaps. One that lies keeps only itself out.
const LEARNT_OF_ONE_MAX: usize = 4;

/// Places for learning certificates, by who sent them.
#[derive(Debug, Clone, Default)]
pub(super) struct Learning {
    of: Arc<Mutex<BTreeMap<AuthorId, usize>>>,
}

/// One of them; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Learner {
    places: Learning,
    from: AuthorId,
}

impl Learning {
    /// A place for what this node sent, if there is one.
    pub(super) fn take(&self, from: AuthorId) -> Option<Learner> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = of.values().sum::<usize>() >= LEARNT_MAX;
        let own = of.get(&from).copied().unwrap_or_default();
        if is_full || own >= LEARNT_OF_ONE_MAX {
            return None;
        }
        of.insert(from, own + 1);
        Some(Learner { places: self.clone(), from })
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        let mut of = self.places.of.lock().unwrap_or_else(PoisonError::into_inner);
        match of.get_mut(&self.from) {
            Some(taken) if *taken > 1 => *taken -= 1,
            Some(_) | None => drop(of.remove(&self.from)),
        }
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
    fn one_that_floods_with_certificates_leaves_places_for_others_and_all_together_have_a_bound() {
        let places = Learning::default();
        let from = |number| AuthorId([number; 32]);
        let all_of = |number| std::iter::from_fn(|| places.take(from(number))).collect::<Vec<_>>();
        let mut flood = all_of(1);
        assert_eq!(flood.len(), LEARNT_OF_ONE_MAX);
        let others: Vec<_> = (2..=200).flat_map(all_of).collect();
        assert_eq!(flood.len() + others.len(), LEARNT_MAX);
        flood.pop();
        assert!(places.take(from(1)).is_some() && places.take(from(201)).is_some(), "a place that is left is free");
        drop((flood, others));
        assert!(places.of.lock().expect("no panic").is_empty(), "nobody is remembered");
    }

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
