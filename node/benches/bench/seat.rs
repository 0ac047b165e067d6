//! The seat: what a write waits for at each level, and what mirroring costs the holder's other writes.

use std::time::{Duration, Instant};

use lattice::ids::AuthorId;
use lattice::membership::Change;
use lattice::op::Op;
use lattice::seat::{Approvals, Body, Certificate, Warrant};
use node::daemon::Node;

use crate::probes::Probes;
use crate::row;
use crate::world::{World, percentile};

/// Holder, shadow and two further voters.
const NODES: usize = 4;

/// Writes that are on their way at once, and how many each writer makes in a round.
const WRITERS: u64 = 16;
const WRITES_EACH: u64 = 200;

/// Pairs of rounds, with a shadow and without, that are measured; the first one warms up.
const PAIRS: u64 = 9;

/// Writes of the seat at each level, one after the other.
const SEAT_WRITES: u64 = 300;

/// The part of all that which is left if one only wants to see that it runs.
const SMALL: u64 = 20;

/// Measures writes at a node that holds a seat with a shadow beside writes at one of a lattice without a seat: in turns, since
/// what else goes on in a machine changes by the minute. The ratio is the middle one of the pairs'.
pub(crate) async fn measure(probes: &Probes, is_small: bool) -> anyhow::Result<()> {
    let part = if is_small { SMALL } else { 1 };
    let (plain, seated) = (Lattice::start().await?, Lattice::start().await?);
    found_seat(&seated.world, &seated.nodes[0]).await?;
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    for round in 0..=PAIRS {
        // Neither is always the first.
        let (alone, mirrored) = if round % 2 == 0 {
            let alone = plain.round(round, part).await?;
            (alone, seated.round(round, part).await?)
        } else {
            let mirrored = seated.round(round, part).await?;
            (plain.round(round, part).await?, mirrored)
        };
        pairs.push((mirrored, alone));
    }
    pairs.remove(0);
    pairs.sort_unstable_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    let (mirrored, alone) = pairs[pairs.len() / 2];
    row("ordinary writes at a holder (want >= 0.97)", mirrored, "writes/s", alone);
    let bound = probes.transaction * 1e6;
    let token = std::fs::read_to_string(seated.dirs[0].path().join("api.token"))?;
    for level in ["local", "shadow", "quorum"] {
        let mut took = seat_writes(&seated.nodes[0], token.trim(), level, SEAT_WRITES / part).await?;
        let [p50, p99] = [50, 99].map(|percent| percentile(&mut took, percent).as_secs_f64() * 1e6);
        row(&format!("seat write at {level}, p50 (transactions)"), p50, "us", bound);
        row(&format!("seat write at {level}, p99 (transactions)"), p99, "us", bound);
    }
    for node in plain.nodes.into_iter().chain(seated.nodes) {
        node.stop().await;
    }
    Ok(())
}

/// Some real nodes.
struct Lattice {
    world: World,
    dirs: Vec<tempfile::TempDir>,
    nodes: Vec<Node>,
}

impl Lattice {
    async fn start() -> anyhow::Result<Self> {
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
        Ok(Self { world, dirs, nodes })
    }

    /// Writes per second of several clients that each wait for their answers. It ends when all nodes have them, mirrors
    /// too: what one lattice has yet to do must not be measured at the other.
    async fn round(&self, round: u64, part: u64) -> anyhow::Result<f64> {
        let (started, each) = (Instant::now(), WRITES_EACH / part);
        let clients = (0..WRITERS).map(|client| {
            let service = self.nodes[0].service.clone();
            tokio::spawn(async move {
                for i in 0..each {
                    let op = Op::put(&format!("ordinary/{round}/{client}/{i}"), &[7; 200])?;
                    service.write(vec![op], None).await?;
                }
                anyhow::Ok(())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await??;
        }
        let took = started.elapsed();
        let equal = async {
            while self
                .nodes
                .iter()
                .any(|node| node.service.status().state_root != self.nodes[0].service.status().state_root)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), equal).await?;
        Ok((WRITERS * each) as f64 / took.as_secs_f64())
    }
}

/// Names node 0 holder, 1 shadow, and all but the shadow voters, and waits until the shadow could take over.
async fn found_seat(world: &World, holder: &Node) -> anyhow::Result<()> {
    let author = |index: usize| world.seeds[index].keys().author.id();
    let mut voters: Vec<AuthorId> = [0, 2, 3].map(author).to_vec();
    voters.sort_unstable();
    let body = Body {
        lattice: world.genesis.id(),
        seat: "green".to_owned(),
        term: 1,
        holder: author(0),
        shadow: Some(author(1)),
        spares: Vec::new(),
        voters,
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 1,
        reason: "bench".to_owned(),
    };
    let approvals = Approvals::by(&body, &world.seeds[0].keys(), 1);
    let certificate = Certificate { body, warrant: Warrant::Operators(approvals) };
    holder.service.write(vec![Change::Certify(Box::new(certificate)).to_op()?], None).await?;
    let ready = async {
        while holder.service.seat().is_takeover_possible != Some(true) || !holder.service.seat().is_serving {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await?;
    Ok(())
}

/// How long writes of the seat took, one after the other.
async fn seat_writes(holder: &Node, token: &str, level: &str, count: u64) -> anyhow::Result<Vec<Duration>> {
    let client = reqwest::Client::builder().tls_certs_only([]).build()?;
    let mut took = Vec::new();
    for i in 0..count {
        let url = format!("http://{}/api/v1/entries/green/{level}/{i}?level={level}", holder.http[0]);
        let started = Instant::now();
        let answer = client.put(url).bearer_auth(token).body(vec![7; 200]).send().await?;
        anyhow::ensure!(answer.status().is_success(), "put answered {}", answer.status());
        took.push(started.elapsed());
    }
    Ok(took)
}
