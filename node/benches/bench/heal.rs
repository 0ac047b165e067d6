//! Two nodes on loopback: an empty one joins a large state, and two large states heal a small difference.

use std::path::Path;
use std::time::{Duration, Instant};

use lattice::op::Op;
use node::daemon::Node;
use tokio::task::JoinSet;

use crate::probes::rows;
use crate::row;
use crate::world::World;

const ENTRIES: u64 = 1_000_000;

/// Operations in one commit of the fill.
const FILL_OPS: u64 = 64;

/// Entries that each node is missing before they heal.
const MISSING: u64 = 1_000;

/// How long anything here may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures both.
pub(crate) async fn measure() -> anyhow::Result<()> {
    let bound = rows(ENTRIES).await?;
    let world = World::new(2);
    let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
    let full = world.start(0, dirs[0].path(), &[]).await?;
    write(&full, "bench", ENTRIES, FILL_OPS).await?;
    let address = full.service.status().addresses[0].clone();

    let before = resident_mb()?;
    let empty = world.start(1, dirs[1].path(), std::slice::from_ref(&address)).await?;
    let rate = ENTRIES as f64 / until_equal(&full, &empty).await?.as_secs_f64();
    row("an empty node joins 1M entries", rate, "entries/s", bound);
    // Both nodes live in this process, and the second one holds its own million now.
    row("resident memory that this took, both nodes", resident_mb()? - before, "MB", 400.0);
    empty.stop().await;

    // Else it finds the other in its address book.
    std::fs::remove_file(dirs[1].path().join("peers.json"))?;
    let alone = world.start(1, dirs[1].path(), &[]).await?;
    tokio::try_join!(write(&full, "one", MISSING, 1), write(&alone, "two", MISSING, 1))?;
    anyhow::ensure!(alone.service.status().peers.connected == 0, "the nodes met before they should");
    alone.stop().await;
    let back = world.start(1, dirs[1].path(), &[address]).await?;
    let took = until_equal(&full, &back).await?;
    let last = [&full, &back].into_iter().filter_map(|node| node.service.status().last_reconcile).next_back();
    row("1M entries, 1000 missing on each side, healed", took.as_secs_f64(), "s", 1.0);
    if let Some(last) = last {
        println!("  the last session: {} round trips, {} entries in, {} out", last.rounds, last.received, last.sent);
    }
    back.stop().await;
    full.stop().await;
    Ok(())
}

/// `entries` puts of 200-byte values in commits of `ops`, several on the way.
async fn write(node: &Node, prefix: &str, entries: u64, ops: u64) -> anyhow::Result<()> {
    let mut writes = JoinSet::new();
    for first in (0..entries).step_by(ops as usize) {
        let ops = (first..(first + ops).min(entries))
            .map(|i| Op::put(&format!("{prefix}/{i}"), &[i as u8; 200]))
            .collect::<Result<Vec<_>, _>>()?;
        let service = node.service.clone();
        writes.spawn(async move { service.write(ops, None).await });
        while writes.len() >= 16 {
            writes.join_next().await.expect("not empty")??;
        }
    }
    while let Some(done) = writes.join_next().await {
        done??;
    }
    Ok(())
}

/// From the moment the two know each other as lattice peers until their roots are equal.
async fn until_equal(one: &Node, two: &Node) -> anyhow::Result<Duration> {
    let (mut network, mut states) = (one.service.peers_changed(), [one.service.states(), two.service.states()]);
    let connected = network.wait_for(|view| view.book.counts(0, &Default::default()).lattice > 0);
    tokio::time::timeout(PATIENCE, connected).await??;
    let started = Instant::now();
    let equal = async {
        loop {
            let [ours, theirs] = states.each_mut().map(|states| states.borrow_and_update().root);
            if ours == theirs {
                return anyhow::Ok(());
            }
            let [ours, theirs] = &mut states;
            tokio::select! {
                changed = ours.changed() => changed?,
                changed = theirs.changed() => changed?,
            }
        }
    };
    tokio::time::timeout(PATIENCE, equal).await??;
    Ok(started.elapsed())
}

fn resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1000.0)
}
