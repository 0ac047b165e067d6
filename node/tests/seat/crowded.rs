//! More clients at once than nodes forward writes: they wait for each other, and the seat does not wait for them.

use std::time::Instant;

use futures::future::join_all;
use testnet::client::{Client, Level};
use testnet::deadline;

use crate::world::{SOON, World};

/// Clients at each of two voters: several times what a connection has streams for.
const CLIENTS: usize = 150;

/// Writes under one name, again and again; gives the key, and the commit.
async fn until_acknowledged(client: Client, key: String) -> (String, String) {
    let until = Instant::now() + SOON;
    loop {
        match client.put_at(Level::Shadow, &key, "v", &key).await {
            Ok(receipt) => return (key, receipt.commit),
            Err(error) => assert!(Instant::now() < until, "{key}: {error}"),
        }
    }
}

/// Their writes, waiting for a shadow that did not come, filled both connections on which the holder renews its lease, and
/// it lost it.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_at_voters_take_no_lease_from_the_holder() {
    let world = World::of(5, &[1]).await;
    world.nodes[1].pause();
    let writes = [3, 4].into_iter().flat_map(|voter| (0..CLIENTS).map(move |number| (voter, number)));
    let writes = writes.map(|(voter, number)| {
        let (client, key) = (world.client(voter), format!("green/crowd/{voter}/{number}"));
        tokio::spawn(until_acknowledged(client, key))
    });
    let writes: Vec<_> = writes.collect();
    // Longer than its lease, were it not renewed.
    let silent = deadline::until(SOON, async || {
        let status = world.seat.admin(0).seat().await.map_err(|error| error.to_string())?;
        assert!(status.is_serving, "it lost its lease: {}\n{}", status.doing, world.logs());
        let is_long = status.lag.first().is_some_and(|lag| lag.silent_ms > 4_000);
        if is_long { Ok(()) } else { Err(format!("{status:?}")) }
    });
    silent.await.expect("the shadow is silent for long");
    world.nodes[1].resume();
    for write in join_all(writes).await {
        let (key, commit) = write.expect("acknowledged");
        world.has(4, &key, &commit).await;
    }
    assert_eq!(world.steady().await.term, 1, "nobody had a reason to take over");
    world.one_root().await;
}
