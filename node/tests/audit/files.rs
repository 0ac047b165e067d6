//! A stopped node's files looked through: what is whole is well, and a byte that is not what it was is found, with its row.

use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::equivocation::Equivocation;
use lattice::genesis::Genesis;
use lattice::ids::CommitId;
use lattice::keys::NodeKeys;
use lattice::log::checkpoint::{SignedCheckpoint, origin};
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::op::Op as LatticeOp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use testnet::client::Op;
use testnet::deadline;
use testnet::process::{Launch, Node};

use crate::flips::{self, Columns};
use crate::following::keys;
use crate::program::{Ended, SOON, program};
use crate::seated;
use crate::stage::Stage;

async fn audit(stage: &Stage) -> Ended {
    flips::audit(stage.node.dir(), &stage.named("policy")).await
}

async fn database(stage: &Stage) -> SqliteConnection {
    flips::database(stage.node.dir()).await
}

/// A stopped node that holds something in every table.
async fn filled() -> Stage {
    let mut stage = Stage::set().await;
    let many = [Op::put("multi/a", "1"), Op::put("multi/b", "2"), Op::put("multi/c", "3")];
    stage.client().commit(&many, Some("once")).await.expect("acknowledged");
    for n in 0..270 {
        stage.put(&format!("k/{n}"), "value").await;
    }
    assert_eq!(stage.lattice(&["delete", "k/200"]).await.code, 0);
    let mut other = Node::new(Launch::new(program(), "other", stage.file("other")));
    other.join(&stage.node.invite().await.expect("a ticket")).await.expect("joined");
    let reached = other.start().await.expect("started");
    reached.client.put("from/other", "x").await.expect("acknowledged");
    let (client, path) = (stage.client(), "from/other");
    deadline::until(SOON, async || match client.entry(path).await.map_err(|error| error.to_string())? {
        Some(_) => Ok(()),
        None => Err("it has not come".to_owned()),
    })
    .await
    .unwrap_or_else(|late| panic!("{late}"));
    stage.signed().await;
    other.stop().await;
    let shown = stage.lattice(&["policy", "show"]).await;
    std::fs::write(stage.file("policy"), &shown.stdout).expect("written");
    stage.node.stop().await;
    keep_what_speaks_against_others(&stage, &keys(other.dir())).await;
    stage
}

/// Evidence, quarantine and a cosigned checkpoint, as the node would have kept them.
async fn keep_what_speaks_against_others(stage: &Stage, other: &NodeKeys) {
    let genesis = std::fs::read(stage.node.dir().join("genesis.cbor")).expect("a genesis");
    let lattice = Genesis::decode(&genesis).expect("canonical").id();
    let mut database = database(stage).await;
    let quarantine = "INSERT INTO quarantine (key, value, op_index, header, signature, op_hashes) \
         SELECT e.key, e.value, e.op_index, c.header, c.signature, c.op_hashes \
         FROM entries e JOIN commits c ON c.id = e.commit_id WHERE e.key LIKE 'multi/%'";
    sqlx::query(quarantine).execute(&mut database).await.expect("SQL");
    let header = |key: &str| {
        let time = Timestamp::from_millis(1);
        let draft = Draft { lattice, term: 0, seq: 9, prev: CommitId([1; 32]), time };
        draft.sign(&other.author, vec![LatticeOp::delete(key).expect("small")]).signed().clone()
    };
    let pair = Equivocation::of(&header("a"), &header("b")).expect("one place");
    sqlx::query("INSERT OR REPLACE INTO equivocations (author, evidence) VALUES (?, ?)")
        .bind(other.author.id().0.to_vec())
        .bind(pair.encode())
        .execute(&mut database)
        .await
        .expect("SQL");
    let name = origin(&lattice, &other.author.id(), 1);
    let signed = |root| SignedCheckpoint::sign(&name, 5, [root; 32], &other.log);
    let key = VerifierKey::new(name.clone(), KeyKind::Log, other.log_key().0).expect("a key");
    let fork = ForkEvidence::new(&signed(1), &signed(2), None, &key).expect("a fork");
    sqlx::query("INSERT OR REPLACE INTO forks (origin, found_ms, evidence) VALUES (?, 1, ?)")
        .bind(name.to_string())
        .bind(fork.to_string().into_bytes())
        .execute(&mut database)
        .await
        .expect("SQL");
    sqlx::query("INSERT OR REPLACE INTO witnessed (origin, size, root, note) VALUES (?, 5, ?, ?)")
        .bind(name.to_string())
        .bind(vec![1; 32])
        .bind(signed(1).to_string().into_bytes())
        .execute(&mut database)
        .await
        .expect("SQL");
    database.close().await.expect("closed");
}

/// Each column that something binds, and a row of its table.
const BOUND: [Columns; 16] = [
    ("state", "id = 1", &["id", "lattice", "root", "entries"]),
    ("authors", "id = 1", &["id", "author"]),
    ("commits", "id = 100", &["id", "author", "term", "seq", "header", "signature", "live", "first_entry", "span"]),
    ("commits", "op_hashes IS NOT NULL", &["op_hashes", "header", "live", "first_entry", "span"]),
    ("entries", "key = 'k/100'", &["id", "key", "value", "commit_id", "op_index"]),
    ("entries", "key = 'multi/b'", &["id", "key", "value", "commit_id", "op_index"]),
    ("chains", "term = 0", &["author", "term", "chain"]),
    ("logs", "id = 1", &["id", "origin", "key"]),
    ("records", "position = 100", &["log", "position", "record", "last_entry"]),
    ("tiles", "level = 0", &["log", "level", "tile", "hashes"]),
    ("tiles", "level = 1", &["log", "level", "tile", "hashes"]),
    ("checkpoints", "log = 1", &["log", "size", "note"]),
    ("witnessed", "1 = 1", &["origin", "size", "root", "note"]),
    ("quarantine", "key = 'multi/b'", &["key", "value", "op_index", "header", "signature", "op_hashes"]),
    ("equivocations", "1 = 1", &["author", "evidence"]),
    ("_sqlx_migrations", "version = 1", &["version", "description", "success", "checksum"]),
];

/// The same of columns where only some bytes are bound, with the byte that is flipped.
const BOUND_IN_PART: [Columns; 3] = [
    ("answers", "1 = 1", &["answer"]),
    ("invitations", "redeemed_by IS NOT NULL", &["redeemed_by"]),
    ("forks", "1 = 1", &["origin", "evidence"]),
];

/// Columns that nothing binds, as the help says.
const UNBOUND: [(&str, &[&str]); 6] = [
    ("invitations", &["secret_hash", "created_ms"]),
    ("answers", &["id", "name", "request_hash", "of_seat", "term", "seq"]),
    ("forks", &["found_ms"]),
    ("quarantine", &["id", "is_dismissed"]),
    ("staged", &["name"]),
    ("_sqlx_migrations", &["installed_on", "execution_time"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_any_bound_column_is_found_with_its_table() {
    let stage = filled().await;
    let in_part = BOUND_IN_PART.iter().map(|(table, row, columns)| (*table, *row, *columns));
    let missed = flips::missed(stage.node.dir(), &stage.named("policy"), BOUND.into_iter().chain(in_part)).await;
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_is_either_bound_or_named_as_one_that_nothing_binds() {
    let stage = filled().await;
    let mut connection = database(&stage).await;
    let sql = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'";
    let columns = sqlx::query(sql).fetch_all(&mut connection).await.expect("SQL");
    connection.close().await.expect("closed");
    for row in columns {
        let (table, column): (&str, &str) = (row.get(0), row.get(1));
        let is_bound =
            BOUND.iter().chain(&seated::BOUND).any(|(t, _, columns)| *t == table && columns.contains(&column));
        let is_in_part = BOUND_IN_PART.iter().any(|(t, _, columns)| *t == table && columns.contains(&column));
        let is_unbound = UNBOUND.iter().any(|(t, columns)| *t == table && columns.contains(&column));
        assert!(
            is_bound || is_in_part || is_unbound,
            "{table}.{column}: nobody says whether an audit finds a flip there"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_gone_and_broken_pages_are_found() {
    let stage = filled().await;
    let whole = stage.file("whole.db");
    std::fs::copy(stage.node.dir().join("state.db"), &whole).expect("copied");
    for sql in [
        "DELETE FROM entries WHERE key = 'k/100'",
        "DELETE FROM records WHERE position = 100",
        "DELETE FROM tiles WHERE level = 1",
        "DELETE FROM commits WHERE id = 100",
        "DELETE FROM records WHERE position >= 100",
    ] {
        let mut connection = database(&stage).await;
        sqlx::query(sql).execute(&mut connection).await.expect("SQL");
        connection.close().await.expect("closed");
        let audited = audit(&stage).await;
        assert_eq!(audited.code, 1, "{sql}: {audited:?}");
        std::fs::copy(&whole, stage.node.dir().join("state.db")).expect("restored");
    }
    let mut bytes = std::fs::read(&whole).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x55);
    std::fs::write(stage.node.dir().join("state.db"), &bytes).expect("written");
    let audited = audit(&stage).await;
    assert_eq!(audited.code, 1, "{audited:?}");
    std::fs::write(stage.node.dir().join("state.db"), b"not a database, though as long as a page".repeat(200))
        .expect("written");
    let audited = audit(&stage).await;
    assert!(audited.code == 1 && audited.stdout.contains("not a database"), "{audited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_is_left_alone_and_one_that_was_killed_is_read_as_it_lies() {
    let mut stage = Stage::set().await;
    stage.put("k", "v").await;
    let refused = audit(&stage).await;
    assert!(refused.code == 2 && refused.stderr.contains("audit it from outside"), "{refused:?}");
    stage.put("k", "w").await;
    stage.node.kill().await;
    let audited = audit(&stage).await;
    assert_eq!((audited.code, &audited.json()["entries"]), (0, &1.into()), "{audited:?}");
    stage.start().await;
    assert_eq!(stage.client().entry("k").await.expect("an answer").expect("an entry").shown(), "w");
}
