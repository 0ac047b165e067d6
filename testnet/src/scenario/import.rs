//! Brings a dataset into a lattice at one node, in commits of many operations, a few at a time.

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::watch;

use super::progress::Progress;
use super::{ScenarioError, Target};
use crate::client::Op;
use crate::dataset::Dataset;

/// Operations in a commit: half of what one may hold.
const BATCH_OPS: usize = 512;

/// Bytes of keys and values in a commit: half of what one may take, which leaves room for its encoding.
const BATCH_BYTES: usize = 128 * 1024;

/// A dataset is at least this many commits, so that a small one has a middle too.
const BATCHES_MIN: usize = 12;

/// Requests that wait for their answer at the same time: enough for the node's group commit.
const IN_FLIGHT: usize = 4;

/// Writes all entries; `acknowledged` is raised with every answer.
pub(super) async fn import(
    target: &Target,
    data: &Dataset,
    acknowledged: &watch::Sender<usize>,
    progress: &Progress,
) -> Result<(), ScenarioError> {
    let commits = batches(data).into_iter().enumerate().map(|(number, ops)| async move {
        target.acknowledge(&ops, &format!("import-{number}")).await?;
        acknowledged.send_modify(|entries| *entries += ops.len());
        progress.advance(ops.len());
        Ok(())
    });
    stream::iter(commits).buffer_unordered(IN_FLIGHT).try_collect().await
}

fn batches(data: &Dataset) -> Vec<Vec<Op>> {
    let ops_max = data.entries.len().div_ceil(BATCHES_MIN).clamp(1, BATCH_OPS);
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (key, value) in &data.entries {
        let more = key.len() + value.len();
        if !batch.is_empty() && (batch.len() == ops_max || bytes + more > BATCH_BYTES) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        batch.push(Op::put(key, value));
        bytes += more;
    }
    batches.push(batch);
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Format;

    fn batch_sizes(entries: usize, value_bytes: usize) -> Vec<usize> {
        let entry = |number| (format!("{number:08}"), "v".repeat(value_bytes));
        let entries = (0..entries).map(entry).collect();
        let data = Dataset { source: "test".into(), format: Format::Csv, entries };
        batches(&data).iter().map(Vec::len).collect()
    }

    #[test]
    fn batches_are_bounded_in_operations_and_bytes_and_hold_everything() {
        assert_eq!(batch_sizes(3, 1), [1, 1, 1]);
        assert_eq!(batch_sizes(25, 1), [3, 3, 3, 3, 3, 3, 3, 3, 1]);
        assert_eq!(batch_sizes(60_000, 20).iter().max(), Some(&BATCH_OPS));
        assert_eq!(batch_sizes(60_000, 20).iter().sum::<usize>(), 60_000);
        assert_eq!(batch_sizes(24, 60_000).iter().max(), Some(&2));
    }
}
