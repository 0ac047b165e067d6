//! Commits of the seat that a takeover cut off here: shown, written again, forgotten.

use axum::Json;
use axum::extract::{Path, State};
use data_encoding::BASE64;
use lattice::commit::OpSlot;
use lattice::ids::CommitId;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::admin::{Admin, Admins};
use super::writing::{Level, SeatWrite};
use crate::api::problem::{Kind, Problem};
use crate::writer::job::{IdempotencyKey, Job};
use crate::writer::seat::{Condition, SeatJob};

/// A commit in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its id.
    pub commit: String,
    /// The term it was written in.
    pub term: u64,
    /// Its number there.
    pub seq: u64,
    /// When it was written, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it would have written: keys with their values, text or base64.
    pub operations: Vec<QuarantinedOp>,
}

/// An operation of a commit in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuarantinedOp {
    /// The key.
    pub key: String,
    /// The value in base64; none for a delete.
    pub value_base64: Option<String>,
}

pub(super) async fn list(State(admin): Admins) -> Result<Json<Vec<Quarantined>>, Problem> {
    let deposed = admin.seat.reader.deposed().await?;
    let shown = deposed.iter().map(|commit| {
        let header = commit.signed().header();
        let operations = commit.slots().iter().filter_map(|slot| match slot {
            OpSlot::Live(op) => Some(QuarantinedOp {
                key: op.key().to_string(),
                value_base64: op.value().map(|value| BASE64.encode(value)),
            }),
            OpSlot::Dead(_) => None,
        });
        Quarantined {
            commit: commit.id().to_string(),
            term: header.term,
            seq: header.seq,
            time_ms: header.time.millis(),
            operations: operations.collect(),
        }
    });
    Ok(Json(shown.collect()))
}

pub(super) async fn drop_one(State(admin): Admins, Path(commit): Path<String>) -> Result<Json<bool>, Problem> {
    let commit = commit_of(&commit)?;
    admin.forget(commit).await.map(Json)
}

/// Writes the operations of a quarantined commit again, as a new commit at whoever holds the seat now.
pub(super) async fn resubmit(State(admin): Admins, Path(commit): Path<String>) -> Result<Json<String>, Problem> {
    let id = commit_of(&commit)?;
    let Some(commit) = admin.seat.reader.deposed_one(id).await? else {
        return Err(Problem::new(Kind::NoSuchEntry, "no such commit is in quarantine"));
    };
    let live = commit.slots().iter().filter_map(|slot| match slot {
        OpSlot::Live(op) => Some(op.clone()),
        OpSlot::Dead(_) => None,
    });
    // Named after the commit: sent twice it is written once.
    let name = IdempotencyKey::new(&format!("resubmit-{id}"));
    let write = SeatWrite { ops: live.collect(), condition: Condition::Always, name, level: Level::default() };
    let written = admin.seat.write(write).await?;
    admin.forget(id).await?;
    Ok(Json(written.commit.to_string()))
}

fn commit_of(text: &str) -> Result<CommitId, Problem> {
    text.parse().map_err(|error: lattice::ids::BadHex| Problem::new(Kind::BadRequest, error.to_string()))
}

impl Admin {
    async fn forget(&self, commit: CommitId) -> Result<bool, Problem> {
        let (reply, done) = oneshot::channel();
        self.seat.writer.send(Job::Seat(SeatJob::Drop { commit, reply })).await;
        match done.await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Problem::new(Kind::Busy, "this node is stopping")),
        }
    }
}
