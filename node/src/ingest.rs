//! Gossip to the writer: frames are checked on another thread, gossip gets its verdict, and what is good goes on in
//! order of arrival. The judgement is [`node_core::frames`].

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use lattice::head::Head;
use lattice::membership::Membership;
use node_core::frames::{Checked, Content, Rules, check};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::counters::Counters;
use crate::metrics::measured::observe;
use crate::net::{Command, Gossip, NetHandle};
use crate::writer::job::{Fate, Job, Taken};
use crate::writer::{Identity, WriterHandle};

/// Frames checked at once: one per core of a small machine and one to follow.
const CHECKS_MAX: usize = 3;

/// What the ingest task works with.
pub struct Ingest {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Where commits go.
    pub writer: WriterHandle,
    /// Where verdicts go.
    pub net: NetHandle,
    /// Where heads go.
    pub heads: mpsc::Sender<Head>,
    /// Where checkpoints go.
    pub audit: Audit,
    /// Where refusals are counted.
    pub counters: Arc<Counters>,
}

impl Ingest {
    /// Works until the swarm is gone or `stop` fires.
    pub async fn run(self, mut gossip: mpsc::Receiver<Gossip>, stop: CancellationToken) {
        let mut checks = FuturesOrdered::new();
        let mut durable = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(message) = gossip.recv(), if checks.len() < CHECKS_MAX => {
                    let (identity, membership) = (self.identity.clone(), self.writer.published().membership.clone());
                    checks.push_back(tokio::task::spawn_blocking(move || checked(&identity, &membership, message)));
                }
                Some(done) = checks.next() => {
                    // A check that panicked is a bug of ours; the frame counts as not received.
                    if let Ok((gossip, checked)) = done {
                        let arrived = gossip.arrived;
                        if let Some(fates) = self.hand_over(gossip, checked).await {
                            durable.push(async move { (arrived, fates.await) });
                        }
                    }
                }
                // As many as jobs wait for the writer.
                Some((arrived, fates)) = durable.next() => self.measure(arrived, fates.unwrap_or_default()),
                () = stop.cancelled() => return,
            }
        }
    }

    /// How long it took until something new was durable; what was known already was so before.
    fn measure(&self, arrived: Instant, fates: Taken) {
        if fates.iter().any(|(_, fate)| matches!(fate, Fate::Applied)) {
            observe(&self.counters.measured.gossip_to_durable, arrived.elapsed());
        }
    }

    /// Hands on what was in a frame. Of commits, gives where their fate will be told.
    async fn hand_over(&self, gossip: Gossip, checked: Checked) -> Option<oneshot::Receiver<Taken>> {
        let Checked { verdict, refused, content } = checked;
        if let Some(reason) = refused {
            self.counters.refused(reason);
            tracing::debug!(peer = %gossip.from, reason, "a gossip frame was not forwarded");
        }
        self.net.command(Command::Report { id: gossip.id, from: gossip.from, verdict }).await;
        match content {
            Content::Commits(commits) => {
                let (reply, fates) = oneshot::channel();
                self.writer.send(Job::Take { commits, publish: false, reply: Some(reply) }).await;
                return Some(fates);
            }
            Content::Head(head) => {
                // A head lost here is followed by the next one within seconds.
                let _ = self.heads.try_send(*head);
            }
            Content::Evidence(pair) => {
                self.writer.send(Job::Evidence { pair }).await;
            }
            Content::Checkpoint(signed) => self.audit.take(&signed).await,
            Content::Fork(evidence) => self.audit.keep_fork(*evidence).await,
            Content::Nothing => {}
        }
        None
    }
}

fn checked(identity: &Identity, membership: &Membership, gossip: Gossip) -> (Gossip, Checked) {
    let rules = Rules { genesis: &identity.genesis, lattice: identity.lattice, membership };
    let checked = check(&rules, gossip.is_lattice, &gossip.bytes);
    (gossip, checked)
}
