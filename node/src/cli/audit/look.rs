//! One look at all nodes: asks them, and holds what they say against the policy, the past and each other.

use std::collections::BTreeSet;

use futures::future::join_all;
use http_fallback::client::NoAnswer;
use lattice::head::Head;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::VerifierKey;
use lattice::log::policy::{Policy, Refused};
use lattice::log::witness::Seen;
use serde::Serialize;

use super::fetch::Fetch;
use super::finding::{Finding, Kind, Suspicions, Waits, Weighed};
use super::forks;
use super::growth::{self, Growth, Step};
use super::hearsay::{self, Place};
use super::known::{Known, seen};
use super::standstill::Shown;
use super::story::{self, ShownLog, Told};
use crate::cli::text::grouped;

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
    /// Checkpoints that nodes knew of at the last look, and that are the beginning of what their log shows.
    pub(super) agreed: BTreeSet<Place>,
}

/// What a node showed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NodeView {
    /// Where.
    pub(super) url: String,
    /// Whether it answered.
    pub(super) answered: bool,
    /// Whether something that it is always asked for did not come: what was found about it before may go on.
    #[serde(skip)]
    pub(super) is_away: bool,
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
    /// Looks once, and remembers what held. What fails is a finding, at the nodes or here.
    pub(super) async fn look(&mut self) -> Look {
        let urls = self.urls.clone();
        // First what others know of a log: what it shows afterwards is not older.
        let hearsay = join_all(urls.iter().map(|url| hearsay::ask(&self.fetch, url))).await;
        let answers = join_all(urls.iter().map(|url| self.ask(url))).await;
        let (mut nodes, mut heads, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (url, Answers { head, checkpoint }) in urls.iter().zip(answers) {
            let mut node = NodeView::silent(url.clone());
            node.answered = !matches!((&head, &checkpoint), (Err(NoAnswer::Lost(_)), Err(NoAnswer::Lost(_))));
            node.is_away = is_away(&head) || is_away(&checkpoint);
            match checkpoint {
                Ok(signed) => self.judge_log(&mut node, signed, &mut found).await,
                Err(error) => found.push(unanswered(url, "checkpoint", &error)),
            }
            match head {
                Ok(head) => {
                    let told = Told { url: url.clone(), head };
                    found.extend(self.judge_head(&mut node, &told));
                    heads.push(told);
                }
                // One word about a node that is gone is enough.
                Err(_) if !node.answered => {}
                Err(error) => found.push(unanswered(url, "head", &error)),
            }
            nodes.push(node);
        }
        found.extend(self.judge_hearsay(&nodes, hearsay).await);
        found.extend(story::of_all(&heads));
        found.extend(forks::standing(&self.known, &self.policy));
        found.extend(self.unsaved());
        let at_ms = crate::clock::now_ms();
        Look { at_ms, nodes, weighed: self.suspicions.weigh(at_ms, self.waits, found) }
    }

    /// Writes down what was seen. An auditor that can't goes on looking: nobody else would raise an alarm.
    pub(super) fn unsaved(&self) -> Option<Finding> {
        let not = self.known.save().err()?;
        let file = self.known.file().map_or_else(String::new, |file| file.display().to_string());
        let sentence = format!("the auditor itself can't remember what it saw: {not}; the next run will not know it");
        Some(Finding::new(Kind::Unsaved, &file, sentence))
    }

    /// The head first: a checkpoint asked for later is not smaller than the head says.
    async fn ask(&self, url: &str) -> Answers {
        let head = self.fetch.head(url).await;
        Answers { head, checkpoint: self.fetch.checkpoint(url).await }
    }

    fn judge_head(&mut self, node: &mut NodeView, told: &Told) -> Vec<Finding> {
        let head = &told.head;
        node.state_root = Some(head.root.to_string());
        node.entries = Some(head.entries);
        node.head_ms = Some(head.time_ms);
        let log = node.accepted.as_ref().map(|accepted| accepted.signed.checkpoint());
        let log = log.map(|checkpoint| ShownLog { origin: checkpoint.origin(), size: checkpoint.size() });
        let now_ms = crate::clock::now_ms();
        let mut found = story::of_one(told, log, now_ms, self.waits.max_age_ms);
        if let Some(ShownLog { origin, size }) = log {
            let shown = Shown { state: &head.root.to_string(), log: origin, size };
            let since = self.known.standstill().saw(&told.url, shown, now_ms);
            found.extend(since.and_then(|since| story::unsigned(&told.url, since, now_ms, self.waits.max_age_ms)));
        }
        found
    }

    async fn judge_log(&mut self, node: &mut NodeView, signed: SignedCheckpoint, found: &mut Vec<Finding>) {
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
                    None => return,
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
        found.extend(self.judge_growth(&url, signed, &log).await);
    }

    /// Holds a checkpoint against the last one of its log, and remembers it if it follows.
    async fn judge_growth(&mut self, url: &str, signed: SignedCheckpoint, log: &VerifierKey) -> Option<Finding> {
        let new = seen(&signed);
        let Some(last) = self.known.last(signed.checkpoint().origin()).map(|last| last.signed.clone()) else {
            self.known.remember(signed, crate::clock::now_ms());
            return None;
        };
        let old = seen(&last);
        let growth = match growth::step(Some(&old), &new) {
            Step::Same => return None,
            Step::First => Growth::Proven,
            Step::Grows => self.fetch.growth(url, &old, &new).await,
            Step::Shrinks => return Some(rollback(url, &old, &new)),
            Step::Forks => return forks::prove(&mut self.known, url, &last, &signed, None, log),
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
                return forks::prove(&mut self.known, url, &last, &signed, Some(beginning), log);
            }
            Growth::Unproven(why) => {
                let sentence = format!(
                    "the node does not show that its log of {} records began with the {} seen before: {why}",
                    grouped(new.size),
                    grouped(old.size)
                );
                return Some(Finding::new(Kind::NoProof, url, sentence));
            }
        };
        self.known.remember(signed, crate::clock::now_ms());
        finding
    }
}

fn rollback(url: &str, old: &Seen, new: &Seen) -> Finding {
    let sentence = format!(
        "the log had {} records and has {} now: an old copy is shown or was restored. Should the log sign other records in \
         place of those that are gone, it contradicts itself; ask the operator",
        grouped(old.size),
        grouped(new.size)
    );
    Finding::new(Kind::Rollback, url, sentence)
}

fn is_away<T>(answer: &Result<T, NoAnswer>) -> bool {
    matches!(answer, Err(NoAnswer::Busy | NoAnswer::Lost(_)))
}

impl NodeView {
    fn silent(url: String) -> Self {
        Self {
            url,
            answered: false,
            is_away: true,
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

/// A finding about an answer that brought nothing.
pub(super) fn unanswered(url: &str, what: &str, error: &NoAnswer) -> Finding {
    match error {
        NoAnswer::Busy | NoAnswer::Lost(_) => {
            Finding::new(Kind::Silent, url, format!("no {what} from the node: {error}"))
        }
        NoAnswer::Declined { .. } | NoAnswer::Unreadable(_) => {
            Finding::new(Kind::Unreadable, url, format!("what the node gives as its {what} is none: {error}"))
        }
    }
}
