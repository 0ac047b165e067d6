//! Seeding: what a mirror does until its copy is the holder's.
//!
//! Two sessions make both states equal but for what the holder writes meanwhile, and in between the log is copied without its
//! commits. What the holder wrote since the second session began comes as records whose commits are joined; at the size that
//! the log had when it ended, the states must be equal. Commits that others had replaced come with none of that: the frontier
//! learns of them from the holder's chains. After a restart a mirror goes on where it was.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lattice::frontier::Chain;
use lattice::ids::{AuthorId, StateRoot};
use lattice::merkle::Digest;
use lattice::record::Record;
use lattice::seat::message::{KeptName, SeatAnswer, SeatRequest};
use node_core::resume::Doubt;
use reconcile::chains::behind_page;
use reconcile::message::{ChainId, Request, Response};
use tokio::sync::oneshot;

use super::{Failed, Mirror, Progress};
use crate::home::SEEDING;
use crate::seat::asking::NoAnswer;
use crate::store::StoreError;
use crate::store::answers::ANSWERS_MAX;
use crate::sync::road::Road;
use crate::sync::session::Session;
use crate::writer::job::Job;
use crate::writer::seat::{Fidelity, SeatJob, SeatPublished};

/// Names that a holder may have answers for: twice what a node keeps, for those that come meanwhile.
const NAMES_TOTAL_MAX: usize = 2 * ANSWERS_MAX as usize;

/// Pages of chains that a holder may send: of some hundred chains each, and there is one for each author and each term (a
/// guess far above both).
const CHAIN_PAGES_MAX: usize = 4096;

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
        let published = self.seat.writer.published();
        // After half a seed clients' names for what came may not be here, whatever the log says. And where the database may be
        // an older one, only a seed tells that it has everything again.
        let is_half = self.seat.home.path(SEEDING).exists();
        if is_half || published.is_catching_up || published.doubt > Some(Doubt::Usual) {
            return self.begin_anew().await;
        }
        if self.resume().await? {
            return self.complete().await;
        }
        let here = self.cut_log().await?;
        if here.log_size > 0 && here.log_size >= self.body.log_size && self.twin_root(&here).await?.is_some() {
            return self.complete().await;
        }
        if here.log_size > 0 {
            // The holder begins its term by stating its state. If that is the one here, nothing has to be seeded.
            match self.follow(Fidelity::Twin).await {
                Err(Failed::Apart(why)) => tracing::info!(why, "this node is seeded"),
                done => {
                    done?;
                    return self.complete().await;
                }
            }
        }
        self.seed().await
    }

    /// Goes on where this node stopped in this term, if state and log here belong together and the holder has the same log; tells
    /// whether it does.
    async fn resume(&self) -> Result<bool, Failed> {
        let here = self.seat.writer.published().seat;
        if here.log_size <= self.body.log_size || self.twin_root(&here).await?.is_none() {
            return Ok(false);
        }
        self.copy(here.log_size, here.log_root).await?;
        match self.follow(Fidelity::Twin).await {
            Ok(_) => Ok(true),
            Err(Failed::OtherLog | Failed::Apart(_)) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    /// The same state may have come another way, and the frontier here not say that it covers what the term began with.
    pub(super) async fn complete(&self) -> Result<(), Failed> {
        if self.seat.writer.published().seat.begun >= self.body.term {
            return Ok(());
        }
        let chains = self.fetch_chains().await?;
        let target = self.fetch(Fidelity::Twin, Duration::ZERO).await?.log_size;
        let compared = self.follow_to(target, Fidelity::Twin).await?;
        self.raise(compared, chains).await
    }

    /// Follows until the log here has so many records; gives the root by which state and log are compared there.
    async fn follow_to(&self, target: u64, fidelity: Fidelity) -> Result<StateRoot, Failed> {
        while self.seat.writer.published().seat.log_size < target {
            self.follow(fidelity).await?;
        }
        let here = self.seat.writer.published().seat;
        self.twin_root(&here).await?.ok_or_else(|| Failed::Apart("state and log differ here".to_owned()))
    }

    /// A copy that turned out to differ may look sound as far as it goes: it is made again all the same.
    pub(super) async fn begin_anew(&self) -> Result<(), Failed> {
        self.is_as_whole.store(false, Relaxed);
        self.cut_log().await?;
        self.seed().await
    }

    /// Forgets the log here.
    pub(super) async fn drop_log(&self) -> Result<(), Failed> {
        self.copy(0, [0; 32]).await.map(drop)
    }

    /// Cuts the log here to what the term took over.
    async fn cut_log(&self) -> Result<SeatPublished, Failed> {
        self.copy(self.body.log_size, self.body.log_root).await
    }

    /// Makes this node a mirror whose log has so many records, if they have that root, and none if not.
    async fn copy(&self, size: u64, root: Digest) -> Result<SeatPublished, Failed> {
        let (reply, answer) = oneshot::channel();
        let job = SeatJob::Copy { term: self.body.term, size, root, reply };
        self.ask_writer(job, answer).await?.map_err(Failed::Store)
    }

    /// Remembers over a restart that a seed is under way: clients' names for what is in the state may not be here yet.
    fn mark_seeding(&self, is_under_way: bool) -> Result<(), Failed> {
        let home = &self.seat.home;
        let marked = tokio::task::block_in_place(|| {
            if is_under_way { home.write(SEEDING, 0o644, b"") } else { home.remove(SEEDING) }
        });
        marked.map_err(|error| Failed::Store(StoreError::Directory(error.to_string())))
    }

    /// The root of the state here, if it is the one that the last record of the log here left.
    async fn twin_root(&self, here: &SeatPublished) -> Result<Option<StateRoot>, Failed> {
        let Some(last) = here.log_size.checked_sub(1) else { return Ok(None) };
        let records = self.seat.reader.seat_records(last, 1).await.map_err(Failed::Store)?;
        let after = records.first().and_then(|record| Record::decode(record).ok()).map(|record| record.after);
        let root = self.seat.writer.published().root;
        Ok(after.filter(|after| *after == root))
    }

    async fn seed(&self) -> Result<(), Failed> {
        self.tell(Progress::Seeding).await;
        self.mark_seeding(true)?;
        self.reconcile().await?;
        // The sessions bring commits without the clients' names for them. A copy of the log that is long enough lets this
        // node stand: whatever is in it has its name by then.
        let (names, upto, _) = self.fetch_names(0).await?;
        self.keep_names(names).await?;
        while !self.copy_log().await? {}
        self.reconcile().await?;
        let chains = self.fetch_chains().await?;
        let (names, _, of_names) = self.fetch_names(upto).await?;
        let target = self.fetch(Fidelity::Joined, Duration::ZERO).await?.log_size.max(of_names);
        let compared = self.follow_to(target, Fidelity::Joined).await?;
        // Commits that others had replaced came in no session and with no record: a frontier without them says that this node
        // lacks what its term began with, and it could not stand.
        self.raise(compared, chains).await?;
        self.keep_names(names).await?;
        self.mark_seeding(false)?;
        let records = self.seat.writer.published().seat.log_size;
        tracing::info!(records, holder = %self.body.holder.short(), "seeded: this node mirrors the holder");
        Ok(())
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

    /// What the holder's state covers of each chain that is known here. Ours is that state as soon as the log here is as long as
    /// its log is now.
    async fn fetch_chains(&self) -> Result<Vec<(ChainId, Chain)>, Failed> {
        let holder = self.body.holder;
        let road = self.seat.peer_of(&holder).map(Road::P2p).ok_or(Failed::Silent(NoAnswer::Stranger(holder)))?;
        let lost = |why: String| Failed::Silent(NoAnswer::Lost { node: holder, why });
        let garbled = |why: &str| Failed::Silent(NoAnswer::Garbled { node: holder, why: why.to_owned() });
        let (mut known, mut after) = (Vec::new(), None);
        for _ in 0..CHAIN_PAGES_MAX {
            let answer = road.ask(&self.seat.sync, &Request::Frontier { after }).await;
            let answer = answer.map_err(lost)?;
            let (root, chains, more) = match answer {
                Response::Frontier { root, chains, more } => (root, chains, more),
                Response::Busy => return Err(lost("it has no time for questions about its chains".to_owned())),
                Response::Refused { reason } => return Err(lost(reason)),
                Response::Opened { .. }
                | Response::Symbols { .. }
                | Response::Compared { .. }
                | Response::Listed { .. }
                | Response::Commits { .. }
                | Response::Pushed(_) => return Err(self.no_answer()),
            };
            after = behind_page(after, &chains, more).map_err(|fault| garbled(&fault.to_string()))?;
            let published = self.seat.writer.published();
            // With no root, what waits at the holder stands in our own chain as well.
            let is_in = |author: &AuthorId| root != StateRoot::ZERO || *author != self.seat.own();
            let is_known =
                |(author, term): &ChainId| is_in(author) && published.membership.last_seq_in(author, *term).is_some();
            known.extend(chains.into_iter().filter(|(id, _)| is_known(id)));
            if after.is_none() {
                return Ok(known);
            }
        }
        Err(garbled("chains without an end"))
    }

    /// Takes over what the holder's chains cover: its state was this one when its log had as many records.
    async fn raise(&self, compared: StateRoot, chains: Vec<(ChainId, Chain)>) -> Result<(), Failed> {
        let (reply, raised) = oneshot::channel();
        if !self.ask_writer_for(Job::Raise { root: compared, chains, reply }, raised).await? {
            return Err(Failed::Apart("the state here moved on while it was compared".to_owned()));
        }
        self.is_as_whole.store(true, Relaxed);
        Ok(())
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
