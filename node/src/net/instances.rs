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

/// What a peer's word over a connection means for its others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing, or these lead to the process before.
    Dead(Vec<ConnectionId>),
    /// The process before lives as well: two run under one key. Told once.
    Twins,
}

/// The processes behind the connections, as peers say it themselves.
#[derive(Debug, Default)]
pub(super) struct Instances(HashMap<PeerId, Processes>);

/// Those of one peer.
#[derive(Debug, Default)]
struct Processes {
    /// The process behind each connection that is open; a dead one is being closed.
    connections: Vec<Connection>,
    /// The last one that another took the place of.
    replaced: Option<u64>,
    are_twins: bool,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    process: u64,
    is_dead: bool,
}

impl Instances {
    /// A peer said over a connection who it is. What it says wrongly closes connections of its own.
    pub(super) fn said(&mut self, peer: PeerId, id: ConnectionId, agent_version: &str) -> Said {
        let nothing = Said::Dead(Vec::new());
        let Some(process) = process_in(agent_version) else { return nothing };
        let known = self.0.entry(peer).or_default();
        if known.connections.iter().any(|connection| connection.id == id && connection.is_dead) {
            return nothing;
        }
        known.connections.retain(|connection| connection.id != id);
        known.connections.push(Connection { id, process, is_dead: false });
        if known.are_twins {
            return nothing;
        }
        if known.replaced == Some(process) {
            // Were they to close each other's connections, both would dial again and again.
            known.are_twins = true;
            return Said::Twins;
        }
        let others =
            known.connections.iter_mut().filter(|connection| connection.process != process && !connection.is_dead);
        let mut dead = Vec::new();
        for other in others {
            other.is_dead = true;
            known.replaced = Some(other.process);
            dead.push(other.id);
        }
        Said::Dead(dead)
    }

    pub(super) fn closed(&mut self, peer: &PeerId, id: ConnectionId) {
        let Some(known) = self.0.get_mut(peer) else { return };
        known.connections.retain(|connection| connection.id != id);
        let Some(first) = known.connections.first().map(|connection| connection.process) else {
            self.0.remove(peer);
            return;
        };
        if known.are_twins && known.connections.iter().all(|connection| connection.process == first) {
            // One of them is gone; if not, it dials again, and is found again.
            (known.are_twins, known.replaced) = (false, None);
        }
    }

    /// Peers that run twice, as far as is known.
    pub(super) fn twins(&self) -> impl Iterator<Item = PeerId> {
        self.0.iter().filter(|(_, known)| known.are_twins).map(|(peer, _)| *peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn dead<const N: usize>(numbers: [usize; N]) -> Said {
        Said::Dead(numbers.map(connection).into())
    }

    fn say(instances: &mut Instances, peer: PeerId, number: usize, process: u64) -> Said {
        instances.said(peer, connection(number), &agent_version(process))
    }

    #[test]
    fn connections_to_the_process_before_are_dead_and_others_of_the_same_are_not() {
        let (mut instances, peer, other) = (Instances::default(), PeerId::random(), PeerId::random());
        assert_eq!(say(&mut instances, peer, 1, 7), dead([]));
        assert_eq!(say(&mut instances, peer, 2, 7), dead([]), "two ways to one process");
        assert_eq!(say(&mut instances, peer, 2, 7), dead([]), "it says so again");
        assert_eq!(say(&mut instances, other, 3, 8), dead([]));
        assert_eq!(say(&mut instances, peer, 4, 9), dead([1, 2]));
        assert_eq!(say(&mut instances, peer, 1, 7), dead([]), "its last word came late");
        instances.closed(&peer, connection(1));
        assert_eq!(say(&mut instances, peer, 5, 9), dead([]), "each is dead once");
        for number in [2, 4, 5] {
            instances.closed(&peer, connection(number));
        }
        instances.closed(&other, connection(3));
        assert!(instances.0.is_empty(), "{instances:?}");
    }

    /// A directory was copied and both run. Each closed the connections of the other at its peers, and dialled again.
    #[test]
    fn two_processes_that_both_live_are_told_of_once_and_keep_their_connections() {
        let (mut instances, peer) = (Instances::default(), PeerId::random());
        say(&mut instances, peer, 1, 7);
        assert_eq!(say(&mut instances, peer, 2, 8), dead([1]));
        instances.closed(&peer, connection(1));
        assert_eq!(say(&mut instances, peer, 3, 7), Said::Twins);
        assert_eq!(say(&mut instances, peer, 4, 8), dead([]));
        assert_eq!(say(&mut instances, peer, 3, 7), dead([]));
        assert_eq!(instances.twins().collect::<Vec<_>>(), [peer]);
        instances.closed(&peer, connection(2));
        assert_eq!(instances.twins().count(), 1);
        instances.closed(&peer, connection(4));
        assert_eq!(instances.twins().count(), 0, "one is gone");
        assert_eq!(say(&mut instances, peer, 5, 8), dead([3]), "or dials again");
        instances.closed(&peer, connection(3));
        assert_eq!(say(&mut instances, peer, 6, 7), Said::Twins);
    }

    #[test]
    fn who_says_no_process_closes_nothing() {
        let (mut instances, peer) = (Instances::default(), PeerId::random());
        say(&mut instances, peer, 1, 7);
        for stranger in ["lattice/0.1.0", "another process 12 34", "", "lattice/0.1.0 process "] {
            assert_eq!(instances.said(peer, connection(2), stranger), dead([]), "{stranger:?}");
        }
    }
}
