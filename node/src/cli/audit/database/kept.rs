//! What a node keeps beside state and log: chains, quarantine, evidence, what it cosigned, invitations and answers.

use futures::TryStreamExt;
use lattice::codec;
use lattice::commit::{Header, OpSlot, SignedHeader};
use lattice::equivocation::Equivocation;
use lattice::frontier::Chain;
use lattice::ids::{AuthorId, CommitId, StateRoot};
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use lattice::op::Op;
use lattice::record::{Event, Record};
use node_core::logs::log_of;
use sha2::Digest;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::Subject;
use super::commits::op_hashes;
use super::flaws::{Broken, Flaws};
use super::log::lines;
use super::rows::{array, column, expect, number};
use crate::store::OWN_LOG;
use crate::writer::job::NOT_APPLIED;

/// Tables that are looked at.
const TABLES: [&str; 20] = [
    "_sqlx_migrations",
    "answers",
    "authors",
    "ballot",
    "chains",
    "checkpoints",
    "commits",
    "deposed",
    "entries",
    "equivocations",
    "forks",
    "invitations",
    "logs",
    "quarantine",
    "records",
    "sqlite_sequence",
    "staged",
    "state",
    "tiles",
    "witnessed",
];

/// Bytes of a kept answer.
const ANSWER_BYTES_MAX: usize = 256;

/// Tables of a version that is not known here.
pub(super) async fn strange_tables(connection: &mut SqliteConnection) -> Result<Vec<String>, Broken> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let names: Vec<String> =
        sqlx::query_scalar(sql).fetch_all(connection).await.map_err(Broken::of("sqlite_master"))?;
    Ok(names.into_iter().filter(|name| !TABLES.contains(&name.as_str())).collect())
}

/// All of them.
pub(super) async fn all(connection: &mut SqliteConnection, subject: &Subject, flaws: &mut Flaws) -> Result<(), Broken> {
    each(connection, "chains", "SELECT author, term, chain FROM chains", flaws, |row| chain(row, subject)).await?;
    chains_missing(connection, flaws).await?;
    let sql = "SELECT id, key, value, op_index, header, signature, op_hashes FROM quarantine";
    each(connection, "quarantine", sql, flaws, |row| quarantined(row, subject)).await?;
    let sql = "SELECT author, evidence FROM equivocations";
    each(connection, "equivocations", sql, flaws, |row| equivocation(row, subject)).await?;
    let sql = "SELECT origin, size, root, note FROM witnessed";
    each(connection, "witnessed", sql, flaws, |row| witnessed(row, subject)).await?;
    each(connection, "forks", "SELECT origin, evidence FROM forks", flaws, |row| fork(row, subject)).await?;
    let sql = "SELECT secret_hash, redeemed_by FROM invitations";
    each(connection, "invitations", sql, flaws, |row| invitation(row, subject)).await?;
    answers(connection, flaws).await
}

/// Evidence against others that is kept here, in words: no flaw of these files, and what an auditor wants to know.
pub(super) async fn evidence(connection: &mut SqliteConnection) -> Result<Vec<String>, Broken> {
    let forks: Vec<Vec<u8>> = sqlx::query_scalar("SELECT evidence FROM forks ORDER BY origin")
        .fetch_all(&mut *connection)
        .await
        .map_err(Broken::of("forks"))?;
    let forked = forks.iter().filter_map(|bytes| ForkEvidence::parse(bytes).ok()).map(|evidence| {
        let sizes = (evidence.first().checkpoint().size(), evidence.second().checkpoint().size());
        format!("log {} signed two histories, over {} and {} records", evidence.origin(), sizes.0, sizes.1)
    });
    let pairs: Vec<Vec<u8>> = sqlx::query_scalar("SELECT evidence FROM equivocations ORDER BY author")
        .fetch_all(connection)
        .await
        .map_err(Broken::of("equivocations"))?;
    let equivocated = pairs.iter().filter_map(|bytes| Equivocation::decode(bytes).ok()).map(|pair| {
        let header = pair.first.header();
        let (author, seq, term) = (header.author, header.seq, header.term);
        format!("author {author} signed two commits of number {seq} in term {term}")
    });
    Ok(forked.chain(equivocated).collect())
}

/// Authors and terms of which commits are stored, and no chain.
async fn chains_missing(connection: &mut SqliteConnection, flaws: &mut Flaws) -> Result<(), Broken> {
    let sql = "SELECT DISTINCT a.author, c.term FROM commits c JOIN authors a ON a.id = c.author \
         WHERE NOT EXISTS (SELECT 1 FROM chains k WHERE k.author = a.author AND k.term = c.term)";
    for row in sqlx::query(sql).fetch_all(connection).await.map_err(Broken::of("chains"))? {
        let term = row.try_get::<i64, _>(1).unwrap_or_default();
        flaws.note("chains", name(&row), format!("the row of term {term} is missing, and commits of it are stored"));
    }
    Ok(())
}

/// Checks each row of a table; it is named by its first column.
pub(super) async fn each(
    connection: &mut SqliteConnection,
    table: &'static str,
    sql: &'static str,
    flaws: &mut Flaws,
    check: impl Fn(&SqliteRow) -> Result<(), String>,
) -> Result<(), Broken> {
    let mut rows = sqlx::query(sql).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(Broken::of(table))? {
        flaws.check(table, name(&row), check(&row));
    }
    Ok(())
}

/// The first column, whatever it is.
fn name(row: &SqliteRow) -> String {
    let number = row.try_get::<i64, _>(0).map(|number| number.to_string());
    let text = || row.try_get::<String, _>(0);
    let bytes = || row.try_get::<Vec<u8>, _>(0).map(|bytes| data_encoding::HEXLOWER.encode(&bytes));
    number.or_else(|_| text()).or_else(|_| bytes()).unwrap_or_default()
}

/// Columns author, term, chain.
fn chain(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    let (author, term) = (AuthorId(array(row, 0)?), number(row, 1)?);
    let chain = Chain::decode(column(row, 2)?).map_err(|error| error.to_string())?;
    expect(chain.tip.is_some() || !chain.beyond.is_empty(), "column chain names no commit")?;
    for end in chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last)) {
        let header = end.header();
        let place = (header.lattice, header.author, header.term);
        expect(place == (subject.lattice, author, term), "column chain is of another lattice, author or term")?;
        expect(end.is_signed(), "a header in column chain is not what its author signed")?;
    }
    expect(subject.membership.member(&author).is_some(), "column author is no member")
}

/// Columns id, key, value, op index, header, signature, op hashes.
fn quarantined(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    let signed = SignedHeader::decode(column(row, 4)?, array(row, 5)?);
    let signed = signed.map_err(|error| format!("column header does not decode: {error}"))?;
    expect(signed.header().lattice == subject.lattice, "column header is of another lattice")?;
    expect(signed.is_signed(), "column header or signature are not the author's")?;
    let hashes = op_hashes(&signed, column(row, 6)?)?;
    let key: &str = column(row, 1)?;
    let op = match column::<Option<&[u8]>>(row, 2)? {
        Some(value) => Op::put(key, value),
        None => Op::delete(key),
    };
    let op = OpSlot::Live(op.map_err(|error| error.to_string())?);
    let hash = usize::try_from(number(row, 3)?).ok().and_then(|at| hashes.get(at));
    expect(hash == Some(&op.hash()), "key, value or place are not what the author signed")
}

/// Columns author, evidence.
fn equivocation(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    let pair = Equivocation::decode(column(row, 1)?).map_err(|error| error.to_string())?;
    let header = pair.first.header();
    expect(header.author.0 == array(row, 0)?, "column author is not the author of the evidence")?;
    expect(header.lattice == subject.lattice, "the evidence is of another lattice")?;
    expect(pair.is_proven(), "the evidence proves nothing: a signature does not hold")
}

/// Columns origin, size, root, note.
fn witnessed(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    let signed = SignedCheckpoint::parse(column(row, 3)?).map_err(|error| error.to_string())?;
    let head = signed.checkpoint();
    expect(column::<&str>(row, 0)? == head.origin(), "column origin is not that of the checkpoint")?;
    expect(number(row, 1)? == head.size(), "column size is not that of the checkpoint")?;
    expect(array(row, 2)? == *head.root(), "column root is not that of the checkpoint")?;
    let known = log_of(&subject.membership, &subject.lattice, head.origin());
    let (_, key) = known.ok_or("it is of a log of nobody here")?;
    signed.verify(&key).map_err(|error| error.to_string())?;
    lines(&signed, &key, subject)
}

/// Columns origin, evidence.
fn fork(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    let evidence = ForkEvidence::parse(column(row, 1)?).map_err(|error| error.to_string())?;
    expect(column::<&str>(row, 0)? == evidence.origin(), "column origin is not that of the evidence")?;
    let known = log_of(&subject.membership, &subject.lattice, evidence.origin());
    let (_, key) = known.ok_or("it is about a log of nobody here")?;
    evidence.verify(&key).map_err(|error| error.to_string())
}

/// Columns secret hash, redeemed by.
fn invitation(row: &SqliteRow, subject: &Subject) -> Result<(), String> {
    array::<32>(row, 0)?;
    let Some(author) = column::<Option<&[u8]>>(row, 1)? else { return Ok(()) };
    let member = AuthorId::from_slice(author).and_then(|author| subject.membership.member(&author));
    expect(member.is_some(), "column redeemed_by is no member")
}

/// Answers against the records that they tell of.
async fn answers(connection: &mut SqliteConnection, flaws: &mut Flaws) -> Result<(), Broken> {
    let rows =
        sqlx::query("SELECT id, request_hash, answer, of_seat, seq FROM answers").fetch_all(&mut *connection).await;
    for row in rows.map_err(Broken::of("answers"))? {
        let holds = match answer(&row) {
            Ok(answer) if answer.log_position == NOT_APPLIED => came_along(&row, &answer),
            Ok(answer) => is_logged(connection, answer).await?,
            Err(what) => Err(what),
        };
        flaws.check("answers", name(&row), holds);
    }
    Ok(())
}

struct Answer {
    commit: CommitId,
    seq: u64,
    time_ms: u64,
    /// Records when it was given.
    log_position: u64,
    root: StateRoot,
    entries: u64,
}

/// Columns id, request hash, answer.
fn answer(row: &SqliteRow) -> Result<Answer, String> {
    array::<32>(row, 1)?;
    type Wire = (CommitId, u64, u64, u64, StateRoot, u64);
    let wire: Wire = codec::decode(column(row, 2)?, ANSWER_BYTES_MAX).map_err(|error| error.to_string())?;
    Ok(Answer { commit: wire.0, seq: wire.1, time_ms: wire.2, log_position: wire.3, root: wire.4, entries: wire.5 })
}

/// A mirror of the seat that was seeded got its holder's answers with the state: its own log tells of none of them. Columns of
/// the seat, number.
fn came_along(row: &SqliteRow, answer: &Answer) -> Result<(), String> {
    let is_bare = (answer.root, answer.entries) == (StateRoot::ZERO, 0);
    expect(is_bare && column(row, 3)?, "column answer tells of no place in the log, and did not come with a seed")?;
    expect(column::<i64>(row, 4)? == answer.seq as i64, "column seq is not the number in the answer")
}

/// The last records of the transaction: the commits that it applied, and perhaps what they changed in the membership.
async fn is_logged(connection: &mut SqliteConnection, answer: Answer) -> Result<Result<(), String>, Broken> {
    let sql = "SELECT record, position FROM records WHERE log = ? AND position < ? AND position >= ? \
         ORDER BY position DESC";
    let end = i64::try_from(answer.log_position).unwrap_or(i64::MAX);
    let query = sqlx::query(sql).bind(OWN_LOG.0).bind(end).bind(end.saturating_sub(2));
    let stored = query.fetch_all(&mut *connection).await.map_err(Broken::of("records"))?;
    let record = |row: &SqliteRow| Some((Record::decode(row.try_get(0).ok()?).ok()?, row.try_get(1).ok()?));
    let records: Vec<(Record, i64)> = stored.iter().filter_map(record).collect();
    let names =
        |record: &Record| matches!(&record.event, Event::Applied { commits } if commits.contains(&answer.commit));
    let applied = records.iter().find(|(record, _)| names(record));
    let is_told = records.first().is_some_and(|(last, _)| (last.after, last.entries) == (answer.root, answer.entries));
    let Some((_, position)) = applied.filter(|_| is_told) else {
        return Ok(Err("column answer tells of a commit, place or state that the log does not tell of".to_owned()));
    };
    // A commit of which nothing stands any more has left its number and time to the answer alone.
    let header = header_at(connection, answer.commit, *position).await?;
    let is_same = header.is_none_or(|header| (header.seq, header.time.millis()) == (answer.seq, answer.time_ms));
    Ok(expect(is_same, "column answer has another number or time than the commit that it tells of"))
}

/// The header of a commit that the record at a position wrote entries of, if one of them still stands.
async fn header_at(connection: &mut SqliteConnection, id: CommitId, position: i64) -> Result<Option<Header>, Broken> {
    let sql = "SELECT DISTINCT c.header FROM entries e JOIN commits c ON c.id = e.commit_id \
         WHERE e.id > COALESCE((SELECT last_entry FROM records WHERE log = ?1 AND position = ?2 - 1), 0) \
         AND e.id <= (SELECT last_entry FROM records WHERE log = ?1 AND position = ?2)";
    let headers: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(OWN_LOG.0)
        .bind(position)
        .fetch_all(connection)
        .await
        .map_err(Broken::of("commits"))?;
    let stored = headers.iter().find(|header| sha2::Sha256::digest(header).as_slice() == id.as_bytes());
    Ok(stored.and_then(|header| Header::decode(header).ok()))
}
