//! A deep audit of a running node: every record of its log, and every entry of its state, hashed again.

mod records;
mod state;

use std::time::Duration;

use http_fallback::client::NoAnswer;
use serde::Serialize;

use super::fetch::Fetch;
use super::finding::{Finding, Kind};
use super::look::Accepted;
use crate::api::auth::ApiToken;
pub(super) use records::RecordChain;
use records::{Records, Trouble};
use state::Rebuilt;

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

/// Audits a node whose checkpoint was accepted; without a token its records alone.
pub(super) async fn audit(
    fetch: &Fetch,
    url: &str,
    accepted: &Accepted,
    token: Option<&ApiToken>,
) -> (DeepView, Vec<Finding>) {
    let mut view =
        DeepView { url: url.to_owned(), records: 0, entries: 0, commits: 0, state_root: None, could_not: None };
    match read(fetch, url, accepted, token, &mut view).await {
        Ok(()) => (view, Vec::new()),
        Err(End::Found(finding)) => (view, vec![finding]),
        Err(End::CouldNot(why)) => {
            view.could_not = Some(why);
            (view, Vec::new())
        }
    }
}

async fn read(
    fetch: &Fetch,
    url: &str,
    accepted: &Accepted,
    token: Option<&ApiToken>,
    view: &mut DeepView,
) -> Result<(), End> {
    let mut records = Records::of(url, accepted.log.name().as_str());
    let Some(token) = token else {
        let read = records.read(fetch, &accepted.signed, &[]).await;
        view.records = records.size();
        return read.map(|_| ()).map_err(|trouble| end(url, trouble));
    };
    for attempt in 1.. {
        let rebuilt = state::rebuild(fetch, url, accepted.log.name().as_str(), token).await?;
        (view.entries, view.commits) = (rebuilt.entries(), rebuilt.commits);
        view.state_root = Some(rebuilt.root().to_string());
        let is_told = tells_of(&mut records, fetch, url, accepted, &rebuilt).await;
        view.records = records.size();
        if is_told? {
            return Ok(());
        }
        if attempt == STATES_MAX {
            return Err(End::Found(untold(url, &rebuilt)));
        }
        // The records are read anew too: the other state may be one of before.
        records = Records::of(url, accepted.log.name().as_str());
    }
    Ok(())
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
    let state = rebuilt.root();
    if records.read(fetch, &accepted.signed, &[state]).await.map_err(|trouble| end(url, trouble))?.contains(&state) {
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
        let told = records.read(fetch, &signed, &[state, head.root]).await.map_err(|trouble| end(url, trouble))?;
        if told.contains(&state) {
            return Ok(true);
        }
        if told.contains(&head.root) || records.last() == Some(head.root) {
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
