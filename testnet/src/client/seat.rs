//! Writes and reads of the seat's keys, as clients send them to any node.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, ClientError, Receipt};

/// An entry of the seat: its value, and the commit that is its version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SeatEntry {
    /// The value, if it is text.
    pub value: Option<String>,
    /// The commit that wrote it.
    pub commit: String,
}

/// When a write of the seat is to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Staged at the holder.
    Local,
    /// Staged at the shadow too.
    Shadow,
    /// And in the states of a majority of the voters.
    Quorum,
}

impl Level {
    /// What the API calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shadow => "shadow",
            Self::Quorum => "quorum",
        }
    }
}

impl Client {
    /// Sets a key of the seat. The same `name` is the same write, however often it is sent and wherever.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_at(&self, level: Level, key: &str, value: &str, name: &str) -> Result<Receipt, ClientError> {
        let query = [("key", key), ("level", level.word())];
        let request = self.request(Method::PUT, "api/v1/entries", &query).header("Idempotency-Key", name);
        self.send(request.header("Content-Type", "application/octet-stream").body(value.to_owned())).await
    }

    /// The entry of a key as the seat's holder has it under its lease.
    ///
    /// # Errors
    /// See [`ClientError`]; an absent key is no error.
    pub async fn entry_at_seat(&self, key: &str) -> Result<Option<SeatEntry>, ClientError> {
        let query = [("key", key), ("consistency", "seat")];
        match self.send(self.request(Method::GET, "api/v1/entries", &query)).await {
            Ok(entry) => Ok(Some(entry)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(
                error
                @ (ClientError::Unreachable { .. } | ClientError::Refused { .. } | ClientError::Unreadable { .. }),
            ) => Err(error),
        }
    }
}
