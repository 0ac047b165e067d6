//! What the driver wants of the writer, handed on one after the other: were each job sent by a task of its own, a later one
//! could overtake an earlier, a ballot of term 7 one of term 5, or a mirror's beginning the end of the term before.

use node_core::seat::voter::{Pending, Persisted};
use tokio::sync::{mpsc, oneshot};

use super::driver::Driver;
use crate::writer::job::Job;
use crate::writer::seat::SeatJob;

/// Jobs on their way from the driver to the writer: as many ballots as nodes are answered at once, and the driver's own.
const HANDED_MAX: usize = 256;

/// Of these, how many are left for what comes with a move of the seat (a guess: a dozen moves): ballots and notes come at
/// others' will and are dropped first.
const LEFT_FOR_MOVES: usize = 64;

/// How much depends on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// A term begins or ends with it.
    Move,
    /// Without it a vote is not given, or a line of the log missing.
    Other,
}

/// Something that is handed on in its turn.
pub(super) enum Handed {
    /// A job.
    Job(Box<Job>),
    /// Told once every job before it is at the writer: what is sent from another place comes behind them then.
    Fence(oneshot::Sender<()>),
}

/// The writer is so far behind that a job was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer is {HANDED_MAX} jobs of the seat behind; one is dropped")]
pub(super) struct TooFarBehind;

/// The driver's end.
pub(super) struct Handing {
    jobs: mpsc::Sender<Handed>,
}

impl Handing {
    /// Both ends.
    pub(super) fn new() -> (Self, mpsc::Receiver<Handed>) {
        let (jobs, handed) = mpsc::channel(HANDED_MAX);
        (Self { jobs }, handed)
    }

    /// Hands a job on behind all that were handed on before; never waits.
    ///
    /// # Errors
    ///
    /// [`TooFarBehind`]; the job is dropped, and whoever waits for its answer hears that.
    pub(super) fn hand(&self, job: Job, weight: Weight) -> Result<(), TooFarBehind> {
        if weight == Weight::Other && self.jobs.capacity() <= LEFT_FOR_MOVES {
            return Err(TooFarBehind);
        }
        self.jobs.try_send(Handed::Job(Box::new(job))).map_err(|_| TooFarBehind)
    }

    /// Ends once everything handed on before is at the writer, or dropped.
    pub(super) fn fence(&self) -> impl Future<Output = ()> + use<> {
        let (at_writer, reached) = oneshot::channel();
        // Where there is no room the writer has enough to do: its answer to what is sent next says the rest.
        let _ = self.jobs.try_send(Handed::Fence(at_writer));
        async move {
            let _ = reached.await;
        }
    }
}

impl Driver {
    /// Hands a job on behind all that were handed on before.
    pub(super) fn tell_writer(&mut self, job: Job, weight: Weight) {
        if let Err(behind) = self.handing.hand(job, weight) {
            self.alarm(&behind.to_string());
        }
    }

    /// Makes a ballot durable; `None` if it can't be. Its place among the jobs is taken now: ballots of one turn reach the
    /// disk in the order in which they were cast.
    pub(super) fn store_ballot(&mut self, pending: Pending) -> impl Future<Output = Option<Persisted>> + Send + use<> {
        let (reply, stored) = oneshot::channel();
        self.tell_writer(Job::Seat(SeatJob::Vote { ballot: pending.stored_form(), reply }), Weight::Other);
        async move {
            match stored.await {
                Ok(Ok(())) => Some(pending.persisted()),
                Ok(Err(error)) => {
                    tracing::error!(%error, "a ballot can't be stored; nothing is said of it");
                    None
                }
                Err(_) => None,
            }
        }
    }
}

/// Hands jobs on in their order until the driver is gone.
pub(super) async fn hand_on(mut handed: mpsc::Receiver<Handed>, send: impl AsyncFn(Job)) {
    while let Some(next) = handed.recv().await {
        match next {
            Handed::Job(job) => send(*job).await,
            Handed::Fence(at_writer) => {
                // Whoever waited may be gone.
                let _ = at_writer.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::writer::seat::BallotError;

    fn rest(term: u64) -> Job {
        Job::Seat(SeatJob::Rest { term })
    }

    fn vote(number: u8) -> (Job, oneshot::Receiver<Result<(), BallotError>>) {
        let (reply, stored) = oneshot::channel();
        (Job::Seat(SeatJob::Vote { ballot: vec![number], reply }), stored)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_one_turn_wants_reaches_the_writer_in_its_order_and_what_waits_for_it_comes_behind() {
        // Votes for terms 5 and 7, cast in one turn, were two tasks: the disk could end with the vote for 5.
        let (handing, handed) = Handing::new();
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        let seen = order.clone();
        let handing_on = tokio::spawn(hand_on(handed, async move |job| {
            tokio::task::yield_now().await;
            let name = if let Job::Seat(SeatJob::Vote { ballot, .. }) = &job {
                format!("vote {}", ballot[0])
            } else if let Job::Seat(SeatJob::Rest { term }) = &job {
                format!("rest {term}")
            } else {
                panic!("another job")
            };
            seen.lock().expect("no panic").push(name);
        }));
        for number in 0..100 {
            handing.hand(vote(number).0, Weight::Other).expect("room");
        }
        handing.hand(rest(9), Weight::Move).expect("room");
        handing.fence().await;
        let mut expected: Vec<_> = (0..100).map(|number| format!("vote {number}")).collect();
        expected.push("rest 9".to_owned());
        assert_eq!(*order.lock().expect("no panic"), expected);
        drop(handing);
        handing_on.await.expect("it ends with the driver");
    }

    #[tokio::test]
    async fn a_writer_that_stands_still_costs_votes_before_it_costs_moves_and_never_memory() {
        let (handing, _handed) = Handing::new();
        let mut taken = 0;
        while handing.hand(vote(0).0, Weight::Other).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, HANDED_MAX - LEFT_FOR_MOVES);
        let (refused, stored) = vote(1);
        assert_eq!(handing.hand(refused, Weight::Other), Err(TooFarBehind));
        assert!(stored.await.is_err(), "whoever asked is told that nothing is stored");
        for term in 0..LEFT_FOR_MOVES as u64 {
            handing.hand(rest(term), Weight::Move).expect("a place is left for it");
        }
        assert_eq!(handing.hand(rest(0), Weight::Move), Err(TooFarBehind));
    }
}
