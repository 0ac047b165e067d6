//! Gossip of a simulated node: frames are checked once, forwarded if they are good, and what is in them goes on. Stands
//! for gossipsub in a mesh of all peers, and for the daemon's ingest task.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use node_core::blame::Verdict;
use node_core::frames::{Checked, Content, Rules, check};

use super::queue::Job;
use super::{Node, Now, Output};
use crate::simulation::message::{Body, NodeIndex};

/// Milliseconds for which a frame is known again, as gossipsub is set in the daemon.
const SEEN_MS: u64 = 30_000;

/// Frames seen lately, by a hash of their bytes, and until when.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<u64, u64>);

impl Seen {
    /// Marks a frame as seen; whether it is new. As in gossipsub that is before anybody has judged it.
    fn mark(&mut self, now: Now, frame: &[u8]) -> bool {
        self.0.retain(|_, until_ms| now.steady_ms < *until_ms);
        // Its keys are fixed, so the same frame has the same hash in each run.
        let mut hasher = DefaultHasher::new();
        frame.hash(&mut hasher);
        self.0.insert(hasher.finish(), now.steady_ms + SEEN_MS).is_none()
    }
}

impl Node {
    /// Tells all peers.
    pub(crate) fn publish(&mut self, frame: Arc<[u8]>) {
        for peer in self.linked_peers() {
            self.outbox.push(Output::Send(peer, Body::Frame(frame.clone())));
        }
    }

    /// A frame came.
    pub(crate) fn on_frame(&mut self, now: Now, from: NodeIndex, frame: &Arc<[u8]>) {
        if !self.seen.mark(now, frame) {
            return;
        }
        let rules = Rules {
            genesis: &self.identity.genesis,
            lattice: self.identity.lattice,
            membership: &self.state.membership,
        };
        let is_lattice = self.book.author(&from.peer_name()).is_some();
        let Checked { verdict, refused: _, content } = check(&rules, is_lattice, frame);
        match verdict {
            Verdict::Accept => {
                for peer in self.linked_peers().into_iter().filter(|peer| *peer != from) {
                    self.outbox.push(Output::Send(peer, Body::Frame(frame.clone())));
                }
            }
            Verdict::Ignore => {}
            Verdict::Reject => self.strike(now, from),
        }
        match content {
            Content::Commits(commits) => self.writer.push(Job::Take { commits, waiting: None }),
            Content::Head(head) => self.on_head(now, &head),
            Content::Evidence(pair) => self.writer.push(Job::Evidence(pair)),
            // Nodes of the simulation keep no logs.
            Content::Checkpoint(_) | Content::Fork(_) => {}
            Content::Nothing => {}
        }
    }
}
