//! Keeping in step over libp2p: heads out and in, sessions started when the schedule says so. Wired as the daemon's
//! sync task.

use lattice::frame::Frame;
use lattice::head::Head;
use node_core::schedule::{Alarm, Ended, Ours};
use reconcile::outcome::{Outcome, Stats};

use super::queue::Job;
use super::{Node, Now, Output, session};
use crate::simulation::message::{NodeIndex, Road};
use crate::simulation::rule::SafetyRule;

/// Milliseconds after a change until a head goes out, and between two heads at most, as in the daemon.
const HEAD_PAUSE_MS: u64 = 300;
const HEAD_INTERVAL_MS: u64 = 5_000;

impl Node {
    /// Tells others our head: soon after a change, and now and then in any case.
    pub(crate) fn tick_heads(&mut self, now: Now) {
        let since_ms = now.steady_ms - self.head_at_ms;
        let is_due = since_ms >= HEAD_INTERVAL_MS || (self.head_is_old && since_ms >= HEAD_PAUSE_MS);
        if is_due {
            self.tell_head(now);
        }
    }

    pub(crate) fn tell_head(&mut self, now: Now) {
        (self.head_at_ms, self.head_is_old) = (now.steady_ms, false);
        let head = session::head_of(&self.identity, &self.state, now.wall_ms);
        let frame = Frame::Head(Box::new(head.sign(&self.identity.keys.author)));
        self.publish(frame.encode().into());
    }

    /// A verified head came by gossip.
    pub(crate) fn on_head(&mut self, now: Now, head: &Head) {
        let known = self.schedule.knows(&head.root);
        if let Some(member) = self.state.membership.member(&head.author) {
            let ours = Ours { root: self.state.tree.root(), frontier: self.state.frontier.digest() };
            let peer = node_core::peers::PeerName::from(member.peer_id.as_slice());
            self.schedule.head(now.steady_ms, &peer, head, &ours);
        }
        self.book.head(now.steady_ms, *head, known);
    }

    /// The state changed for good.
    pub(crate) fn published(&mut self, membership_changed: bool) {
        self.head_is_old = true;
        self.schedule.ours(self.state.tree.root());
        if membership_changed {
            self.book.set_membership(self.state.membership.clone());
            self.look_who_is_there();
        }
    }

    /// Starts the sessions that are due.
    pub(crate) fn tick_schedule(&mut self, now: Now) {
        if self.without == Some(SafetyRule::ReconcileHeals) {
            return;
        }
        while let Some(peer) = self.schedule.next(now.steady_ms) {
            self.start_session(now, NodeIndex::of(&peer), Road::P2p);
        }
    }

    /// A session over libp2p that this node started is over.
    pub(crate) fn p2p_session_ended(&mut self, now: Now, peer: NodeIndex, outcome: &Outcome, stats: Stats) {
        let random = self.random.next();
        let alarm = self.schedule.ended(now.steady_ms, &peer.peer_name(), Ended::of(outcome), random);
        if let Some(Alarm::Unexplained(roots)) = alarm {
            self.outbox.push(Output::Unexplained(peer, roots));
        }
        if outcome.is_in_step() {
            self.book.synced(now.steady_ms, &peer.peer_name());
        }
        self.note_session(stats);
    }

    /// A session that changed something goes into the log.
    pub(crate) fn note_session(&mut self, stats: Stats) {
        if stats.has_changed_anything() {
            self.writer.push(Job::Note);
        }
    }
}
