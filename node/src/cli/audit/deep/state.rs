//! The whole state of a node, read as a stream of commits: each signed by a member, each operation one that its author
//! signed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http_fallback::client::NoAnswer;
use indicatif::ProgressBar;
use lattice::commit::{Commit, VerifyError};
use lattice::genesis::Genesis;
use lattice::limits::GENESIS_BYTES_MAX;
use lattice::log::checkpoint::is_of_lattice;
use lattice::transfer::{Cursor, Part};
use tokio::task::JoinHandle;

use super::super::fetch::Fetch;
use super::super::finding::{Finding, Kind};
use super::End;
use super::rebuilt::{Hashed, Rebuilt, hash};
use crate::api::auth::ApiToken;
use crate::terminal::entries_bar;

/// Commits verified together on one thread, and bytes of them.
const BATCH_COMMITS: usize = 512;
const BATCH_BYTES: usize = 1024 * 1024;

/// Attempts to go on with a stream that was cut, without anything new in between.
const ATTEMPTS: u32 = 10;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);

/// Reads all of a node's state and rebuilds it.
pub(super) async fn rebuild(fetch: &Fetch, url: &str, log: &str, token: &ApiToken) -> Result<Rebuilt, End> {
    let genesis = genesis(fetch, url, log, token).await?;
    let bar = entries_bar("verifying entries");
    let mut reading = Reading { rebuilt: Rebuilt::of(genesis), after: None, verifying: VecDeque::new() };
    let mut failed = 0;
    loop {
        let before = reading.after;
        match reading.stream(fetch, url, token, &bar).await {
            Ok(()) => {
                bar.finish_and_clear();
                let wrong = |sentence| End::Found(Finding::new(Kind::State, url, sentence));
                return reading.rebuilt.finish().map_err(wrong);
            }
            Err(Cut::Wrong(sentence)) => return Err(End::Found(Finding::new(Kind::State, url, sentence))),
            Err(Cut::Refused(why)) => return Err(End::CouldNot(why)),
            Err(Cut::Lost(why)) => {
                failed = if reading.after == before { failed + 1 } else { 0 };
                if failed == ATTEMPTS {
                    return Err(End::CouldNot(why));
                }
                tokio::time::sleep(ATTEMPT_PAUSE).await;
            }
        }
    }
}

async fn genesis(fetch: &Fetch, url: &str, log: &str, token: &ApiToken) -> Result<Arc<Genesis>, End> {
    let bytes = fetch.nodes().get_for_auditor(url, "/api/v1/genesis", token.expose(), GENESIS_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| End::CouldNot(format!("the founding document does not come: {error}")))?;
    let wrong = |why: String| End::Found(Finding::new(Kind::State, url, why));
    let genesis = Genesis::decode(&bytes).map_err(|error| wrong(format!("the founding document: {error}")))?;
    if !is_of_lattice(log, &genesis.id()) {
        return Err(wrong("the founding document is of another lattice than the log".to_owned()));
    }
    Ok(Arc::new(genesis))
}

/// Why a stream ended before its end.
enum Cut {
    /// It may be taken up again.
    Lost(String),
    /// It won't.
    Refused(String),
    /// What came is not what it must be.
    Wrong(String),
}

impl From<NoAnswer> for Cut {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Busy | NoAnswer::Lost(_) => Self::Lost(error.to_string()),
            NoAnswer::Declined { .. } => Self::Refused(error.to_string()),
            NoAnswer::Unreadable(_) => Self::Wrong(format!("the state is served in a form that is none: {error}")),
        }
    }
}

type Verifying = JoinHandle<Result<Vec<Hashed>, VerifyError>>;

/// A state under way. Batches are verified on other threads, and joined in their order.
struct Reading {
    rebuilt: Rebuilt,
    /// Everything up to here is taken or being verified.
    after: Option<Cursor>,
    verifying: VecDeque<Verifying>,
}

impl Reading {
    async fn stream(&mut self, fetch: &Fetch, url: &str, token: &ApiToken, bar: &ProgressBar) -> Result<(), Cut> {
        let mut stream = fetch.nodes().full_for_auditor(url, token.expose(), self.after).await?;
        let epoch = match stream.next_part().await? {
            Some(Part::Header { lattice, .. }) if lattice != self.rebuilt.lattice() => {
                return Err(Cut::Wrong("the state is of another lattice than the log".to_owned()));
            }
            Some(Part::Header { entries, after, .. }) => {
                if self.after.is_some_and(|ours| ours != after) {
                    // The database began anew: what came of the old one is nothing to add to.
                    self.verifying.clear();
                    self.rebuilt = self.rebuilt.anew();
                    self.after = None;
                }
                bar.set_length(entries);
                after.epoch
            }
            // The stream's order allows nothing else first.
            Some(Part::Commit { .. } | Part::End { .. }) | None => return Err(Cut::Lost("no header came".to_owned())),
        };
        let (mut batch, mut bytes, mut at) = (Vec::new(), 0, self.after);
        while let Some(part) = stream.next_part().await? {
            if let Part::Commit { row, commit } = part {
                bytes += commit.counted_bytes();
                batch.push(*commit);
                at = Some(Cursor { epoch, row });
                if batch.len() >= BATCH_COMMITS || bytes >= BATCH_BYTES {
                    self.verify(std::mem::take(&mut batch)).await?;
                    (bytes, self.after) = (0, at);
                    bar.set_position(self.rebuilt.entries());
                }
            }
        }
        self.verify(batch).await?;
        self.after = at;
        while let Some(oldest) = self.verifying.pop_front() {
            self.join(oldest).await?;
        }
        Ok(())
    }

    async fn verify(&mut self, batch: Vec<Commit>) -> Result<(), Cut> {
        let (genesis, lattice) = (self.rebuilt.genesis(), self.rebuilt.lattice());
        let verify = move |commit: Commit| commit.verify_for(&genesis, lattice).map(hash);
        self.verifying.push_back(tokio::task::spawn_blocking(move || batch.into_iter().map(verify).collect()));
        let at_once = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        while self.verifying.len() > at_once {
            if let Some(oldest) = self.verifying.pop_front() {
                self.join(oldest).await?;
            }
        }
        Ok(())
    }

    async fn join(&mut self, verifying: Verifying) -> Result<(), Cut> {
        let hashed = verifying.await.map_err(|error| Cut::Refused(format!("verifying stopped: {error}")))?;
        let hashed =
            hashed.map_err(|error| Cut::Wrong(format!("a commit is served that its author did not make: {error}")))?;
        hashed.into_iter().try_for_each(|hashed| self.rebuilt.take(hashed)).map_err(Cut::Wrong)
    }
}
