//! Looks at the stored entries over and over while the node runs, and has those dropped that are not what the state
//! tree holds: bit rot, or a hand in the database. Other nodes then bring them back, since the roots differ.
//!
//! The tree is proved against the disk at each start and lives in memory; without this a node could serve wrong values
//! under a right root for as long as it runs.

use std::sync::Arc;
use std::time::Duration;

use lattice::ids::KeyHash;
use lattice::op::Key;
use lattice::tree::Leaf;
use node_core::apply::EntryRow;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::writer::WriterHandle;
use crate::writer::job::Job;

/// Entries looked at together.
const CHUNK: usize = 256;

/// Pause between two chunks: some 5,000 entries a second and a hundredth of a core; a million takes three minutes.
const CHUNK_PAUSE: Duration = Duration::from_millis(50);

/// What the scrubber works with.
pub struct Scrubber {
    /// The state, and who repairs it.
    pub writer: WriterHandle,
    /// The disk.
    pub reader: Reader,
    /// Where damage is told.
    pub journal: Arc<Journal>,
    /// Pause between two passes over the state.
    pub pause: Duration,
}

impl Scrubber {
    /// Works until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let passes = async {
            loop {
                if let Err(error) = self.pass().await {
                    tracing::error!(%error, "stored entries can't be looked at");
                }
                tokio::time::sleep(self.pause).await;
            }
        };
        tokio::select! {
            () = passes => {}
            () = stop.cancelled() => {}
        }
    }

    /// Once over the state, in the order of the tree.
    pub(crate) async fn pass(&self) -> Result<(), StoreError> {
        let mut next = Some(KeyHash::ZERO);
        while let Some(from) = next {
            let chunk: Vec<_> = self.writer.published().tree.leaves_from(&from).take(CHUNK).copied().collect();
            next = chunk.last().filter(|_| chunk.len() == CHUNK).and_then(|last| successor(&last.key));
            self.look_at(&chunk).await?;
            tokio::time::sleep(CHUNK_PAUSE).await;
        }
        Ok(())
    }

    async fn look_at(&self, chunk: &[Leaf<EntryRow>]) -> Result<(), StoreError> {
        let rows: Vec<_> = chunk.iter().map(|leaf| leaf.tag).collect();
        let stored = self.reader.leaves_at(&rows).await?;
        // Some may have been replaced since; the writer, who replaces them, looks again.
        let suspects = chunk.iter().filter(|leaf| stored.get(&leaf.tag) != Some(leaf)).map(|leaf| leaf.key).collect();
        recheck(&self.writer, &self.journal, suspects, Vec::new()).await.map(drop)
    }
}

/// Has the writer look at these keys' entries again, and at `strays`, which were read though the state lacks them; tells
/// of those that it had to drop, and gives how many.
///
/// # Errors
///
/// [`StoreError`] if that could not be done.
pub(crate) async fn recheck(
    writer: &WriterHandle,
    journal: &Journal,
    keys: Vec<KeyHash>,
    strays: Vec<Key>,
) -> Result<u64, StoreError> {
    if keys.is_empty() && strays.is_empty() {
        return Ok(0);
    }
    let (reply, answer) = oneshot::channel();
    writer.send(Job::Recheck { keys, strays, reply }).await;
    // A writer that has stopped looks at nothing any more.
    let dropped = answer.await.unwrap_or(Ok(0))?;
    if dropped > 0 {
        let why =
            "entries on this node's disk are not what was stored there; other nodes are asked for them. Check the disk";
        tracing::error!(dropped, "{why}");
        let fields = [("dropped", dropped.to_string()), ("why", why.to_owned())];
        journal.write("damage", format!("damage {dropped}"), fields);
    }
    Ok(dropped)
}

/// The smallest key hash behind this one; `None` behind the last.
fn successor(key: &KeyHash) -> Option<KeyHash> {
    let mut bytes = key.0;
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(KeyHash(bytes));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_goes_on_behind_its_last_key_and_ends() {
        assert_eq!(successor(&KeyHash([0; 32])).map(|key| key.0[31]), Some(1));
        let mut carried = [0; 32];
        carried[31] = 255;
        assert_eq!(successor(&KeyHash(carried)).map(|key| (key.0[30], key.0[31])), Some((1, 0)));
        assert_eq!(successor(&KeyHash([255; 32])), None);
    }
}
