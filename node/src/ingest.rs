//! Gossip to the writer: decode, verify, give gossip its verdict, hand over in order of arrival.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use lattice::codec::DecodeError;
use lattice::commit::VerifiedCommit;
use lattice::equivocation::Equivocation;
use lattice::fault::Fault;
use lattice::frame::Frame;
use lattice::head::Head;
use lattice::membership::Membership;
use node_core::blame::Verdict;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::intake::check_all;
use crate::net::{Command, Gossip, NetHandle};
use crate::writer::job::Job;
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
    /// Where refusals are counted.
    pub counters: Arc<Counters>,
}

/// What a frame turned out to hold.
enum Content {
    Commits(Vec<VerifiedCommit>),
    Head(Head),
    Evidence(Box<Equivocation>),
    Nothing,
}

struct Checked {
    gossip: Gossip,
    verdict: Verdict,
    refused: Option<&'static str>,
    content: Content,
}

impl Ingest {
    /// Works until the swarm is gone or `stop` fires.
    pub async fn run(self, mut gossip: mpsc::Receiver<Gossip>, stop: CancellationToken) {
        let mut checks = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some(message) = gossip.recv(), if checks.len() < CHECKS_MAX => {
                    let (identity, membership) = (self.identity.clone(), self.writer.published().membership.clone());
                    checks.push_back(tokio::task::spawn_blocking(move || check(&identity, &membership, message)));
                }
                Some(checked) = checks.next() => {
                    // A check that panicked is a bug of ours; the frame counts as not received.
                    if let Ok(checked) = checked {
                        self.hand_over(checked).await;
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn hand_over(&self, checked: Checked) {
        let Checked { gossip, verdict, refused, content } = checked;
        if let Some(reason) = refused {
            self.counters.refused(reason);
            tracing::debug!(peer = %gossip.from, reason, "a gossip frame was not forwarded");
        }
        self.net.command(Command::Report { id: gossip.id, from: gossip.from, verdict }).await;
        match content {
            Content::Commits(commits) => {
                self.writer.send(Job::Take { commits, publish: false, reply: None }).await;
            }
            Content::Head(head) => {
                // A head lost here is followed by the next one within seconds.
                let _ = self.heads.try_send(head);
            }
            Content::Evidence(pair) => {
                self.writer.send(Job::Evidence { pair }).await;
            }
            Content::Nothing => {}
        }
    }
}

fn check(identity: &Identity, membership: &Membership, gossip: Gossip) -> Checked {
    if !gossip.is_lattice {
        // Commits would be judged by their signatures all the same, but a stranger's flood is not worth the time.
        return Checked {
            gossip,
            verdict: Verdict::Ignore,
            refused: Some("sender-not-of-lattice"),
            content: Content::Nothing,
        };
    }
    let (verdict, refused, content) = match Frame::decode(&gossip.bytes) {
        Ok(Frame::Commits(commits)) => check_commits(identity, membership, commits),
        Ok(Frame::Head(head)) => match head.verified().filter(|head| head.lattice == identity.lattice) {
            None => (Verdict::Reject, Some("head-not-signed"), Content::Nothing),
            Some(head) if membership.is_active(&head.author) => (Verdict::Accept, None, Content::Head(head)),
            Some(_) => (Verdict::Ignore, Some("head-of-stranger"), Content::Nothing),
        },
        Ok(Frame::Equivocation(pair)) if !pair.is_proven() => {
            (Verdict::Reject, Some("evidence-not-proven"), Content::Nothing)
        }
        Ok(Frame::Equivocation(pair)) if membership.last_seq(&pair.first.header().author).is_none() => {
            (Verdict::Ignore, Some("evidence-on-stranger"), Content::Nothing)
        }
        Ok(Frame::Equivocation(pair)) => (Verdict::Accept, None, Content::Evidence(pair)),
        Err(error) => (Verdict::of(error.fault()), Some(reason_of(&error)), Content::Nothing),
    };
    Checked { gossip, verdict, refused, content }
}

fn check_commits(
    identity: &Identity,
    membership: &Membership,
    commits: Vec<lattice::commit::Commit>,
) -> (Verdict, Option<&'static str>, Content) {
    let (mut verdict, mut refused, mut good) = (Verdict::Accept, None, Vec::with_capacity(commits.len()));
    for checked in check_all(identity, commits) {
        match checked {
            Ok(commit) => {
                // What the writer will only park or refuse is not forwarded, and an honest sender is not blamed.
                if let Err(error) = membership.admit(&identity.genesis, identity.lattice, &commit) {
                    verdict = verdict.worst(Verdict::of(error.fault()));
                    refused =
                        Some(if error.fault() == Fault::Sender { "bad-membership-change" } else { "not-admitted" });
                }
                good.push(commit);
            }
            Err((_, error)) => {
                verdict = verdict.worst(Verdict::of(error.fault()));
                refused = Some(match error {
                    lattice::commit::VerifyError::OtherLattice { .. } => "other-lattice",
                    lattice::commit::VerifyError::WrongSignature { .. } => "wrong-signature",
                    lattice::commit::VerifyError::WrongOps { .. } => "wrong-operations",
                    lattice::commit::VerifyError::BeyondLimit { .. } => "beyond-limit",
                    lattice::commit::VerifyError::RepeatedKey(_) => "repeated-key",
                });
            }
        }
    }
    (verdict, refused, Content::Commits(good))
}

fn reason_of(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooLong { .. } => "too-long",
        DecodeError::Malformed(_) => "malformed",
        DecodeError::NotCanonical => "not-canonical",
        DecodeError::UnknownVersion { .. } => "unknown-version",
        DecodeError::Invalid(_) => "invalid",
    }
}
