//! Carries out a plan: SQL statements of one transaction, many rows each.

use std::collections::BTreeMap;

use lattice::commit::OpSlot;
use lattice::equivocation::Equivocation;
use lattice::frontier::Chain;
use lattice::ids::{AuthorId, KeyHash, LeafHash, StateRoot};
use lattice::log::note::KeyName;
use lattice::op::Key;
use node_core::apply::{CommitRow, CommitWrite, EntryRow, EntryWrite, Plan, Standing};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::read::standing_of;
use super::rebuild::{HASHED, leaf_of};
use super::{LogNumber, OWN_LOG, ROWS_PER_STATEMENT, StoreError};
use crate::writer::seat::EntryTag;

/// `head VALUES row, row, …`: `row` is a constant of this file, never data.
fn multi_row(head: &str, row: &str, rows: usize) -> AssertSqlSafe<String> {
    let mut sql = String::with_capacity(head.len() + rows * (row.len() + 1));
    sql.push_str(head);
    for i in 0..rows {
        sql.push_str(if i == 0 { " " } else { "," });
        sql.push_str(row);
    }
    AssertSqlSafe(sql)
}

/// `head (?, ?, …)` with `count` places.
pub(super) fn with_places(head: &str, count: usize) -> String {
    let mut sql = multi_row(&format!("{head} ("), "?", count).0;
    sql.push(')');
    sql
}

/// Opens a transaction. Plain statements: after an error SQLite may have rolled back by itself, and a count of open
/// transactions kept elsewhere would be wrong from then on.
pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Makes the open transaction durable.
pub(crate) async fn commit(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

/// Undoes the open transaction, if SQLite has not done so by itself.
pub(crate) async fn roll_back(connection: &mut SqliteConnection) {
    if let Err(error) = sqlx::query("ROLLBACK").execute(connection).await {
        tracing::debug!(%error, "nothing left to roll back");
    }
}

/// Versions and commits of stored entries, for [`node_core::apply::plan`].
pub(crate) async fn standing(
    connection: &mut SqliteConnection,
    rows: &[EntryRow],
) -> Result<BTreeMap<EntryRow, Standing>, StoreError> {
    let mut standing = BTreeMap::new();
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let sql = with_places(
            "SELECT e.id, e.op_index, c.id, c.header FROM entries e JOIN commits c ON c.id = e.commit_id WHERE e.id IN",
            chunk.len(),
        );
        let query = chunk.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, row| query.bind(row.0));
        for row in query.fetch_all(&mut *connection).await? {
            standing.insert(EntryRow(row.get(0)), standing_of(&row)?);
        }
    }
    Ok(standing)
}

/// Which operation stands in a row, unless it deleted the key.
pub(crate) async fn standing_tag(
    connection: &mut SqliteConnection,
    row: EntryRow,
) -> Result<Option<EntryTag>, StoreError> {
    let has_value: Option<bool> = sqlx::query_scalar("SELECT value IS NOT NULL FROM entries WHERE id = ?")
        .bind(row.0)
        .fetch_optional(&mut *connection)
        .await?;
    let standing = standing(connection, &[row]).await?;
    let version = standing.get(&row).filter(|_| has_value == Some(true)).map(|standing| standing.version);
    Ok(version.map(|version| EntryTag { commit: version.commit, op_index: version.op_index }))
}

/// Writes commits and entries of a plan. `authors` gets the numbers of authors seen for the first time.
pub(crate) async fn write_plan(
    connection: &mut SqliteConnection,
    plan: &Plan<'_>,
    authors: &mut BTreeMap<AuthorId, i64>,
) -> Result<(), StoreError> {
    for write in &plan.commits {
        number_author(connection, write.commit.header().author, authors).await?;
    }
    for chunk in plan.commits.chunks(ROWS_PER_STATEMENT) {
        insert_commits(connection, chunk, authors).await?;
    }
    release_replaced(connection, &plan.entries).await?;
    for chunk in plan.entries.chunks(ROWS_PER_STATEMENT) {
        insert_entries(connection, chunk).await?;
    }
    Ok(())
}

async fn number_author(
    connection: &mut SqliteConnection,
    author: AuthorId,
    authors: &mut BTreeMap<AuthorId, i64>,
) -> Result<(), StoreError> {
    if authors.contains_key(&author) {
        return Ok(());
    }
    let id = authors.values().max().unwrap_or(&0) + 1;
    sqlx::query("INSERT INTO authors (id, author) VALUES (?, ?)")
        .bind(id)
        .bind(author.as_bytes().to_vec())
        .execute(connection)
        .await?;
    authors.insert(author, id);
    Ok(())
}

async fn insert_commits(
    connection: &mut SqliteConnection,
    writes: &[CommitWrite<'_>],
    authors: &BTreeMap<AuthorId, i64>,
) -> Result<(), StoreError> {
    let sql = multi_row(
        "INSERT INTO commits (id, author, term, seq, header, signature, op_hashes, live, first_entry, span) VALUES",
        "(?,?,?,?,?,?,?,?,?,?)",
        writes.len(),
    );
    let mut query = sqlx::query(sql);
    for write in writes {
        let (header, commit) = (write.commit.header(), write.commit.commit());
        query = query
            .bind(write.row.0)
            .bind(authors.get(&header.author).copied())
            .bind(header.term as i64)
            .bind(header.seq as i64)
            .bind(commit.signed().header_bytes().to_vec())
            .bind(commit.signed().signature().to_vec())
            .bind(op_hashes(commit.slots()))
            .bind(i64::from(write.live))
            .bind(write.first_entry.0)
            .bind(i64::from(write.live));
    }
    query.execute(connection).await?;
    Ok(())
}

/// The hashes of all operations; none for a commit of one, whose ops root is the hash.
fn op_hashes(slots: &[OpSlot]) -> Option<Vec<u8>> {
    (slots.len() > 1).then(|| slots.iter().flat_map(|slot| slot.hash().0).collect())
}

async fn insert_entries(connection: &mut SqliteConnection, writes: &[EntryWrite<'_>]) -> Result<(), StoreError> {
    let sql =
        multi_row("INSERT INTO entries (id, key, value, commit_id, op_index) VALUES", "(?,?,?,?,?)", writes.len());
    let mut query = sqlx::query(sql);
    for write in writes {
        query = query
            .bind(write.row.0)
            .bind(write.op.key().as_str().to_owned())
            .bind(write.op.value().map(<[u8]>::to_vec))
            .bind(write.commit.0)
            .bind(i64::from(write.op_index));
    }
    query.execute(connection).await?;
    Ok(())
}

/// Deletes the entries that lost, and the commits of which nothing is live any more.
async fn release_replaced(connection: &mut SqliteConnection, writes: &[EntryWrite<'_>]) -> Result<(), StoreError> {
    let replaced: Vec<_> = writes.iter().filter_map(|write| write.replaces).collect();
    let rows: Vec<_> = replaced.iter().map(|(row, _)| row.0).collect();
    execute_for_all(connection, "DELETE FROM entries WHERE id IN", &rows).await?;
    let mut lost: BTreeMap<CommitRow, i64> = BTreeMap::new();
    for (_, commit) in &replaced {
        *lost.entry(*commit).or_default() += 1;
    }
    let once: Vec<_> = lost.iter().filter(|(_, n)| **n == 1).map(|(commit, _)| commit.0).collect();
    execute_for_all(connection, "UPDATE commits SET live = live - 1 WHERE id IN", &once).await?;
    for (commit, count) in lost.iter().filter(|(_, n)| **n > 1) {
        sqlx::query("UPDATE commits SET live = live - ? WHERE id = ?")
            .bind(*count)
            .bind(commit.0)
            .execute(&mut *connection)
            .await?;
    }
    let touched: Vec<_> = lost.keys().map(|commit| commit.0).collect();
    execute_for_all(connection, "DELETE FROM commits WHERE live = 0 AND id IN", &touched).await
}

pub(super) async fn execute_for_all(
    connection: &mut SqliteConnection,
    head: &str,
    ids: &[i64],
) -> Result<(), StoreError> {
    for chunk in ids.chunks(ROWS_PER_STATEMENT) {
        let sql = AssertSqlSafe(with_places(head, chunk.len()));
        chunk.iter().fold(sqlx::query(sql), |query, id| query.bind(*id)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Key and leaf hash of a stored entry; `None` if it is missing, or no entry any more.
pub(crate) async fn stored_leaf(
    connection: &mut SqliteConnection,
    row: EntryRow,
) -> Result<Option<(KeyHash, LeafHash)>, StoreError> {
    let found = sqlx::query(AssertSqlSafe(format!("{HASHED} WHERE e.id = ?"))).bind(row.0);
    let found = found.fetch_optional(connection).await?;
    Ok(found.as_ref().and_then(|found| leaf_of(found).ok()).map(|leaf| (leaf.key, leaf.leaf)))
}

/// Deletes an entry, and its commit if nothing of that stands any more.
pub(crate) async fn drop_entry(connection: &mut SqliteConnection, row: EntryRow) -> Result<(), StoreError> {
    let commit: Option<i64> = sqlx::query_scalar("DELETE FROM entries WHERE id = ? RETURNING commit_id")
        .bind(row.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(commit) = commit else { return Ok(()) };
    sqlx::query("UPDATE commits SET live = live - 1 WHERE id = ?").bind(commit).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM commits WHERE id = ? AND live <= 0").bind(commit).execute(connection).await?;
    Ok(())
}

/// Deletes an entry that no transaction wrote. The commit that it names never counted it.
pub(crate) async fn drop_stray(connection: &mut SqliteConnection, key: &Key) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM entries WHERE key = ?").bind(key.as_str().to_owned()).execute(connection).await?;
    Ok(())
}

/// Whether there is an entry at this key.
pub(crate) async fn has_entry(connection: &mut SqliteConnection, key: &Key) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT 1 FROM entries WHERE key = ?").bind(key.as_str().to_owned());
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// Stores how far a chain is in.
pub(crate) async fn write_chain(
    connection: &mut SqliteConnection,
    author: &AuthorId,
    term: u64,
    chain: &Chain,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO chains (author, term, chain) VALUES (?, ?, ?)")
        .bind(author.as_bytes().to_vec())
        .bind(term as i64)
        .bind(chain.encode())
        .execute(connection)
        .await?;
    Ok(())
}

/// Names a log, before its first record.
pub(crate) async fn name_log(
    connection: &mut SqliteConnection,
    log: LogNumber,
    origin: &str,
    key: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO logs (id, origin, key) VALUES (?, ?, ?)")
        .bind(log.0)
        .bind(origin.to_owned())
        .bind(key.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// The name of the own log.
pub(crate) async fn log_name(connection: &mut SqliteConnection) -> Result<KeyName, StoreError> {
    let origin = sqlx::query_scalar("SELECT origin FROM logs WHERE id = ?").bind(OWN_LOG.0);
    let origin: Option<String> = origin.fetch_optional(connection).await?;
    let origin = origin.ok_or_else(|| StoreError::damaged("table logs has no row of the node's own log"))?;
    origin.parse().map_err(StoreError::damaged)
}

/// Records what the state amounts to now.
pub(crate) async fn write_state(
    connection: &mut SqliteConnection,
    root: StateRoot,
    entries: u64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE state SET root = ?, entries = ?")
        .bind(root.as_bytes().to_vec())
        .bind(entries as i64)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records in a log. Of the own log it tells whether a commit that reported an error took place.
pub(crate) async fn stored_log_size(connection: &mut SqliteConnection, log: LogNumber) -> Result<u64, StoreError> {
    let size: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(position) + 1, 0) FROM records WHERE log = ?")
        .bind(log.0)
        .fetch_one(connection)
        .await?;
    Ok(size as u64)
}

/// Whether a cut ever removed an entry at this key.
pub(crate) async fn is_quarantined(connection: &mut SqliteConnection, key: &str) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT 1 FROM quarantine WHERE key = ? LIMIT 1")
        .bind(key.to_owned())
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// Keeps one piece of evidence per author; the first stays. Returns whether it is new.
pub(crate) async fn keep_evidence(
    connection: &mut SqliteConnection,
    evidence: &Equivocation,
) -> Result<bool, StoreError> {
    let done = sqlx::query("INSERT OR IGNORE INTO equivocations (author, evidence) VALUES (?, ?)")
        .bind(evidence.first.header().author.as_bytes().to_vec())
        .bind(evidence.encode())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves everything that an author wrote in a term after `last_seq` into quarantine, but for commits that hold one of the `kept`
/// keys; gives the keys so emptied. Rows of one commit follow each other there, as its entries did.
pub(crate) async fn quarantine_beyond(
    connection: &mut SqliteConnection,
    (author, term): (i64, u64),
    last_seq: u64,
    kept: &[String],
) -> Result<Vec<String>, StoreError> {
    let kept_places = with_places("SELECT commit_id FROM entries WHERE key IN", kept.len());
    let beyond =
        format!("SELECT id FROM commits WHERE author = ? AND term = ? AND seq > ? AND id NOT IN ({kept_places})");
    let last_seq = i64::try_from(last_seq).unwrap_or(i64::MAX);
    let copy = AssertSqlSafe(format!(
        "INSERT INTO quarantine (key, value, op_index, header, signature, op_hashes) \
         SELECT e.key, e.value, e.op_index, c.header, c.signature, c.op_hashes \
         FROM entries e JOIN commits c ON c.id = e.commit_id WHERE c.id IN ({beyond}) ORDER BY e.id"
    ));
    let delete = AssertSqlSafe(format!("DELETE FROM entries WHERE commit_id IN ({beyond}) RETURNING key"));
    let forget = AssertSqlSafe(format!("DELETE FROM commits WHERE id IN ({beyond})"));
    let bound = |sql| {
        kept.iter().fold(sqlx::query(sql).bind(author).bind(term as i64).bind(last_seq), |query, key| query.bind(key))
    };
    bound(copy).execute(&mut *connection).await?;
    let keys = bound(delete).fetch_all(&mut *connection).await?;
    bound(forget).execute(connection).await?;
    Ok(keys.iter().map(|row| row.get(0)).collect())
}

/// Invitations kept, used or not; the oldest go first (a guess: no operator hands out more at a time).
const INVITATIONS_MAX: i64 = 4096;

/// Keeps the hash of an invitation's secret, and forgets the oldest beyond the bound.
pub(crate) async fn keep_invitation(
    connection: &mut SqliteConnection,
    secret_hash: [u8; 32],
    created_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO invitations (secret_hash, created_ms) VALUES (?, ?)")
        .bind(secret_hash.to_vec())
        .bind(created_ms as i64)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM invitations WHERE secret_hash IN \
         (SELECT secret_hash FROM invitations ORDER BY created_ms DESC LIMIT -1 OFFSET ?)",
    )
    .bind(INVITATIONS_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

/// Who redeemed an invitation: `None` if it does not exist, `Some(None)` if nobody has.
pub(crate) async fn invitation(
    connection: &mut SqliteConnection,
    secret_hash: [u8; 32],
) -> Result<Option<Option<AuthorId>>, StoreError> {
    let row = sqlx::query("SELECT redeemed_by FROM invitations WHERE secret_hash = ?")
        .bind(secret_hash.to_vec())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.get::<Option<Vec<u8>>, _>(0).and_then(|author| AuthorId::from_slice(&author))))
}

/// Marks an invitation as used by `author`.
pub(crate) async fn redeem_invitation(
    connection: &mut SqliteConnection,
    secret_hash: [u8; 32],
    author: AuthorId,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE invitations SET redeemed_by = ? WHERE secret_hash = ?")
        .bind(author.as_bytes().to_vec())
        .bind(secret_hash.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// Headers stored at a place of a chain.
pub(crate) async fn headers_at(
    connection: &mut SqliteConnection,
    author: i64,
    term: u64,
    seq: u64,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    let rows = sqlx::query("SELECT header, signature FROM commits WHERE author = ? AND term = ? AND seq = ? LIMIT 2")
        .bind(author)
        .bind(term as i64)
        .bind(seq as i64)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
