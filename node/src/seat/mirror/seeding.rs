//! Seeding: what a mirror does until its copy is the holder's.
//!
//! Two sessions make both states equal but for what the holder writes meanwhile, and in between the log is copied without its
//! commits. What the holder wrote since the second session began comes as records whose commits are joined; at the size that
//! the log had when it ended, the states must be equal.

use std::cmp::Ordering;
use std::time::Duration;

use lattice::ids::StateRoot;
use lattice::record::Record;
use lattice::seat::Body;
use lattice::seat::message::{KeptName, SeatAnswer, SeatRequest};
use tokio::sync::oneshot;

use super::{Failed, Mirror, Progress};
use crate::seat::asking::NoAnswer;
use crate::store::answers::ANSWERS_MAX;
use crate::sync::road::Road;
use crate::sync::session::Session;
use crate::writer::job::Job;
use crate::writer::seat::{Fidelity, SeatJob, SeatPublished};

/// Names that a holder may have answers for: twice what a node keeps, for those that come meanwhile.
const NAMES_TOTAL_MAX: usize = 2 * ANSWERS_MAX as usize;

/// What an answer with names is to those before it.
#[derive(Debug, PartialEq, Eq)]
enum Page {
    Next,
    Last,
    /// Rows don't grow, or there are more names than any node keeps.
    Endless,
}

/// The holder is asked again from where its last answer ended, so that must lead somewhere.
fn page(after: u64, upto: u64, names: usize) -> Page {
    match upto.cmp(&after) {
        Ordering::Equal => Page::Last,
        Ordering::Greater if names <= NAMES_TOTAL_MAX => Page::Next,
        Ordering::Greater | Ordering::Less => Page::Endless,
    }
}

impl Mirror {
    /// Makes the log here one that the term goes on from, and the state one that belongs to it.
    pub(super) async fn take_up(&self) -> Result<(), Failed> {
        let here = self.cut_log().await?;
        if here.log_size > 0 && here.log_size >= self.body.log_size && self.is_twin_of_log(&here).await? {
            return Ok(());
        }
        if here.log_size > 0 {
            // The holder begins its term by stating its state. If that is the one here, nothing has to be seeded.
            match self.follow(Fidelity::Twin).await {
                Err(Failed::Apart(why)) => tracing::info!(why, "this node is seeded"),
                done => return done.map(drop),
            }
        }
        self.seed().await
    }

    /// A copy that turned out to differ may look sound as far as it goes: it is made again all the same.
    pub(super) async fn begin_anew(&self) -> Result<(), Failed> {
        self.cut_log().await?;
        self.seed().await
    }

    /// Cuts the log here to what the term took over.
    async fn cut_log(&self) -> Result<SeatPublished, Failed> {
        let Body { term, log_size: size, log_root: root, .. } = self.body;
        let (reply, answer) = oneshot::channel();
        self.ask_writer(SeatJob::Copy { term, size, root, reply }, answer).await?.map_err(Failed::Store)
    }

    /// Whether the state is the one that the last record of the log here left.
    async fn is_twin_of_log(&self, here: &SeatPublished) -> Result<bool, Failed> {
        let Some(last) = here.log_size.checked_sub(1) else { return Ok(false) };
        let records = self.seat.reader.seat_records(last, 1).await.map_err(Failed::Store)?;
        let after = records.first().and_then(|record| Record::decode(record).ok()).map(|record| record.after);
        Ok(after == Some(self.root()))
    }

    fn root(&self) -> StateRoot {
        self.seat.writer.published().root
    }

    async fn seed(&self) -> Result<(), Failed> {
        self.tell(Progress::Seeding).await;
        self.reconcile().await?;
        // The sessions bring commits without the clients' names for them. A copy of the log that is long enough lets this
        // node stand: whatever is in it has its name by then.
        let (names, upto, _) = self.fetch_names(0).await?;
        self.keep_names(names).await?;
        while !self.copy_log().await? {}
        self.reconcile().await?;
        let (names, _, of_names) = self.fetch_names(upto).await?;
        let target = self.fetch(Fidelity::Joined, Duration::ZERO).await?.log_size.max(of_names);
        while self.seat.writer.published().seat.log_size < target {
            self.follow(Fidelity::Joined).await?;
        }
        let here = self.seat.writer.published().seat;
        if self.is_twin_of_log(&here).await? {
            self.keep_names(names).await?;
            if self.seat.writer.published().is_catching_up && !self.seat.writer.send(Job::CaughtUp).await {
                return Err(Failed::Stopping);
            }
            tracing::info!(records = here.log_size, holder = %self.body.holder.short(), "seeded: this node mirrors the holder");
            Ok(())
        } else {
            Err(Failed::Apart("the states differ after a seed".to_owned()))
        }
    }

    /// A session in which both sides get what they lack.
    async fn reconcile(&self) -> Result<(), Failed> {
        let holder = self.body.holder;
        let peer = self.seat.peer_of(&holder).ok_or(Failed::Silent(NoAnswer::Stranger(holder)))?;
        let session = Session { sync: self.seat.sync.clone(), road: Road::P2p(peer), estimator: None, until: None };
        let report = session.run().await;
        if report.outcome.is_in_step() {
            return Ok(());
        }
        let why = format!("{}: {}", report.outcome.word(), report.detail());
        Err(Failed::Silent(NoAnswer::Lost { node: holder, why }))
    }

    /// Copies records without their commits; tells whether that was all.
    async fn copy_log(&self) -> Result<bool, Failed> {
        let batch = self.fetch(Fidelity::Log, Duration::ZERO).await?;
        if batch.records.is_empty() {
            return Ok(true);
        }
        self.take(batch, Fidelity::Log).await?;
        Ok(false)
    }

    async fn keep_names(&self, names: Vec<KeptName>) -> Result<(), Failed> {
        let (reply, kept) = oneshot::channel();
        self.ask_writer(SeatJob::TakeNames { names, reply }, kept).await?.map_err(Failed::Store)
    }

    /// The holder's answers to named writes behind a row, the last row, and the size of the log by which all of those are in
    /// the state.
    async fn fetch_names(&self, mut after: u64) -> Result<(Vec<KeptName>, u64, u64), Failed> {
        let mut all: Vec<KeptName> = Vec::new();
        loop {
            let request = SeatRequest::Names { term: self.body.term, after };
            let SeatAnswer::Names { names, upto, log_size } = self.ask_holder(&request).await? else {
                return Err(self.no_answer());
            };
            match page(after, upto, all.len() + names.len()) {
                Page::Last => return Ok((all, upto, log_size)),
                Page::Next => all.extend(names),
                Page::Endless => {
                    let why = "more names than a node keeps, or the same ones again and again".to_owned();
                    return Err(Failed::Silent(NoAnswer::Garbled { node: self.body.holder, why }));
                }
            }
            after = upto;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_rows_that_grow_and_are_no_more_than_a_node_keeps() {
        assert_eq!(page(7, 7, 0), Page::Last);
        assert_eq!(page(7, 9, 2), Page::Next);
        assert_eq!(page(7, 6, 2), Page::Endless, "down and up again a holder would be asked for ever");
        assert_eq!(page(7, 9, NAMES_TOTAL_MAX), Page::Next);
        assert_eq!(page(7, 9, NAMES_TOTAL_MAX + 1), Page::Endless);
    }
}
