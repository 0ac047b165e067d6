//! A lattice with a seat: its records and states from outside, and the files of holder, mirror and voter.

use std::path::Path;

use lattice::record::{Event, Record};
use sqlx::{AssertSqlSafe, Connection};
use testnet::client::Level;
use testnet::process::Node;
use testnet::seat::{Seat, found};

use crate::flips::{self, Columns};
use crate::program::{self, Ended, SOON, ended, program};

/// The token with which the whole state is read.
const READ_TOKEN: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

/// Three nodes that vote; the first founded the seat, and the second is its shadow.
struct Lattice {
    nodes: Vec<Node>,
    seat: Seat,
    root: tempfile::TempDir,
}

impl Lattice {
    async fn founded() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut nodes = found(program(), root.path(), 3, &["--checkpoint-ms", "100"]).await.expect("started");
        for node in &mut nodes {
            node.stop().await;
            private(&node.dir().join("read.token"));
            node.start().await.expect("started");
        }
        private(&root.path().join("read.token"));
        let seat = Seat::of(&nodes).await.expect("admin sockets");
        seat.create(0, &[1], &[0, 1, 2]).await.expect("created");
        let lattice = Self { nodes, seat, root };
        lattice.steady().await;
        let shown = ended(program::lattice(&["policy", "show", "--dir", lattice.dir(0)]), b"").await;
        std::fs::write(lattice.root.path().join("policy"), &shown.stdout).expect("written");
        lattice
    }

    async fn steady(&self) {
        self.seat.steady(&self.nodes, SOON).await.unwrap_or_else(|late| panic!("{late}"));
    }

    fn dir(&self, node: usize) -> &str {
        self.nodes[node].dir().to_str().expect("text")
    }

    fn policy(&self) -> String {
        self.root.path().join("policy").to_str().expect("text").to_owned()
    }

    async fn put(&self, node: usize, level: Option<Level>, key: &str) {
        let client = self.nodes[node].reached().expect("it runs").client;
        let done = match level {
            Some(level) => client.put_at(level, key, "value", key).await,
            None => client.put(key, "value").await,
        };
        done.unwrap_or_else(|error| panic!("{key}: {error}"));
    }

    /// Ordinary writes and those of the seat at a node, more than a tile holds.
    async fn write(&self, node: usize, prefix: &str) {
        for n in 0..140 {
            self.put(node, None, &format!("{prefix}/{n}")).await;
            if n % 20 == 0 {
                self.put(node, Some(Level::Shadow), &format!("green/{prefix}/{n}")).await;
            }
        }
    }

    /// Audits a running node from outside.
    async fn deep(&self, node: usize) -> Ended {
        let url = self.nodes[node].reached().expect("it runs").client.url().to_string();
        let (policy, token) = (self.policy(), self.root.path().join("read.token"));
        let words = ["audit", &url, "--policy", &policy, "--once", "--json", "--deep", "--grace", "60", "--token-file"];
        ended(program::lattice(&[&words[..], &[token.to_str().expect("text")]].concat()), b"").await
    }

    async fn audit(&self, node: usize) -> Ended {
        flips::audit(self.nodes[node].dir(), &self.policy()).await
    }

    async fn missed(&self, node: usize, columns: &[Columns]) -> Vec<String> {
        flips::missed(self.nodes[node].dir(), &self.policy(), columns.iter().copied()).await
    }
}

fn private(path: &Path) {
    std::fs::write(path, READ_TOKEN).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("private");
}

/// What is bound at a holder, beside what is at any node: rows of the seat's log that it copied and that it made.
pub(crate) const BOUND: [Columns; 12] = [
    ("logs", "id = 2", &["id", "origin", "key"]),
    ("records", "log = 2 AND position = 0", RECORDS),
    ("records", "log = 2 AND position = 100", RECORDS),
    ("records", LAST_RECORD, RECORDS),
    ("tiles", "log = 2 AND level = 0", &["log", "level", "tile", "hashes"]),
    ("tiles", "log = 2 AND level = 1", &["log", "level", "tile", "hashes"]),
    ("staged", "1 = 1", &["term", "seq", "id", "bytes"]),
    ("deposed", "1 = 1", &["term", "seq", "id", "bytes"]),
    ("ballot", "1 = 1", &["id", "ballot", "signature"]),
    ("commits", "term = 2", &["id", "author", "term", "seq", "header", "signature", "live", "first_entry", "span"]),
    ("chains", "term = 1", &["author", "term", "chain"]),
    ("entries", "key LIKE '@seat/%/0000000000000000002/%'", &["key", "value", "commit_id", "op_index"]),
];

const RECORDS: &[&str] = &["log", "position", "record", "last_entry"];
const LAST_RECORD: &str = "log = 2 AND position = (SELECT MAX(position) FROM records WHERE log = 2)";

/// The seat moved from the first node to the second, written to before and after; the first is its shadow then, and gone
/// while one more write is staged.
async fn moved() -> Lattice {
    let mut lattice = Lattice::founded().await;
    lattice.write(0, "first").await;
    lattice.seat.admin(0).switchover().await.expect("handed over");
    lattice.steady().await;
    lattice.write(1, "second").await;
    lattice.steady().await;
    for node in [1, 2] {
        let audited = lattice.deep(node).await;
        assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
        let report = &audited.json()["deep"][0];
        // 14 writes of the seat, two members added, two certificates.
        assert_eq!(report["entries"], 280 + 14 + 2 + 2, "{report}");
    }
    lattice.nodes[0].kill().await;
    lattice.put(1, Some(Level::Local), "green/staged").await;
    for node in [1, 2] {
        lattice.nodes[node].stop().await;
    }
    lattice
}

/// Records about the seat in a node's own log.
async fn seat_events(lattice: &Lattice, node: usize) -> usize {
    let mut database = flips::database(lattice.nodes[node].dir()).await;
    let records: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT record FROM records WHERE log = 1").fetch_all(&mut database).await.expect("SQL");
    database.close().await.expect("closed");
    let is_of_seat = |bytes: &&Vec<u8>| matches!(Record::decode(bytes).expect("a record").event, Event::Seat { .. });
    records.iter().filter(is_of_seat).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_holder_mirror_and_voter_are_well_and_a_flipped_byte_at_the_holder_or_mirror_is_found() {
    let lattice = moved().await;
    assert!(seat_events(&lattice, 1).await > 0, "the new holder's own log tells of it");
    for node in 0..3 {
        let audited = lattice.audit(node).await;
        assert_eq!((audited.code, &audited.json()["flaws"]), (0, &serde_json::json!([])), "{audited:?}");
        // More than a full tile; how many a holder makes of what comes together is a matter of the moment.
        let seat_records = audited.json()["seat_records"].as_u64();
        assert_eq!(seat_records.is_some_and(|records| records > 256), node < 2, "{audited:?}");
    }
    let mut database = flips::database(lattice.nodes[1].dir()).await;
    let depose = "INSERT INTO deposed SELECT term, seq, id, bytes FROM staged";
    assert_eq!(sqlx::query(depose).execute(&mut database).await.expect("SQL").rows_affected(), 1);
    database.close().await.expect("closed");
    let missed = lattice.missed(1, &BOUND).await;
    assert!(missed.is_empty(), "missed at the holder:\n{}", missed.join("\n"));
    // A killed node's database has what is not yet in its main file beside it.
    let mut database = flips::database(lattice.nodes[0].dir()).await;
    sqlx::query(AssertSqlSafe("PRAGMA wal_checkpoint(TRUNCATE)")).execute(&mut database).await.expect("SQL");
    database.close().await.expect("closed");
    let missed = lattice.missed(0, &[("records", LAST_RECORD, RECORDS), ("ballot", "1 = 1", &["ballot"])]).await;
    assert!(missed.is_empty(), "missed at the mirror:\n{}", missed.join("\n"));
}
