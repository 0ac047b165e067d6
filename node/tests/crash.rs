//! A node that is killed at any moment has everything it acknowledged, nothing by halves, and the right root.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use testnet::client::{Client, Entry, Op, Receipt};
use testnet::cluster::{Cluster, wait_until_equal_roots};
use tokio::task::JoinSet;

/// Times that the node is killed.
const ROUNDS: usize = 20;

/// Clients that write at the same time, so that transactions carry several commits.
const WRITERS: usize = 4;

/// A node is killed at most this long after its writers began: long enough for several transactions, and
/// over all rounds for the first checkpoint of the write-ahead log.
const KILL_WITHIN_US: u64 = 400_000;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// SplitMix64 (Steele, Lea, Flood 2014): a few random numbers from a seed that can be printed.
struct Random(u64);

impl Random {
    /// `LATTICE_TEST_SEED` repeats a run.
    fn from_environment() -> Self {
        let given = std::env::var("LATTICE_TEST_SEED").ok();
        let seed = given.map_or_else(|| u64::from(std::process::id()), |seed| seed.parse().expect("a number"));
        println!("LATTICE_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// How far one writer came.
#[derive(Debug, Clone, Default)]
struct Writer {
    /// Number of its last commit that was sent.
    sent: u64,
    /// Number of its last commit that was acknowledged.
    acknowledged: u64,
    /// The receipt for that.
    receipt: Option<Receipt>,
}

/// The operations of one commit. All of them are there, or none.
fn commit(writer: usize, number: u64) -> Vec<Op> {
    let mut ops = vec![
        Op::put(format!("w{writer}/left"), number.to_string()),
        Op::put(format!("w{writer}/only/{number:06}"), "the one before is deleted"),
        // Of different sizes, so that pages and transactions end in different places.
        Op::put(format!("w{writer}/all/{number:06}"), "v".repeat(1 + (number as usize * 977) % 9_000)),
        Op::put(format!("w{writer}/right"), number.to_string()),
    ];
    if number > 1 {
        ops.insert(2, Op::delete(format!("w{writer}/only/{:06}", number - 1)));
    }
    ops
}

/// Writes one commit after the other until the node is gone.
async fn write_until_killed(client: Client, number: usize, mut writer: Writer) -> (usize, Writer) {
    loop {
        writer.sent += 1;
        match client.commit(&commit(number, writer.sent), None).await {
            Ok(receipt) => {
                writer.acknowledged = writer.sent;
                writer.receipt = Some(receipt);
            }
            Err(_) => return (number, writer),
        }
    }
}

/// Compares the state with what a writer knows, and returns the number of the last commit that is in it.
fn check_writer(entries: &BTreeMap<String, Entry>, number: usize, writer: &Writer) -> u64 {
    let text = |key: String| entries.get(&key).map(|entry| entry.shown().to_owned());
    let under = |part: &str| -> Vec<String> {
        let prefix = format!("w{number}/{part}/");
        entries.keys().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect()
    };
    let last: u64 = text(format!("w{number}/left")).map_or(0, |left| left.parse().expect("a number"));
    assert!(last >= writer.acknowledged, "writer {number}: {} was acknowledged, {last} is there", writer.acknowledged);
    assert!(last <= writer.sent, "writer {number}: {last} is there, {} was sent", writer.sent);
    let expected: Vec<String> = (1..=last).map(|number| format!("{number:06}")).collect();
    assert_eq!(text(format!("w{number}/right")).unwrap_or("0".into()), last.to_string(), "half a commit");
    assert_eq!(under("all"), expected, "every commit up to {last}");
    assert_eq!(under("only"), expected.last().cloned().into_iter().collect::<Vec<_>>(), "half a commit");
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_under_load_has_all_that_it_acknowledged_and_nothing_by_halves() {
    let mut random = Random::from_environment();
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    let mut writers = vec![Writer::default(); WRITERS];
    let mut roots_compared = 0;
    for round in 0..ROUNDS {
        let client = cluster.nodes()[0].reached().expect("it runs").client;
        let mut tasks = JoinSet::new();
        for (number, writer) in writers.iter().enumerate() {
            tasks.spawn(write_until_killed(client.clone(), number, writer.clone()));
        }
        // Not a wait for a state: the moment is what is being tried.
        tokio::time::sleep(Duration::from_micros(random.below(KILL_WITHIN_US))).await;
        cluster.nodes_mut()[0].kill().await;
        for (number, writer) in tasks.join_all().await {
            writers[number] = writer;
        }
        let node = &mut cluster.nodes_mut()[0];
        let client = node.start().await.unwrap_or_else(|error| panic!("round {round}: {error}")).client;
        let entries = client.entries("w").await.expect("it answers");
        let status = client.status().await.expect("it answers");
        for (number, writer) in writers.iter_mut().enumerate() {
            writer.acknowledged = check_writer(&entries, number, writer);
            writer.sent = writer.acknowledged;
        }
        let newest = writers.iter().filter_map(|writer| writer.receipt.as_ref()).max_by_key(|receipt| receipt.seq);
        if let Some(receipt) = newest {
            assert!(status.seq >= receipt.seq, "round {round}: commits are numbered on from the last");
            assert!(Some(status.log_size) >= receipt.log_position, "round {round}: the log keeps what it said");
            if status.seq == receipt.seq {
                let told = (receipt.state_root.as_deref(), receipt.entries);
                assert_eq!((Some(status.state_root.as_str()), Some(status.entries)), told);
                roots_compared += 1;
            }
        }
    }
    let commits: u64 = writers.iter().map(|writer| writer.acknowledged).sum();
    println!("{ROUNDS} rounds, {commits} commits, root compared with the last receipt {roots_compared} times");
    assert!(commits > 0, "the node was never under load");
    // Another process builds the root anew from the entries alone.
    cluster.admit().await.expect("joined");
    wait_until_equal_roots(cluster.nodes(), Duration::from_secs(60)).await.expect("equal");
}
