//! What mirrors fetch of their holder, in memory: commits staged, and the last records with their commits whole.
//!
//! In the store a commit is kept only as far as it is live; a mirror that is a little behind needs it as it was applied. One
//! that is further behind than this reaches is seeded again, which costs what differs.

use std::collections::VecDeque;
use std::sync::Arc;

use lattice::ids::CommitId;

use crate::writer::job::IdempotencyKey;

/// Bytes of records and commits that are kept for mirrors: some seconds of the fastest ingest.
pub const RECENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A record as mirrors get it.
#[derive(Debug, Clone)]
pub struct Recent {
    /// The record's canonical bytes.
    pub record: Arc<[u8]>,
    /// Its commits, whole as they were applied: id, term and number, encoding.
    pub commits: Vec<Carried>,
    /// Whether the transaction of the record before made it too: a mirror makes both at once.
    pub is_effect: bool,
}

/// A commit on its way to a mirror.
#[derive(Debug, Clone)]
pub struct Carried {
    /// Its id.
    pub id: CommitId,
    /// Its term, and its number there; term 0 also where mirrors have not staged it, so that it goes with its record.
    pub place: (u64, u64),
    /// Its encoding.
    pub bytes: Arc<[u8]>,
    /// The client's name for the write, if it is one of the seat.
    pub name: Option<IdempotencyKey>,
}

/// What mirrors may fetch.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Log position of the first record kept.
    first: u64,
    recent: VecDeque<Recent>,
    bytes: usize,
    staged: VecDeque<Carried>,
    /// Log position behind the last record that goes out, as long as others are held back.
    held_at: Option<u64>,
}

impl Outbox {
    /// Begins anew at a log of this size.
    pub fn restart(&mut self, size: u64) {
        *self = Self { first: size, ..Self::default() };
    }

    /// A record was appended to the seat's log. The oldest make room.
    pub fn record(&mut self, recent: Recent) {
        self.bytes += recent.bytes();
        self.recent.push_back(recent);
        while self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.first += 1;
        }
    }

    /// A commit was staged.
    pub fn staged(&mut self, commit: Carried) {
        self.staged.push_back(commit);
    }

    /// Commits up to this place have left staging.
    pub fn unstaged(&mut self, upto: (u64, u64)) {
        while self.staged.front().is_some_and(|commit| commit.place <= upto) {
            self.staged.pop_front();
        }
    }

    /// The commit at this place lost it.
    pub fn deposed(&mut self, place: (u64, u64)) {
        self.staged.retain(|commit| commit.place != place);
    }

    /// Records in the seat's log up to the last one kept.
    pub fn size(&self) -> u64 {
        self.first + self.recent.len() as u64
    }

    /// Holds back what is recorded from now on; gives the log's size, which mirrors can still reach. The writer records what one
    /// transaction made at once, so no two records that belong together are parted.
    pub fn hold(&mut self) -> u64 {
        *self.held_at.insert(self.size())
    }

    /// Lets go what was held back.
    pub fn let_go(&mut self) {
        self.held_at = None;
    }

    /// Records in the seat's log up to the last one that goes out.
    pub fn goes_out(&self) -> u64 {
        self.held_at.unwrap_or_else(|| self.size())
    }

    /// Bytes of what is kept from a log position on.
    pub fn bytes_from(&self, from: u64) -> u64 {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.recent.iter().skip(skip).map(|recent| recent.bytes() as u64).sum()
    }

    /// Staged commits behind a place, the oldest first, up to about so many bytes.
    pub fn staged_behind(&self, place: (u64, u64), max_bytes: usize) -> Vec<Carried> {
        let mut bytes = 0;
        let behind = self.staged.iter().filter(|commit| commit.place > place);
        let fits = |commit: &&Carried| {
            let is_first = bytes == 0;
            bytes += commit.bytes.len();
            is_first || bytes <= max_bytes
        };
        behind.take_while(fits).cloned().collect()
    }

    /// Records from log position `from` on that go out, up to about so many bytes; `None` if they are kept no longer.
    pub fn records_from(&self, from: u64, max_bytes: usize) -> Option<Vec<Recent>> {
        let skip = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let mut bytes = 0;
        let fits = |recent: &&Recent| {
            let is_first = bytes == 0;
            bytes += recent.bytes();
            is_first || recent.is_effect || bytes <= max_bytes
        };
        let count = usize::try_from(self.goes_out().saturating_sub(from)).unwrap_or(usize::MAX);
        Some(self.recent.iter().skip(skip).take(count).take_while(fits).cloned().collect())
    }
}

impl Recent {
    fn bytes(&self) -> usize {
        self.record.len() + self.commits.iter().map(|commit| commit.bytes.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(seq: u64, bytes: usize) -> Carried {
        Carried { id: CommitId([1; 32]), place: (1, seq), bytes: vec![0; bytes].into(), name: None }
    }

    #[test]
    fn the_oldest_records_make_room_and_whoever_needs_them_is_told_so() {
        let mut outbox = Outbox::default();
        outbox.restart(10);
        for _ in 0..70 {
            outbox.record(Recent {
                record: vec![0; 1024].into(),
                commits: vec![carried(1, 1024 * 1024)],
                is_effect: false,
            });
        }
        assert!(outbox.bytes <= RECENT_BYTES_MAX);
        assert!(outbox.records_from(10, 1).is_none() && outbox.records_from(9, 1).is_none());
        let last = outbox.records_from(79, usize::MAX).expect("kept");
        assert_eq!(last.len(), 1, "of 70 records from 10 on, 79 is the last");
        assert_eq!(outbox.records_from(80, usize::MAX).expect("up to date").len(), 0);
        assert_eq!(outbox.records_from(70, 1).expect("kept").len(), 1, "at least one, however long");
    }

    #[test]
    fn what_is_recorded_while_it_is_held_goes_out_when_it_is_let_go() {
        let mut outbox = Outbox::default();
        outbox.restart(10);
        let record = |outbox: &mut Outbox| {
            outbox.record(Recent { record: vec![0].into(), commits: Vec::new(), is_effect: false })
        };
        let out = |outbox: &Outbox, from| outbox.records_from(from, usize::MAX).expect("kept").len();
        record(&mut outbox);
        assert_eq!(outbox.hold(), 11);
        record(&mut outbox);
        assert_eq!((out(&outbox, 10), out(&outbox, 11), out(&outbox, 12)), (1, 0, 0));
        assert_eq!((outbox.goes_out(), outbox.size()), (11, 12), "what the log has is told as it is");
        outbox.let_go();
        assert_eq!((out(&outbox, 10), outbox.goes_out()), (2, 12));
        outbox.hold();
        outbox.restart(40);
        assert_eq!(outbox.goes_out(), 40, "another log is held by nobody");
    }

    #[test]
    fn staged_commits_go_out_behind_what_the_mirror_has() {
        let mut outbox = Outbox::default();
        (1..=5).for_each(|seq| outbox.staged(carried(seq, 100)));
        let seqs = |behind, bytes| {
            outbox.staged_behind((1, behind), bytes).iter().map(|commit| commit.place.1).collect::<Vec<_>>()
        };
        assert_eq!(seqs(2, 1000), [3, 4, 5]);
        assert_eq!(seqs(0, 250), [1, 2]);
        outbox.unstaged((1, 4));
        assert_eq!(outbox.staged_behind((0, 0), 1000).len(), 1);
    }
}
