//! What operators order from the command line, and the command that a node runs when the seat moves.

use std::process::Output;

use testnet::client::Level;
use testnet::deadline;
use testnet::process::Node;

use crate::world::{SOON, World};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs an order that is taken; gives what it says.
pub(crate) async fn ordered(node: &Node, order: &[&str]) -> String {
    let output = node.output(order).await.expect("it runs");
    assert!(output.status.success(), "{order:?}: {}", text(&output));
    text(&output)
}

/// Runs an order that is refused; gives the reason.
pub(crate) async fn refused(node: &Node, order: &[&str]) -> String {
    let output = node.output(order).await.expect("it runs");
    assert!(!output.status.success(), "{order:?}: {}", text(&output));
    text(&output)
}

/// Adds an option to the settings of a node that runs.
async fn reload_with(node: &Node, option: &str) {
    let settings = node.dir().join("lattice.toml");
    let written = std::fs::read_to_string(&settings).unwrap_or_default();
    std::fs::write(&settings, format!("{written}\n{option}\n")).expect("written");
    let said = ordered(node, &["reload"]).await;
    assert!(option.starts_with(said.trim().trim_start_matches("taken on: ")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_founds_a_seat_and_names_other_mirrors() {
    let world = World::without_seat(5).await;
    let [first, second, .., last] = &world.nodes[..] else { panic!("five nodes") };
    testnet::cluster::wait_until_settled(&world.nodes, SOON).await.expect("all know all");
    let create = ["seat", "create", "--holder", "node-1", "--shadow", "node-2", "--spare", "node-3", "--voters"];
    let founding = |voters| [&create[..], &[voters]].concat();
    let unknown = refused(first, &founding("node-1,node-4,node-9")).await;
    assert!(unknown.contains("node-9"), "{unknown}");
    let few = refused(first, &founding("node-1,node-4")).await;
    assert!(few.contains("3 to 15 voters"), "{few}");
    std::fs::write(first.dir().join("no.note"), "no note\n").expect("written");
    let no_note = first.dir().join("no.note");
    let promote = ["seat", "promote", "--approve", no_note.to_str().expect("text")];
    for mistyped in [&founding("node-1,node-4")[..], &promote] {
        let output = first.output(mistyped).await.expect("it runs");
        assert_eq!(output.status.code(), Some(2), "wrong usage: {}", text(&output));
    }
    assert!(ordered(last, &["seat", "history", "--verify"]).await.starts_with("no seat yet"));
    assert_eq!(ordered(last, &["seat", "--json", "history"]).await, "[]\n");
    let stranger = refused(last, &founding("node-1,node-4,node-5")).await;
    assert!(stranger.contains("operator"), "{stranger}");
    ordered(first, &founding("node-1,node-4,node-5")).await;
    world.steady().await;

    let status = ordered(first, &["seat", "status"]).await;
    assert!(status.contains("holder") && status.contains("nothing would be lost"), "{status}");
    let elsewhere = refused(second, &["seat", "switchover"]).await;
    assert!(elsewhere.contains("hold"), "{elsewhere}");
    ordered(first, &["seat", "mirrors", "--shadow", "node-3", "--spare", "node-2"]).await;
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.shadow, standing.spares.as_slice()), (2, Some(2), &[1][..]));
    let history = ordered(last, &["seat", "history", "--verify"]).await;
    assert!(history.contains("term 1") && history.contains("term 2"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_shadow_stays_and_operators_settle_a_term_over_dead_voters() {
    let mut world = World::of(5, &[1, 2]).await;
    let kept = world.put(4, "green/kept", "1").await;
    let paused = ordered(&world.nodes[1], &["seat", "pause", "--minutes", "5"]).await;
    assert!(paused.contains("paused"), "{paused}");
    let nothing = refused(&world.nodes[4], &["seat", "pause"]).await;
    assert!(nothing.contains("pause the shadow"), "a voter takes nothing over: {nothing}");
    let half = ordered(&world.nodes[0], &["seat", "pause"]).await;
    assert!(half.contains("node-2 may still take over"), "{half}");
    let shown = ordered(&world.nodes[0], &["seat", "status"]).await;
    assert!(shown.contains("holder    node-1 ") && shown.contains("mirror    node-3: "), "{shown}");
    world.nodes[0].kill().await;
    // With a second voter gone there is no majority, whatever the shadow may do.
    world.nodes[3].kill().await;
    ordered(&world.nodes[1], &["seat", "resume"]).await;
    // The founder is the only operator; its node starts without any peer that would vote.
    world.nodes[0].listen().await.expect("started");
    world.nodes[4].kill().await;
    let note = world.nodes[0].dir().join("settled.note");
    let file = note.to_str().expect("text");
    let settle = ["seat", "settle", "--holder", "node-2", "--shadow", "node-3", "--voters", "node-1,node-2,node-3"];
    let drafted = ordered(&world.nodes[0], &[&settle[..], &["--output", file]].concat()).await;
    assert!(drafted.contains("1 of 1 operators that are needed signed; `lattice seat promote"), "{drafted}");
    let term = world.seat.admin(0).seat().await.expect("it answers").term;
    assert_eq!(term, 1, "a draft is a draft, however many have signed");
    let shown = ordered(&world.nodes[0], &["seat", "promote", "--approve", file]).await;
    assert!(shown.contains("settled"), "{shown}");
    world.nodes[3].listen().await.expect("started");
    world.nodes[4].listen().await.expect("started");
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder, standing.shadow), (2, 1, Some(2)));
    world.has(4, "green/kept", &kept).await;
    world.one_root().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_where_the_seat_moves() {
    let world = World::without_seat(4).await;
    let told = world.nodes[3].dir().join("told");
    let script = format!("echo $LATTICE_SEAT_TERM $LATTICE_SEAT_HOLDER $LATTICE_SEAT_HERE >> {}", told.display());
    reload_with(&world.nodes[3], &format!("on_seat_change = [\"sh\", \"-c\", {script:?}]")).await;
    world.create(&[1]).await;
    world.seat.admin(0).switchover().await.expect("it moves");
    let (first, second) = (world.seat.author(0), world.seat.author(1));
    let expected = format!("1 {first} no\n2 {second} no\n");
    deadline::until(SOON, async || match std::fs::read_to_string(&told) {
        Ok(text) if text == expected => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .expect("told of both terms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_whose_shadow_is_gone_goes_on_alone_once_its_holder_is_told_to() {
    let mut world = World::of(5, &[1]).await;
    world.nodes[1].kill().await;
    let refused = world.client(4).put_at(Level::Shadow, "green/waits", "1", "waits").await;
    assert!(refused.is_err(), "policy block: {refused:?}");
    reload_with(&world.nodes[0], "seat_no_shadow = \"degrade\"").await;
    world.term_becomes(4, 2).await;
    let alone = world.seat.admin(0).seat().await.expect("it answers");
    assert_eq!((alone.role.as_str(), alone.shadow), ("holder", None));
    world.put(4, "green/goes-on", "1").await;
}
