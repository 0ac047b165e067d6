//! Requests on their way: a few at once, never two that write one key, which could land in either order.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use reqwest::{Method, header};
use tokio::task::JoinSet;

use super::batches::Batch;
use crate::api::commits::Changed;
use crate::cli::client::{Client, ClientError};
use crate::cli::exit::Failure;

/// Requests at once: while one is in the node's transaction the others are read, sent and answered.
const IN_FLIGHT_MAX: usize = 4;

/// Times that a batch is sent again because the node was too busy to take it; with the pauses that the node
/// asks for, about a minute.
const BUSY_TRIES_MAX: u32 = 60;

/// Pause before a batch is sent again if the node names none.
const BUSY_PAUSE_SECONDS: u64 = 1;

/// Longest pause that is kept: a node that needs longer is not busy but broken, and the person should hear of
/// it.
const BUSY_PAUSE_SECONDS_MAX: u64 = 5;

/// A batch that is durable.
pub(super) struct Landed {
    /// The batch.
    pub(super) batch: Batch,
    /// What it changed.
    pub(super) changed: Changed,
}

/// Batches being written.
pub(super) struct Flight {
    client: Client,
    tasks: JoinSet<Result<Landed, ClientError>>,
    keys: BTreeSet<String>,
    /// A batch that waits because one on its way writes one of its keys; at most one.
    held: VecDeque<Batch>,
}

impl Flight {
    pub(super) fn new(client: Client) -> Self {
        Self { client, tasks: JoinSet::new(), keys: BTreeSet::new(), held: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.held.is_empty()
    }

    /// Whether another batch may be started.
    pub(super) fn has_room(&self) -> bool {
        self.held.is_empty() && self.tasks.len() < IN_FLIGHT_MAX
    }

    /// Sends a batch, now or as soon as no batch before it writes one of its keys.
    pub(super) fn start(&mut self, batch: Batch) {
        if batch.keys.iter().any(|key| self.keys.contains(key)) {
            self.held.push_back(batch);
            return;
        }
        self.keys.extend(batch.keys.iter().cloned());
        self.tasks.spawn(write(self.client.clone(), batch));
    }

    /// Waits for the next batch to be durable; `None` if none is on its way. After a failure nothing more is
    /// sent.
    pub(super) async fn landed(&mut self) -> Option<Result<Landed, Failure>> {
        let landed = match self.tasks.join_next().await? {
            Ok(landed) => landed,
            Err(panicked) => return Some(Err(Failure::CouldNotTell(panicked.to_string()))),
        };
        match landed {
            Ok(landed) => {
                for key in &landed.batch.keys {
                    self.keys.remove(key);
                }
                if let Some(held) = self.held.pop_front() {
                    self.start(held);
                }
                Some(Ok(landed))
            }
            Err(error) => {
                self.held.clear();
                Some(Err(error.into()))
            }
        }
    }
}

/// Writes one batch, again and again while the node is only too busy: what is in already is not written twice.
async fn write(client: Client, batch: Batch) -> Result<Landed, ClientError> {
    let mut tries = 0;
    loop {
        let request = client
            .write(Method::POST, "/api/v1/commits", None)
            .header(header::CONTENT_TYPE, "application/json")
            .body(batch.body.clone());
        match client.ask::<Changed>(request).await {
            Ok(changed) => return Ok(Landed { batch, changed }),
            Err(ClientError::Refused { status: 503, retry_after_seconds, .. }) if tries < BUSY_TRIES_MAX => {
                tries += 1;
                let pause = retry_after_seconds.unwrap_or(BUSY_PAUSE_SECONDS).min(BUSY_PAUSE_SECONDS_MAX);
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
