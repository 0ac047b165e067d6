//! A deep audit of a running node: every record of its log, and every entry of its state, hashed again.

mod rebuilt;
mod records;
mod state;

use std::time::Duration;

use http_fallback::client::NoAnswer;
use serde::Serialize;

use super::fetch::Fetch;
use super::finding::{Finding, Kind};
use super::look::Accepted;
use crate::api::auth::ApiToken;
use rebuilt::Rebuilt;
pub(super) use records::RecordChain;
use records::{Records, State, Trouble};

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
    /// Records hashed.
    pub(super) records: u64,
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

/// Audits a node whose checkpoint was accepted; without a token its records and tiles alone.
pub(super) async fn audit(
    fetch: &Fetch,
    url: &str,
    accepted: &Accepted,
    token: Option<&ApiToken>,
) -> (DeepView, Vec<Finding>) {
    let view = DeepView { url: url.to_owned(), records: 0, entries: 0, commits: 0, state_root: None, could_not: None };
    let mut reading = Reading { fetch, accepted, records: records_of(url, accepted), view, found: Vec::new() };
    match token {
        None => reading.read_records().await,
        Some(token) => reading.read_all(token).await,
    }
    let Reading { records, mut view, mut found, .. } = reading;
    view.records = records.size();
    found.extend(records.wrong_tiles().map(|sentence| Finding::new(Kind::Tiles, url, sentence)));
    (view, found)
}

fn records_of(url: &str, accepted: &Accepted) -> Records {
    Records::of(url, accepted.log.name().as_str())
}

/// An audit under way.
struct Reading<'a> {
    fetch: &'a Fetch,
    accepted: &'a Accepted,
    records: Records,
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
        if let Err(trouble) = self.records.read(self.fetch, &self.accepted.signed, &[]).await {
            let end = end(&self.view.url, trouble);
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
            match tells_of(&mut self.records, self.fetch, &self.view.url, self.accepted, &rebuilt).await {
                Ok(true) => return,
                Ok(false) if attempt == STATES_MAX => return self.found.push(untold(&self.view.url, &rebuilt)),
                // The records are read anew too: the other state may be one of before.
                Ok(false) => self.records = records_of(&self.view.url, self.accepted),
                Err(end) => return self.note(end),
            }
        }
    }
}

/// Reads records until one tells of the state; the first checkpoint accepted is among those that they are held against.
/// Once the log tells of a state that was shown later, it never will.
async fn tells_of(
    records: &mut Records,
    fetch: &Fetch,
    url: &str,
    accepted: &Accepted,
    rebuilt: &Rebuilt,
) -> Result<bool, End> {
    let state = State { root: rebuilt.root(), entries: rebuilt.entries() };
    let told = records.read(fetch, &accepted.signed, &[state]).await.map_err(|trouble| end(url, trouble))?;
    if told.contains(&state.root) {
        return Ok(true);
    }
    for _ in 0..CHECKPOINTS_MAX {
        let head = fetch.head(url).await.map_err(|error| End::CouldNot(error.to_string()))?;
        let signed = fetch.checkpoint(url).await.map_err(|error| End::CouldNot(error.to_string()))?;
        if let Err(not) = signed.verify(&accepted.log) {
            return Err(End::Found(Finding::new(Kind::Signature, url, not.to_string())));
        }
        if signed.checkpoint().size() < records.size() {
            let sentence = "a checkpoint smaller than the one before was shown while its records were read";
            return Err(End::Found(Finding::new(Kind::Rollback, url, sentence)));
        }
        let shown = State { root: head.root, entries: head.entries };
        let told = records.read(fetch, &signed, &[state, shown]).await.map_err(|trouble| end(url, trouble))?;
        if told.contains(&state.root) {
            return Ok(true);
        }
        if told.contains(&head.root) || records.last() == Some(shown) {
            return Ok(false);
        }
        tokio::time::sleep(CHECKPOINT_PAUSE).await;
    }
    Err(End::CouldNot("the log is not signed up to the state that was read; ask again later".to_owned()))
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
