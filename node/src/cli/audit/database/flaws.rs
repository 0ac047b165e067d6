//! What is wrong with which row.

use std::fmt;

use serde::Serialize;

use crate::cli::text::visible;

/// Flaws that are kept of each table: one number that is wrong moves hundreds of rows, and must not hide its own table.
const FLAWS_MAX: usize = 20;

/// One row that is not what it was when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Flaw {
    /// The table.
    table: &'static str,
    /// The row, by its key.
    row: String,
    /// What does not hold.
    what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, row {}: {}", self.table, visible(&self.row), visible(&self.what))
    }
}

/// Flaws in the order in which they were found, some of each table.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    found: Vec<Flaw>,
    more: u64,
}

impl Flaws {
    /// Notes one.
    pub(super) fn note(&mut self, table: &'static str, row: impl fmt::Display, what: impl fmt::Display) {
        if self.found.iter().filter(|flaw| flaw.table == table).count() < FLAWS_MAX {
            self.found.push(Flaw { table, row: row.to_string(), what: what.to_string() });
        } else {
            self.more += 1;
        }
    }

    /// Notes what does not hold, if anything.
    pub(super) fn check(&mut self, table: &'static str, row: impl fmt::Display, holds: Result<(), String>) {
        if let Err(what) = holds {
            self.note(table, row, what);
        }
    }

    /// Takes over what was found elsewhere.
    pub(super) fn extend(&mut self, other: Self) {
        self.more += other.more;
        other.found.into_iter().for_each(|flaw| self.note(flaw.table, flaw.row, flaw.what));
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The first ones.
    pub(super) fn found(&self) -> &[Flaw] {
        &self.found
    }

    /// How many more there are.
    pub(super) const fn more(&self) -> u64 {
        self.more
    }
}

/// A table that SQLite can't read to its end.
#[derive(Debug)]
pub(super) struct Broken {
    /// The table, or the file.
    pub(super) table: &'static str,
    /// What SQLite says.
    pub(super) why: String,
}

impl Broken {
    /// For an error of a statement about a table.
    pub(super) fn of(table: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |error| Self { table, why: error.to_string() }
    }
}
