//! Evidence that a log has two histories: found here or held by a node, checked, and kept in a file for anyone.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{Beginning, ForkEvidence};
use lattice::log::note::VerifierKey;
use lattice::log::policy::Policy;

use super::finding::{Finding, Kind};
use super::known::{Forked, Known};
use crate::cli::text::{grouped, visible};
use crate::cli::whole;

/// Characters of a log's name in that of a file: a file's name has 255 bytes.
const NAME_CHARS_MAX: usize = 100;

/// Keeps what two checkpoints prove against their log; a finding if they don't amount to evidence.
pub(super) fn prove(
    known: &mut Known,
    url: &str,
    before: &SignedCheckpoint,
    now: &SignedCheckpoint,
    beginning: Option<Beginning>,
    log: &VerifierKey,
) -> Option<Finding> {
    match ForkEvidence::new(before, now, beginning, log) {
        Ok(evidence) => {
            known.keep_fork(url, evidence);
            None
        }
        Err(no) => {
            let origin = now.checkpoint().origin();
            let sizes = (before.checkpoint().size(), now.checkpoint().size());
            let sentence = format!("{}; no evidence could be made: {no}", said(origin, sizes));
            Some(Finding { about: origin.to_owned(), ..Finding::new(Kind::Fork, url, sentence) })
        }
    }
}

/// Keeps evidence that a node holds, if it holds by the policy's keys. Of a log that the policy does not name nobody here
/// can say anything.
pub(super) fn accuse(known: &mut Known, policy: &Policy, url: &str, text: &str) -> Option<Finding> {
    let wrong = |kind, why: &dyn std::fmt::Display| {
        Some(Finding::new(kind, url, format!("the node gives evidence against a log that is none: {why}")))
    };
    let evidence = match ForkEvidence::parse(text.as_bytes()) {
        Ok(evidence) => evidence,
        Err(bad) => return wrong(Kind::Unreadable, &bad),
    };
    if known.forks().contains_key(evidence.origin()) {
        return None;
    }
    let mut refused = None;
    for key in policy.logs().iter().map(|log| &log.key).filter(|key| key.name().as_str() == evidence.origin()) {
        match evidence.verify(key) {
            Ok(()) => {
                known.keep_fork(url, evidence);
                return None;
            }
            Err(no) => refused = refused.or(Some(no)),
        }
    }
    refused.and_then(|no| wrong(Kind::Signature, &no))
}

/// All logs of the policy that were ever caught, each with its evidence in a file.
pub(super) fn standing(known: &Known, policy: &Policy) -> Vec<Finding> {
    let is_named = |origin: &str| policy.logs().iter().any(|log| log.key.name().as_str() == origin);
    let caught = known.forks().iter().filter(|(origin, _)| is_named(origin));
    caught.map(|(_, forked)| finding(&known.folder(), forked)).collect()
}

fn finding(folder: &Path, Forked { url, evidence }: &Forked) -> Finding {
    let origin = evidence.origin();
    let said = said(origin, sizes(evidence));
    let file = folder.join(evidence_name(evidence));
    let (sentence, written) = match keep(&file, evidence.to_string().as_bytes()) {
        Ok(()) => {
            let name = file.display();
            (format!("{said}; {name} proves it to anyone: `lattice verify {name} --policy POLICY`"), Some(file))
        }
        Err(not) => (format!("{said}; the evidence is not in a file: {not}"), None),
    };
    Finding { evidence: written, about: origin.to_owned(), ..Finding::new(Kind::Fork, url, sentence) }
}

/// Writes a file unless it stands there as it should: it is asked for at every look.
fn keep(file: &Path, bytes: &[u8]) -> Result<(), whole::NotWritten> {
    if std::fs::read(file).is_ok_and(|stored| stored == bytes) { Ok(()) } else { whole::write(file, bytes) }
}

fn said(origin: &str, (first, second): (u64, u64)) -> String {
    let origin = visible(origin);
    format!("log {origin} signed two histories, one over {} and one over {} records", grouped(first), grouped(second))
}

fn sizes(evidence: &ForkEvidence) -> (u64, u64) {
    (evidence.first().checkpoint().size(), evidence.second().checkpoint().size())
}

/// The name of a file with evidence: one per pair of checkpoints, so that none is overwritten by another.
fn evidence_name(evidence: &ForkEvidence) -> PathBuf {
    // Origins of a policy are anybody's text.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let origin: String = evidence.origin().chars().map(plain).take(NAME_CHARS_MAX).collect();
    let (first, second) = sizes(evidence);
    let root = HEXLOWER.encode(&evidence.second().checkpoint().root()[..4]);
    format!("fork-{origin}-{first}-{second}-{root}.txt").into()
}
