//! The state: all entries with their commits, and what the row of table state says that they amount to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::TryStreamExt;
use indicatif::ProgressBar;
use lattice::ids::{AuthorId, StateRoot};
use lattice::membership::{Change, MEMBER_PREFIX, Membership};
use lattice::seat::SEAT_PREFIX;
use lattice::tree::{Leaf, StateTree, empty_root};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::task::JoinHandle;

use super::Subject;
use super::commits::{COMMITS, CommitRow, EntryRow, Gathered, Judge, Judged};
use super::flaws::{Broken, Flaws};
use super::log::Logged;
use super::packed::Rows;
use super::rows::{array, column, expect, number};
use crate::terminal::entries_bar;

/// Commits judged together on one thread.
const BATCH_COMMITS: usize = 512;

/// What the entries give.
#[derive(Debug)]
pub(super) struct Stood {
    /// Entries, tombstones included.
    pub(super) entries: u64,
    /// Commits of which one at least stands.
    pub(super) commits: u64,
    /// Their root.
    pub(super) root: StateRoot,
}

impl Default for Stood {
    fn default() -> Self {
        Self { entries: 0, commits: 0, root: empty_root() }
    }
}

/// Whose commits count, by the changes that are stored.
pub(super) async fn membership(
    connection: &mut SqliteConnection,
    subject: &Subject,
    flaws: &mut Flaws,
) -> Result<Membership, Broken> {
    let mut changes = Vec::new();
    let sql = "SELECT id, key, value FROM entries WHERE key >= ? AND key < ?";
    for prefix in [MEMBER_PREFIX, SEAT_PREFIX] {
        // The key after all that start so.
        let mut rows = sqlx::query(sql).bind(prefix).bind(prefix.replace('/', "0")).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(Broken::of("entries"))? {
            match column::<&[u8]>(&row, 2).and_then(|value| Change::decode(value).map_err(|error| error.to_string())) {
                Ok(change) => changes.push(change),
                Err(what) => flaws.note("entries", row.try_get::<i64, _>(0).unwrap_or_default(), what),
            }
        }
    }
    Ok(Membership::of(&subject.genesis, changes))
}

async fn authors(
    connection: &mut SqliteConnection,
    subject: &Subject,
    flaws: &mut Flaws,
) -> Result<BTreeMap<i64, AuthorId>, Broken> {
    let mut authors = BTreeMap::new();
    let rows = sqlx::query("SELECT id, author FROM authors").fetch_all(connection).await;
    for row in rows.map_err(Broken::of("authors"))? {
        let id: i64 = row.try_get(0).map_err(Broken::of("authors"))?;
        match array(&row, 1).map(AuthorId) {
            Ok(author) if subject.membership.member(&author).is_some() => drop(authors.insert(id, author)),
            Ok(author) => flaws.note("authors", id, format!("{author} is no member, so nothing of it was ever stored")),
            Err(what) => flaws.note("authors", id, what),
        }
    }
    Ok(authors)
}

/// The entries as they come, joined to a tree in the order of their commits.
struct Joining {
    subject: Arc<Shared>,
    judging: VecDeque<JoinHandle<Judged>>,
    leaves: Vec<Leaf<()>>,
    named: BTreeSet<(AuthorId, i64)>,
    bar: ProgressBar,
}

/// What the judging threads share.
struct Shared {
    subject: Subject,
    authors: BTreeMap<i64, AuthorId>,
}

/// Reads all commits and entries. Both are in the order of their numbers, so each is read once.
pub(super) async fn entries(
    connection: &mut SqliteConnection,
    options: &SqliteConnectOptions,
    subject: &Subject,
    flaws: &mut Flaws,
) -> Result<Stood, Broken> {
    let authors = authors(connection, subject, flaws).await?;
    let total = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM entries").fetch_one(&mut *connection).await;
    let total = total.map_err(Broken::of("entries"))?.unsigned_abs();
    let bar = entries_bar("reading entries");
    bar.set_length(total);
    let shared = Arc::new(Shared { subject: subject.copied(), authors });
    let mut joining =
        Joining { subject: shared, judging: VecDeque::new(), leaves: Vec::new(), named: BTreeSet::new(), bar };
    let mut commits = sqlx::query(COMMITS).fetch(connection);
    let mut rows = Entries { rows: Rows::of(options).await?, next: None };
    rows.advance(flaws).await?;
    let (mut batch, mut count, mut end) = (Vec::with_capacity(BATCH_COMMITS), 0, 0);
    while let Some(row) = commits.try_next().await.map_err(Broken::of("commits"))? {
        let commit = match CommitRow::of(&row) {
            Ok(commit) => commit,
            Err(what) => {
                flaws.note("commits", row.try_get::<i64, _>(0).unwrap_or_default(), what);
                continue;
            }
        };
        count += 1;
        let follows =
            expect(commit.first_entry >= end, "column first_entry or span reach into another commit's entries");
        flaws.check("commits", commit.id, follows);
        end = end.max(commit.end());
        let own = rows.take_within(&commit, flaws).await?;
        batch.push(Gathered { commit, entries: own });
        if batch.len() == BATCH_COMMITS {
            joining.judge(std::mem::take(&mut batch), flaws).await?;
        }
    }
    rows.take_rest(flaws).await?;
    joining.judge(batch, flaws).await?;
    let root = joining.finish(flaws).await?;
    Ok(Stood { entries: total, commits: count, root })
}

/// Entries in the order of their numbers.
struct Entries {
    rows: Rows<EntryRow>,
    next: Option<EntryRow>,
}

impl Entries {
    async fn advance(&mut self, flaws: &mut Flaws) -> Result<(), Broken> {
        self.next = None;
        while let Some(row) = self.rows.next().await? {
            match row {
                Ok(entry) => {
                    self.next = Some(entry);
                    return Ok(());
                }
                Err((id, what)) => flaws.note("entries", id, what),
            }
        }
        Ok(())
    }

    /// Those whose numbers are of this commit; others before it belong to none.
    async fn take_within(&mut self, commit: &CommitRow, flaws: &mut Flaws) -> Result<Vec<EntryRow>, Broken> {
        let mut own = Vec::new();
        while let Some(entry) = self.next.take_if(|entry| entry.id < commit.end()) {
            if entry.id < commit.first_entry {
                flaws.note("entries", entry.name(), "its number is not among those of any commit");
            } else {
                own.push(entry);
            }
            self.advance(flaws).await?;
        }
        Ok(own)
    }

    async fn take_rest(&mut self, flaws: &mut Flaws) -> Result<(), Broken> {
        while let Some(entry) = self.next.take() {
            flaws.note("entries", entry.name(), "its number is not among those of any commit");
            self.advance(flaws).await?;
        }
        Ok(())
    }
}

impl Joining {
    async fn judge(&mut self, batch: Vec<Gathered>, flaws: &mut Flaws) -> Result<(), Broken> {
        let shared = self.subject.clone();
        self.judging.push_back(tokio::task::spawn_blocking(move || {
            let judge = Judge { subject: &shared.subject, authors: &shared.authors };
            let mut judged = Judged::default();
            batch.iter().for_each(|gathered| judge.judge(gathered, &mut judged));
            judged
        }));
        let at_once = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        while self.judging.len() > at_once {
            self.join(flaws).await?;
        }
        Ok(())
    }

    async fn join(&mut self, flaws: &mut Flaws) -> Result<(), Broken> {
        let Some(oldest) = self.judging.pop_front() else { return Ok(()) };
        let stopped = |error: tokio::task::JoinError| Broken { table: "commits", why: error.to_string() };
        let Judged { flaws: found, leaves, named } = oldest.await.map_err(stopped)?;
        flaws.extend(found);
        self.named.extend(named);
        self.leaves.extend(leaves);
        self.bar.set_position(self.leaves.len() as u64);
        Ok(())
    }

    async fn finish(mut self, flaws: &mut Flaws) -> Result<StateRoot, Broken> {
        while !self.judging.is_empty() {
            self.join(flaws).await?;
        }
        self.bar.finish_and_clear();
        for (id, author) in &self.subject.authors {
            let mut numbers = self.named.range((*author, i64::MIN)..=(*author, i64::MAX)).map(|(_, number)| number);
            if !self.named.contains(&(*author, *id))
                && let Some(number) = numbers.next()
            {
                flaws.note("authors", id, format!("the author's commits name it by number {number}"));
            }
        }
        Ok(StateTree::from_iter(self.leaves).root())
    }
}

/// The row of table state against the entries, and both against the log.
pub(super) async fn stated(
    connection: &mut SqliteConnection,
    subject: &Subject,
    stood: &Stood,
    log: &Logged,
    flaws: &mut Flaws,
) -> Result<(), Broken> {
    let rows = sqlx::query("SELECT id, lattice, root, entries FROM state").fetch_all(connection).await;
    let rows = rows.map_err(Broken::of("state"))?;
    let [row] = rows.as_slice() else {
        flaws.note("state", "all", format!("it has {} rows instead of one", rows.len()));
        return Ok(());
    };
    let check = || {
        expect(column::<i64>(row, 0)? == 1, "column id is not 1")?;
        expect(array(row, 1)? == subject.lattice.0, "column lattice is not the lattice of genesis.cbor")?;
        let root = StateRoot(array(row, 2)?);
        expect(root == stood.root, &format!("column root is {root}, and the entries give {}", stood.root))?;
        let entries = number(row, 3)?;
        expect(entries == stood.entries, &format!("column entries is {entries}, and there are {}", stood.entries))
    };
    flaws.check("state", 1, check());
    if let Some((after, entries)) = log.last
        && (after, entries) != (stood.root, stood.entries)
    {
        let what = format!("the log ends at state {after} of {entries} entries, and the entries give {}", stood.root);
        flaws.note("records", log.records.saturating_sub(1), what);
    }
    Ok(())
}
