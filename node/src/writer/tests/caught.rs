//! What proofs are made of: keys as they stood at a checkpoint.

use super::super::caught::{Caught, Found, NotCaught, WANTED_MAX};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_caught_with_the_checkpoint_whatever_is_written_behind_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let put = |value: &str| vec![Op::put("hot", value.as_bytes()).expect("small")];
    let catch = |key: &str| {
        let (reply, answer) = oneshot::channel();
        assert!(node.handle.try_send(Job::Catch { key: Key::new(key).expect("a key"), reply }));
        answer
    };
    let found = |caught: Result<Caught, NotCaught>| {
        let caught = caught.unwrap_or_else(|error| panic!("{error}"));
        let size = caught.checkpointed.signed.checkpoint().size();
        match caught.found {
            Found::Operation(commit, at) => (size, commit.slots()[at as usize].clone()),
            Found::Nothing(page) => panic!("no entry, beside {page:?}"),
        }
    };
    let live = |value: &str| OpSlot::Live(put(value).remove(0));
    let first = node.write(put("1")).await.expect("written").log_position;
    node.handle.send(Job::Checkpoint).await;
    let at_once = catch("hot").await.expect("an answer");
    assert_eq!(found(at_once), (first, live("1")), "nothing has changed since the checkpoint");
    // From here on the state has left the checkpoint behind.
    node.write(put("2")).await.expect("written");
    let mut waiting = Vec::new();
    for _ in 0..WANTED_MAX {
        waiting.push(catch("hot"));
    }
    let refused = catch("hot").await.expect("an answer");
    assert!(matches!(refused, Err(NotCaught::Busy)), "as many wait as may");
    // Those who have given up make room.
    waiting.truncate(1);
    let absent = catch("absent");
    let third = node.write(put("3")).await.expect("written").log_position;
    node.handle.send(Job::Checkpoint).await;
    node.write(put("4")).await.expect("written");
    let caught = waiting.remove(0).await.expect("an answer");
    assert_eq!(found(caught), (third, live("3")));
    match absent.await.expect("an answer").expect("caught").found {
        Found::Nothing(page) => assert_eq!(page.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["hot"]),
        Found::Operation(commit, _) => panic!("{commit:?}"),
    }
    node.stop().await;
}
