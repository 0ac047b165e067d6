//! Links of the seat that are cut, both ways and one way, over libp2p and HTTP, while a client counts up.

use testnet::client::Level;
use testnet::deadline;
use testnet::network::{Block, Direction};

use crate::world::{CLIENT, SOON, World, more, while_counting};

/// Acknowledgements before and after each cut.
const SOME: usize = 5;

/// Holder, shadow, spare, and two members that vote with the holder.
const NODES: u8 = 5;
const HOLDER: usize = 0;
const SHADOW: usize = 1;

/// A network counts its nodes from 1.
fn number(node: usize) -> u8 {
    u8::try_from(node + 1).expect("few nodes")
}

fn between(other: usize) -> Block {
    Block { peer: Some(number(other)), ..Block::EVERYTHING }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_single_cut_link_moves_the_seat_or_loses_a_write() {
    let Some((world, network)) = World::apart(NODES, &[1, 2]).await else { return };
    let world = while_counting(world, SOME, async |_, counted| {
        for (one, other) in (0..5).flat_map(|one| (one + 1..5).map(move |other| (one, other))) {
            network.block(number(one), between(other)).expect("blocked");
            // Writes at `shadow` need the holder, its shadow, and whoever takes them in.
            if !matches!((one, other), (HOLDER, SHADOW | CLIENT)) {
                more(counted, SOME).await;
            }
            network.unblock(number(one)).expect("healed");
            more(counted, SOME).await;
        }
    })
    .await;
    assert_eq!(world.steady().await.term, 1, "nobody had a reason to take over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_its_holder_does_not_hear_takes_nothing_over_while_the_lease_runs() {
    let Some((world, network)) = World::apart(NODES, &[1, 2]).await else { return };
    let world = while_counting(world, SOME, async |world, _| {
        for (deaf, to) in [(SHADOW, HOLDER), (HOLDER, SHADOW)] {
            network.block(number(deaf), Block { direction: Direction::Sent, ..between(to) }).expect("blocked");
            deadline::until(SOON, async || {
                let status = world.seat.admin(HOLDER).seat().await.map_err(|error| error.to_string())?;
                if status.is_takeover_possible == Some(false) { Ok(()) } else { Err(format!("{status:?}")) }
            })
            .await
            .expect("the holder says that nobody could take over");
            let key = format!("green/local/{to}");
            let local = world.client(HOLDER).put_at(Level::Local, &key, "1", &key).await;
            assert!(local.is_ok(), "its lease runs: {local:?}");
            network.unblock(number(deaf)).expect("healed");
            world.steady().await;
        }
    })
    .await;
    assert_eq!(world.steady().await.term, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_without_any_road_acknowledges_nothing_and_is_followed() {
    let Some((world, network)) = World::apart(NODES, &[1, 2]).await else { return };
    let world = while_counting(world, SOME, async |world, counted| {
        network.block(number(HOLDER), Block::EVERYTHING).expect("blocked");
        more(counted, SOME).await;
        world.term_becomes(CLIENT, 2).await;
        for level in [Level::Local, Level::Shadow] {
            let cut_off = world.client(HOLDER).put_at(level, "green/cut-off", "1", "cut-off").await;
            assert!(cut_off.is_err(), "it has no lease: {cut_off:?}");
        }
        assert!(world.client(HOLDER).entry_at_seat("green/cut-off").await.is_err(), "nor does it read");
        network.unblock(number(HOLDER)).expect("healed");
    })
    .await;
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder, standing.spares.as_slice()), (2, SHADOW, &[HOLDER][..]));
    world.has_none(CLIENT, "green/cut-off").await;
}
