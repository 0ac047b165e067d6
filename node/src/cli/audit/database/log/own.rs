//! The node's own log: records hashed up to the checkpoint that it signed.

use lattice::ids::{CommitId, StateRoot};
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::edge::Edge;
use lattice::log::tile::Tile;
use lattice::merkle::Digest;
use lattice::record::{Event, Record};
use sha2::Digest as _;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::super::deep::RecordChain;
use super::super::flaws::{Broken, Flaws};
use super::super::rows::expect;
use super::RecordRow;
use super::name::Names;
use crate::store::OWN_LOG;

/// Records that there may be without a checkpoint: that with which a log begins is written before any is signed.
const RECORDS_UNSIGNED_MAX: u64 = 1;

/// A walk over the records.
pub(super) struct OwnLog {
    name: String,
    checkpoint: Option<SignedCheckpoint>,
    chain: RecordChain,
    edge: Edge,
    /// Root at the size that the checkpoint has.
    signed_root: Option<Digest>,
    last_entry: u64,
    last: Option<(StateRoot, u64)>,
    /// Names that the log had before.
    formerly: Vec<String>,
}

impl OwnLog {
    /// Before the first record.
    pub(super) fn of(name: &str, checkpoint: Option<SignedCheckpoint>) -> Self {
        Self {
            name: name.to_owned(),
            checkpoint,
            chain: RecordChain::of(name),
            edge: Edge::default(),
            signed_root: None,
            last_entry: 0,
            last: None,
            formerly: Vec::new(),
        }
    }

    /// Records so far.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Their hashes.
    pub(super) fn edge(&self) -> Edge {
        self.edge.clone()
    }

    /// State and entries after the last one.
    pub(super) const fn last(&self) -> Option<(StateRoot, u64)> {
        self.last
    }

    /// Takes the next record; gives the tiles that are full with it.
    pub(super) async fn take(
        &mut self,
        row: RecordRow,
        connection: &mut SqliteConnection,
        flaws: &mut Flaws,
    ) -> Result<Vec<Tile>, Broken> {
        let RecordRow { position, last_entry, record, leaf, .. } = row;
        let expected = self.edge.size();
        if position != expected {
            flaws.note("records", position, format!("record {expected} should stand here"));
            return Ok(Vec::new());
        }
        match record.and_then(|record| self.chain.link(&record).map(|()| record)) {
            Ok(record) => {
                self.last = Some((record.after, record.entries));
                let wrote = self.wrote(&record, last_entry, connection).await?;
                flaws.check("records", position, wrote);
                if let Event::Renamed { origin, .. } = record.event {
                    self.formerly.push(origin);
                }
            }
            Err(what) => flaws.note("records", position, what),
        }
        self.last_entry = self.last_entry.max(last_entry);
        let full = self.edge.append(leaf);
        if self.checkpoint.as_ref().is_some_and(|signed| signed.checkpoint().size() == self.edge.size()) {
            self.signed_root = Some(self.edge.root());
        }
        Ok(full)
    }

    /// Whether the entries that column last_entry says were written with it are of the commits that it names.
    async fn wrote(
        &self,
        record: &Record,
        last_entry: u64,
        connection: &mut SqliteConnection,
    ) -> Result<Result<(), String>, Broken> {
        let before = self.last_entry;
        if last_entry < before {
            return Ok(Err(format!("column last_entry is {last_entry}, and that of the record before was {before}")));
        }
        let Event::Applied { commits } = &record.event else {
            let otherwise = "column last_entry says that entries were written with it, and its event writes none";
            return Ok(expect(last_entry == before || self.edge.size() == 0, otherwise));
        };
        let sql = "SELECT DISTINCT c.header FROM entries e JOIN commits c ON c.id = e.commit_id \
             WHERE e.id > ? AND e.id <= ?";
        let of = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let rows = sqlx::query(sql).bind(of(before)).bind(of(last_entry)).fetch_all(connection).await;
        for row in rows.map_err(Broken::of("entries"))? {
            let header: &[u8] = row.try_get(0).map_err(Broken::of("commits"))?;
            let id = CommitId(sha2::Sha256::digest(header).into());
            if !commits.contains(&id) {
                let what =
                    format!("by column last_entry it wrote entries of commit {}, which it does not name", id.short());
                return Ok(Err(what));
            }
        }
        Ok(Ok(()))
    }

    /// Holds what was read against what the log signed.
    pub(super) fn finish(&self, names: &Names, has_rows: bool, flaws: &mut Flaws) {
        if !names.has_own && self.edge.size() > 0 {
            let what = format!("it is missing, and there are {} records of the node's own log", self.edge.size());
            flaws.note("logs", OWN_LOG.0, what);
        }
        match &self.checkpoint {
            Some(signed) => {
                let records = format!("0 to {}", signed.checkpoint().size().saturating_sub(1));
                flaws.check("records", records, self.is_signed_by(signed));
            }
            // A node that was killed in its first second has not signed the record with which its log begins.
            None if !has_rows && self.edge.size() > RECORDS_UNSIGNED_MAX => {
                let what = "it is missing: nothing says that these are the records that the log signed. Only a node that \
                     never reached another has none";
                flaws.note("checkpoints", OWN_LOG.0, what);
            }
            None => {}
        }
    }

    /// Whether the stored records are the ones that the log signed.
    fn is_signed_by(&self, signed: &SignedCheckpoint) -> Result<(), String> {
        let (head, name) = (signed.checkpoint(), &self.name);
        if head.origin() != name && !self.formerly.iter().any(|formerly| formerly == head.origin()) {
            return Err(format!("the log is called {name}, and its checkpoint is of {}", head.origin()));
        }
        match self.signed_root {
            Some(root) if root == *head.root() => Ok(()),
            Some(_) => Err("one at least is not what it was when the log signed it".to_owned()),
            None if head.size() == 0 => Ok(()),
            None => Err(format!("there are {}, and the log signed {}", self.edge.size(), head.size())),
        }
    }
}
