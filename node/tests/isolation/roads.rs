//! Roads that are blocked by firewalls, and open again.

use testnet::deadline;
use testnet::network::{Block, Direction, Traffic};

use crate::world::{SOON, World, mode, number};

/// HTTP mode comes soon after libp2p gave up its last peer.
const QUICK: [&str; 4] = ["--heartbeat-ms", "500", "--http-mode-after-ms", "2000"];

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_libp2p_converge_over_http_and_return_to_libp2p() {
    let Some(world) = World::of(5, &QUICK).await else { return };
    let cut = [3, 4];
    for node in cut {
        world.block(node, Block::LIBP2P);
    }
    world.write_everywhere("early").await;
    world.all_hold_of_each("early/").await;
    for node in cut {
        world.event(node, 0, mode("http")).await;
        assert_eq!(world.status(node, |_| true).await.peers.lattice, 0, "nothing passes over libp2p");
    }
    world.write_everywhere("in http mode").await;
    world.all_hold_of_each("in http mode/").await;
    for node in 0..3 {
        let events = world.client(node).events(0).await.expect("it answers");
        assert!(!events.iter().any(mode("http")), "node {node} had libp2p all the time");
    }
    for node in cut {
        world.unblock(node);
    }
    for node in cut {
        let switched = world.event(node, 0, mode("http")).await.number;
        world.event(node, switched, mode("p2p")).await;
    }
    world.write_everywhere("afterwards").await;
    world.settled().await;
    world.all_hold_of_each("afterwards/").await;
    assert_eq!(world.client(4).fallback().await.expect("it answers").mode, "p2p");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_any_road_keeps_its_counts_and_converges_once_there_is_one() {
    let Some(world) = World::of(3, &QUICK).await else { return };
    world.block(2, Block::EVERYTHING);
    world.event(2, 0, mode("http")).await;
    let before = world.silent_beats(2).await;
    let counts = world.client(2).fallback().await.expect("it answers").peers;
    world.write_everywhere("apart").await;
    let beaten = deadline::until(SOON, async || match world.silent_beats(2).await {
        beats if beats >= before + 6 => Ok(()),
        beats => Err(format!("{beats} silent beats")),
    });
    beaten.await.unwrap_or_else(|late| panic!("{late}"));
    let peers = world.client(2).fallback().await.expect("it answers").peers;
    for (before, after) in counts.iter().zip(&peers) {
        assert!(after.error.is_some(), "{after:?}");
        assert_eq!(before.divergence_count, after.divergence_count, "no answer proves nothing");
    }
    assert_eq!(world.client(2).entries("apart/").await.expect("it answers").len(), 1, "nothing came through");
    assert_eq!(world.client(0).entries("apart/").await.expect("it answers").len(), 2);
    let last = world.last_event(2).await;
    world.unblock(2);
    world.all_hold_of_each("apart/").await;
    world.event(2, last, mode("p2p")).await;
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_which_one_does_not_hear_the_other_converge_through_a_third() {
    let Some(world) = World::of(3, &QUICK).await else { return };
    world.block(0, Block { direction: Direction::Sent, peer: Some(number(1)), ..Block::EVERYTHING });
    for node in [0, 1] {
        world.status(node, |status| status.peers.lattice == 1).await;
    }
    world.write_everywhere("asymmetric").await;
    world.all_hold_of_each("asymmetric/").await;
    for node in 0..3 {
        let fallback = world.client(node).fallback().await.expect("it answers");
        assert_eq!(fallback.mode, "p2p", "node {node} has one libp2p peer left");
    }
    world.unblock(0);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_over_libp2p_and_is_not_heard_converges_over_http() {
    let Some(world) = World::of(3, &QUICK).await else { return };
    world.block(0, Block { traffic: Traffic::Libp2p, direction: Direction::Sent, peer: None });
    world.write_everywhere("early").await;
    world.all_hold_of_each("early/").await;
    world.event(0, 0, mode("http")).await;
    world.write_everywhere("in http mode").await;
    world.all_hold_of_each("in http mode/").await;
    let last = world.last_event(0).await;
    world.unblock(0);
    world.event(0, last, mode("p2p")).await;
    world.settled().await;
}
