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
        let mut states = self.writer.watch();
        loop {
            let author = self.identity.keys.author.id();
            if states.borrow_and_update().membership.is_active(&author) {
                return Ok(());
            }
            if let Some(peer) = self.connected_inviter() {
                match self.ask(peer).await {
                    Ok(JoinAnswer::Welcome) => {
                        // Full: a nudge for this peer is waiting already.
                        let _ = self.nudges.try_send(peer);
                    }
                    Ok(JoinAnswer::Refused(reason)) => return Err(JoinRefused(reason)),
                    Err(reason) => tracing::info!(%peer, reason, "the inviting node did not answer; trying again"),
                }
            }
            // Whichever comes first: our membership, the inviter, or time to ask again.
            let mut network = self.net.watch();
            let _ = tokio::time::timeout(RETRY, async {
                loop {
                    tokio::select! {
                        _ = states.changed() => return,
                        _ = network.changed() => {
                            if self.connected_inviter().is_some() && !self.is_waiting_for_state() {
                                return;
                            }
                        }
                    }
                }
            })
            .await;
        }
    }

    /// Once welcomed, only our own state has news for us.
    fn is_waiting_for_state(&self) -> bool {
        self.nudges.capacity() < self.nudges.max_capacity()
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
