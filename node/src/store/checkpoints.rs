//! What was signed about logs, on disk: the own log's last checkpoint, those that were cosigned of others, and evidence
//! against logs that contradicted themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use sqlx::sqlite::SqliteConnection;

use super::{OWN_LOG, StoreError};

/// What is kept of others' logs, by origin.
pub type WitnessedLogs = BTreeMap<String, Arc<SignedCheckpoint>>;

/// The first evidence against a log of each member, by origin.
pub type Forks = BTreeMap<String, ForkEvidence>;

/// The last checkpoint that this node signed.
pub(crate) async fn stored_checkpoint(
    connection: &mut SqliteConnection,
) -> Result<Option<SignedCheckpoint>, StoreError> {
    let note: Option<Vec<u8>> = sqlx::query_scalar("SELECT note FROM checkpoints WHERE log = ?")
        .bind(OWN_LOG.0)
        .fetch_optional(connection)
        .await?;
    note.map(|note| SignedCheckpoint::parse(&note).map_err(StoreError::damaged)).transpose()
}

/// Keeps the last checkpoint instead of the one before.
pub(crate) async fn write_checkpoint(
    connection: &mut SqliteConnection,
    checkpoint: &SignedCheckpoint,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO checkpoints (log, size, note) VALUES (?, ?, ?)")
        .bind(OWN_LOG.0)
        .bind(checkpoint.checkpoint().size() as i64)
        .bind(checkpoint.to_string().into_bytes())
        .execute(connection)
        .await?;
    Ok(())
}

/// What was cosigned last of others' logs, by origin.
pub(crate) async fn witnessed(connection: &mut SqliteConnection) -> Result<WitnessedLogs, StoreError> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT origin, note FROM witnessed").fetch_all(connection).await?;
    let parsed = |(origin, note): (String, Vec<u8>)| {
        Ok((origin, Arc::new(SignedCheckpoint::parse(&note).map_err(StoreError::damaged)?)))
    };
    rows.into_iter().map(parsed).collect()
}

/// Keeps what is about to be cosigned of another's log.
pub(crate) async fn write_witnessed(
    connection: &mut SqliteConnection,
    checkpoint: &SignedCheckpoint,
) -> Result<(), StoreError> {
    let head = checkpoint.checkpoint();
    sqlx::query("INSERT OR REPLACE INTO witnessed (origin, size, root, note) VALUES (?, ?, ?, ?)")
        .bind(head.origin().to_owned())
        .bind(head.size() as i64)
        .bind(head.root().to_vec())
        .bind(checkpoint.to_string().into_bytes())
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what was cosigned of a log that gave way to a later one of the same member.
pub(crate) async fn forget_witnessed(connection: &mut SqliteConnection, origin: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM witnessed WHERE origin = ?").bind(origin.to_owned()).execute(connection).await?;
    Ok(())
}

/// Evidence kept against logs, by origin.
pub(crate) async fn forks(connection: &mut SqliteConnection) -> Result<Forks, StoreError> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT origin, evidence FROM forks").fetch_all(connection).await?;
    let parsed = |(origin, evidence): (String, Vec<u8>)| {
        Ok((origin, ForkEvidence::parse(&evidence).map_err(StoreError::damaged)?))
    };
    rows.into_iter().map(parsed).collect()
}

/// Keeps the first evidence against a log.
pub(crate) async fn write_fork(
    connection: &mut SqliteConnection,
    evidence: &ForkEvidence,
    found_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO forks (origin, found_ms, evidence) VALUES (?, ?, ?)")
        .bind(evidence.origin().to_owned())
        .bind(found_ms as i64)
        .bind(evidence.to_string().into_bytes())
        .execute(connection)
        .await?;
    Ok(())
}
