//! A node with a ticket asks to be let in: for a while, or for as long as it runs.

use std::time::Duration;

use lattice::ticket::Ticket;

use super::Node;
use crate::join::{JoinRefused, Joining};

/// How long `join` waits for the inviting node.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How a join ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// This node is a member now.
    Member,
    /// The inviting node did not answer in time; `run` goes on trying.
    Unreachable,
    /// It said no.
    Refused(JoinRefused),
}

impl Node {
    /// Shows the ticket to the inviting node for a while.
    pub(super) async fn redeem(&self) -> anyhow::Result<Joined> {
        let Some(ticket) = self.home.ticket()? else { return Ok(Joined::Member) };
        match tokio::time::timeout(JOIN_TIMEOUT, self.joining(ticket).run()).await {
            Ok(Ok(())) => {
                self.home.remove("ticket")?;
                Ok(Joined::Member)
            }
            Ok(Err(refused)) => Ok(Joined::Refused(refused)),
            Err(_) => Ok(Joined::Unreachable),
        }
    }

    /// Goes on redeeming a ticket that `join` could not.
    pub(super) fn join_in_background(&self) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
        let Some(ticket) = self.home.ticket()? else { return Ok(None) };
        let (joining, home, service) = (self.joining(ticket), self.home.clone(), self.service.clone());
        Ok(Some(tokio::spawn(async move {
            match joining.run().await {
                Ok(()) => {
                    tracing::info!("let into the lattice");
                    if let Err(error) = home.remove("ticket") {
                        tracing::warn!(%error, "the used ticket stays behind");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "ask for a new invitation and join with a new directory");
                    // Set once: this is the only task that redeems.
                    let _ = service.inner.join_refusal.set(error);
                }
            }
        })))
    }

    fn joining(&self, ticket: Ticket) -> Joining {
        let inner = &self.service.inner;
        Joining {
            identity: inner.identity.clone(),
            name: inner.name.clone(),
            ticket,
            writer: inner.writer.clone(),
            net: inner.net.clone(),
            nudges: self.nudges.clone(),
        }
    }
}
