//! A holder that was stopped for longer than its lease, and does not know it when it goes on.

use futures::future::join_all;
use testnet::client::Level;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_woken_holder_acknowledges_nothing_of_its_old_term() {
    let world = World::of(5, &[1, 2]).await;
    let woken = world.client(0);
    world.put(0, "green/before", "1").await;
    world.nodes[0].pause();
    // Acknowledged, so that another node holds the seat by now.
    let register = world.put(4, "green/register", "of the second term").await;
    world.term_becomes(4, 2).await;
    // These wait in its sockets and are the first thing that it sees; what was said before the pause still holds for it.
    let writes = (0..12_u64).map(|number| {
        let (level, key) = if number.is_multiple_of(2) { (Level::Local, "local") } else { (Level::Shadow, "shadow") };
        let (woken, key) = (woken.clone(), format!("green/woken/{key}/{number}"));
        tokio::spawn(async move { (woken.put_at(level, &key, "of the first term", &key).await, key) })
    });
    let writes: Vec<_> = writes.collect();
    let read = tokio::spawn({
        let woken = woken.clone();
        async move { woken.entry_at_seat("green/register").await }
    });
    tokio::task::yield_now().await;
    world.nodes[0].resume();
    for answered in join_all(writes).await {
        let (answer, key) = answered.expect("it ran");
        // Refused, or forwarded: then it is what the holder of the second term has.
        if let Ok(receipt) = answer {
            world.has(4, &key, &receipt.commit).await;
        }
    }
    if let Ok(entry) = read.await.expect("it ran") {
        assert_eq!(entry.map(|entry| entry.commit), Some(register), "a read under a lease that has run out");
    }
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder), (2, 1));
    assert!(standing.spares.contains(&0), "{standing:?}");
    assert_eq!(world.seat.admin(0).quarantine().await.expect("a list"), [], "nothing was written under the old term");
    world.one_root().await;
}
