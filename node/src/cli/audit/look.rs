//! One look at all nodes: asks them, and holds what they say against the policy, the past and each other.

use std::path::PathBuf;

use futures::future::join_all;
use http_fallback::client::NoAnswer;
use lattice::head::Head;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{Beginning, ForkEvidence};
use lattice::log::note::VerifierKey;
use lattice::log::policy::{Policy, Refused};
use lattice::log::witness::Seen;
use serde::Serialize;

use super::fetch::Fetch;
use super::finding::{Finding, Kind, Suspicions, Waits, Weighed};
use super::growth::{self, Growth, Step};
use super::known::{Known, seen};
use super::story::{self, ShownLog, Told};
use crate::cli::exit::Failure;
use crate::cli::text::grouped;
use crate::cli::whole;

/// Follows nodes.
pub(super) struct Auditor {
    /// Where they answer.
    pub(super) urls: Vec<String>,
    /// Whom to believe.
    pub(super) policy: Policy,
    /// How they are asked.
    pub(super) fetch: Fetch,
    /// What is remembered of their logs.
    pub(super) known: Known,
    /// How long to wait with what may pass.
    pub(super) waits: Waits,
    /// What has been found at every look since when.
    pub(super) suspicions: Suspicions,
}

/// What a node showed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NodeView {
    /// Where.
    pub(super) url: String,
    /// Whether it answered.
    pub(super) answered: bool,
    /// Its log, if the policy names it and the log signed it.
    pub(super) log: Option<String>,
    /// Records under the checkpoint.
    pub(super) size: Option<u64>,
    /// Known witnesses that cosigned it.
    pub(super) witnesses: u64,
    /// State root in its head.
    pub(super) state_root: Option<String>,
    /// Entries in its head.
    pub(super) entries: Option<u64>,
    /// Time of its head.
    pub(super) head_ms: Option<u64>,
    /// What is audited in depth.
    #[serde(skip)]
    pub(super) accepted: Option<Accepted>,
}

/// A checkpoint that its log signed.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    /// The checkpoint.
    pub(super) signed: SignedCheckpoint,
    /// The key that it was checked with.
    pub(super) log: VerifierKey,
}

/// What a look brought.
pub(super) struct Look {
    /// When it ended.
    pub(super) at_ms: u64,
    /// The nodes.
    pub(super) nodes: Vec<NodeView>,
    /// What was found.
    pub(super) weighed: Weighed,
}

struct Answers {
    head: Result<Head, NoAnswer>,
    checkpoint: Result<SignedCheckpoint, NoAnswer>,
}

impl Auditor {
    /// Looks once, and remembers what held.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the state file or evidence can't be written; a node's failure is a finding.
    pub(super) async fn look(&mut self) -> Result<Look, Failure> {
        let urls = self.urls.clone();
        let answers = join_all(urls.iter().map(|url| self.ask(url))).await;
        let (mut nodes, mut heads, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (url, Answers { head, checkpoint }) in urls.iter().zip(answers) {
            let answered = !matches!((&head, &checkpoint), (Err(NoAnswer::Lost(_)), Err(NoAnswer::Lost(_))));
            let mut node = NodeView::silent(url.clone());
            node.answered = answered;
            match checkpoint {
                Ok(signed) => self.judge_log(&mut node, signed, &mut found).await?,
                Err(error) => found.push(unanswered(url, "checkpoint", &error)),
            }
            match head {
                Ok(head) => {
                    let told = Told { url: url.clone(), head };
                    found.extend(self.judge_head(&mut node, &told));
                    heads.push(told);
                }
                // One word about a node that is gone is enough.
                Err(_) if !answered => {}
                Err(error) => found.push(unanswered(url, "head", &error)),
            }
            nodes.push(node);
        }
        found.extend(story::of_all(&heads));
        self.known.save()?;
        let at_ms = crate::clock::now_ms();
        Ok(Look { at_ms, nodes, weighed: self.suspicions.weigh(at_ms, self.waits, found) })
    }

    /// The head first: a checkpoint asked for later is not smaller than the head says.
    async fn ask(&self, url: &str) -> Answers {
        let head = self.fetch.head(url).await;
        Answers { head, checkpoint: self.fetch.checkpoint(url).await }
    }

    fn judge_head(&self, node: &mut NodeView, told: &Told) -> Vec<Finding> {
        let head = &told.head;
        node.state_root = Some(head.root.to_string());
        node.entries = Some(head.entries);
        node.head_ms = Some(head.time_ms);
        let log = node.accepted.as_ref().map(|accepted| accepted.signed.checkpoint());
        let log = log.map(|checkpoint| ShownLog { origin: checkpoint.origin(), size: checkpoint.size() });
        story::of_one(told, log, crate::clock::now_ms(), self.waits.max_age_ms)
    }

    async fn judge_log(
        &mut self,
        node: &mut NodeView,
        signed: SignedCheckpoint,
        found: &mut Vec<Finding>,
    ) -> Result<(), Failure> {
        let url = node.url.clone();
        let origin = signed.checkpoint().origin().to_owned();
        let log = match self.policy.judge(&signed) {
            Ok(judged) => {
                node.witnesses = judged.witnesses.len() as u64;
                judged.log
            }
            Err(refused) => {
                if let Refused::Quorum { cosigned, .. } = &refused {
                    node.witnesses = cosigned.len() as u64;
                }
                found.push(Finding::new(kind_of(&refused), &url, refused.to_string()));
                let signer = self.policy.logs().iter().map(|log| &log.key).find(|key| signed.verify(key).is_ok());
                // A line of a known key that does not hold condemns the whole note.
                match signer.filter(|_| matches!(refused, Refused::Quorum { .. })) {
                    Some(log) => log.clone(),
                    None => return Ok(()),
                }
            }
        };
        node.log = Some(origin.clone());
        node.size = Some(signed.checkpoint().size());
        node.accepted = Some(Accepted { signed: signed.clone(), log: log.clone() });
        if let Some(before) = self.known.note_shown(&url, &origin) {
            let sentence = format!(
                "log {origin} is shown where {before} was: a log that begins anew hides what the old one said; ask the \
                 operator why"
            );
            found.push(Finding::new(Kind::OtherLog, &url, sentence));
        }
        found.extend(self.judge_growth(&url, signed, &log).await?);
        Ok(())
    }

    /// Holds a checkpoint against the last one of its log, and remembers it if it follows.
    async fn judge_growth(
        &mut self,
        url: &str,
        signed: SignedCheckpoint,
        log: &VerifierKey,
    ) -> Result<Option<Finding>, Failure> {
        let now_ms = crate::clock::now_ms();
        let new = seen(&signed);
        let last = self.known.last(signed.checkpoint().origin()).cloned();
        let old = last.as_ref().map(|last| last.seen());
        let growth = match (growth::step(old.as_ref(), &new), &old) {
            (Step::Same, _) => return Ok(None),
            (Step::First, _) | (_, None) => Growth::Proven,
            (Step::Grows, Some(old)) => self.growth(url, old, &new).await,
            (Step::Shrinks, Some(old)) => {
                let sentence = format!(
                    "the log had {} records and has {} now: an old copy is shown or was restored, and what it signs from \
                     here on will contradict what it signed",
                    grouped(old.size),
                    grouped(new.size)
                );
                return Ok(Some(Finding::new(Kind::Rollback, url, sentence)));
            }
            (Step::Forks, Some(_)) => {
                return self.fork(url, last.as_ref().map(|last| &last.signed), &signed, None, log).map(Some);
            }
        };
        let finding = match growth {
            Growth::Proven => None,
            Growth::ProvenByTiles { wrong } => Some(Finding::new(
                Kind::WrongProof,
                url,
                format!(
                    "the log grew, as its tiles show, but the consistency proof that the node gives is wrong: {wrong}"
                ),
            )),
            Growth::Forked(beginning) => {
                return self.fork(url, last.as_ref().map(|last| &last.signed), &signed, Some(beginning), log).map(Some);
            }
            Growth::Unproven(why) => {
                let old = old.map_or(0, |old| old.size);
                let sentence = format!(
                    "the node does not show that its log of {} records began with the {} seen before: {why}",
                    grouped(new.size),
                    grouped(old)
                );
                return Ok(Some(Finding::new(Kind::NoProof, url, sentence)));
            }
        };
        self.known.remember(signed, now_ms);
        Ok(finding)
    }

    async fn growth(&self, url: &str, old: &Seen, new: &Seen) -> Growth {
        if old.size == 0 {
            // All logs grow from nothing.
            return Growth::Proven;
        }
        let asked = self.fetch.consistency(url, old.size, new.size).await;
        if growth::is_proven(old, new, &asked).is_ok() {
            return Growth::Proven;
        }
        let tiles = match growth::tiles_for(old, new) {
            Ok(ids) => self.fetch.tiles(url, ids).await,
            Err(error) => Err(error.to_string()),
        };
        growth::judge(old, new, &asked, &tiles)
    }

    /// Two histories: keeps the proof of it.
    fn fork(
        &self,
        url: &str,
        before: Option<&SignedCheckpoint>,
        now: &SignedCheckpoint,
        beginning: Option<Beginning>,
        log: &VerifierKey,
    ) -> Result<Finding, Failure> {
        let origin = now.checkpoint().origin();
        let made = before.ok_or_else(|| "the earlier checkpoint is missing".to_owned());
        let made = made.and_then(|before| ForkEvidence::new(before, now, beginning, log).map_err(|no| no.to_string()));
        let sizes = (before.map_or(0, |before| before.checkpoint().size()), now.checkpoint().size());
        let said = format!(
            "log {origin} signed two histories, one over {} and one over {} records",
            grouped(sizes.0),
            grouped(sizes.1)
        );
        let mut finding = match made {
            Ok(evidence) => {
                let file = self.known.folder().join(evidence_name(origin, sizes));
                whole::write(&file, evidence.to_string().as_bytes())?;
                let sentence = format!(
                    "{said}; {} proves it to anyone: `lattice verify {} --policy POLICY`",
                    file.display(),
                    file.display()
                );
                Finding { evidence: Some(file), ..Finding::new(Kind::Fork, url, sentence) }
            }
            Err(why) => Finding::new(Kind::Fork, url, format!("{said}; no evidence could be made: {why}")),
        };
        finding.about = format!("{url} {origin}");
        Ok(finding)
    }
}

/// The name of a file with evidence: one per pair of checkpoints, so that none is overwritten by another.
fn evidence_name(origin: &str, (old, new): (u64, u64)) -> PathBuf {
    // Origins of a policy are anybody's text.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let origin: String = origin.chars().map(plain).take(100).collect();
    format!("fork-{origin}-{old}-{new}.txt").into()
}

impl NodeView {
    fn silent(url: String) -> Self {
        Self {
            url,
            answered: false,
            log: None,
            size: None,
            witnesses: 0,
            state_root: None,
            entries: None,
            head_ms: None,
            accepted: None,
        }
    }
}

fn kind_of(refused: &Refused) -> Kind {
    match refused {
        Refused::UnknownLog(_) => Kind::UnknownLog,
        Refused::NotSigned(_) | Refused::LogSignature(_) | Refused::Cosignature { .. } => Kind::Signature,
        Refused::Quorum { .. } => Kind::Quorum,
    }
}

fn unanswered(url: &str, what: &str, error: &NoAnswer) -> Finding {
    match error {
        NoAnswer::Busy | NoAnswer::Lost(_) => {
            Finding::new(Kind::Silent, url, format!("no {what} from the node: {error}"))
        }
        NoAnswer::Declined { .. } | NoAnswer::Unreadable(_) => {
            Finding::new(Kind::Unreadable, url, format!("what the node gives as its {what} is none: {error}"))
        }
    }
}
