//! The node's log: records hashed up to the checkpoint that it signed, and the tiles that are derived from them.

use futures::TryStreamExt;
use lattice::ids::{CommitId, StateRoot};
use lattice::log::checkpoint::{SignedCheckpoint, origin};
use lattice::log::edge::Edge;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::log::policy::Policy;
use lattice::log::tile::{TILE_HASHES, Tile, TileId};
use lattice::merkle::{Digest, leaf_hash};
use lattice::record::{Event, Record};
use node_core::logs::cosigner_of;
use sha2::Digest as _;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::deep::RecordChain;
use super::Subject;
use super::flaws::{Broken, Flaws};
use super::rows::{array, column, expect, number};
use crate::store::OWN_LOG;
use crate::terminal::entries_bar;

/// What the log amounts to.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// Records.
    pub(super) records: u64,
    /// State and entries that the last one tells of.
    pub(super) last: Option<(StateRoot, u64)>,
}

/// Reads the whole log.
pub(super) async fn log(
    connection: &mut SqliteConnection,
    second: &mut SqliteConnection,
    subject: &Subject,
    policy: Option<&Policy>,
    flaws: &mut Flaws,
) -> Result<Logged, Broken> {
    let name = name(connection, subject, flaws).await?;
    let checkpoint = checkpoint(connection, subject, &name, policy, flaws).await?;
    let mut walk = Walk {
        chain: RecordChain::of(&name),
        edge: Edge::default(),
        last_entry: 0,
        logged: Logged::default(),
        formerly: Vec::new(),
    };
    let total = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM records").fetch_one(&mut *connection).await;
    let bar = entries_bar("reading records");
    bar.set_length(total.map_err(Broken::of("records"))?.unsigned_abs());
    let mut rows =
        sqlx::query("SELECT log, position, record, last_entry FROM records ORDER BY log, position").fetch(connection);
    let mut signed_root = None;
    while let Some(row) = rows.try_next().await.map_err(Broken::of("records"))? {
        let position: i64 = row.try_get(1).map_err(Broken::of("records"))?;
        let full = walk.take(&row, second, flaws).await?;
        for tile in &full {
            compare(second, tile, flaws).await?;
        }
        if checkpoint.as_ref().is_some_and(|signed| signed.checkpoint().size() == walk.edge.size()) {
            signed_root = Some(walk.edge.root());
        }
        if position % 1024 == 0 {
            bar.set_position(walk.edge.size());
        }
    }
    drop(rows);
    bar.finish_and_clear();
    if let Some(signed) = &checkpoint {
        let what = signed_by(signed, &name, &walk, signed_root.as_ref());
        flaws.check("records", format_args!("0 to {}", signed.checkpoint().size().saturating_sub(1)), what);
    }
    for tile in walk.edge.partial_tiles().iter().filter(|tile| tile.id().level() > 0) {
        // One is stored once the level below has given it a hash.
        compare(second, tile, flaws).await?;
    }
    spare_tiles(second, walk.edge.size(), flaws).await?;
    walk.logged.records = walk.edge.size();
    Ok(walk.logged)
}

/// The name of the own log.
async fn name(connection: &mut SqliteConnection, subject: &Subject, flaws: &mut Flaws) -> Result<String, Broken> {
    let first = origin(&subject.lattice, &subject.author, 1).to_string();
    let mut found = None;
    let rows = sqlx::query("SELECT id, origin, key FROM logs").fetch_all(connection).await;
    for row in rows.map_err(Broken::of("logs"))? {
        let id: i64 = row.try_get(0).map_err(Broken::of("logs"))?;
        let check = || -> Result<String, String> {
            expect(id == OWN_LOG, "the node's own log, number 1, is the only one")?;
            expect(array(&row, 2)? == subject.log_key.0, "column key is not the key that node.key gives")?;
            let name: String = column(&row, 1)?;
            let opening = name.strip_prefix(first.as_str()).map(|rest| rest.strip_prefix('/').unwrap_or(rest));
            let is_own = opening.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
            expect(is_own, "column origin is not a name of this node's log")?;
            Ok(name)
        };
        match check() {
            Ok(name) => found = Some(name),
            Err(what) => flaws.note("logs", id, what),
        }
    }
    Ok(found.unwrap_or(first))
}

/// The stored checkpoint, if the log signed it.
async fn checkpoint(
    connection: &mut SqliteConnection,
    subject: &Subject,
    name: &str,
    policy: Option<&Policy>,
    flaws: &mut Flaws,
) -> Result<Option<SignedCheckpoint>, Broken> {
    let mut found = None;
    let rows = sqlx::query("SELECT log, size, note FROM checkpoints").fetch_all(connection).await;
    for row in rows.map_err(Broken::of("checkpoints"))? {
        let log: i64 = row.try_get(0).map_err(Broken::of("checkpoints"))?;
        let check = || -> Result<(SignedCheckpoint, VerifierKey), String> {
            expect(log == OWN_LOG, "it is of a log that is not there")?;
            let signed = SignedCheckpoint::parse(column(&row, 2)?).map_err(|error| error.to_string())?;
            expect(number(&row, 1)? == signed.checkpoint().size(), "column size is not that of the checkpoint")?;
            let key = key(signed.checkpoint().origin(), subject)?;
            signed.verify(&key).map_err(|error| error.to_string())?;
            lines(&signed, &key, subject)?;
            Ok((signed, key))
        };
        match check() {
            Ok((signed, key)) => {
                let is_of_policy = |policy: &Policy| policy.logs().iter().any(|log| log.key == key);
                if signed.checkpoint().origin() == name && policy.is_some_and(|policy| !is_of_policy(policy)) {
                    flaws.note("checkpoints", log, format!("the policy does not name the log's key, {key}"));
                }
                found = Some(signed);
            }
            Err(what) => flaws.note("checkpoints", log, what),
        }
    }
    Ok(found)
}

fn key(name: &str, subject: &Subject) -> Result<VerifierKey, String> {
    let name = name.parse().map_err(|error: lattice::log::note::BadKeyName| error.to_string())?;
    VerifierKey::new(name, KeyKind::Log, subject.log_key.0).map_err(|error| error.to_string())
}

/// Whether all signature lines of a checkpoint are by its log and by members, and hold.
pub(super) fn lines(signed: &SignedCheckpoint, log: &VerifierKey, subject: &Subject) -> Result<(), String> {
    let witnesses: Vec<_> =
        subject.membership.members().filter_map(|member| cosigner_of(member, &subject.lattice)).collect();
    for line in signed.note().signatures().iter().filter(|line| !line.is_by(log)) {
        let witness = witnesses.iter().find(|witness| line.is_by(witness));
        let witness = witness.ok_or_else(|| format!("a signature is by {}, whom nobody knows", line.name()))?;
        signed.cosigned_by(witness).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Whether the stored records are the ones that the log signed.
fn signed_by(signed: &SignedCheckpoint, name: &str, walk: &Walk, root: Option<&Digest>) -> Result<(), String> {
    let head = signed.checkpoint();
    if head.origin() != name && !walk.formerly.iter().any(|formerly| formerly == head.origin()) {
        return Err(format!("the log is called {name}, and its checkpoint is of {}", head.origin()));
    }
    match root {
        Some(root) if root == head.root() => Ok(()),
        Some(_) => Err("one at least is not what it was when the log signed it".to_owned()),
        None if head.size() == 0 => Ok(()),
        None => Err(format!("there are {}, and the log signed {}", walk.edge.size(), head.size())),
    }
}

/// A walk over the records.
struct Walk {
    chain: RecordChain,
    edge: Edge,
    last_entry: u64,
    logged: Logged,
    /// Names that the log had before.
    formerly: Vec<String>,
}

impl Walk {
    /// Takes the next record; gives the tiles that are full with it.
    async fn take(
        &mut self,
        row: &SqliteRow,
        second: &mut SqliteConnection,
        flaws: &mut Flaws,
    ) -> Result<Vec<Tile>, Broken> {
        let position: i64 = row.try_get(1).map_err(Broken::of("records"))?;
        let expected = self.edge.size();
        let read = || -> Result<(&[u8], u64), String> {
            expect(column::<i64>(row, 0)? == OWN_LOG, "it is of a log that is not there")?;
            expect(number(row, 1)? == expected, &format!("record {expected} should stand here"))?;
            Ok((column::<&[u8]>(row, 2)?, number(row, 3)?))
        };
        let (bytes, last_entry) = match read() {
            Ok(read) => read,
            Err(what) => {
                flaws.note("records", position, what);
                return Ok(Vec::new());
            }
        };
        match self.chain.follow(bytes) {
            Ok(record) => {
                self.logged.last = Some((record.after, record.entries));
                let wrote = self.wrote(&record, last_entry, second).await?;
                flaws.check("records", position, wrote);
                if let Event::Renamed { origin, .. } = record.event {
                    self.formerly.push(origin);
                }
            }
            Err(what) => flaws.note("records", position, what),
        }
        self.last_entry = self.last_entry.max(last_entry);
        Ok(self.edge.append(leaf_hash(bytes)))
    }

    /// Whether the entries that column last_entry says were written with it are of the commits that it names.
    async fn wrote(
        &self,
        record: &Record,
        last_entry: u64,
        second: &mut SqliteConnection,
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
        let rows = sqlx::query(sql).bind(of(before)).bind(of(last_entry)).fetch_all(second).await;
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
}

/// Holds a stored tile against the one that the records give.
async fn compare(connection: &mut SqliteConnection, tile: &Tile, flaws: &mut Flaws) -> Result<(), Broken> {
    let sql = "SELECT hashes FROM tiles WHERE log = ? AND level = ? AND tile = ?";
    let query = sqlx::query(sql).bind(OWN_LOG).bind(i64::from(tile.id().level())).bind(tile.id().index() as i64);
    let row = query.fetch_optional(connection).await.map_err(Broken::of("tiles"))?;
    let holds = match &row {
        None => Err("it is missing".to_owned()),
        Some(row) => column::<&[u8]>(row, 0)
            .and_then(|hashes| expect(hashes == tile.encode(), "column hashes is not what the records give")),
    };
    flaws.check("tiles", tile.id(), holds);
    Ok(())
}

/// Rows that stand for no tile of a log of this size.
async fn spare_tiles(connection: &mut SqliteConnection, size: u64, flaws: &mut Flaws) -> Result<(), Broken> {
    let mut rows = sqlx::query("SELECT log, level, tile FROM tiles").fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(Broken::of("tiles"))? {
        let check = || {
            expect(column::<i64>(&row, 0)? == OWN_LOG, "it is of a log that is not there")?;
            let (level, index) = (number(&row, 1)?, number(&row, 2)?);
            let id = u8::try_from(level).ok().and_then(|level| TileId::at_size(level, index, size));
            // Of the leaves only full tiles are stored.
            let is_stored = id.is_some_and(|id| id.level() > 0 || usize::from(id.width()) == TILE_HASHES);
            expect(is_stored, "the log has no such tile")
        };
        let name = |at| row.try_get::<i64, _>(at).unwrap_or_default();
        flaws.check("tiles", format_args!("{}/{}", name(1), name(2)), check());
    }
    Ok(())
}
