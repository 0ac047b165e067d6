//! Follows single writes from one side of the cut to the other.

use std::time::Duration;

use crate::client::Op;
use crate::dataset::RESERVED_PREFIX;
use crate::deadline;
use crate::model::Model;
use crate::scenario::progress::Progress;
use crate::scenario::{ScenarioError, Target, writer};

/// Writes at `here`, which is cut off, and at `there`, which is not, at the same time. Tells how long it takes from the
/// acknowledgement until the other has it: what `here` pushed, then what it pulled.
pub(super) async fn cross(
    here: &Target,
    there: &Target,
    round: usize,
    progress: &Progress,
    model: &mut Model,
) -> Result<[Duration; 2], ScenarioError> {
    let [push, pull] = [("push", here, there), ("pull", there, here)].map(|(way, from, to)| {
        let key = format!("{RESERVED_PREFIX}{way}/{}/{round}", here.node);
        let value = format!("by {}", from.node);
        model.put(&key, &value);
        follow(from, to, key, value, progress)
    });
    let (push, pull) = tokio::try_join!(push, pull)?;
    Ok([push, pull])
}

async fn follow(
    from: &Target,
    to: &Target,
    key: String,
    value: String,
    progress: &Progress,
) -> Result<Duration, ScenarioError> {
    from.acknowledge(&[Op::put(&key, value)], &key).await?;
    let acknowledged = progress.elapsed();
    let seen = deadline::until(to.patience, async || {
        if writer::is_visible(to, &key).await { Ok(()) } else { Err(format!("{} lacks {key}", to.node)) }
    });
    seen.await.map_err(|late| ScenarioError::Late { what: "a write did not cross", late })?;
    Ok(progress.elapsed() - acknowledged)
}
