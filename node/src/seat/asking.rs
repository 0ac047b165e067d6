//! One question to another node of the seat, and its answer.

use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::seat::message::{SeatAnswer, SeatRequest};
use tokio::time::Instant;

use super::Seat;
use crate::net::Protocol;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Not a member, as far as is known here.
    #[error("{} is no member of this lattice, as far as this node knows", .0.short())]
    Stranger(AuthorId),
    /// The network.
    #[error("no answer from {}: {why}", node.short())]
    Lost {
        /// Whom we asked.
        node: AuthorId,
        /// Why.
        why: String,
    },
    /// Time is up.
    #[error("no answer from {} within {ms} ms", node.short())]
    Late {
        /// Whom we asked.
        node: AuthorId,
        /// How long we waited.
        ms: u64,
    },
    /// Bytes that are no answer.
    #[error("{} answered what can't be read: {why}", node.short())]
    Garbled {
        /// Whom we asked.
        node: AuthorId,
        /// What is wrong with it.
        why: String,
    },
}

impl Seat {
    /// How long another node may take for a vote, a lease or an inquiry.
    pub(super) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.timing.answer_ms())
    }

    /// Asks a member over libp2p.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]; what was asked for may have happened all the same.
    pub async fn ask(&self, node: AuthorId, request: &SeatRequest, within: Duration) -> Result<SeatAnswer, NoAnswer> {
        let peer = self.peer_of(&node).ok_or(NoAnswer::Stranger(node))?;
        let asked = self.net.request(peer, Protocol::Seat, request.encode());
        let answer = tokio::time::timeout(within, asked).await;
        let ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let bytes = answer.map_err(|_| NoAnswer::Late { node, ms })?.map_err(|why| NoAnswer::Lost { node, why })?;
        SeatAnswer::decode(&bytes).map_err(|error| NoAnswer::Garbled { node, why: error.to_string() })
    }

    /// Asks what a client waits for; it waits for a place first.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub(super) async fn ask_for_client(
        &self,
        node: AuthorId,
        request: &SeatRequest,
        within: Duration,
    ) -> Result<SeatAnswer, NoAnswer> {
        let until = Instant::now() + within;
        let ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let late = NoAnswer::Late { node, ms };
        // The semaphore is never closed.
        let Ok(Ok(_place)) = tokio::time::timeout_at(until, self.asked.acquire()).await else { return Err(late) };
        self.ask(node, request, until.saturating_duration_since(Instant::now())).await
    }
}
