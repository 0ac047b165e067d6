//! A node's state that was changed by hand in its database: refused at start if it contradicts itself; else found by
//! the others' roots, healed, and recorded.

use lattice::record::{Event, Record};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use testnet::deadline;
use testnet::network::Block;
use testnet::process::{Node, StartError};

use crate::world::{SOON, World};

/// No beats, and no HTTP mode, within a test: only the damaged node beats, so that its count is the one to come to three.
const NO_BEATS: &str = "3600000";
const OPTIONS: [&str; 4] = ["--heartbeat-ms", NO_BEATS, "--http-mode-after-ms", NO_BEATS];

/// The key that is damaged, and how.
const KEY: &str = "damaged";
const REMOVE: &str = "DELETE FROM entries WHERE key = ?";
const CHANGE: &str = "UPDATE entries SET value = x'00' WHERE key = ?";

/// The database of a node; to be written only while the node does not run.
async fn database(node: &Node) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(node.dir().join("state.db"));
    SqliteConnection::connect_with(&options).await.expect("a database")
}

async fn execute(node: &Node, sql: &'static str) {
    let mut database = database(node).await;
    let changed = sqlx::query(sql).bind(KEY).execute(&mut database).await.expect("SQL");
    assert_eq!(changed.rows_affected(), 1, "{sql}");
    database.close().await.expect("closed");
}

/// What the node says when it refuses to start.
async fn refusal(node: &mut Node) -> String {
    match node.start().await {
        Err(StartError::Ended { tail, .. }) => tail,
        other => panic!("{other:?}"),
    }
}

/// Makes the stored root that of the stored entries, as the node itself computes it: only others can know better.
async fn make_consistent(node: &mut Node) {
    let said = refusal(node).await;
    let words: Vec<&str> = said.split("the stored entries give root ").nth(1).expect(&said).split(' ').collect();
    let root = data_encoding::HEXLOWER.decode(words[0].as_bytes()).expect("a root");
    let entries: i64 = words[2].parse().expect("a number");
    let mut database = database(node).await;
    let update = sqlx::query("UPDATE state SET root = ?, entries = ?").bind(root).bind(entries);
    update.execute(&mut database).await.expect("SQL");
    database.close().await.expect("closed");
}

/// Three nodes that hold the key; the last one is stopped.
async fn with_one_stopped() -> Option<World> {
    let mut world = World::of(3, &OPTIONS).await?;
    world.write_everywhere("before").await;
    world.client(0).put(KEY, "right").await.expect("acknowledged");
    world.all_hold_of_each("before/").await;
    world.nodes[2].stop().await;
    Some(world)
}

/// Starts a node that beats and whose libp2p is blocked: nothing but the heartbeat can find what is wrong.
async fn start_with_heartbeat_alone(world: &mut World, node: usize) {
    world.block(node, Block::LIBP2P);
    let options = &mut world.nodes[node].launch_mut().options;
    let beats = options.iter_mut().find(|option| *option == NO_BEATS).expect("the first one is the interval");
    "500".clone_into(beats);
    world.nodes[node].start().await.expect("nothing in it contradicts");
}

/// What the sessions that moved something left in the node's log: outcome, entries received and sent.
async fn reconciles(node: &Node) -> Vec<(String, u64, u64)> {
    let mut database = database(node).await;
    let rows = sqlx::query("SELECT record FROM records WHERE log = 1 ORDER BY position").fetch_all(&mut database).await;
    database.close().await.expect("closed");
    let records = rows.expect("SQL").into_iter().map(|row| Record::decode(row.get(0)).expect("canonical").event);
    let told = |event| match event {
        Event::Reconciled { outcome, received, sent, .. } => Some((outcome, received, sent)),
        Event::Opened { .. }
        | Event::Applied { .. }
        | Event::Mode { .. }
        | Event::Membership { .. }
        | Event::Stated
        | Event::Renamed { .. }
        | Event::Seat { .. }
        | Event::Damaged { .. } => None,
    };
    records.filter_map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_value_is_refused_with_advice_that_works() {
    let Some(mut world) = with_one_stopped().await else { return };
    let node = &mut world.nodes[2];
    execute(node, CHANGE).await;
    let said = refusal(node).await;
    assert!(said.contains("the database is damaged") && said.contains("remove state.db, state.db-wal"), "{said}");
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        match std::fs::remove_file(node.dir().join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{file}: {error}"),
            _ => {}
        }
    }
    node.start().await.expect("started");
    world.settled().await;
    world.write_everywhere("afterwards").await;
    world.all_hold_of_each("afterwards/").await;
    assert_eq!(world.status(0, |_| true).await.equivocations, Vec::<serde_json::Value>::new());
}

/// Damages a state by hand, consistently, and expects the heartbeat alone to find and heal it.
async fn heartbeat_heals(sql: &'static str) {
    let Some(mut world) = with_one_stopped().await else { return };
    execute(&world.nodes[2], sql).await;
    make_consistent(&mut world.nodes[2]).await;
    let before = reconciles(&world.nodes[2]).await.len();
    start_with_heartbeat_alone(&mut world, 2).await;
    let third = world.event(2, 0, |event| event.fields.get("count").is_some_and(|count| count == "3")).await;
    assert_eq!(third.fields["kind"], "divergence", "nobody wrote: nothing but damage explains it");
    let finished = world.event(2, third.number, |event| event.kind == "reconcile-finished").await;
    assert_eq!(finished.fields["outcome"], "equal", "{finished:?}");
    is_right_again(&world).await;
    let node = &mut world.nodes[2];
    node.stop().await;
    let told = &reconciles(node).await[before..];
    assert!(matches!(told, [(outcome, 1, _)] if outcome == "equal"), "{told:?}");
    node.start().await.expect("what was healed is proved at start");
}

/// Damages a state by hand, consistently, and expects that nodes that meet over libp2p find and heal it.
async fn libp2p_heals(sql: &'static str) {
    let Some(mut world) = with_one_stopped().await else { return };
    execute(&world.nodes[2], sql).await;
    make_consistent(&mut world.nodes[2]).await;
    let before = recorded(&world).await;
    world.nodes[2].start().await.expect("nothing in it contradicts");
    world.settled().await;
    is_right_again(&world).await;
    // Whoever began the session records it, a moment after its end.
    let recorded = deadline::until(SOON, async || match recorded(&world).await {
        after if after > before => Ok(()),
        after => Err(format!("{after} records of reconciles, {before} before")),
    });
    recorded.await.unwrap_or_else(|late| panic!("{late}"));
}

/// Records of reconciles in all logs.
async fn recorded(world: &World) -> usize {
    let mut records = 0;
    for node in &world.nodes {
        records += reconciles(node).await.len();
    }
    records
}

/// The value is back at the node that was damaged, and an operator sees that it was lost.
async fn is_right_again(world: &World) {
    world.all_hold_of_each("before/").await;
    let healed = world.client(2).entry(KEY).await.expect("it answers").expect("it is there");
    assert_eq!(healed.shown(), "right");
    world.status(2, |status| status.divergences > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_removed_by_hand_is_found_by_the_heartbeat_healed_and_recorded() {
    heartbeat_heals(REMOVE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_changed_by_hand_with_its_root_is_found_by_the_heartbeat_healed_and_recorded() {
    heartbeat_heals(CHANGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_removed_by_hand_is_found_over_libp2p_healed_and_recorded() {
    libp2p_heals(REMOVE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_changed_by_hand_with_its_root_is_found_over_libp2p_healed_and_recorded() {
    libp2p_heals(CHANGE).await;
}
