//! Gossip frames: from bytes to what gossip is told, why it was refused, and what goes on to the writer.
//!
//! Nothing is forwarded before it is checked here. An honest peer may forward what this node can't judge yet, so
//! only what no honest peer sends is rejected, and blamed.

use lattice::codec::DecodeError;
use lattice::commit::{Commit, VerifiedCommit, VerifyError};
use lattice::equivocation::Equivocation;
use lattice::fault::Fault;
use lattice::frame::Frame;
use lattice::genesis::Genesis;
use lattice::head::{Head, SignedHead};
use lattice::ids::LatticeId;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{ForkEvidence, has_room_for};
use lattice::membership::{Membership, NotAdmitted};

use crate::blame::Verdict;
use crate::logs::log_of;

/// What frames are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The founding document.
    pub genesis: &'a Genesis,
    /// Its id.
    pub lattice: LatticeId,
    /// The members, as far as this node knows.
    pub membership: &'a Membership,
}

/// What is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Commits that verify, for the writer; those of unknown authors wait there.
    Commits(Vec<VerifiedCommit>),
    /// What a member says of its state.
    Head(Box<Head>),
    /// Proof that a member signed two commits for one place.
    Evidence(Box<Equivocation>),
    /// What a member's log amounts to, as it signed.
    Checkpoint(Box<SignedCheckpoint>),
    /// Proof that a member's log has two histories.
    Fork(Box<ForkEvidence>),
    /// Nothing.
    Nothing,
}

/// A frame, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What gossip is told.
    pub verdict: Verdict,
    /// Why it is not forwarded, in a word for metrics; `None` if it is.
    pub refused: Option<&'static str>,
    /// What is handed on, even of a frame that is not forwarded.
    pub content: Content,
}

impl Checked {
    fn accepted(content: Content) -> Self {
        Self { verdict: Verdict::Accept, refused: None, content }
    }

    fn refused(verdict: Verdict, reason: &'static str) -> Self {
        Self { verdict, refused: Some(reason), content: Content::Nothing }
    }
}

/// Checks a frame; `is_lattice` tells whether the peer that sent it to us proved the lattice.
pub fn check(rules: &Rules<'_>, is_lattice: bool, bytes: &[u8]) -> Checked {
    if !is_lattice {
        // Commits would be judged by their signatures all the same, but a stranger's flood is not worth the time.
        return Checked::refused(Verdict::Ignore, "sender-not-of-lattice");
    }
    match Frame::decode(bytes) {
        Ok(Frame::Commits(commits)) => check_commits(rules, commits),
        Ok(Frame::Head(head)) => check_head(rules, &head),
        Ok(Frame::Equivocation(pair)) => check_evidence(rules, pair),
        Ok(Frame::Checkpoint(signed)) => check_checkpoint(rules, signed),
        Ok(Frame::Fork(evidence)) => check_fork(rules, evidence),
        Err(error) => Checked::refused(Verdict::of(error.fault()), undecodable(&error)),
    }
}

/// The frame is as bad as its worst commit; the good ones are handed on all the same.
fn check_commits(rules: &Rules<'_>, commits: Vec<Commit>) -> Checked {
    let mut good = Vec::with_capacity(commits.len());
    let (mut verdict, mut refused) = (Verdict::Accept, None);
    for commit in commits {
        let (fault, reason) = match check_commit(rules, commit, &mut good) {
            Ok(()) => continue,
            Err(refused) => refused,
        };
        if Verdict::of(fault) > verdict {
            (verdict, refused) = (Verdict::of(fault), Some(reason));
        }
    }
    Checked { verdict, refused, content: Content::Commits(good) }
}

/// Puts a commit among the good ones unless its sender is at fault. What the writer will only park or refuse is not
/// forwarded, and an honest sender is not blamed.
fn check_commit(
    rules: &Rules<'_>,
    commit: Commit,
    good: &mut Vec<VerifiedCommit>,
) -> Result<(), (Fault, &'static str)> {
    let commit = commit.verify_for(rules.genesis, rules.lattice).map_err(|error| (error.fault(), invalid(&error)))?;
    let Err(refused) = rules.membership.admit(rules.genesis, rules.lattice, &commit) else {
        good.push(commit);
        return Ok(());
    };
    if refused.fault() != Fault::Sender {
        good.push(commit);
    }
    Err((refused.fault(), not_admitted(&refused)))
}

fn check_head(rules: &Rules<'_>, head: &SignedHead) -> Checked {
    match head.verified() {
        None => Checked::refused(Verdict::Reject, "head-not-signed"),
        Some(head) if head.lattice != rules.lattice => Checked::refused(Verdict::Reject, "other-lattice"),
        Some(head) if rules.membership.is_active(&head.author) => Checked::accepted(Content::Head(Box::new(head))),
        Some(_) => Checked::refused(Verdict::Ignore, "head-of-stranger"),
    }
}

fn check_evidence(rules: &Rules<'_>, pair: Box<Equivocation>) -> Checked {
    let header = pair.first.header();
    if !pair.is_proven() {
        Checked::refused(Verdict::Reject, "evidence-not-proven")
    } else if header.lattice != rules.lattice {
        // An author of two lattices breaks its chain in one of them: that is nothing to this one.
        Checked::refused(Verdict::Reject, "other-lattice")
    } else if rules.membership.member(&header.author).is_none() {
        Checked::refused(Verdict::Ignore, "evidence-on-stranger")
    } else {
        Checked::accepted(Content::Evidence(pair))
    }
}

fn check_checkpoint(rules: &Rules<'_>, signed: Box<SignedCheckpoint>) -> Checked {
    match log_of(rules.membership, &rules.lattice, signed.checkpoint().origin()) {
        None => Checked::refused(Verdict::Ignore, "log-of-stranger"),
        // Of two such there could be no evidence.
        Some(_) if !has_room_for(&signed) => Checked::refused(Verdict::Reject, "checkpoint-too-long"),
        Some((_, key)) if signed.verify(&key).is_ok() => Checked::accepted(Content::Checkpoint(signed)),
        Some(_) => Checked::refused(Verdict::Reject, "checkpoint-not-signed"),
    }
}

fn check_fork(rules: &Rules<'_>, evidence: Box<ForkEvidence>) -> Checked {
    match log_of(rules.membership, &rules.lattice, evidence.origin()) {
        None => Checked::refused(Verdict::Ignore, "log-of-stranger"),
        Some((_, key)) if evidence.verify(&key).is_ok() => Checked::accepted(Content::Fork(evidence)),
        Some(_) => Checked::refused(Verdict::Reject, "evidence-not-proven"),
    }
}

fn undecodable(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooLong { .. } => "too-long",
        DecodeError::Malformed(_) => "malformed",
        DecodeError::NotCanonical => "not-canonical",
        DecodeError::UnknownVersion { .. } => "unknown-version",
        DecodeError::Invalid(_) => "invalid",
    }
}

fn invalid(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::OtherLattice { .. } => "other-lattice",
        VerifyError::WrongSignature { .. } => "wrong-signature",
        VerifyError::WrongOps { .. } => "wrong-operations",
        VerifyError::BeyondLimit { .. } => "beyond-limit",
        VerifyError::RepeatedKey(_) => "repeated-key",
    }
}

fn not_admitted(refused: &NotAdmitted) -> &'static str {
    match refused {
        NotAdmitted::UnknownAuthor { .. } => "unknown-author",
        NotAdmitted::BeyondCut { .. } => "beyond-cut",
        NotAdmitted::Reserved { .. } => "reserved-key",
        NotAdmitted::UnknownTerm { .. } => "unknown-term",
        NotAdmitted::OutsideSeat { .. } => "outside-seat",
        NotAdmitted::BadCertificate(_) => "bad-certificate",
        NotAdmitted::MixedChange | NotAdmitted::BadChange(_) => "bad-membership-change",
        NotAdmitted::BadUrl(_) => "bad-url",
    }
}

#[cfg(test)]
mod tests;
