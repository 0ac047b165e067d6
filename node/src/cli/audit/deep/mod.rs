//! A deep audit of a running node: every record of its log, and every entry of its state, hashed again.

pub(in crate::cli::audit) mod bookmark;
mod chain;
mod rebuilt;
mod records;
mod state;

use std::time::Duration;

use http_fallback::client::NoAnswer;
use lattice::ids::StateRoot;
use lattice::log::checkpoint::SignedCheckpoint;
use serde::Serialize;

use super::fetch::Fetch;
use super::finding::{Finding, Kind};
use super::forks;
use super::growth::{self, Growth, Step};
use super::known::{Known, seen};
use super::look::Accepted;
use crate::api::auth::ApiToken;
use bookmark::Keeper;
pub(super) use chain::RecordChain;
use chain::State;
use rebuilt::Rebuilt;
use records::{Records, Trouble};

/// Checkpoints that are waited for until the log is signed up to the state that was read. A node signs one a second
/// unless told otherwise, and one that signs every hour can't be judged so.
const CHECKPOINTS_MAX: u32 = 60;
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(1);

/// Times that a state is read whose root the log does not tell of: a cut in the middle of a stream makes one such.
const STATES_MAX: u32 = 2;

/// What was read.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DeepView {
    /// Of which node.
    pub(super) url: String,
    /// Records hashed, those of an earlier reading among them.
    pub(super) records: u64,
    /// Records of an earlier reading that was cut short, behind which this one went on; those were not read again.
    pub(super) went_on_at: Option<u64>,
    /// When that was, in milliseconds since 1970.
    pub(super) went_on_from_ms: Option<u64>,
    /// Why an earlier reading was not gone on with, if there was one.
    pub(super) began_anew: Option<String>,
    /// Entries that stand.
    pub(super) entries: u64,
    /// Commits verified.
    pub(super) commits: u64,
    /// State root rebuilt from the entries, if they were read.
    pub(super) state_root: Option<String>,
    /// Why not all was read.
    pub(super) could_not: Option<String>,
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum End {
    /// Something is wrong with what came.
    Found(Finding),
    /// Something did not come.
    CouldNot(String),
}

impl DeepView {
    fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            records: 0,
            went_on_at: None,
            went_on_from_ms: None,
            began_anew: None,
            entries: 0,
            commits: 0,
            state_root: None,
            could_not: None,
        }
    }
}

/// Audits a node whose checkpoint was accepted; without a token its records and tiles alone. Goes on where an earlier
/// audit of it was cut short.
pub(super) async fn audit(
    fetch: &Fetch,
    known: &mut Known,
    url: &str,
    accepted: &Accepted,
    token: Option<&ApiToken>,
) -> (DeepView, Vec<Finding>) {
    let (mut view, mut found) = (DeepView::of(url), Vec::new());
    let records = match gone_on(fetch, known, url, accepted, &mut view, &mut found).await {
        Some(records) => records,
        None => records_of(url, accepted),
    };
    let keeper = Keeper::of(url, known);
    let mut reading = Reading { fetch, accepted, records, keeper, view, found };
    match token {
        None => reading.read_records().await,
        Some(token) => reading.read_all(token).await,
    }
    let Reading { records, mut keeper, mut view, mut found, .. } = reading;
    if view.could_not.is_none() {
        keeper.forget();
    }
    view.records = records.size();
    found.extend(records.wrong_tiles().map(|sentence| Finding::new(Kind::Tiles, url, sentence)));
    (view, found)
}

/// The records as an earlier reading left them, if the log still begins with them. A log that does not contradicts what
/// it signed then: that is evidence.
async fn gone_on(
    fetch: &Fetch,
    known: &mut Known,
    url: &str,
    accepted: &Accepted,
    view: &mut DeepView,
    found: &mut Vec<Finding>,
) -> Option<Records> {
    let bookmark = known.bookmark(url)?.clone();
    let (before, now) = (bookmark.signed(), &accepted.signed);
    if let Err(not) = before.verify(&accepted.log) {
        view.began_anew = Some(format!("what was read here before is not of this log: {not}"));
        return None;
    }
    let (old, new) = (seen(before), seen(now));
    let growth = match growth::step(Some(&old), &new) {
        Step::Same | Step::First => Growth::Proven,
        Step::Grows => fetch.growth(url, &old, &new).await,
        Step::Shrinks => Growth::Unproven("it is shorter now".to_owned()),
        Step::Forks => {
            found.extend(forks::prove(known, url, before, now, None, &accepted.log));
            view.began_anew = Some("the log contradicts what it signed when it was read before".to_owned());
            return None;
        }
    };
    match growth {
        Growth::Proven | Growth::ProvenByTiles { .. } => {
            let records = Records::behind(&bookmark, url, accepted.log.name().as_str());
            (view.went_on_at, view.went_on_from_ms) = (Some(records.size()), Some(bookmark.at_ms()));
            return Some(records);
        }
        Growth::Forked(beginning) => {
            found.extend(forks::prove(known, url, before, now, Some(beginning), &accepted.log));
            view.began_anew = Some("the log contradicts what it signed when it was read before".to_owned());
        }
        Growth::Unproven(why) => {
            view.began_anew = Some(format!("the log does not show that it goes on what was read before: {why}"));
        }
    }
    None
}

fn records_of(url: &str, accepted: &Accepted) -> Records {
    Records::of(url, accepted.log.name().as_str())
}

/// An audit under way.
struct Reading<'a> {
    fetch: &'a Fetch,
    accepted: &'a Accepted,
    records: Records,
    keeper: Keeper<'a>,
    view: DeepView,
    found: Vec<Finding>,
}

impl Reading<'_> {
    fn note(&mut self, end: End) {
        match end {
            End::Found(finding) => self.found.push(finding),
            End::CouldNot(why) => self.view.could_not = Some(why),
        }
    }

    /// What anyone may read.
    async fn read_records(&mut self) {
        if let Err(end) = self.read(&self.accepted.signed, &[]).await {
            self.note(end);
        }
    }

    async fn read_all(&mut self, token: &ApiToken) {
        for attempt in 1.. {
            let name = self.accepted.log.name().as_str();
            let rebuilt = match state::rebuild(self.fetch, &self.view.url, name, token).await {
                Ok(rebuilt) => rebuilt,
                Err(End::Found(finding)) => {
                    self.found.push(finding);
                    return self.read_records().await;
                }
                // What needs no token is looked at all the same.
                Err(End::CouldNot(why)) => {
                    self.read_records().await;
                    let entries = format!("the entries could not be looked at: {why}");
                    let records = self.view.could_not.take();
                    self.view.could_not =
                        Some(records.map_or_else(|| entries.clone(), |why| format!("{why}; {entries}")));
                    return;
                }
            };
            (self.view.entries, self.view.commits) = (rebuilt.entries(), rebuilt.commits());
            self.view.state_root = Some(rebuilt.root().to_string());
            match self.tells_of(&rebuilt).await {
                Ok(true) => return,
                Ok(false) if attempt == STATES_MAX => return self.found.push(untold(&self.view.url, &rebuilt)),
                // The records are read anew too: the other state may be one of before.
                Ok(false) => {
                    self.records = records_of(&self.view.url, self.accepted);
                    (self.view.went_on_at, self.view.went_on_from_ms) = (None, None);
                }
                Err(end) => return self.note(end),
            }
        }
    }

    /// Reads records until one tells of the state; the first checkpoint accepted is among those that they are held
    /// against. Once the log tells of a state that was shown later, it never will.
    async fn tells_of(&mut self, rebuilt: &Rebuilt) -> Result<bool, End> {
        let state = State { root: rebuilt.root(), entries: rebuilt.entries() };
        if self.read(&self.accepted.signed, &[state]).await?.contains(&state.root) {
            return Ok(true);
        }
        for _ in 0..CHECKPOINTS_MAX {
            let url = self.view.url.as_str();
            let head = self.fetch.head(url).await.map_err(|error| End::CouldNot(error.to_string()))?;
            let signed = self.fetch.checkpoint(url).await.map_err(|error| End::CouldNot(error.to_string()))?;
            if let Err(not) = signed.verify(&self.accepted.log) {
                return Err(End::Found(Finding::new(Kind::Signature, url, not.to_string())));
            }
            if signed.checkpoint().size() < self.records.size() {
                let sentence = "a checkpoint smaller than the one before was shown while its records were read";
                return Err(End::Found(Finding::new(Kind::Rollback, url, sentence)));
            }
            let shown = State { root: head.root, entries: head.entries };
            let told = self.read(&signed, &[state, shown]).await?;
            if told.contains(&state.root) {
                return Ok(true);
            }
            if told.contains(&head.root) || self.records.last() == Some(shown) {
                return Ok(false);
            }
            tokio::time::sleep(CHECKPOINT_PAUSE).await;
        }
        Err(End::CouldNot("the log is not signed up to the state that was read; ask again later".to_owned()))
    }

    async fn read(&mut self, signed: &SignedCheckpoint, wanted: &[State]) -> Result<Vec<StateRoot>, End> {
        let told = self.records.read(self.fetch, signed, wanted, &mut self.keeper).await;
        told.map_err(|trouble| end(&self.view.url, trouble))
    }
}

fn untold(url: &str, rebuilt: &Rebuilt) -> Finding {
    let sentence = format!(
        "the {} entries that the node gives have the root {}, and no record of its log tells of that state: entries are \
         missing, altered or added",
        rebuilt.entries(),
        rebuilt.root()
    );
    Finding::new(Kind::State, url, sentence)
}

fn end(url: &str, trouble: Trouble) -> End {
    match trouble {
        Trouble::NoAnswer(error @ (NoAnswer::Busy | NoAnswer::Lost(_))) => End::CouldNot(error.to_string()),
        // The checkpoint says that there are such records.
        Trouble::NoAnswer(error @ (NoAnswer::Declined { .. } | NoAnswer::Unreadable(_))) => {
            let sentence = format!("the node does not give the records of its own checkpoint: {error}");
            End::Found(Finding::new(Kind::Records, url, sentence))
        }
        Trouble::Wrong(sentence) => End::Found(Finding::new(Kind::Records, url, sentence)),
    }
}
