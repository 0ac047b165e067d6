//! What each record of a log must be after the one before it. Pure.

use lattice::ids::StateRoot;
use lattice::log::checkpoint::origin;
use lattice::record::{Event, Record};

/// A state as a record or a head tells it: the root, and how many entries it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::audit) struct State {
    pub(in crate::cli::audit) root: StateRoot,
    pub(in crate::cli::audit) entries: u64,
}

impl State {
    pub(super) fn after(record: &Record) -> Self {
        Self { root: record.after, entries: record.entries }
    }
}

/// The records of one log, as far as they were followed.
pub(in crate::cli::audit) struct RecordChain {
    /// The name of the log.
    name: String,
    /// State after the last record, and its entries.
    last: Option<State>,
}

impl RecordChain {
    /// The chain of the log of this name.
    pub(in crate::cli::audit) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), last: None }
    }

    /// Takes the next record.
    ///
    /// # Errors
    ///
    /// Why it can't follow, in words.
    pub(in crate::cli::audit) fn follow(&mut self, bytes: &[u8]) -> Result<Record, String> {
        let record = Record::decode(bytes).map_err(|error| error.to_string())?;
        self.link(&record)?;
        Ok(record)
    }

    /// Takes the next record, decoded.
    ///
    /// # Errors
    ///
    /// Why it can't follow, in words.
    pub(in crate::cli::audit) fn link(&mut self, record: &Record) -> Result<(), String> {
        match (self.last, &record.event) {
            (None, Event::Opened { lattice, author }) => {
                let first = origin(lattice, author, 1);
                let rest = self.name.strip_prefix(first.as_str());
                if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                    return Err("it opens another log than the one whose name the checkpoint bears".to_owned());
                }
                // A node with a fresh key may begin with the state of a backup; its entries bear their authors' signatures.
                if record.before != record.after {
                    return Err("it opens the log, and nothing in it changes the state".to_owned());
                }
            }
            (Some(_), Event::Opened { .. }) => return Err("it opens a log that is there".to_owned()),
            (None, _) => return Err("a log begins with a record of whose it is, and this one is another".to_owned()),
            (Some(State { root: last, .. }), _) if last != record.before => {
                return Err(format!(
                    // Whole: two that differ in a byte at their end would look the same.
                    "it begins at state {}, and the record before ends at {last}",
                    record.before
                ));
            }
            (Some(last), event) if !event.may_change_state() && State::after(record) != last => {
                return Err(format!(
                    "it tells of state {} with {} entries, and nothing in it changes the {} entries of {}",
                    record.after, record.entries, last.entries, last.root
                ));
            }
            (Some(_), _) => {}
        }
        self.last = Some(State::after(record));
        Ok(())
    }

    /// Takes a record whose own place in the log was judged before: only what it says of the state is taken from it.
    pub(super) fn take_up(&mut self, record: &Record) {
        self.last = Some(State::after(record));
    }

    /// State after the last record.
    pub(in crate::cli::audit) const fn last(&self) -> Option<State> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use lattice::ids::{AuthorId, LatticeId};

    use super::*;

    #[test]
    fn records_begin_with_whose_log_it_is_and_follow_each_other() {
        let (lattice, author) = (LatticeId([1; 32]), AuthorId([2; 32]));
        let root = |of: u8| StateRoot([of; 32]);
        let counted = |before, after, entries, event| {
            Record { time_ms: 1, before: root(before), after: root(after), entries, event }.encode()
        };
        let record = |before, after: u8, event| counted(before, after, u64::from(after), event);
        let opened = || record(0, 0, Event::Opened { lattice, author });
        let mode = || Event::Mode { mode: "http".to_owned(), reason: "why".to_owned() };
        let applied = |before, after| record(before, after, Event::Applied { commits: vec![] });
        let name = origin(&lattice, &author, 3).to_string();
        for (name, records, expected) in [
            (&name, vec![opened(), applied(0, 1), record(1, 1, Event::Stated), applied(1, 2)], Ok(())),
            (&name, vec![applied(0, 1)], Err("begins with a record of whose it is")),
            (&name.replace("02", "03"), vec![opened()], Err("opens another log")),
            (&name, vec![opened(), applied(0, 1), applied(0, 2)], Err("the record before ends at")),
            (&name, vec![b"no record".to_vec()], Err("")),
            (&name, vec![opened(), applied(0, 1), record(1, 0, Event::Damaged { dropped: 1 })], Ok(())),
            // What changes nothing was once let past with another state behind it: a key could be dropped so.
            (&name, vec![opened(), applied(0, 2), record(2, 1, mode())], Err("nothing in it changes")),
            (&name, vec![opened(), applied(0, 2), record(2, 1, Event::Stated)], Err("nothing in it changes")),
            (&name, vec![opened(), applied(0, 2), counted(2, 2, 1, mode())], Err("nothing in it changes")),
            (&name, vec![record(1, 1, Event::Opened { lattice, author })], Ok(())),
            (&name, vec![record(0, 1, Event::Opened { lattice, author })], Err("nothing in it changes")),
            (&name, vec![opened(), opened()], Err("opens a log that is there")),
        ] {
            let mut chain = RecordChain::of(name);
            let followed = records.iter().try_for_each(|bytes| chain.follow(bytes).map(drop));
            match (followed, expected) {
                (Ok(()), Ok(())) => {}
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (other, expected) => panic!("{other:?} instead of {expected:?}"),
            }
        }
    }
}
