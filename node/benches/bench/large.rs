//! A state of a million entries: one update of the root, resident memory, start.

use std::path::Path;
use std::time::Instant;

use lattice::ids::{KeyHash, LeafHash};
use lattice::op::Op;
use lattice::tree::{Leaf, StateTree};
use tokio::task::JoinSet;

use crate::probes::Probes;
use crate::row;
use crate::world::{World, settings};

const ENTRIES: u64 = 1_000_000;

/// Operations in one commit of the fill.
const FILL_OPS: u64 = 256;

/// Measures all three.
pub(crate) async fn measure(_probes: &Probes) -> anyhow::Result<()> {
    tree_update();
    let dir = tempfile::tempdir()?;
    fill(&World::new(1), dir.path(), ENTRIES).await?;
    let told = std::process::Command::new(std::env::current_exe()?).arg("--open").arg(dir.path()).output()?;
    let told = String::from_utf8(told.stdout)?;
    let figures: Vec<f64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [seconds, resident_mb] = figures[..] else { anyhow::bail!("the child said {told:?}") };
    row("start on 1M entries of 200 B", seconds, "s", 10.0);
    row("resident memory with 1M entries of 200 B", resident_mb, "MB", 250.0);
    Ok(())
}

fn tree_update() {
    let key = |i: u64| lattice::op::Key::new(&format!("bench/{i}")).expect("short").hash();
    let leaf = |key: KeyHash, i: u64| Leaf { key, leaf: LeafHash(lattice::op::value_hash(&i.to_be_bytes()).0), tag: i };
    let mut tree = StateTree::default();
    for i in 0..ENTRIES {
        tree.insert(leaf(key(i), i));
    }
    tree.root();
    // A snapshot is held, as in the node: each update copies its path.
    const UPDATES: u64 = 20_000;
    let started = Instant::now();
    for i in 0..UPDATES {
        let before = tree.clone();
        tree.insert(leaf(key(i * 37), ENTRIES + i));
        std::hint::black_box((tree.root(), before));
    }
    row(
        "state root after one update at 1M entries",
        started.elapsed().as_secs_f64() * 1e6 / UPDATES as f64,
        "us",
        20.0,
    );
}

/// Fills the directory of a lone node with so many entries.
pub(crate) async fn fill(world: &World, dir: &Path, entries: u64) -> anyhow::Result<()> {
    let node = world.start(0, dir, &[]).await?;
    let mut writes = JoinSet::new();
    for first in (0..entries).step_by(FILL_OPS as usize) {
        let ops = (first..(first + FILL_OPS).min(entries))
            .map(|i| Op::put(&format!("bench/{i}"), &[i as u8; 200]))
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
    node.stop().await;
    Ok(())
}

/// In a process of its own: opens `dir` as a node does and prints seconds and resident megabytes.
pub(crate) fn open_and_tell(dir: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let node = node::daemon::Node::start(&settings(dir, &[])?).await?;
        let seconds = started.elapsed().as_secs_f64();
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        println!("{seconds} {}", kilobytes / 1000.0);
        node.stop().await;
        Ok(())
    })
}
