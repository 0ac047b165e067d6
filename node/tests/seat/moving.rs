//! The seat moves, after a kill and on purpose, while a client counts up.

use tokio::process::Command;
use tokio::sync::watch;

use crate::world::{Patience, World, count_up, more, program};

/// Acknowledgements before and after what happens.
const SOME: usize = 15;

/// Holder, shadow, spare, and two members that vote with the holder; clients write at the last.
async fn five() -> World {
    World::of(5, &[1, 2]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_is_followed_and_what_was_acknowledged_is_there_once() {
    let mut world = five().await;
    let (counter, mut counted) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let client = count_up(world.client(4), Patience::Repeats, &counter, stopped);
    let story = async {
        more(&mut counted, SOME).await;
        world.nodes[0].kill().await;
        // An acknowledgement may be on its way here still; the second one is not.
        more(&mut counted, SOME).await;
        world.nodes[0].listen().await.expect("started");
        let standing = world.steady().await;
        more(&mut counted, SOME).await;
        stop.send_replace(true);
        (world, standing)
    };
    let (acknowledged, (world, standing)) = tokio::join!(client, story);
    assert_eq!(
        (standing.term, standing.holder, standing.shadow, standing.spares.as_slice()),
        (2, 1, Some(2), &[0][..])
    );
    for (key, commit) in &acknowledged {
        world.has(3, key, commit).await;
    }
    world.one_root().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_restarts_in_the_middle_of_a_takeover_delays_it_only() {
    let mut world = five().await;
    let before = world.put(3, "green/before", "1").await;
    let (holders, others) = world.nodes.split_at_mut(1);
    // Without this voter there is no majority; it forgets the lease that it granted and rests for as long (V6).
    tokio::join!(holders[0].kill(), others[3].kill());
    others[3].start().await.expect("started");
    let after = world.put(3, "green/after", "2").await;
    world.term_becomes(4, 2).await;
    world.has(4, "green/before", &before).await;
    world.has(4, "green/after", &after).await;
    let history = world.nodes[4].output(&["seat", "history", "--verify"]).await.expect("it runs");
    let text = String::from_utf8_lossy(&history.stdout);
    assert!(history.status.success() && text.contains("term 2"), "{text}");
    assert!(text.contains("by voters (2 signatures)"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switchover_refuses_no_write() {
    let world = five().await;
    let (counter, mut counted) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let client = count_up(world.client(4), Patience::None, &counter, stopped);
    let story = async {
        more(&mut counted, SOME).await;
        let status = world.seat.admin(0).switchover().await.expect("it moves");
        assert_eq!((status.term, status.holder.as_deref()), (2, Some(world.seat.author(1))));
        more(&mut counted, SOME).await;
        let standing = world.steady().await;
        stop.send_replace(true);
        standing
    };
    let (acknowledged, standing) = tokio::join!(client, story);
    assert_eq!((standing.holder, standing.shadow, standing.spares.as_slice()), (1, Some(2), &[0][..]));
    for (key, commit) in &acknowledged {
        world.has(4, key, commit).await;
    }
    world.one_root().await;
}

/// It asked for its first lease before it had read the certificate that goes with the question. Voters that gossip had not told
/// yet refused, and it asked again a third of a second later.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_holder_asks_for_its_first_lease_with_the_certificate_of_its_term() {
    let world = World::logging(5, &[1, 2], "info,node::seat=debug").await;
    for holder in [0, 1, 2, 0] {
        world.seat.admin(holder).switchover().await.expect("it moves");
        world.steady().await;
    }
    for node in &world.nodes {
        let log = std::fs::read_to_string(node.dir().join("stderr.log")).expect("a log");
        // From when it handed over a voter may know the next term instead.
        let (mut term, mut refused) = (None, 0);
        for line in log.lines() {
            if line.contains("handedover") {
                term = None;
            } else if line.contains("\"began\"") {
                term = line.split("new_term=").nth(1).and_then(|rest| rest.split(' ').next());
                refused = 0;
            }
            let is_of_now = term.is_some_and(|term| line.contains(&format!(" term={term} ")));
            refused += usize::from(is_of_now && line.contains("the certificate of that term is not known here"));
            // One of three may be learning it at that moment from another message: a majority grants.
            assert!(refused <= 1, "{}: {line}", node.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_seeded_later_knows_writes_by_their_names() {
    let mut world = World::of(4, &[1]).await;
    let before = world.put(3, "green/once", "1").await;
    world.nodes[1].kill().await;
    world.name_shadow(0, 2).await;
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder, standing.shadow), (2, 0, Some(2)));
    world.nodes[0].kill().await;
    world.nodes[0].listen().await.expect("started");
    // The same name, and no second write.
    let again = world.put(3, "green/once", "1").await;
    assert_eq!(again, before, "{}", world.logs());
    world.has(3, "green/once", &before).await;
    // What it kept of its holder's answers was taken for damage.
    let root = tempfile::tempdir().expect("a directory");
    let mut backup = Command::new(program());
    backup.arg("backup").arg(world.nodes[2].dir()).arg("-o").arg(root.path().join("backup"));
    let backed = backup.output().await.expect("it runs");
    assert!(backed.status.success(), "{}", String::from_utf8_lossy(&backed.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_missed_two_terms_learns_of_both() {
    let mut world = five().await;
    world.nodes[1].kill().await;
    world.name_shadow(0, 2).await;
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.shadow), (2, Some(2)));
    world.seat.admin(0).switchover().await.expect("it moves");
    let written = world.put(4, "green/third", "3").await;
    world.nodes[1].listen().await.expect("started");
    world.term_becomes(1, 3).await;
    world.steady().await;
    world.has(4, "green/third", &written).await;
    world.one_root().await;
}
