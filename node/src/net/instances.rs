//! Which process each connection leads to. One that was killed says no goodbye: over UDP its connections look well until they
//! have been silent for seconds, and of the questions to the process that took its place each second one goes to the dead.

use std::collections::HashMap;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;

/// Separates the program's name and version from the number of the process, in what a node says of itself (identify).
const MARK: &str = " process ";

/// What a node says of itself: the program, its version, and a number that another process of it does not have.
pub(super) fn agent_version(process: u64) -> String {
    format!("lattice/{}{MARK}{process:016x}", env!("CARGO_PKG_VERSION"))
}

fn process_in(agent_version: &str) -> Option<u64> {
    u64::from_str_radix(agent_version.split_once(MARK)?.1, 16).ok()
}

/// The processes behind the connections, as peers say it themselves.
#[derive(Debug, Default)]
pub(super) struct Instances(HashMap<PeerId, Vec<(ConnectionId, u64)>>);

impl Instances {
    /// A peer said over a connection who it is; gives its connections to another process. What a peer says wrongly closes
    /// connections of its own.
    pub(super) fn said(&mut self, peer: PeerId, connection: ConnectionId, agent_version: &str) -> Vec<ConnectionId> {
        let Some(process) = process_in(agent_version) else { return Vec::new() };
        let known = self.0.entry(peer).or_default();
        let others = known.extract_if(.., |(_, other)| *other != process).map(|(connection, _)| connection);
        let dead = others.filter(|other| *other != connection).collect();
        if known.iter().all(|(known, _)| *known != connection) {
            known.push((connection, process));
        }
        dead
    }

    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(known) = self.0.get_mut(peer) else { return };
        known.retain(|(known, _)| *known != connection);
        if known.is_empty() {
            self.0.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn connections_to_the_process_before_are_dead_and_others_of_the_same_are_not() {
        let (mut instances, peer, other) = (Instances::default(), PeerId::random(), PeerId::random());
        let said = |instances: &mut Instances, peer, number, process| {
            instances.said(peer, connection(number), &agent_version(process))
        };
        assert_eq!(said(&mut instances, peer, 1, 7), []);
        assert_eq!(said(&mut instances, peer, 2, 7), [], "two ways to one process");
        assert_eq!(said(&mut instances, peer, 2, 7), [], "it says so again");
        assert_eq!(said(&mut instances, other, 3, 8), []);
        assert_eq!(said(&mut instances, peer, 4, 9), [connection(1), connection(2)]);
        instances.closed(&peer, connection(1));
        assert_eq!(said(&mut instances, peer, 5, 9), [], "each is dead once");
        instances.closed(&peer, connection(4));
        instances.closed(&peer, connection(5));
        instances.closed(&other, connection(3));
        assert!(instances.0.is_empty(), "{instances:?}");
    }

    #[test]
    fn who_says_no_process_closes_nothing() {
        let (mut instances, peer) = (Instances::default(), PeerId::random());
        assert_eq!(instances.said(peer, connection(1), &agent_version(7)), []);
        for stranger in ["lattice/0.1.0", "another process 12 34", "", "lattice/0.1.0 process "] {
            assert_eq!(instances.said(peer, connection(2), stranger), [], "{stranger:?}");
        }
    }
}
