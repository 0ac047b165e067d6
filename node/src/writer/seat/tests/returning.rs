//! What comes back to the node that wrote it: over a restart, and by a session.

use super::*;

/// A session that began before the commit was in the state brings it back, beside one that is new.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_comes_back_to_its_holder_goes_to_its_mirrors_again() {
    let (_a, holder, _b, shadow) = pair().await;
    let third = tempfile::tempdir().expect("a directory");
    let late = start(third.path(), 2).await;
    late.settle(&keys(2), certified(&first(Some(1)))).await;
    late.copy(&first(Some(1))).await;
    let (write, staged) = staging("green/k", Condition::Always, Some("once"), true);
    holder.stage(write).await;
    let id = staged.await.expect("an answer").expect("staged").commit;
    shadow.fetch(&holder).await.expect("staged there");
    holder.release(1, 1).await;
    holder.write(vec![put("plain", b"v")]).await;
    shadow.fetch(&holder).await.expect("applied there");
    late.fetch(&holder).await.expect("applied there too");
    let again = holder.recent().into_iter().find(|commit| commit.id() == id).expect("it was recorded");
    let again = again.verify(&holder.identity.genesis).expect("signed");
    let new = holder.first_of(&keys(2), vec![put("other", b"v")]);
    holder.handle.take(vec![again, new], false).await.expect("running");
    holder.write(vec![put("plain", b"w")]).await;
    let here = shadow.fetch(&holder).await.expect("it follows");
    let there = holder.handle.published();
    assert_eq!((here.log_size, shadow.handle.published().root), (there.seat.log_size, there.root));
    // A spare that had not come so far gets it from the one that followed, were that to hold the seat.
    late.fetch(&shadow).await.expect("it follows too");
    assert_eq!(late.handle.published().root, there.root);
    for node in [holder, shadow, late] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_writes_and_their_names_survive_a_restart() {
    let (dir, holder, _b, shadow) = pair().await;
    let (write, staged) = staging("green/k", Condition::Always, Some("once"), true);
    holder.stage(write).await;
    let written = staged.await.expect("an answer").expect("staged");
    holder.stop().await;
    let holder = start(dir.path(), 0).await;
    assert_eq!(holder.handle.published().seat.part, Part::Holder(1), "its log has no gaps");
    let (again, answer) = staging("green/k", Condition::Always, Some("once"), false);
    holder.stage(again).await;
    holder.release(1, 1).await;
    assert_eq!(answer.await.expect("an answer").expect("in the state").commit, written.commit);
    holder.stop().await;
    shadow.stop().await;
}
