//! Requests on their way to peers: so many at once, the others in line.
//!
//! A request whose asker has gone stays on its stream until it is answered or its time is up. While a road is cut they
//! gather, and once it is mended they all arrive together: the peer drops those beyond its places, without a word to us.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;
use tokio::sync::oneshot;

use super::Protocol;
use super::behaviour::streams_max;

/// Requests in line for one peer and protocol: a second's writes of busy clients, forwarded at four milliseconds each (a
/// guess). Beyond it they fail at once, as for a peer that is not there.
const IN_LINE_MAX: usize = 256;

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Result<Vec<u8>, String>>;

/// A request before it is sent.
pub(super) struct Asked {
    pub(super) bytes: Vec<u8>,
    pub(super) reply: Reply,
}

/// Requests to all peers.
#[derive(Default)]
pub(super) struct Outgoing {
    lines: HashMap<(PeerId, Protocol), Line>,
}

#[derive(Default)]
struct Line {
    open: usize,
    waiting: VecDeque<Asked>,
}

/// Requests at once. The peer's own to us stand in the same places on a connection: half of them each.
const fn open_max(protocol: Protocol) -> usize {
    streams_max(protocol) / 2
}

impl Outgoing {
    /// Takes a request in, and gives it back if it is to be sent now.
    pub(super) fn ask(&mut self, peer: PeerId, protocol: Protocol, asked: Asked) -> Option<Asked> {
        let line = self.lines.entry((peer, protocol)).or_default();
        if line.open < open_max(protocol) {
            line.open += 1;
            return Some(asked);
        }
        if line.waiting.len() >= IN_LINE_MAX {
            line.waiting.retain(|waiting| !waiting.reply.is_closed());
        }
        if line.waiting.len() >= IN_LINE_MAX {
            // The asker may be gone.
            let _ = asked.reply.send(Err("too many questions wait for this peer already".to_owned()));
        } else {
            line.waiting.push_back(asked);
        }
        None
    }

    /// One that was sent is answered or has failed; gives the next to be sent. Those whose asker has gone are left out.
    pub(super) fn settled(&mut self, peer: PeerId, protocol: Protocol) -> Option<Asked> {
        let line = self.lines.get_mut(&(peer, protocol))?;
        while let Some(next) = line.waiting.pop_front() {
            if !next.reply.is_closed() {
                return Some(next);
            }
        }
        line.open = line.open.saturating_sub(1);
        if line.open == 0 {
            self.lines.remove(&(peer, protocol));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: Protocol = Protocol::Seat;

    type Answer = oneshot::Receiver<Result<Vec<u8>, String>>;

    fn asked(number: usize) -> (Asked, Answer) {
        let (reply, answer) = oneshot::channel();
        (Asked { bytes: number.to_be_bytes().to_vec(), reply }, answer)
    }

    fn full(outgoing: &mut Outgoing, peer: PeerId) -> Vec<Answer> {
        let fill = |number| {
            let (asked, answer) = asked(number);
            assert!(outgoing.ask(peer, PROTOCOL, asked).is_some(), "{number}");
            answer
        };
        (0..open_max(PROTOCOL)).map(fill).collect()
    }

    #[test]
    fn two_nodes_that_ask_all_they_may_leave_places_for_each_other() {
        for protocol in [Protocol::Join, Protocol::Reconcile, Protocol::Witness, Protocol::Seat] {
            assert!(open_max(protocol) > 0 && 2 * open_max(protocol) <= streams_max(protocol));
        }
    }

    #[test]
    fn what_its_asker_has_left_is_not_sent_once_the_road_is_mended() {
        // Probes of a cut road gathered for as long as it was cut; mended, they took the places of all else.
        let (mut outgoing, peer) = (Outgoing::default(), PeerId::random());
        let open = full(&mut outgoing, peer);
        let (left, answer) = asked(1_000);
        assert!(outgoing.ask(peer, PROTOCOL, left).is_none());
        drop(answer);
        let (wanted, _answer) = asked(2_000);
        assert!(outgoing.ask(peer, PROTOCOL, wanted).is_none());
        let next = outgoing.settled(peer, PROTOCOL).expect("one waits");
        assert_eq!(next.bytes, 2_000_usize.to_be_bytes());
        for _ in &open {
            assert!(outgoing.settled(peer, PROTOCOL).is_none());
        }
        assert!(outgoing.lines.is_empty(), "nothing is kept of a peer that nothing is asked of");
    }

    #[test]
    fn a_line_is_bounded_and_those_who_left_make_room() {
        let (mut outgoing, peer) = (Outgoing::default(), PeerId::random());
        let _open = full(&mut outgoing, peer);
        let mut line: Vec<_> = (0..IN_LINE_MAX)
            .map(|number| {
                let (asked, answer) = asked(number);
                assert!(outgoing.ask(peer, PROTOCOL, asked).is_none());
                answer
            })
            .collect();
        let (over, mut answer) = asked(0);
        assert!(outgoing.ask(peer, PROTOCOL, over).is_none());
        assert!(answer.try_recv().expect("answered").is_err());
        line.pop();
        let (fits, mut answer) = asked(0);
        assert!(outgoing.ask(peer, PROTOCOL, fits).is_none());
        assert!(answer.try_recv().is_err(), "it waits");
        let (other, _answer) = asked(0);
        assert!(outgoing.ask(PeerId::random(), PROTOCOL, other).is_some(), "each peer has a line of its own");
    }
}
