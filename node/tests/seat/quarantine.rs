//! What only a dead holder had, and what operators cut off: it is kept apart, shown, and written again on purpose.

use serde_json::Value;
use testnet::client::{ClientError, Level};
use testnet::deadline;

use crate::orders::{ordered, refused};
use crate::world::{SOON, World};

/// Silence of a shadow after which writes at `shadow` are refused and not staged.
const SILENT_MS: u64 = 1_600;

#[tokio::test(flavor = "multi_thread")]
async fn a_local_write_that_the_shadow_never_got_is_found_in_quarantine() {
    let mut world = World::of(4, &[1]).await;
    world.put(3, "green/kept", "1").await;
    let holder = world.client(0);
    world.nodes[1].pause();
    // Its last question is answered by then, and it asks no other.
    deadline::until(SOON, async || {
        let status = world.seat.admin(0).seat().await.map_err(|error| error.to_string())?;
        let is_silent = status.lag.first().is_some_and(|lag| lag.silent_ms > SILENT_MS);
        if is_silent && status.is_takeover_possible == Some(false) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await
    .expect("the holder knows that its shadow is silent");
    let local = holder.put_at(Level::Local, "green/cut-off", "2", "local").await.expect("staged here");
    // The answer named the record and the root before it, which are those of another write.
    assert_eq!((local.log_position, &local.state_root, local.entries), (None, &None, None), "{local:?}");
    let local = local.commit;
    assert_eq!(holder.entry_at_seat("green/cut-off").await.expect("an answer"), None, "what may vanish is not shown");
    let shadow = holder.put_at(Level::Shadow, "green/refused", "3", "shadow").await;
    assert!(
        matches!(shadow, Err(ClientError::Refused { status: 503, .. } | ClientError::Unreachable { .. })),
        "without a shadow nothing is acknowledged at shadow: {shadow:?}"
    );
    world.nodes[0].kill().await;
    world.nodes[1].resume();
    world.term_becomes(3, 2).await;
    world.nodes[0].listen().await.expect("started");
    let standing = world.steady().await;
    assert_eq!((standing.holder, standing.shadow), (1, Some(0)));
    let quarantined = world.seat.admin(0).quarantine().await.expect("a list");
    let found: Vec<_> = quarantined.iter().map(|one| (one.commit.as_str(), one.term, one.was_in_state)).collect();
    assert_eq!(found, [(local.as_str(), 1, false)], "{}", world.logs());
    let there = world.client(3);
    assert_eq!(there.entry_at_seat("green/cut-off").await.expect("an answer"), None);
    // Written again on purpose, it is a write of the second term like any other.
    let shown = world.nodes[0].output(&["quarantine", "list"]).await.expect("it runs");
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&local), "{shown:?}");
    let again = world.nodes[0].output(&["quarantine", "resubmit", &local]).await.expect("it runs");
    assert!(again.status.success(), "{again:?}");
    let entry = there.entry_at_seat("green/cut-off").await.expect("an answer").expect("written again");
    assert_eq!(entry.value.as_deref(), Some("2"));
    assert_ne!(entry.commit, local);
    assert_eq!(world.seat.admin(0).quarantine().await.expect("a list"), []);
    world.one_root().await;
}

/// Where people look, of five nodes: a member that neither mirrors nor held.
const LOOKING: usize = 4;

/// The operator's node is the shadow of the second, which is off; operators settle a term that cuts all but its first commit.
/// Gives the commits that were cut off, in their order.
async fn cut_by_operators(keys: &[&str]) -> (World, Vec<String>) {
    let mut world = World::without_seat(5).await;
    testnet::cluster::wait_until_settled(&world.nodes, SOON).await.expect("all know all");
    world.seat.create(1, &[0], &[0, 3, 4]).await.expect("created");
    world.steady().await;
    world.put(LOOKING, "green/kept", "kept").await;
    let mut cut = Vec::new();
    for key in keys {
        cut.push(world.put(LOOKING, key, &format!("first of {key}")).await);
    }
    world.one_root().await;
    ordered(&world.nodes[0], &["seat", "pause", "--minutes", "5"]).await;
    world.nodes[1].kill().await;
    // The lease of the one that died may still run.
    let settle = ["seat", "settle", "--holder", "node-1", "--shadow", "node-3", "--voters", "node-1,node-4,node-5"];
    ordered(&world.nodes[0], &[&settle[..], &["--cut", "1", "--depose"]].concat()).await;
    for node in [0, LOOKING] {
        world.term_becomes(node, 2).await;
    }
    for key in keys {
        world.has_none(LOOKING, key).await;
    }
    (world, cut)
}

/// What the command says of the list, by commit.
async fn listed(world: &World) -> Vec<Value> {
    let shown = ordered(&world.nodes[LOOKING], &["quarantine", "list", "--json"]).await;
    serde_json::from_str(&shown).expect("JSON")
}

async fn exit_code(world: &World, words: &[&str]) -> Option<i32> {
    world.nodes[LOOKING].output(words).await.expect("it runs").status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_takes_out_of_the_state_is_listed_shown_written_again_and_dropped() {
    let (world, cut) = cut_by_operators(&["green/again", "green/dropped"]).await;
    let [again, dropped] = &cut[..] else { panic!("two commits") };
    let list = listed(&world).await;
    let found: Vec<_> = list.iter().map(|one| (one["commit"].as_str().expect("an id"), &one["was_in_state"])).collect();
    assert_eq!(found, [(again.as_str(), &Value::Bool(true)), (dropped.as_str(), &Value::Bool(true))]);
    let first = (&list[0]["term"], &list[0]["seq"], &list[0]["keys"], &list[0]["author"]);
    let author = Value::from(world.seat.author(1));
    assert_eq!(first, (&Value::from(1), &Value::from(2), &serde_json::json!(["green/again"]), &author));
    let status = ordered(&world.nodes[LOOKING], &["status"]).await;
    assert!(status.contains("QUARANTINE") && status.contains("2 entries that a cut took out"), "{status}");

    let prefix = &again[..8];
    let shown = ordered(&world.nodes[LOOKING], &["quarantine", "show", prefix]).await;
    assert!(shown.contains("put green/again = first of green/again\n    there now: nothing\n"), "{shown}");
    let written = ordered(&world.nodes[LOOKING], &["quarantine", "resubmit", prefix]).await;
    assert!(written.contains("written again as"), "{written}");
    let entry = world.client(3).entry_at_seat("green/again").await.expect("an answer").expect("there again");
    assert_eq!(entry.value.as_deref(), Some("first of green/again"));
    assert!(written.contains(&entry.commit) && entry.commit != *again, "{written}");
    ordered(&world.nodes[LOOKING], &["quarantine", "drop", &dropped[..8]]).await;
    assert_eq!(listed(&world).await, Vec::<Value>::new());
    let status = ordered(&world.nodes[LOOKING], &["status"]).await;
    assert!(!status.contains("QUARANTINE"), "{status}");
    // Each node that had it keeps it, until somebody looks there.
    let elsewhere = deadline::until(SOON, async || {
        let shown = ordered(&world.nodes[3], &["quarantine", "show", again]).await;
        if shown.contains("there now: the same") { Ok(()) } else { Err(shown) }
    });
    elsewhere.await.expect("the new commit comes there too");
    let nothing = ordered(&world.nodes[3], &["quarantine", "resubmit", again]).await;
    assert!(nothing.contains("stands there already"), "{nothing}");

    for order in ["show", "resubmit", "drop"] {
        for wrong in ["999", "0123456g", &"0".repeat(65)] {
            assert_eq!(exit_code(&world, &["quarantine", order, wrong]).await, Some(2), "{order} {wrong}");
        }
        let unknown = refused(&world.nodes[LOOKING], &["quarantine", order, "00000000"]).await;
        assert!(unknown.contains("no commit 00000000 is in quarantine"), "{unknown}");
        assert_eq!(exit_code(&world, &["quarantine", order, "00000000"]).await, Some(1), "{order}");
        let gone = refused(&world.nodes[LOOKING], &["quarantine", order, dropped]).await;
        assert!(gone.contains("is in quarantine"), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_since_is_overwritten_by_a_cut_off_write_only_where_somebody_says_so() {
    let (world, cut) = cut_by_operators(&["green/newer"]).await;
    let cut = cut.first().expect("one commit");
    // A client that sends its write again under its name is not told that the one which was cut away stands.
    let again = world.put(LOOKING, "green/newer", "first of green/newer").await;
    assert_ne!(again, *cut);
    world.has(LOOKING, "green/newer", &again).await;
    let newer = deadline::until(SOON, async || {
        let written = world.client(LOOKING).put_at(Level::Shadow, "green/newer", "second", "second-green/newer").await;
        written.map_err(|error| error.to_string())
    });
    let newer = newer.await.expect("acknowledged").commit;
    let arrived = deadline::until(SOON, async || {
        let shown = ordered(&world.nodes[LOOKING], &["quarantine", "show", cut]).await;
        if shown.contains("there now: another value, written since") { Ok(()) } else { Err(shown) }
    });
    arrived.await.expect("the new value comes");
    let words = refused(&world.nodes[LOOKING], &["quarantine", "resubmit", cut]).await;
    assert!(words.contains("\"green/newer\"") && words.contains("--overwrite"), "{words}");
    world.has(LOOKING, "green/newer", &newer).await;
    assert_eq!(listed(&world).await.len(), 1, "it stays on the list");
    ordered(&world.nodes[LOOKING], &["quarantine", "resubmit", cut, "--overwrite"]).await;
    let entry = world.client(LOOKING).entry_at_seat("green/newer").await.expect("an answer").expect("there");
    assert_eq!(entry.value.as_deref(), Some("first of green/newer"));
    assert_eq!(listed(&world).await.len(), 0);
}
