//! What the stream of the dashboard says: the JSON shapes, and how they are made of what the node says elsewhere.

use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::now_ms;
use crate::service::Service;
use crate::view::{Peer, Status, Unanswered};

/// An active member of the lattice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Author key, 64 hexadecimal digits.
    pub author: String,
    /// What people call it.
    pub name: String,
    /// libp2p peer id.
    pub peer_id: String,
}

/// The node at one moment: what `/api/v1/status` and `/api/v1/peers` say, and who the members are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Now {
    /// The moment, in milliseconds since 1970, by the node's clock.
    pub time_ms: u64,
    /// What the node says of itself.
    pub status: Status,
    /// Its peers.
    pub peers: Vec<Peer>,
    /// Configured addresses at which no peer has answered yet.
    pub unanswered: Vec<Unanswered>,
    /// Active members, this node among them.
    pub members: Vec<MemberView>,
}

impl Now {
    /// The node as it is.
    pub fn of(service: &Service) -> Self {
        let membership = service.inner.writer.published().membership.clone();
        let active = membership.members().filter(|member| membership.is_active(&member.author));
        let members = active.map(|member| MemberView {
            author: member.author.to_string(),
            name: member.name.clone(),
            peer_id: PeerId::from_bytes(&member.peer_id).map_or_else(|_| "?".to_owned(), |peer| peer.to_string()),
        });
        Self {
            time_ms: now_ms(),
            status: service.status(),
            peers: service.peers(),
            unanswered: service.unanswered(),
            members: members.collect(),
        }
    }
}
