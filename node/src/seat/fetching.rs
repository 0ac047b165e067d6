//! The holder's side of mirroring: what a mirror lacks, as soon as there is something.

use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::seat::Body;
use lattice::seat::message::{BATCH_ITEMS_MAX, Batch, BatchRecord, BatchStaged, MirrorPosition, NAMES_MAX, SeatAnswer};
use tokio::time::Instant;

use super::Seat;
use super::refusal::{Refused, refused};
use crate::store::answers::SeatNames;
use crate::writer::job::Job;
use crate::writer::seat::outbox::{Carried, Recent};
use crate::writer::seat::{Part, SeatJob};

/// Bytes of records and commits in one answer: some milliseconds of a network, and far below what a message may have.
const BATCH_BYTES: usize = 1024 * 1024;

/// Records without their commits in one answer: 34 KiB each at most.
const BARE_RECORDS: usize = 128;

/// Longest wait for something to answer, below every time-out on the way.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Seat {
    /// Answers a mirror's fetch. That it asks says that everything before is durable there: staged writes of the term go
    /// into the state if it is the shadow.
    pub(super) async fn fetch(
        &self,
        mirror: AuthorId,
        term: u64,
        position: MirrorPosition,
        is_bare: bool,
        wait: Duration,
    ) -> SeatAnswer {
        let body = match self.may_fetch(mirror, term, &position).await {
            Ok(body) => body,
            Err(why) => return refused(why, self.carrier()),
        };
        if body.shadow == Some(mirror) && position.staged.0 == term {
            self.writer.send(Job::Seat(SeatJob::Release { term, upto: position.staged.1 })).await;
        }
        let until = Instant::now() + wait.min(WAIT_MAX);
        let (mut states, mut serving) = (self.writer.watch(), self.serving.clone());
        loop {
            let batch = if is_bare { self.bare_batch(&position).await } else { self.batch(&position) };
            let has_more = !batch.records.is_empty() || !batch.staged.is_empty();
            if has_more || batch.is_behind || batch.is_released || Instant::now() >= until {
                return SeatAnswer::Batch(Box::new(batch));
            }
            tokio::select! {
                Ok(()) = states.changed() => {}
                Ok(()) = serving.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Whether this node answers this mirror in this term.
    pub(super) fn may_mirror(&self, mirror: AuthorId, term: u64) -> Result<Body, Refused> {
        let published = self.writer.published();
        let current = published.membership.seats().current().map(|term| term.certificate.body.clone());
        let Some(body) = current.filter(|body| body.term == term && body.holder == self.own()) else {
            return Err(Refused::OtherTerm);
        };
        if published.seat.part != Part::Holder(term) || self.serving.borrow().floor > term {
            return Err(Refused::OtherTerm);
        }
        if !body.mirrors().any(|named| *named == mirror) {
            return Err(Refused::NoMirror);
        }
        if self.peer_of(&mirror).is_some_and(|peer| self.net.view().twins.contains(&peer)) {
            return Err(Refused::RunsTwice);
        }
        Ok(body)
    }

    /// Whether this node answers this mirror in this term, and their logs are one up to where the mirror is.
    async fn may_fetch(&self, mirror: AuthorId, term: u64, position: &MirrorPosition) -> Result<Body, Refused> {
        let body = self.may_mirror(mirror, term)?;
        let root = self.reader.seat_log_root(position.log_size).await;
        match root {
            Ok(Some(root)) if root == position.log_root => Ok(body),
            Ok(_) => Err(Refused::OtherLog),
            Err(error) => Err(Refused::Trouble(error.to_string())),
        }
    }

    /// Answers a mirror that is being seeded: which named writes are in the state here.
    pub(super) async fn names_for(&self, mirror: AuthorId, term: u64, after: u64) -> SeatAnswer {
        if let Err(why) = self.may_mirror(mirror, term) {
            return refused(why, self.carrier());
        }
        match self.reader.seat_names(after, NAMES_MAX).await {
            Ok(SeatNames { names, upto, log_size }) => SeatAnswer::Names { names, upto, log_size },
            Err(error) => refused(Refused::Trouble(error.to_string()), None),
        }
    }

    fn batch(&self, position: &MirrorPosition) -> Batch {
        let (records, staged, goes_out) = self.writer.with_outbox(|outbox| {
            let staged = outbox.staged_behind(position.staged, BATCH_BYTES);
            (outbox.records_from(position.log_size, BATCH_BYTES), staged, outbox.goes_out())
        });
        let is_behind = records.is_none();
        let records = that_fit(records.unwrap_or_default());
        let is_to_the_end = position.log_size + records.len() as u64 == goes_out;
        // Of the term of the last one staged; what it has of older terms says nothing of their last commits.
        let (term, upto) = position.staged;
        let has = |commit: &Carried| term > 0 && commit.place.0 == term && commit.place.1 <= upto;
        let mut named: Vec<BatchStaged> = Vec::new();
        let record = |recent: Recent| {
            let mut commits = Vec::new();
            for commit in recent.commits.into_iter().filter(|commit| !has(commit)) {
                // Whoever mirrors may hold the seat later: it must know a write by its name, which only staged ones bear.
                if commit.name.is_some() {
                    named.push(staged_commit(commit));
                } else {
                    commits.push(commit.bytes.to_vec());
                }
            }
            BatchRecord { record: recent.record.to_vec(), commits }
        };
        let records = records.into_iter().map(record).collect();
        // A mirror that has staged a commit is taken to have all before it, which have to come with their records first.
        let room = if is_to_the_end { BATCH_ITEMS_MAX - named.len() } else { 0 };
        named.extend(staged.into_iter().take(room).map(staged_commit));
        Batch { records, staged: named, is_behind, ..self.empty_batch(position) }
    }

    async fn bare_batch(&self, position: &MirrorPosition) -> Batch {
        let records = self.reader.seat_records(position.log_size, BARE_RECORDS).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the seat's log can't be read for a mirror");
            Vec::new()
        });
        let mut records = first_of(records, BATCH_BYTES);
        let goes_out = self.writer.with_outbox(|outbox| outbox.goes_out());
        records.truncate(usize::try_from(goes_out.saturating_sub(position.log_size)).unwrap_or(usize::MAX));
        let records: Vec<_> = records.into_iter().map(|record| BatchRecord { record, commits: Vec::new() }).collect();
        // There is nothing to wait for when a log is copied: an empty answer says that it is at its end.
        Batch { is_behind: records.is_empty(), records, ..self.empty_batch(position) }
    }

    fn empty_batch(&self, position: &MirrorPosition) -> Batch {
        let seat = self.writer.published().seat;
        let goes_out = self.writer.with_outbox(|outbox| outbox.goes_out());
        let is_at_end = position.log_size >= goes_out && position.staged >= seat.last && seat.staged == 0;
        let is_released = self.serving.borrow().is_released && is_at_end;
        Batch { log_size: seat.log_size, last: seat.last, is_released, ..Batch::default() }
    }
}

/// As many of these records, from the first on, as have so many bytes together, and one at least.
fn first_of(mut records: Vec<Vec<u8>>, bytes_max: usize) -> Vec<Vec<u8>> {
    let mut bytes = 0;
    let fit = records.iter().take_while(|record| {
        bytes += record.len();
        bytes <= bytes_max
    });
    let count = fit.count().max(1);
    records.truncate(count);
    records
}

/// As many of these records, from the first on, as one answer may have with the named commits among theirs. A record that
/// was made with the one before it stays with it.
fn that_fit(records: Vec<Recent>) -> Vec<Recent> {
    let mut named = 0;
    let mut fit = Vec::with_capacity(records.len().min(BATCH_ITEMS_MAX));
    for recent in records {
        named += recent.commits.iter().filter(|commit| commit.name.is_some()).count();
        let is_full = named > BATCH_ITEMS_MAX || fit.len() + 1 >= BATCH_ITEMS_MAX;
        if is_full && !recent.is_effect && !fit.is_empty() {
            break;
        }
        fit.push(recent);
    }
    fit
}

fn staged_commit(commit: Carried) -> BatchStaged {
    BatchStaged { commit: commit.bytes.to_vec(), name: commit.name.map(|name| name.as_str().to_owned()) }
}

#[cfg(test)]
mod tests {
    use lattice::ids::CommitId;

    use super::*;
    use crate::writer::job::IdempotencyKey;

    fn record(named: usize, is_effect: bool) -> Recent {
        let commit = |seq| Carried {
            id: CommitId([1; 32]),
            place: (1, seq),
            bytes: vec![0; 8].into(),
            name: IdempotencyKey::new("name"),
        };
        Recent { record: vec![0; 8].into(), commits: (1..=named as u64).map(commit).collect(), is_effect }
    }

    /// How many of these records, each with so many named commits, go into one answer.
    fn fit(records: &[(usize, bool)]) -> usize {
        that_fit(records.iter().map(|(named, is_effect)| record(*named, *is_effect)).collect()).len()
    }

    #[test]
    fn a_copied_log_comes_in_answers_that_a_slow_link_carries_in_time() {
        // 128 records of 34 KiB were thrown away for ever where they took longer than an answer may.
        let fit = |sizes: &[usize], max| first_of(sizes.iter().map(|size| vec![0; *size]).collect(), max).len();
        assert_eq!(fit(&[34 * 1024; BARE_RECORDS], BATCH_BYTES), BATCH_BYTES / (34 * 1024));
        assert_eq!((fit(&[5, 5, 1], 10), fit(&[20, 1], 10), fit(&[], 10)), (2, 1, 0));
    }

    #[test]
    fn an_answer_has_as_many_records_and_named_commits_as_a_message_may_and_the_rest_comes_next() {
        assert_eq!(
            fit(&[(0, false); 2 * BATCH_ITEMS_MAX]),
            BATCH_ITEMS_MAX - 1,
            "one that belongs to the last has room"
        );
        assert_eq!(fit(&[(1_024, false); 6]), BATCH_ITEMS_MAX / 1_024);
        assert_eq!(fit(&[(BATCH_ITEMS_MAX, false), (1, false)]), 1);
        // Two that one transaction made are never parted: a mirror makes both at once.
        let mut parted = vec![(0, false); BATCH_ITEMS_MAX - 1];
        parted.extend([(0, true), (0, false)]);
        assert_eq!(fit(&parted), BATCH_ITEMS_MAX);
    }
}
