//! The second road of a simulated node: the daemon's divergence tracker and mode switch over simulated HTTP.

use std::collections::BTreeSet;

use http_fallback::mode::Mode;
use http_fallback::tracker::{Ended, Summary};
use lattice::address::url_key;
use lattice::ids::AuthorId;
use lattice::op::{Key, Op};
use reconcile::outcome::{Outcome, Stats};

use super::queue::Job;
use super::state::row_at;
use super::{Node, Now, Output};
use crate::simulation::message::{AskId, Body, NodeIndex, Road};

/// Milliseconds until a heartbeat without an answer counts as silence, as in the daemon.
const BEAT_TIMEOUT_MS: u64 = 5_000;

/// The node whose URL stands in everybody's configuration; the others publish theirs.
const CONFIGURED: NodeIndex = NodeIndex(0);

/// A heartbeat on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    peer: NodeIndex,
    until_ms: u64,
}

impl Node {
    fn summary(&self) -> Summary {
        Summary { root: self.state.tree.root(), frontier: self.state.frontier.digest() }
    }

    /// The road that this node relies on.
    pub(crate) fn mode(&self) -> Mode {
        self.switch.mode()
    }

    /// Samples the peer count, sends the heartbeats that are due, and starts the session that is.
    pub(crate) fn tick_heartbeat(&mut self, now: Now) {
        if now.steady_ms >= self.sample_at_ms {
            self.sample_at_ms = now.steady_ms + http_fallback::mode::SAMPLE_MS;
            self.publish_url();
            self.expect_http_peers(now);
            let lattice_peers = self.book.counts(now.steady_ms, &self.state.tree.root()).lattice;
            if let Some(change) = self.switch.sample(now.steady_ms, lattice_peers, self.tracker.len()) {
                self.tell(format!("mode {}: {}", change.mode, change.reason));
            }
        }
        let silent = self.beats.iter().filter(|(_, beat)| now.steady_ms >= beat.until_ms).map(|(id, _)| *id);
        for id in silent.collect::<Vec<_>>() {
            if let Some(beat) = self.beats.remove(&id) {
                self.tracker.silent(&beat.peer.url());
            }
        }
        let random = self.random.next();
        for peer in self.tracker.due(now.steady_ms, random).iter().filter_map(|url| NodeIndex::at(url)) {
            let id = self.next_number();
            self.beats.insert(id, Beat { peer, until_ms: now.steady_ms + BEAT_TIMEOUT_MS });
            self.outbox.push(Output::Send(peer, Body::AskState { id }));
        }
        self.start_http_session(now);
    }

    fn start_http_session(&mut self, now: Now) {
        let next = self.tracker.next_session(now.steady_ms);
        if let Some(peer) = next.as_deref().and_then(NodeIndex::at) {
            self.start_session(now, peer, Road::Http);
        }
    }

    pub(crate) fn on_ask_state(&mut self, from: NodeIndex, id: AskId) {
        let summary = self.summary();
        self.outbox.push(Output::Send(from, Body::State { id, summary }));
    }

    /// A heartbeat was answered.
    pub(crate) fn on_state(&mut self, now: Now, from: NodeIndex, id: AskId, theirs: &Summary) {
        if self.beats.get(&id).is_none_or(|beat| beat.peer != from) {
            return;
        }
        self.beats.remove(&id);
        let (ours, mode) = (self.summary(), self.switch.mode());
        if let Some(mismatch) = self.tracker.answered(now.steady_ms, &from.url(), &ours, theirs, mode) {
            self.tell(format!("beat of {from}: {} {}", mismatch.kind.word(), mismatch.count));
            self.start_http_session(now);
        }
    }

    /// A session over HTTP that this node started is over.
    pub(crate) fn http_session_ended(&mut self, now: Now, peer: NodeIndex, outcome: &Outcome, stats: Stats) {
        let random = self.random.next();
        self.tracker.ended(now.steady_ms, &peer.url(), Ended::of(outcome, &stats), random);
        self.note_session(stats);
    }

    /// The URLs to ask: the founder's, which is configured, and what other members have published.
    pub(crate) fn expect_http_peers(&mut self, now: Now) {
        let (own, membership) = (self.identity.index.url(), &self.state.membership);
        let active = membership.members().map(|member| member.author).filter(|author| membership.is_active(author));
        let published = active.filter_map(|author| self.published_url(&author));
        let urls: BTreeSet<_> = published.chain([CONFIGURED.url()]).filter(|url| *url != own).collect();
        let random = self.random.next();
        self.tracker.expect(now.steady_ms, urls, random);
    }

    fn published_url(&self, author: &AuthorId) -> Option<String> {
        let row = row_at(&self.state.tree, &Key::new(&url_key(author)).ok()?.hash())?;
        String::from_utf8(self.database.value(row)?.to_vec()).ok()
    }

    /// Publishes our own URL once we are let in, and again if it was lost.
    fn publish_url(&mut self) {
        let (author, url) = (self.identity.author, self.identity.index.url());
        let is_wanted = self.state.membership.is_active(&author) && self.published_url(&author).as_ref() != Some(&url);
        if is_wanted && self.is_idle() {
            self.writer.push(Job::Write { ops: Op::put(&url_key(&author), url.as_bytes()).into_iter().collect() });
        }
    }
}
