//! A new node's first steps: show the ticket's secret to the node that printed it, until it lets us in.

use std::sync::Arc;
use std::time::Duration;

use lattice::genesis::Member;
use lattice::hello::{JoinAnswer, JoinRequest};
use lattice::ticket::Ticket;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use crate::net::address::split;
use crate::net::swarm::name;
use crate::net::{NetHandle, Protocol};
use crate::writer::{Identity, WriterHandle};

/// Pause between two tries when the inviter did not answer.
const RETRY: Duration = Duration::from_secs(2);

/// Why a node was not let in; trying again with the same ticket is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the inviting node refused the ticket: {0}")]
pub struct JoinRefused(pub String);

/// The nodes that may redeem a ticket.
pub fn inviters(ticket: &Ticket) -> Vec<(PeerId, Multiaddr)> {
    let parsed = ticket.addresses.iter().filter_map(|address| address.parse::<Multiaddr>().ok());
    parsed.filter_map(|address| split(&address).1.map(|peer| (peer, address))).collect()
}

/// What joining works with.
pub struct Joining {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// What people call us.
    pub name: String,
    /// The ticket.
    pub ticket: Ticket,
    /// Where the membership shows.
    pub writer: WriterHandle,
    /// The road.
    pub net: NetHandle,
    /// Tells the sync task to reconcile with the inviter now.
    pub nudges: mpsc::Sender<PeerId>,
}

impl Joining {
    /// Returns once this node is a member, as its own state says.
    ///
    /// # Errors
    ///
    /// [`JoinRefused`] if the inviter says no.
    pub async fn run(self) -> Result<(), JoinRefused> {
        let author = self.identity.keys.author.id();
        let (mut states, mut network) = (self.writer.watch(), self.net.watch());
        while !states.borrow_and_update().membership.is_active(&author) {
            let Some(peer) = self.connected_inviter() else {
                // An error means that the node is stopping, and so will we be.
                let _ = tokio::time::timeout(RETRY, network.changed()).await;
                continue;
            };
            match self.ask(peer).await {
                // Full: a nudge for this peer is waiting already.
                Ok(JoinAnswer::Welcome) => drop(self.nudges.try_send(peer)),
                Ok(JoinAnswer::Refused(reason)) => return Err(JoinRefused(reason)),
                Ok(JoinAnswer::NotNow(reason)) | Err(reason) => {
                    tracing::info!(%peer, reason, "the inviting node can't let us in yet; trying again");
                }
            }
            // Our own state has the news, by gossip or by the reconcile just asked for.
            let member = states.wait_for(|state| state.membership.is_active(&author));
            let _ = tokio::time::timeout(RETRY, member).await;
        }
        Ok(())
    }

    fn connected_inviter(&self) -> Option<PeerId> {
        let book = self.net.view().book;
        let connected = |peer: &PeerId| book.peers().any(|(n, known)| *n == name(peer) && !known.links.is_empty());
        inviters(&self.ticket).into_iter().map(|(peer, _)| peer).find(connected)
    }

    async fn ask(&self, peer: PeerId) -> Result<JoinAnswer, String> {
        let keys = &self.identity.keys;
        let member = Member {
            name: self.name.clone(),
            author: keys.author.id(),
            log_key: keys.log_key(),
            peer_id: self.net.own.to_bytes(),
            roles: [lattice::genesis::Role::Witness, lattice::genesis::Role::Voter].into(),
        };
        let request = JoinRequest::sign(&keys.author, self.identity.lattice, self.ticket.secret, member);
        let answer = self.net.request(peer, Protocol::Join, request.encode()).await?;
        JoinAnswer::decode(&answer).map_err(|error| error.to_string())
    }
}
