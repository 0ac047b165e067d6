//! What this node answers about logs: as a witness of others', and as the owner of its own.

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{ForkEvidence, NoFork};
use lattice::log::exchange::{EXCHANGE_BYTES_MAX, Request, Response};
use lattice::log::witness::{AddCheckpoint, expect_signed};
use node_core::logs::{cosigner_of, log_of};
use node_core::resume::Doubt;
use tokio::sync::oneshot;

use super::Audit;
use super::proofs::NoProof;
use crate::net::Command;
use crate::writer::job::Job;
use crate::writer::witness::is_cosigned_by;

/// Bytes of a request or answer about logs.
pub const WITNESS_BYTES_MAX: usize = EXCHANGE_BYTES_MAX;

impl Audit {
    /// Answers one request of a peer.
    pub(crate) async fn answer(&self, bytes: &[u8]) -> Response {
        match Request::parse(bytes) {
            Ok(Request::AddCheckpoint(request)) => self.add_checkpoint(request).await,
            Ok(Request::Checkpoint { origin }) => match self.held(&origin) {
                Some(held) => Response { status: 200, body: held.to_string() },
                None => Response { status: 404, body: "no checkpoint of that log is held here\n".to_owned() },
            },
            Ok(Request::Consistency { origin, old, new }) => self.consistency(&origin, old, new).await,
            Err(error) => Response { status: 400, body: format!("{error}\n") },
        }
    }

    /// Shows how the own log grew, if it is the one that is asked about: after a renaming the same sizes have other roots.
    async fn consistency(&self, origin: &str, old: u64, new: u64) -> Response {
        if origin != self.writer().published().origin.as_str() {
            return Response { status: 404, body: "this node's log has another name\n".to_owned() };
        }
        match self.service.prove_consistency(old, new).await {
            Ok(proven) => Response::consistency(&proven.old_root, &proven.new_root, &proven.hashes),
            Err(error @ (NoProof::BeyondLog { .. } | NoProof::Sizes)) => {
                Response { status: 400, body: format!("{error}\n") }
            }
            Err(error) => Response { status: 503, body: format!("{error}\n") },
        }
    }

    /// Cosigns a checkpoint, if it grew from the last one of its log.
    pub(crate) async fn add_checkpoint(&self, request: Box<AddCheckpoint>) -> Response {
        let checkpoint = request.checkpoint.clone();
        // Before it takes the writer's time: anybody may ask.
        let (published, lattice) = (self.writer().published(), self.service.inner.identity.lattice);
        let log = log_of(&published.membership, &lattice, checkpoint.checkpoint().origin());
        let key = log.map(|(_, key)| key);
        if let Err(why) = expect_signed(&checkpoint, key.as_slice()) {
            return Response { status: why.status(), body: why.body() };
        }
        let (reply, answer) = oneshot::channel();
        self.writer().send(Job::Witness { request, reply }).await;
        match answer.await {
            Ok(Ok(witnessed)) => {
                if witnessed.response.status == 200 {
                    self.take(&checkpoint).await;
                }
                match &witnessed.fork {
                    Some(Ok(evidence)) => self.tell_fork(evidence).await,
                    Some(Err(no)) => self.tell_unproven(checkpoint.checkpoint().origin(), no),
                    None => {}
                }
                witnessed.response
            }
            Ok(Err(error)) => Response { status: 503, body: format!("{error}\n") },
            Err(_) => Response { status: 503, body: "this node is stopping\n".to_owned() },
        }
    }

    /// What is held of a log: what was cosigned last, or what gossip brought if that is more; of the own log the last one.
    pub(crate) fn held(&self, origin: &str) -> Option<SignedCheckpoint> {
        let published = self.writer().published();
        let witnessed = published.witnessed.get(origin).map(|held| held.as_ref().clone());
        let own = published.checkpointed.as_ref().map(|own| own.signed.clone());
        let own = own.filter(|own| own.checkpoint().origin() == origin);
        [witnessed, self.board.of(origin), own].into_iter().flatten().max_by_key(|held| held.checkpoint().size())
    }

    /// Takes in a checkpoint that its log signed, from wherever it came.
    pub(crate) async fn take(&self, signed: &SignedCheckpoint) {
        let published = self.writer().published();
        let lattice = self.service.inner.identity.lattice;
        let Some((_, key)) = log_of(&published.membership, &lattice, signed.checkpoint().origin()) else { return };
        let cosigners: Vec<_> =
            published.membership.members().filter_map(|member| cosigner_of(member, &lattice)).collect();
        let heard = self.board.take(signed, &key, &cosigners);
        let witnessed = published.witnessed.get(signed.checkpoint().origin());
        let known = witnessed.and_then(|held| ForkEvidence::of_contradiction(held, signed, &key));
        let size = witnessed.map_or(0, |held| held.checkpoint().size());
        let may_have = published.doubt > Some(Doubt::Usual) || is_cosigned_by(&self.service.inner.identity, signed);
        if signed.checkpoint().size() > size && may_have {
            self.writer().send(Job::Recall { signed: Box::new(signed.clone()) }).await;
        }
        match heard.or(known) {
            Some(Ok(evidence)) => self.keep_fork(evidence).await,
            Some(Err(no)) => self.tell_unproven(signed.checkpoint().origin(), &no),
            None => {}
        }
    }

    /// A contradiction of which there is no evidence is a lie all the same.
    pub(crate) fn tell_unproven(&self, origin: &str, no: &NoFork) {
        tracing::error!(log = origin, %no, "two checkpoints of this log contradict each other, and nothing can prove it");
        let fields = [("log", origin.to_owned()), ("why", no.to_string())];
        self.service.inner.journal.write("alarm", format!("alarm log {origin} contradicts itself"), fields);
    }

    /// Keeps evidence that was verified, and tells others if it is the first against that log.
    pub(crate) async fn keep_fork(&self, evidence: ForkEvidence) {
        let (reply, kept) = oneshot::channel();
        self.writer().send(Job::Fork { evidence: Box::new(evidence), reply }).await;
        if let Ok(Ok(Some(evidence))) = kept.await {
            self.tell_fork(&evidence).await;
        }
    }

    async fn tell_fork(&self, evidence: &ForkEvidence) {
        let origin = evidence.origin();
        tracing::error!(
            log = origin,
            "two checkpoints of this log contradict each other: its node rewrote its history"
        );
        let fields = [("log", origin.to_owned())];
        self.service.inner.journal.write("fork", format!("fork {origin}"), fields);
        let frame = lattice::frame::Frame::Fork(Box::new(evidence.clone()));
        self.service.inner.net.command(Command::Publish(frame.encode())).await;
    }
}
