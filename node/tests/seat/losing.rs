//! Nodes of the seat that die in turn, restart, run out of disk, or find a damaged page, while a client counts up.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use testnet::deadline;
use testnet::disk::SmallDisk;
use testnet::skipping::{NAMESPACES, skip};

use crate::world::{CLIENT, SOON, World, more, while_counting};

/// Acknowledgements before and after what happens.
const SOME: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn holder_and_shadow_die_in_turn_and_the_spare_goes_on() {
    let world = while_counting(World::of(5, &[1, 2]).await, SOME, async |world, counted| {
        world.nodes[0].kill().await;
        more(counted, SOME).await;
        world.term_becomes(CLIENT, 2).await;
        world.nodes[0].listen().await.expect("started");
        world.steady().await;
        world.nodes[1].kill().await;
        more(counted, SOME).await;
        world.nodes[1].listen().await.expect("started");
    })
    .await;
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder, standing.shadow), (3, 2, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_restart_one_after_the_other_and_nothing_is_lost() {
    // The client's own node stays: it is the one that is asked.
    while_counting(World::of(5, &[1, 2]).await, SOME, async |world, counted| {
        for node in 0..CLIENT {
            world.nodes[node].stop().await;
            world.nodes[node].listen().await.expect("started");
            world.steady().await;
            more(counted, SOME).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_dies_while_it_is_seeded_is_seeded_when_it_is_back() {
    let world = World::of(5, &[1]).await;
    // Enough that seeding takes a moment.
    let filled = (0..40).map(|number| format!("filled/{number}")).collect::<Vec<_>>();
    for key in &filled {
        world.client(3).put(key, &"v".repeat(32 * 1024)).await.expect("acknowledged");
    }
    let world = while_counting(world, SOME, async |world, counted| {
        world.name_shadow(0, 2).await;
        world.term_becomes(2, 2).await;
        world.nodes[2].kill().await;
        world.nodes[2].listen().await.expect("started");
        let standing = world.steady().await;
        assert_eq!((standing.term, standing.shadow), (2, Some(2)));
        world.nodes[0].kill().await;
        world.term_becomes(2, 3).await;
        world.nodes[0].listen().await.expect("started");
        more(counted, SOME).await;
    })
    .await;
    assert_eq!(world.steady().await.holder, 2);
}

/// The whole log of the term was copied again at each start.
#[tokio::test(flavor = "multi_thread")]
async fn mirrors_that_restart_go_on_where_they_were() {
    let world = while_counting(World::of(5, &[1, 2]).await, SOME, async |world, counted| {
        let seeds = |world: &World| [1, 2].map(|mirror| world.seeds(mirror));
        let before = seeds(world);
        world.nodes[1].kill().await;
        world.nodes[2].stop().await;
        for mirror in [1, 2] {
            world.nodes[mirror].listen().await.expect("started");
        }
        world.steady().await;
        more(counted, SOME).await;
        assert_eq!(seeds(world), before, "{}", world.logs());
    })
    .await;
    assert_eq!(world.steady().await.term, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_disk_is_full_hands_over_and_mirrors_when_there_is_room() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("node-1");
    std::fs::create_dir(&dir).expect("made");
    // More than what a holder wants free.
    let disk = match SmallDisk::mount(&dir, 512) {
        Ok(disk) => disk,
        Err(reason) => return skip(NAMESPACES, &reason),
    };
    let world = World::below(root, 5).await;
    world.create(&[1, 2]).await;
    let ballast = disk.path().join("ballast");
    let world = while_counting(world, SOME, async |world, counted| {
        let full = std::fs::write(&ballast, vec![1; 512 << 20]).expect_err("no more room");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        world.term_becomes(CLIENT, 2).await;
        more(counted, SOME).await;
        std::fs::remove_file(&ballast).expect("removed");
    })
    .await;
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder, standing.spares.as_slice()), (2, 1, &[0][..]));
    drop((world, disk));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_at_the_holder_comes_back_from_its_mirrors() {
    let world = World::of(5, &[1, 2]).await;
    let commit = world.put(CLIENT, "green/damaged", "right").await;
    let world = while_counting(world, SOME, async |world, _| {
        let options = SqliteConnectOptions::new().filename(world.nodes[0].dir().join("state.db"));
        let mut database = SqliteConnection::connect_with(&options).await.expect("a database");
        let flip = sqlx::query("UPDATE entries SET value = x'77726f6e67' WHERE key = 'green/damaged'");
        assert_eq!(flip.execute(&mut database).await.expect("SQL").rows_affected(), 1);
        database.close().await.expect("closed");
        let read = deadline::until(SOON, async || match world.client(0).entry("green/damaged").await {
            Ok(Some(entry)) if entry.shown() == "right" => Ok(()),
            Ok(Some(entry)) if entry.shown() == "wrong" => panic!("damage was served"),
            other => Err(format!("{other:?}")),
        });
        read.await.unwrap_or_else(|late| panic!("{late}\n{}", world.logs()));
    })
    .await;
    world.has(CLIENT, "green/damaged", &commit).await;
}

/// It knows nobody but itself then, and others took it for a hidden mirror that is to be left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_founder_that_loses_its_database_while_it_mirrors_comes_back() {
    let mut world = World::of(5, &[1]).await;
    world.put(CLIENT, "green/before", "1").await;
    world.seat.admin(0).switchover().await.expect("it moves");
    assert_eq!(world.steady().await.shadow, Some(0));
    world.lose_database(0).await;
    world.one_root().await;
}
