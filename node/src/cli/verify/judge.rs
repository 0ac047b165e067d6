//! What a file proves under a policy. Pure.

use lattice::bundle::{Bundle, Proven};
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::VerifierKey;
use lattice::log::policy::{Judged, Policy, Refused};
use lattice::log::proof::{NotProven, Proof};
use lattice::merkle::leaf_hash;
use lattice::record::Record;

/// What became of a proof.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It holds.
    Proven(Box<Shown>),
    /// It does not hold, and why.
    Refuted(String),
    /// The policy does not reach as far, and why.
    Undecided(String),
}

/// What is proven.
#[derive(Debug)]
pub(super) enum Shown {
    /// A fact about a state.
    Fact {
        /// The fact.
        proven: Proven,
        /// Records under the checkpoint.
        size: u64,
    },
    /// A record of a log.
    Record {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What they say, if they are a record of a lattice.
        record: Option<Record>,
        /// Its index.
        index: u64,
        /// Records under the checkpoint.
        size: u64,
        /// Log and witnesses.
        judged: Judged,
    },
    /// A log signed two histories.
    Fork {
        /// The log that did.
        log: VerifierKey,
        /// Sizes of the two checkpoints.
        sizes: (u64, u64),
    },
}

/// First lines of the files that are read.
const PROOF: &[u8] = b"c2sp.org/tlog-proof@v1\n";
const FORK: &[u8] = b"lattice-fork/v1\n";

/// A file of no kind that is known here.
#[derive(Debug, thiserror::Error)]
#[error("its first line is that of no bundle, tlog-proof or fork evidence of a version that this program knows")]
pub(super) struct UnknownKind;

/// Judges a file by its first line.
pub(super) fn judge(bytes: &[u8], policy: &Policy) -> Result<Verdict, UnknownKind> {
    if Bundle::is_one(bytes) {
        Ok(bundle(bytes, policy))
    } else if bytes.starts_with(PROOF) {
        Ok(record(bytes, policy))
    } else if bytes.starts_with(FORK) {
        Ok(fork(bytes, policy))
    } else {
        Err(UnknownKind)
    }
}

fn bundle(bytes: &[u8], policy: &Policy) -> Verdict {
    let bundle = match Bundle::parse(bytes) {
        Ok(bundle) => bundle,
        Err(bad) => return malformed(&bad),
    };
    match bundle.verify(policy) {
        Ok(proven) => {
            let size = bundle.proof().checkpoint().checkpoint().size();
            Verdict::Proven(Box::new(Shown::Fact { proven, size }))
        }
        Err(not) if not.is_undecided() => Verdict::Undecided(not.to_string()),
        Err(not) => Verdict::Refuted(not.to_string()),
    }
}

fn record(bytes: &[u8], policy: &Policy) -> Verdict {
    let proof = match Proof::parse(bytes) {
        Ok(proof) => proof,
        Err(bad) => return malformed(&bad),
    };
    if proof.extra().is_empty() {
        return Verdict::Undecided("the file does not hold the record that it is about, as extra data".to_owned());
    }
    match proof.verify(&leaf_hash(proof.extra()), policy) {
        Ok(judged) => Verdict::Proven(Box::new(Shown::Record {
            bytes: proof.extra().to_vec(),
            record: Record::decode(proof.extra()).ok(),
            index: proof.index(),
            size: proof.checkpoint().checkpoint().size(),
            judged,
        })),
        Err(not @ NotProven::Checkpoint(Refused::UnknownLog(_) | Refused::Quorum { .. })) => {
            Verdict::Undecided(not.to_string())
        }
        Err(not @ (NotProven::Checkpoint(_) | NotProven::Inclusion(_))) => Verdict::Refuted(not.to_string()),
    }
}

fn fork(bytes: &[u8], policy: &Policy) -> Verdict {
    let evidence = match ForkEvidence::parse(bytes) {
        Ok(evidence) => evidence,
        Err(bad) => return malformed(&bad),
    };
    let mut keys = policy.logs().iter().map(|log| &log.key).filter(|key| key.name().as_str() == evidence.origin());
    let Some(first) = keys.next() else {
        return Verdict::Undecided(Refused::UnknownLog(evidence.origin().to_owned()).to_string());
    };
    // A policy may have more than one key of a log; that of both signatures is meant.
    let mut refused = None;
    for key in std::iter::once(first).chain(keys) {
        match evidence.verify(key) {
            Ok(()) => {
                let sizes = (evidence.first().checkpoint().size(), evidence.second().checkpoint().size());
                return Verdict::Proven(Box::new(Shown::Fork { log: key.clone(), sizes }));
            }
            Err(no) => refused = refused.or(Some(no)),
        }
    }
    Verdict::Refuted(refused.map_or_else(String::new, |no| no.to_string()))
}

fn malformed(bad: &dyn std::fmt::Display) -> Verdict {
    Verdict::Refuted(format!("the file was damaged or made up: {bad}"))
}
