//! Writes and deletes at one node while other things happen, and remembers what was acknowledged.

use std::time::Duration;

use tokio::sync::watch;

use super::{ScenarioError, Target};
use crate::client::Op;
use crate::dataset::RESERVED_PREFIX;
use crate::model::Model;

/// How often a writer writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two commits.
    pub(super) pause: Duration,
    /// Commits that are made even if all else ends sooner.
    pub(super) writes_min: usize,
}

impl Pace {
    /// 100 commits a second at each node load five debug builds on two cores, and leave room for an import.
    pub(super) const BUSY: Self = Self { pause: Duration::from_millis(10), writes_min: 50 };

    /// As people write: most of the time nothing is on its way.
    pub(super) const CALM: Self = Self { pause: Duration::from_secs(1), writes_min: 1 };
}

/// What a writer did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// What must be there afterwards.
    pub(super) model: Model,
    /// Puts acknowledged.
    pub(super) puts: usize,
    /// Deletes acknowledged.
    pub(super) deletes: usize,
}

impl Written {
    fn remember(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    self.model.put(key, value);
                    self.puts += 1;
                }
                Op::Delete { key } => {
                    self.model.delete(key);
                    self.deletes += 1;
                }
            }
        }
    }
}

/// Writes at `target` until `stop` says so. `share` are imported keys that no other writer touches.
pub(super) async fn write(
    target: &Target,
    share: &[String],
    Pace { pause, writes_min }: Pace,
    stop: &watch::Receiver<bool>,
) -> Result<Written, ScenarioError> {
    let mut written = Written::default();
    let mut share = share.iter();
    let mut pace = tokio::time::interval(pause);
    let mut step = 0;
    while step < writes_min || !*stop.borrow() {
        pace.tick().await;
        let mut ops = own_keys(&target.node, step);
        if step % 10 == 9
            && let Some(key) = share.next()
            && is_visible(target, key).await
        {
            ops.push(on_imported(&target.node, key, step));
        }
        target.acknowledge(&ops, &format!("{}-{step}", target.node)).await?;
        written.remember(&ops);
        step += 1;
    }
    Ok(written)
}

/// A new key in each step; now and then an older one is overwritten, or deleted, in the same commit.
fn own_keys(node: &str, step: usize) -> Vec<Op> {
    let key = |step: usize| format!("{RESERVED_PREFIX}{node}/{step:06}");
    let mut ops = vec![Op::put(key(step), format!("written in step {step}"))];
    if step % 3 == 2 {
        ops.push(Op::put(key(step - 1), format!("overwritten in step {step}")));
    }
    if step % 5 == 4 {
        ops.push(Op::delete(key(step - 4)));
    }
    ops
}

/// Takes over an imported key, by turns with a delete and a new value.
fn on_imported(node: &str, key: &str, step: usize) -> Op {
    if step % 20 == 9 { Op::delete(key) } else { Op::put(key, format!("changed by {node} in step {step}")) }
}

/// Whether this node has the key already: only then is a write to it surely the later one.
pub(super) async fn is_visible(target: &Target, key: &str) -> bool {
    let reached = target.reached.borrow().clone();
    match reached {
        Some(reached) => reached.client.entry(key).await.is_ok_and(|entry| entry.is_some()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_a_writer_follows_its_operations() {
        let mut written = Written::default();
        for step in 0..10 {
            written.remember(&own_keys("n", step));
        }
        assert_eq!((written.puts, written.deletes), (13, 2));
        let key = |step: usize| format!("testnet/n/{step:06}");
        let mut expected = Model::default();
        for step in [2, 3, 6, 8, 9] {
            expected.put(&key(step), &format!("written in step {step}"));
        }
        for (step, later) in [(1, 2), (4, 5), (7, 8)] {
            expected.put(&key(step), &format!("overwritten in step {later}"));
        }
        expected.delete(&key(0));
        expected.delete(&key(5));
        assert_eq!(written.model, expected);
    }
}
