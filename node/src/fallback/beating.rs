//! What the heartbeat drives: this node's state, its peers, and what is told of each step.

use std::sync::Arc;

use futures::future::BoxFuture;
use http_fallback::heartbeat::{Event, Healed, Node, SILENT, Target, Unexpected};
use http_fallback::mode::Change;
use http_fallback::tracker::{Mismatch, PEERS_MAX, Summary};
use lattice::head::Head;
use lattice::ids::{AuthorId, LatticeId};
use lattice::record;
use node_core::schedule::Roots;

use super::{Fallback, lock, urls};
use crate::metrics::measured::observe;

impl Node for Fallback {
    fn lattice(&self) -> LatticeId {
        self.sync.identity.lattice
    }

    fn summary(&self) -> Summary {
        let published = self.sync.writer.published();
        Summary { root: published.root, frontier: published.frontier_digest }
    }

    fn lattice_peers(&self) -> u64 {
        self.service.counts().lattice
    }

    fn targets(&self) -> BoxFuture<'static, Option<Vec<Target>>> {
        let heartbeat = self.settings.borrow().heartbeat.clone();
        let (sync, configured, own_url) = (self.sync.clone(), heartbeat.nodes, heartbeat.own_url);
        if *sync.hidden.borrow() {
            return Box::pin(async { Some(Vec::new()) });
        }
        Box::pin(async move { urls::targets(&sync, configured, own_url).await })
    }

    fn expect(&self, target: &Target, head: &Head) -> Result<(), Unexpected> {
        let membership = &self.sync.writer.published().membership;
        let author = head.author;
        let stranger = |why: &str| Err(Unexpected::Stranger(why.to_owned()));
        if author == self.sync.identity.keys.author.id() {
            return Err(Unexpected::Itself);
        }
        match target.published_by {
            Some(publisher) if publisher != author => stranger("another node answers there than the one that named it"),
            _ if membership.is_active(&author) => {
                self.vouch(target, author);
                Ok(())
            }
            _ if membership.member(&author).is_some() => stranger("the node that answers there was cut"),
            Some(_) => stranger("the node that answers there is no member"),
            // The operator names the URL; this node may not know all members yet, and each commit is judged as ever.
            None => {
                self.vouch(target, author);
                Ok(())
            }
        }
    }

    fn heal(self: Arc<Self>, target: Target, peer: Head) -> BoxFuture<'static, Healed> {
        Box::pin(async move { self.heal_within_time(target, peer).await })
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Peers(peers) => {
                self.journal.write("peers", format!("[P2P] peers {peers}"), [("peers", peers.to_string())]);
            }
            Event::Mode(change) => self.tell_mode(change),
            Event::Beat { url, result, took } => {
                if result != SILENT {
                    observe(&self.sync.counters.measured.heartbeat, took);
                }
                self.sync.counters.beat(url, result);
            }
            Event::Useless { url, reason } => tracing::warn!(url, reason, "this HTTP peer can't be used"),
            Event::Useful { url } => tracing::info!(url, "this HTTP peer can be used again"),
            Event::Itself { url } => tracing::info!(url, "this URL leads to this node itself"),
            Event::Mismatch { url, mismatch, ours, theirs } => {
                self.tell_mismatch(url, &mismatch, Roots { ours, theirs })
            }
            Event::Started { url } => {
                self.journal.write("reconcile-started", "reconcile started".into(), [("peer", url)])
            }
            Event::Finished { url, healed } => {
                self.sync.counters.healed(healed.outcome);
                let root = healed.root.to_string();
                let text = format!("reconcile finished {root}");
                let outcome = healed.outcome.to_owned();
                let fields = [("peer", url), ("root", root), ("outcome", outcome), ("detail", healed.detail)];
                self.journal.write("reconcile-finished", text, fields);
            }
        }
    }
}

impl Fallback {
    /// Remembers who answers at a configured URL.
    fn vouch(&self, target: &Target, author: AuthorId) {
        if target.published_by.is_none() {
            let mut vouched = lock(&self.vouched);
            if vouched.len() >= PEERS_MAX {
                vouched.clear();
            }
            vouched.insert(author);
        }
    }

    fn tell_mode(&self, Change { mode, reason }: Change) {
        let word = mode.word().to_owned();
        self.journal.write("mode", format!("mode {word}"), [("mode", word.clone()), ("reason", reason.clone())]);
        if self.notes.try_send(record::Event::Mode { mode: word, reason }).is_err() {
            tracing::error!("the log does not take a record of the mode: the disk is too slow");
        }
    }

    fn tell_mismatch(&self, url: String, mismatch: &Mismatch, roots: Roots) {
        let (Mismatch { count, kind, .. }, Roots { ours, theirs }) = (*mismatch, roots);
        if mismatch.is_alarm {
            let why = if mismatch.is_contradicted {
                "the peer says another root, and sessions find it at ours each time"
            } else {
                "equal frontiers and other roots"
            };
            self.sync.alarm(&url, roots, None, why);
        }
        let text = format!("divergence {url} {count} {ours} {theirs}");
        let fields = [
            ("peer", url),
            ("count", count.to_string()),
            ("kind", kind.word().to_owned()),
            ("ours", ours.to_string()),
            ("theirs", theirs.to_string()),
        ];
        self.journal.write("divergence", text, fields);
    }
}
