//! Latency: one write at an idle node, and from a write at one node until it is durable on all five.

use std::time::{Duration, Instant};

use lattice::op::Op;
use node::daemon::Node;

use crate::probes::Probes;
use crate::row;
use crate::world::{World, median, percentile};

/// Measures both.
pub(crate) async fn measure(probes: &Probes) -> anyhow::Result<()> {
    api_put(probes).await?;
    five_nodes().await
}

async fn api_put(probes: &Probes) -> anyhow::Result<()> {
    let world = World::new(1);
    let dir = tempfile::tempdir()?;
    let node = world.start(0, dir.path(), &[]).await?;
    let token = std::fs::read_to_string(dir.path().join("api.token"))?;
    let client = reqwest::Client::builder().tls_certs_only([]).build()?;
    let mut took = Vec::new();
    for i in 0..300 {
        let url = format!("http://{}/api/v1/entries/bench/{i}", node.http[0]);
        let started = Instant::now();
        let answer = client.put(url).bearer_auth(token.trim()).body(vec![7; 200]).send().await?;
        anyhow::ensure!(answer.status().is_success(), "put answered {}", answer.status());
        took.push(started.elapsed());
    }
    node.stop().await;
    let bound = probes.transaction * 1e6;
    row("API put, one client, idle, p50 (want <= 3)", median(&mut took).as_secs_f64() * 1e6, "us", bound);
    Ok(())
}

async fn five_nodes() -> anyhow::Result<()> {
    const NODES: usize = 5;
    const WRITES: u64 = 500;
    let world = World::new(NODES);
    let dirs: Vec<_> = (0..NODES).map(|_| tempfile::tempdir()).collect::<Result<_, _>>()?;
    let mut nodes: Vec<Node> = Vec::new();
    for (index, dir) in dirs.iter().enumerate() {
        let peers: Vec<_> = nodes.first().iter().flat_map(|first| first.service.status().addresses).collect();
        nodes.push(world.start(index, dir.path(), &peers).await?);
    }
    while nodes.iter().any(|node| node.service.status().peers.mesh < NODES as u64 - 1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let author = world.seeds[0].keys().author.id();
    let mut took = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    for i in 0..WRITES {
        tick.tick().await;
        let started = Instant::now();
        let written = nodes[0].service.write(vec![Op::put(&format!("k{i}"), &[7; 200])?], None).await?;
        for node in &nodes {
            let mut states = node.service.states();
            states.wait_for(|state| state.frontier.covers(&author, 0, written.seq)).await?;
        }
        took.push(started.elapsed());
    }
    row("put until durable on 5 nodes, 100/s, p50", percentile(&mut took, 50).as_secs_f64() * 1e3, "ms", 5.0);
    row("put until durable on 5 nodes, 100/s, p99", percentile(&mut took, 99).as_secs_f64() * 1e3, "ms", 25.0);
    for node in nodes {
        node.stop().await;
    }
    Ok(())
}
