//! How a node of the seat is doing, asked and answered; and whether it is connected.

use std::time::Duration;

use lattice::ids::AuthorId;
use lattice::seat::message::{SeatAnswer, SeatRequest};
use node_core::seat::health::Probe;

use super::Seat;
use super::asking::NoAnswer;
use crate::net::swarm::name;

impl Seat {
    /// Asks a node how it is doing.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]; of a late one nothing is known yet, and silence is judged by the answers that come.
    pub(super) async fn probe(&self, node: AuthorId) -> Result<Probe, NoAnswer> {
        let request = SeatRequest::Probe { carrier: self.carrier() };
        let within = Duration::from_millis(self.timing.probe_answer_ms());
        let answer = self.ask(node, &request, within).await?;
        let SeatAnswer::Probed { log_size, waiting, is_sound, disk_free, memory_free } = answer else {
            return Err(NoAnswer::Garbled { node, why: "an answer to another question".to_owned() });
        };
        Ok(Probe { log_size, waiting, is_sound, disk_free, memory_free })
    }

    /// How this node is doing.
    pub(super) fn own_probe(&self) -> Probe {
        let (published, room) = (self.writer.published(), *self.room.borrow());
        Probe {
            log_size: published.seat.log_size,
            waiting: published.seat.staged as u64,
            is_sound: published.trouble.is_none() && self.serving.borrow().is_able,
            disk_free: room.disk_free,
            memory_free: room.memory_free,
        }
    }

    /// The same for another node.
    pub(super) fn probed(&self) -> SeatAnswer {
        let Probe { log_size, waiting, is_sound, disk_free, memory_free } = self.own_probe();
        SeatAnswer::Probed { log_size, waiting, is_sound, disk_free, memory_free }
    }

    /// Whether there is a connection to a member.
    pub(super) fn is_connected(&self, node: &AuthorId) -> bool {
        let Some(peer) = self.peer_of(node).map(|peer| name(&peer)) else { return false };
        self.net.view().book.peers().any(|(known, seen)| *known == peer && !seen.links.is_empty())
    }
}
