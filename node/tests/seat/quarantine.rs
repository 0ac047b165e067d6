//! What only a dead holder had: its writes of the seat are kept apart, its ordinary writes merge.

use testnet::client::{ClientError, Level};
use testnet::deadline;

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
    let local = holder.put_at(Level::Local, "green/cut-off", "2", "local").await.expect("staged here").commit;
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
    let found: Vec<_> = quarantined.iter().map(|one| (one.commit.as_str(), one.term)).collect();
    assert_eq!(found, [(local.as_str(), 1)], "{}", world.logs());
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
