//! The seat's log at its holder and at those who copy it.
//!
//! No checkpoint binds it. What does: each of its records begins at the state where the one before ended; a record that
//! this node made or copied while it mirrored stands in the own log as well, written just before it; certificates say which
//! root the log had when this node took the seat over; and full tiles have the hashes of all else.

use std::collections::BTreeMap;

use lattice::ids::StateRoot;
use lattice::log::edge::Edge;
use lattice::log::tile::Tile;
use lattice::merkle::Digest;
use lattice::record::{Event, Record};
use lattice::seat::Warrant;

use super::super::Subject;
use super::super::flaws::Flaws;
use super::super::rows::expect;
use super::RecordRow;

/// A walk over the records.
pub(super) struct SeatLog<'a> {
    subject: &'a Subject,
    edge: Edge,
    /// State after the last record.
    last: Option<StateRoot>,
    /// Roots by size that certificates name.
    certified: BTreeMap<u64, Digest>,
    beside: Beside,
}

/// The own log as far as it was written when the next record of this one was.
#[derive(Default)]
struct Beside {
    last: Option<Record>,
    last_entry: u64,
    /// What a transaction may have written to both logs, as far as it has not been met here; the latest last.
    copied: Vec<Record>,
    /// Whether a record of this log has come since the last one of the own.
    is_met: bool,
}

impl<'a> SeatLog<'a> {
    /// Before the first record.
    pub(super) fn of(subject: &'a Subject) -> Self {
        let (edge, beside) = (Edge::default(), Beside::default());
        Self { subject, edge, last: None, certified: certified(subject), beside }
    }

    /// Records so far.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Their hashes.
    pub(super) fn edge(&self) -> Edge {
        self.edge.clone()
    }

    /// Hears of the next record of the own log.
    pub(super) fn beside(&mut self, row: &RecordRow) {
        self.beside.last_entry = self.beside.last_entry.max(row.last_entry);
        match &row.record {
            Ok(record) => self.beside.take(record),
            Err(_) => self.beside.copied.clear(),
        }
    }

    /// Takes the next record; gives the tiles that are full with it.
    pub(super) fn take(&mut self, row: RecordRow, flaws: &mut Flaws) -> Vec<Tile> {
        let RecordRow { position, last_entry, record, leaf, .. } = row;
        let name = format!("{position} of the seat's log");
        let expected = self.edge.size();
        if position != expected {
            flaws.note("records", name, format!("record {expected} should stand here"));
            return Vec::new();
        }
        let own = self.beside.last_entry;
        let is_same = last_entry == own;
        let what = format!("column last_entry is {last_entry}, and that of the own log was {own} then");
        flaws.check("records", &name, expect(is_same, &what));
        match record {
            Ok(record) => {
                let holds = self.link(&record).and_then(|()| self.beside.holds_against(&record));
                flaws.check("records", &name, holds);
                self.last = Some(record.after);
            }
            Err(what) => flaws.note("records", &name, what),
        }
        let full = self.edge.append(leaf);
        if self.certified.get(&self.edge.size()).is_some_and(|root| *root != self.edge.root()) {
            let what =
                "one at least is not what it was when this node took the seat over: a certificate has their root";
            flaws.note("records", format_args!("0 to {position} of the seat's log"), what);
        }
        full
    }

    /// Whether a record can follow the one before.
    fn link(&self, record: &Record) -> Result<(), String> {
        match (self.last, &record.event) {
            (None, Event::Opened { lattice, author }) => {
                let is_known = self.subject.membership.member(author).is_some();
                expect(
                    *lattice == self.subject.lattice && is_known,
                    "it was opened in another lattice, or by no member",
                )?;
                expect(record.before == record.after, "it opens a log, and changes the state")
            }
            (None, _) => Err("a log begins with a record of whose it is, and this one is another".to_owned()),
            (Some(_), Event::Opened { .. }) => Err("it opens a log that is there".to_owned()),
            // What came into the state beside the log is stated when a holder begins.
            (Some(_), Event::Stated) => expect(record.before == record.after, "it states a state, and changes it"),
            (Some(last), _) if last != record.before => {
                Err(format!("it begins at state {}, and the record before ends at {last}", record.before))
            }
            (Some(_), _) => Ok(()),
        }
    }
}

impl Beside {
    fn take(&mut self, record: &Record) {
        let follows = match record.event {
            Event::Membership { .. } => !self.is_met && self.copied.len() == 1,
            Event::Applied { .. }
            | Event::Damaged { .. }
            | Event::Opened { .. }
            | Event::Reconciled { .. }
            | Event::Mode { .. }
            | Event::Stated
            | Event::Renamed { .. }
            | Event::Seat { .. } => false,
        };
        if !follows {
            self.copied.clear();
        }
        if matches!(record.event, Event::Applied { .. } | Event::Membership { .. } | Event::Damaged { .. }) {
            self.copied.push(record.clone());
        }
        self.last = Some(record.clone());
        self.is_met = false;
    }

    /// Whether a record of the seat's log can have been written when the own log was at this.
    fn holds_against(&mut self, record: &Record) -> Result<(), String> {
        self.is_met = true;
        let is_state = |own: &&Record| own.after == record.after;
        if let Some(own) = self.last.as_ref().filter(is_state) {
            let what =
                format!("it counts {} entries, and in the own log that state has {}", record.entries, own.entries);
            expect(own.entries == record.entries, &what)?;
        }
        if self.copied.is_empty() {
            return Ok(());
        }
        match differing(&self.copied.remove(0), record) {
            Some(what) => Err(format!("the same record of the own log has another {what}")),
            None => Ok(()),
        }
    }
}

/// What two records differ in that are one, if it is a single thing. A mirror that is being seeded may make another record
/// of the same commits; that begins at another state.
fn differing(own: &Record, copied: &Record) -> Option<&'static str> {
    let is_one_kind = std::mem::discriminant(&own.event) == std::mem::discriminant(&copied.event);
    if own.before != copied.before || !is_one_kind {
        return None;
    }
    let differ = [
        ("time", own.time_ms != copied.time_ms),
        ("state at its end", own.after != copied.after),
        ("number of entries", own.entries != copied.entries),
        ("body", own.event != copied.event),
    ];
    let mut differing = differ.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what);
    differing.next().filter(|_| differing.next().is_none())
}

/// Roots of the log at which this node took the seat over, by size: it stood with them. A term that operators settled may
/// go on from another log, and what was before it is not known then.
fn certified(subject: &Subject) -> BTreeMap<u64, Digest> {
    let terms = subject.membership.seats().terms().rev().map(|term| &term.certificate);
    let voted = terms.take_while(|certificate| matches!(certificate.warrant, Warrant::Votes(_)));
    let own = voted.filter(|certificate| certificate.body.holder == subject.author);
    own.map(|certificate| (certificate.body.log_size, certificate.body.log_root)).collect()
}

#[cfg(test)]
mod tests {
    use lattice::ids::CommitId;

    use super::*;

    #[test]
    fn a_single_thing_that_differs_is_damage_and_another_state_is_a_seeding() {
        let own = Record {
            time_ms: 1,
            before: StateRoot([1; 32]),
            after: StateRoot([2; 32]),
            entries: 3,
            event: Event::Applied { commits: vec![CommitId([4; 32])] },
        };
        let copied = |alter: fn(&mut Record)| {
            let mut record = own.clone();
            alter(&mut record);
            differing(&own, &record)
        };
        assert_eq!(copied(|_| {}), None);
        assert_eq!(copied(|record| record.time_ms = 2), Some("time"));
        assert_eq!(copied(|record| record.after.0[31] ^= 1), Some("state at its end"));
        assert_eq!(copied(|record| record.entries = 4), Some("number of entries"));
        assert_eq!(copied(|record| record.event = Event::Applied { commits: vec![] }), Some("body"));
        assert_eq!(
            copied(|record| (record.before, record.after, record.entries) = (StateRoot([5; 32]), StateRoot([6; 32]), 9)),
            None
        );
        assert_eq!(copied(|record| (record.time_ms, record.entries) = (2, 4)), None, "another transaction's");
    }
}
