//! A holder whose database is put back to an older one; a voter and a shadow that lose theirs.

use std::ffi::OsStr;

use testnet::client::Level;
use testnet::deadline;
use tokio::process::Command;

use crate::world::{CLIENT, SOON, World, more, program, while_counting};

async fn lattice(words: &[&OsStr]) {
    let output = Command::new(program()).args(words).output().await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Went on where its database said, it would never have learnt whether it signed more, and would have held the seat unable to
/// serve it.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_restored_from_a_backup_of_this_term_serves_after_its_holder() {
    let mut world = World::of(5, &[1]).await;
    let first = world.put(3, "green/before", "v").await;
    let (dir, root) = (world.nodes[1].dir().to_owned(), tempfile::tempdir().expect("a directory"));
    let backup = root.path().join("backup");
    lattice(&["backup".as_ref(), dir.as_os_str(), "-o".as_ref(), backup.as_os_str()]).await;
    let forgotten = world.put(3, "green/forgotten", "v").await;
    world.nodes[1].kill().await;
    lattice(&["restore".as_ref(), backup.as_os_str(), "--replace".as_ref(), "--dir".as_ref(), dir.as_os_str()]).await;
    world.nodes[1].listen().await.expect("started");
    world.steady().await;
    world.nodes[0].kill().await;
    world.term_becomes(3, 2).await;
    world.nodes[0].listen().await.expect("started");
    let after = world.put(3, "green/after", "v").await;
    for (key, commit) in [("green/before", &first), ("green/forgotten", &forgotten), ("green/after", &after)] {
        world.has(3, key, commit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_restored_from_a_backup_never_serves_the_term_it_forgot_half_of() {
    let mut world = World::of(5, &[1]).await;
    let first = world.put(3, "green/before", "v").await;
    let (dir, root) = (world.nodes[0].dir().to_owned(), tempfile::tempdir().expect("a directory"));
    let backup = root.path().join("backup");
    lattice(&["backup".as_ref(), dir.as_os_str(), "-o".as_ref(), backup.as_os_str()]).await;
    // It stages and acknowledges these, and then knows nothing of them.
    let mut forgotten = Vec::new();
    for n in 0..5 {
        let key = format!("green/forgotten/{n}");
        forgotten.push((world.put(3, &key, "v").await, key));
    }
    // Nobody takes over until it is back: in its old term it would give the same numbers again.
    world.nodes[1].pause();
    world.nodes[0].kill().await;
    let replace = ["restore".as_ref(), backup.as_os_str(), "--replace".as_ref(), "--dir".as_ref(), dir.as_os_str()];
    lattice(&replace).await;
    world.nodes[0].start().await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!world.seat.admin(0).seat().await.expect("it answers").is_serving, "it has forgotten what it signed");
    world.nodes[1].resume();
    let after = world.put(3, "green/after", "v").await;
    world.term_becomes(3, 2).await;
    world.has(3, "green/before", &first).await;
    for (commit, key) in &forgotten {
        world.has(3, key, commit).await;
    }
    world.has(3, "green/after", &after).await;
    for node in [2, 3, 4] {
        let status = world.client(node).status().await.expect("it answers");
        assert!(status.equivocations.is_empty(), "{status:?}");
    }
}

/// Of three voters one is the holder. When the other two are needed, one that forgot its votes is as good as none; were its
/// holder to die months later, nobody could take over.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_lost_its_database_is_told_and_votes_again_after_a_term_that_the_holder_begins_for_it() {
    let mut world = World::of(5, &[1]).await;
    world.lose_database(3).await;
    let told = deadline::until(SOON, async || {
        let status = world.seat.admin(0).seat().await.map_err(|error| error.to_string())?;
        let is_told = status.takeover.as_ref().is_some_and(|line| line.contains("1 may have forgotten their votes"));
        if is_told && status.is_takeover_possible == Some(false) { Ok(()) } else { Err(format!("{status:?}")) }
    });
    told.await.unwrap_or_else(|late| panic!("{late}\n{}", world.logs()));
    assert!(world.seat.admin(3).seat().await.expect("it answers").doing.contains("abstains until the next term"));
    world.term_becomes(3, 2).await;
    assert_eq!(world.steady().await.holder, 0);
    let able = deadline::until(SOON, async || {
        let status = world.seat.admin(0).seat().await.map_err(|error| error.to_string())?;
        if status.is_takeover_possible == Some(true) { Ok(()) } else { Err(format!("{status:?}")) }
    });
    able.await.unwrap_or_else(|late| panic!("{late}\n{}", world.logs()));
    let before = world.put(CLIENT, "green/before", "v").await;
    world.nodes[0].kill().await;
    world.term_becomes(CLIENT, 3).await;
    world.has(CLIENT, "green/before", &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_lost_its_database_is_seeded_and_looks_well() {
    let mut world = World::of(5, &[1]).await;
    let before = world.put(CLIENT, "green/before", "v").await;
    world.lose_database(1).await;
    let able = deadline::until(SOON, async || {
        let status = world.seat.admin(0).seat().await.map_err(|error| error.to_string())?;
        // What it answers is judged again by now.
        let mirror = status.lag.first().ok_or("no mirror")?;
        let is_whole = !mirror.is_seeding && mirror.records == 0;
        if is_whole && status.is_takeover_possible == Some(true) { Ok(()) } else { Err(format!("{status:?}")) }
    });
    able.await.unwrap_or_else(|late| panic!("{late}\n{}", world.logs()));
    // Its holder asks how it is all the time.
    for n in 0..20 {
        world.put(CLIENT, &format!("green/{n}"), "v").await;
    }
    let status = world.seat.admin(0).seat().await.expect("it answers");
    assert_eq!(status.is_takeover_possible, Some(true), "{status:?}");
    world.nodes[0].kill().await;
    world.term_becomes(CLIENT, 2).await;
    world.has(CLIENT, "green/before", &before).await;
}

/// Clients that keep two states from being equal at any moment.
const WRITERS: usize = 4;

/// What others had replaced comes in no session and with no record of a seed. A frontier without it says that a shadow lacks what
/// its term began with, and while clients go on writing no session ends with equal roots and mends that.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_seeded_while_clients_write_can_take_over_at_once() {
    let world = World::of(5, &[1, 2]).await;
    for n in 0..30 {
        let name = format!("replaced/{n}");
        let put = world.client(CLIENT).put_at(Level::Shadow, "green/replaced", &name, &name).await;
        put.unwrap_or_else(|error| panic!("{error}\n{}", world.logs()));
    }
    let writers = world.write_on(3, WRITERS);
    while_counting(world, 10, async |world, counted| {
        world.nodes[0].kill().await;
        world.term_becomes(CLIENT, 2).await;
        world.nodes[0].listen().await.expect("started");
        let standing = world.steady().await;
        assert_eq!((standing.holder, standing.shadow), (1, Some(2)));
        world.lose_database(2).await;
        world.steady().await;
        world.nodes[1].kill().await;
        world.term_becomes(CLIENT, 3).await;
        more(counted, 10).await;
        world.nodes[1].listen().await.expect("started");
        drop(writers);
    })
    .await;
}
