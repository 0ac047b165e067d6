//! What nodes hold of the logs of others: evidence of forks, and the last checkpoints that they know of.
//!
//! A log that shows one history here and another to its peers is caught by what the peers were shown: each checkpoint that
//! a node knows must be the beginning of what the log itself shows, or be shown by it in a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join;
use http_fallback::client::NoAnswer;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::VerifierKey;
use lattice::merkle::Digest;

use super::fetch::Fetch;
use super::finding::{Finding, Kind};
use super::forks;
use super::growth::{self, Growth, Step};
use super::known::seen;
use super::look::{Auditor, NodeView, unanswered};
use crate::cli::text::{grouped, visible};

/// Time for both lists. A node that hangs is found by its silence, and holds the look up no longer than that.
const LISTS_TIMEOUT: Duration = Duration::from_secs(5);

/// Consistency proofs that a look asks for (a guess: ten nodes know of a hundred checkpoints). The next look goes on.
const PROOFS_MAX: usize = 256;

/// A checkpoint by name, size and root.
pub(super) type Place = (String, u64, Digest);

/// Both lists of a node.
pub(super) struct Hearsay {
    forks: Result<Vec<String>, NoAnswer>,
    checkpoints: Result<Vec<String>, NoAnswer>,
}

/// A checkpoint that a node knows of, signed by the log that it names.
struct Told<'a> {
    url: &'a str,
    signed: SignedCheckpoint,
    log: VerifierKey,
}

/// Asks for both lists.
pub(super) async fn ask(fetch: &Fetch, url: &str) -> Hearsay {
    let both = join(fetch.forks(url), fetch.checkpoints(url));
    let lost = || Err(NoAnswer::Lost("no answer in time".to_owned()));
    let (forks, checkpoints) =
        tokio::time::timeout(LISTS_TIMEOUT, both).await.unwrap_or_else(|_elapsed| (lost(), lost()));
    Hearsay { forks, checkpoints }
}

impl Auditor {
    /// Holds what nodes know against what the logs showed after that.
    pub(super) async fn judge_hearsay(&mut self, nodes: &[NodeView], hearsay: Vec<Hearsay>) -> Vec<Finding> {
        let (mut found, mut told) = (Vec::new(), Vec::new());
        for (node, Hearsay { forks, checkpoints }) in nodes.iter().zip(hearsay) {
            for text in listed(node, "list of forks", forks, &mut found) {
                found.extend(forks::accuse(&mut self.known, &self.policy, &node.url, &text));
            }
            for text in listed(node, "list of checkpoints", checkpoints, &mut found) {
                match self.told(&node.url, &text) {
                    Ok(one) => told.extend(one),
                    Err(finding) => found.push(finding),
                }
            }
        }
        self.contradictions(&told, &mut found);
        let agreed = self.beginnings(nodes, &told, &mut found).await;
        self.agreed = agreed;
        found
    }

    /// A listed checkpoint, if it is of a log of the policy.
    fn told<'a>(&self, url: &'a str, text: &str) -> Result<Option<Told<'a>>, Finding> {
        let unreadable = |why: &dyn std::fmt::Display| {
            Finding::new(Kind::Unreadable, url, format!("the node lists a checkpoint that is none: {why}"))
        };
        let signed = SignedCheckpoint::parse(text.as_bytes()).map_err(|error| unreadable(&error))?;
        let origin = signed.checkpoint().origin();
        let mut refused = None;
        for key in self.policy.logs().iter().map(|log| &log.key).filter(|key| key.name().as_str() == origin) {
            match signed.verify(key) {
                Ok(()) => {
                    let log = key.clone();
                    return Ok(Some(Told { url, signed, log }));
                }
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            None => Ok(None),
            Some(error) => {
                let sentence = format!("the node lists a checkpoint of {}: {error}", visible(origin));
                Err(Finding::new(Kind::Signature, url, sentence))
            }
        }
    }

    /// Two roots of one size, whoever knows of them.
    fn contradictions(&mut self, told: &[Told<'_>], found: &mut Vec<Finding>) {
        let mut by_size: BTreeMap<(String, u64), SignedCheckpoint> = BTreeMap::new();
        for Told { url, signed, log } in told {
            let origin = signed.checkpoint().origin();
            let place = (origin.to_owned(), signed.checkpoint().size());
            let held = self.known.last(origin).map(|last| &last.signed);
            let held = held.filter(|held| held.checkpoint().size() == place.1).cloned();
            let other = by_size.entry(place).or_insert_with(|| held.unwrap_or_else(|| signed.clone())).clone();
            if other.checkpoint().root() != signed.checkpoint().root() {
                found.extend(forks::prove(&mut self.known, url, &other, signed, None, log));
            }
        }
    }

    /// Whether each checkpoint is the beginning of its log, as one of the nodes shows it; gives those that are.
    async fn beginnings(&mut self, nodes: &[NodeView], told: &[Told<'_>], found: &mut Vec<Finding>) -> BTreeSet<Place> {
        let (mut agreed, mut proofs) = (BTreeSet::new(), 0);
        for Told { url, signed, log } in told {
            let (new, origin) = (seen(signed), signed.checkpoint().origin());
            let place = (origin.to_owned(), new.size, new.root);
            let Some((shown_at, shown)) = self.shown(nodes, origin) else { continue };
            if self.agreed.contains(&place) || agreed.contains(&place) {
                agreed.insert(place);
                continue;
            }
            match growth::step(Some(&new), &seen(&shown)) {
                // Of a contradiction at one size there is evidence already.
                Step::Same | Step::First | Step::Forks => {}
                Step::Shrinks => found.push(withheld(shown_at, url, new.size, seen(&shown).size)),
                Step::Grows if proofs == PROOFS_MAX => {}
                Step::Grows => {
                    proofs += 1;
                    match self.fetch.growth(shown_at, &new, &seen(&shown)).await {
                        Growth::Proven | Growth::ProvenByTiles { .. } => drop(agreed.insert(place)),
                        Growth::Forked(beginning) => {
                            found.extend(forks::prove(&mut self.known, url, signed, &shown, Some(beginning), log));
                        }
                        Growth::Unproven(why) => found.push(unproven(shown_at, url, new.size, &why)),
                    }
                }
            }
        }
        agreed
    }

    /// Where a log is shown at this look, and as it was remembered from there.
    fn shown<'a>(&self, nodes: &'a [NodeView], origin: &str) -> Option<(&'a str, SignedCheckpoint)> {
        let last = self.known.last(origin)?;
        let is_it = |node: &&NodeView| {
            node.accepted.as_ref().is_some_and(|accepted| {
                accepted.signed.checkpoint().origin() == origin && seen(&accepted.signed) == last.seen()
            })
        };
        let node = nodes.iter().find(is_it)?;
        Some((&node.url, last.signed.clone()))
    }
}

/// What a node lists. A server of a log alone has no such lists, and one that is away is found by its silence.
fn listed(node: &NodeView, what: &str, list: Result<Vec<String>, NoAnswer>, found: &mut Vec<Finding>) -> Vec<String> {
    match list {
        Ok(texts) => return texts,
        Err(NoAnswer::Declined { .. }) => {}
        Err(NoAnswer::Busy | NoAnswer::Lost(_)) if !node.answered => {}
        Err(error) => found.push(unanswered(&node.url, what, &error)),
    }
    Vec::new()
}

fn withheld(shown_at: &str, known_at: &str, size: u64, shown: u64) -> Finding {
    let sentence = format!(
        "the log signed a checkpoint over {} records, which {known_at} has, and shows {}",
        grouped(size),
        grouped(shown)
    );
    Finding::new(Kind::Withheld, shown_at, sentence)
}

fn unproven(shown_at: &str, known_at: &str, size: u64, why: &str) -> Finding {
    let sentence = format!(
        "the log signed a checkpoint over {} records, which {known_at} has, and does not show that what it shows here began \
         with it: {why}",
        grouped(size)
    );
    Finding::new(Kind::Withheld, shown_at, sentence)
}
