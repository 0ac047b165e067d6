//! The seat's log within a transaction.

use lattice::log::edge::Edge;
use node_core::apply::EntryRow;
use sqlx::sqlite::SqliteConnection;

use super::Seat;
use super::outbox::{Carried, Recent};
use crate::store::{SEAT_LOG, StoreError, log};
use crate::writer::group::{Item, Task};

/// What goes to the seat's log with a transaction.
#[derive(Debug, Clone, Copy)]
pub(in crate::writer) enum Copying<'a> {
    /// Nothing: this node has no part in the seat.
    Nothing,
    /// The records that the transaction makes: this node holds the seat.
    Made,
    /// The same, and they must be these: this node mirrors the holder.
    Twin(&'a [Vec<u8>]),
    /// These, whatever the transaction makes: this node is being seeded, and may have more than they say.
    Given(&'a [Vec<u8>]),
}

impl Copying<'_> {
    /// Whether the transaction makes other records than it must.
    pub(in crate::writer) fn differs(&self, made: &[Vec<u8>]) -> bool {
        match self {
            Self::Twin(expected) => *expected != made,
            Self::Nothing | Self::Made | Self::Given(_) => false,
        }
    }

    /// Appends what is to be copied to the seat's log.
    pub(in crate::writer) async fn append(
        self,
        connection: &mut SqliteConnection,
        edge: &mut Option<Edge>,
        made: &[Vec<u8>],
        last_entry: EntryRow,
    ) -> Result<(), StoreError> {
        let records = match self {
            Self::Nothing => return Ok(()),
            Self::Made => made,
            Self::Twin(records) | Self::Given(records) => records,
        };
        let edge = edge.get_or_insert_default();
        for record in records {
            log::append_record(connection, SEAT_LOG, edge, record.clone(), last_entry).await?;
        }
        Ok(())
    }
}

impl Seat {
    /// What the next transaction of this node's own does to the seat's log.
    pub(in crate::writer) fn copying(&self) -> Copying<'static> {
        if self.is_holder() { Copying::Made } else { Copying::Nothing }
    }

    /// Lets mirrors fetch the records of a transaction that is durable.
    pub(in crate::writer) fn tell(&self, made: &[Vec<u8>], items: &[Item]) {
        if self.is_holder() {
            self.keep(made, items);
        }
    }

    /// Keeps records for mirrors. A mirror does so too: it may hold the seat next, and others are behind it then.
    pub(in crate::writer) fn keep(&self, made: &[Vec<u8>], items: &[Item]) {
        self.with_outbox(|outbox| {
            for (index, record) in made.iter().enumerate() {
                // The first is the one that names the commits.
                let commits = if index == 0 { items.iter().map(carried).collect() } else { Vec::new() };
                outbox.record(Recent { record: record.as_slice().into(), commits, is_effect: index > 0 });
            }
        });
    }
}

fn carried(item: &Item) -> Carried {
    let header = item.commit.header();
    let name = match &item.task {
        Task::Staged(name) | Task::Foreign(_, name) => name.clone(),
        Task::Own(_) => None,
    };
    // Only what left staging here was staged at other mirrors. What a session brought back to its holder they have applied: it
    // goes with the record that names it again.
    let place = match &item.task {
        Task::Staged(_) => (header.term, header.seq),
        Task::Foreign(..) | Task::Own(_) => (0, header.seq),
    };
    let bytes = item.commit.commit().encode().into();
    Carried { id: item.commit.id(), place, bytes, name }
}
