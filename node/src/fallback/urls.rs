//! Whom to ask over HTTP: URLs out of the configuration and those that members publish; and publishing our own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http_fallback::heartbeat::Target;
use lattice::address::{URL_PREFIX, author_of, url_key};
use lattice::ids::AuthorId;
use lattice::op::Op;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Fallback;
use crate::settings::heartbeat::is_loopback;
use crate::store::StoreError;
use crate::sync::Sync;
use crate::writer::job::{Job, WriteError};
use crate::writer::{Published, Reply};

/// Published URLs that are looked at: far more than are asked.
const PUBLISHED_MAX: usize = 1024;

/// Shortest and longest time between two looks at whether our own URL stands.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// What became of the entry with our own URL.
enum Standing {
    /// It says what it should.
    AsWanted,
    /// This node may not write yet, or no more.
    NotYet,
}

/// The configured URLs, then those of members, each once and never our own. Of many members each node begins with the
/// one that comes after itself, so that together they ask all. `None` if the store does not answer: those asked so far
/// stay.
pub(super) async fn targets(sync: &Sync, configured: Vec<String>, own_url: Option<String>) -> Option<Vec<Target>> {
    let published = match published(sync).await {
        Ok(published) => published,
        Err(error) => {
            tracing::warn!(%error, "published URLs can't be read; asking the same as before");
            return None;
        }
    };
    let own = sync.identity.keys.author.id();
    let (before, behind): (Vec<_>, Vec<_>) = published.into_iter().partition(|(author, _)| *author < own);
    let by_members = behind.into_iter().chain(before).filter(|(author, _)| *author != own);
    let by_members = by_members.map(|(author, url)| Target { url, published_by: Some(author) });
    let mut seen: BTreeSet<String> = own_url.into_iter().collect();
    let configured = configured.into_iter().map(|url| Target { url, published_by: None });
    Some(configured.chain(by_members).filter(|target| seen.insert(target.url.clone())).collect())
}

/// URLs of members that no cut has touched, by author.
async fn published(sync: &Sync) -> Result<Vec<(AuthorId, String)>, StoreError> {
    let membership = sync.writer.published().membership.clone();
    let entries = sync.reader.list(URL_PREFIX, None, PUBLISHED_MAX).await?;
    let urls = entries.into_iter().filter_map(|entry| {
        let author = author_of(entry.key.as_str()).filter(|author| membership.is_active(author))?;
        let url = String::from_utf8(entry.value?).ok()?;
        Some((author, url.trim_end_matches('/').to_owned()))
    });
    Ok(urls.collect())
}

impl Fallback {
    /// Keeps the entry with our own URL up to date, until `stop` fires. Without one, withdraws what an earlier start
    /// published, once: others would ask there for ever.
    pub(super) async fn publish_url(self: Arc<Self>, stop: CancellationToken) {
        let mut states = self.sync.writer.watch();
        let mut settings = self.settings.clone();
        let mut warned_of = None;
        loop {
            let url = settings.borrow_and_update().heartbeat.own_url.clone();
            let url = url.as_deref();
            if let Some(url) = url.filter(|url| is_loopback(url) && warned_of.as_deref() != Some(*url)) {
                tracing::warn!(url, "only processes on this machine can use the URL that this node publishes");
                warned_of = Some(url.to_owned());
            }
            let state = states.borrow_and_update().clone();
            match self.publish_once(&state, url).await {
                Ok(Standing::AsWanted) if url.is_none() => {
                    // Nothing to keep up to date until the settings name one.
                    tokio::select! {
                        Ok(()) = settings.changed() => continue,
                        () = stop.cancelled() => return,
                    }
                }
                Ok(Standing::AsWanted | Standing::NotYet) => {}
                Err(error) => {
                    tracing::warn!(%error, url, "this node's URL could not be published or withdrawn; trying again");
                }
            }
            let change = async {
                tokio::time::sleep(LOOK_PAUSE).await;
                // An error means that the writer is gone; `stop` ends the loop then.
                let _ = states.changed().await;
            };
            tokio::select! {
                _ = tokio::time::timeout(LOOK_INTERVAL, change) => {}
                Ok(()) = settings.changed() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Writes the entry, or deletes it, if it differs and this node may write.
    async fn publish_once(&self, state: &Published, url: Option<&str>) -> Result<Standing, WriteError> {
        let own = self.sync.identity.keys.author.id();
        let is_hidden = *self.sync.hidden.borrow();
        if is_hidden || state.is_catching_up || !state.membership.is_active(&own) {
            return Ok(Standing::NotYet);
        }
        let key = url_key(&own);
        let op = url.map_or_else(|| Op::delete(&key), |url| Op::put(&key, url.as_bytes()))?;
        let standing = self.sync.reader.entry(op.key()).await?.and_then(|entry| entry.value);
        if standing.as_deref() == op.value() {
            return Ok(Standing::AsWanted);
        }
        let (reply, answer) = oneshot::channel();
        self.sync.writer.send(Job::Write { ops: vec![op], idempotency: None, reply: Reply(reply) }).await;
        answer.await.unwrap_or(Err(WriteError::Stopping))?;
        match url {
            Some(url) => tracing::info!(url, "published this node's URL"),
            None => tracing::info!("withdrew the URL that this node published at an earlier start"),
        }
        Ok(Standing::AsWanted)
    }
}
