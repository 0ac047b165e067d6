//! What was taken from a stopped node's database, or put into it: what can be known of that is found.

use sqlx::{AssertSqlSafe, Connection};

use crate::flips::{audit, database};
use crate::stage::{Stage, evidence};

/// A stopped node with more records than a tile has.
async fn stopped() -> Stage {
    let mut stage = Stage::set().await;
    for n in 0..270 {
        stage.put(&format!("k/{n}"), "value").await;
    }
    stage.signed().await;
    stage.node.stop().await;
    stage
}

async fn execute(stage: &Stage, sql: &str) {
    let mut connection = database(stage.node.dir()).await;
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("SQL");
    connection.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_emptied_and_a_schema_altered_are_found() {
    let stage = stopped().await;
    let (file, whole, policy) = (stage.node.dir().join("state.db"), stage.file("whole.db"), stage.named("policy"));
    std::fs::copy(&file, &whole).expect("copied");
    for (sql, table) in [
        ("DELETE FROM checkpoints", "checkpoints"),
        ("DELETE FROM logs", "logs"),
        ("DELETE FROM chains", "chains"),
        ("DELETE FROM _sqlx_migrations WHERE version = 2", "_sqlx_migrations"),
        ("DROP INDEX entries_by_key", "sqlite_schema"),
        ("DROP TABLE witnessed", "sqlite_schema"),
        ("CREATE TABLE more (a INTEGER)", "sqlite_schema"),
        ("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE id = new.id; END", "sqlite_schema"),
    ] {
        execute(&stage, sql).await;
        let audited = audit(stage.node.dir(), &policy).await;
        let says = audited.json()["flaws"].to_string();
        assert_eq!(audited.code, 1, "{sql}: {audited:?}");
        assert!(says.contains(&format!("\"table\":\"{table}\"")), "{sql}: {says}");
        std::fs::copy(&whole, &file).expect("restored");
    }
    let audited = audit(stage.node.dir(), &policy).await;
    assert_eq!((audited.code, &audited.json()["flaws"]), (0, &serde_json::json!([])), "{audited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_against_others_is_said_and_no_flaw() {
    let stage = stopped().await;
    let fork = evidence(&stage, 5);
    let mut connection = database(stage.node.dir()).await;
    sqlx::query("INSERT INTO forks (origin, found_ms, evidence) VALUES (?, 1, ?)")
        .bind(fork.origin().to_owned())
        .bind(fork.to_string().into_bytes())
        .execute(&mut connection)
        .await
        .expect("SQL");
    connection.close().await.expect("closed");
    let audited = audit(stage.node.dir(), &stage.named("policy")).await;
    assert_eq!(audited.code, 0, "{audited:?}");
    let said = audited.json()["evidence"][0].as_str().expect("a sentence").to_owned();
    assert!(said.contains("two histories") && said.contains(fork.origin()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_makes_wrong_tiles_anew_at_its_start() {
    let mut stage = stopped().await;
    for sql in [
        // Of the last full tile of leaves, and of the tile above, which has a hash of it.
        "UPDATE tiles SET hashes = zeroblob(8192) WHERE log = 1 AND level = 0",
        "UPDATE tiles SET hashes = zeroblob(32) WHERE log = 1 AND level = 1",
        "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE log = 1",
    ] {
        execute(&stage, sql).await;
        let audited = audit(stage.node.dir(), &stage.named("policy")).await;
        assert!(audited.code == 1 && audited.stdout.contains("\"table\": \"tiles\""), "{sql}: {audited:?}");
        stage.start().await;
        let audited = stage.audit_at(&stage.url(), &["--deep"]).await;
        assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{sql}: {audited:?}");
        stage.node.stop().await;
        let audited = audit(stage.node.dir(), &stage.named("policy")).await;
        assert_eq!((audited.code, &audited.json()["flaws"]), (0, &serde_json::json!([])), "{sql}: {audited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_log_has_no_name_says_so_and_does_not_start() {
    let mut stage = stopped().await;
    execute(&stage, "DELETE FROM logs").await;
    let refused = stage.node.start().await.map(drop).expect_err("damaged").to_string();
    assert!(refused.contains("table logs has no row"), "{refused}");
}
