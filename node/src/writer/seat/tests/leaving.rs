//! How staging fills, and what leaves it otherwise than by a release.

use super::super::staged::STAGED_COMMITS_MAX;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn as_many_writes_wait_for_a_shadow_as_there_is_room_for_and_the_next_is_told_to_come_again() {
    let (_a, holder, _b, shadow) = pair().await;
    let mut answers = Vec::new();
    for number in 0..=STAGED_COMMITS_MAX {
        let (write, answer) = staging(&format!("green/{number}"), Condition::Always, None, true);
        holder.stage(write).await;
        answers.push(answer);
    }
    let beyond = answers.pop().expect("one more than there is room for");
    for staged in answers {
        staged.await.expect("an answer").expect("staged");
    }
    assert_eq!(beyond.await.expect("an answer"), Err(WriteError::SeatBusy), "it is not kept waiting, and not staged");
    assert_eq!(holder.handle.published().seat.last, (1, STAGED_COMMITS_MAX as u64));
    // Ordinary writes have nothing to do with it.
    holder.write(vec![put("plain", b"v")]).await;
    let fetched = shadow.fetch(&holder).await.expect("staged there");
    assert_eq!(fetched.staged, STAGED_COMMITS_MAX);
    holder.release(1, 1).await;
    holder.write(vec![put("plain", b"w")]).await;
    let (next, staged) = staging("green/next", Condition::Always, None, true);
    holder.stage(next).await;
    assert_eq!(staged.await.expect("an answer").expect("there is room").seq, STAGED_COMMITS_MAX as u64 + 1);
    holder.stop().await;
    shadow.stop().await;
}

/// What others had replaced stayed staged at a mirror that was seeded, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_a_seed_a_mirror_forgets_what_came_with_the_state_and_nothing_else() {
    let (_a, holder, dir, shadow) = pair().await;
    for key in ["green/k", "green/k", "green/l"] {
        let (write, staged) = staging(key, Condition::Always, None, true);
        holder.stage(write).await;
        staged.await.expect("an answer").expect("staged");
    }
    assert_eq!(shadow.fetch(&holder).await.expect("staged there").staged, 3);
    holder.release(1, 2).await;
    // A transaction after it, so that both are in the state.
    let plain = holder.write(vec![put("plain", b"v")]).await;
    // As a session brings them: the first of the two is in nobody's state any more.
    let standing = holder.recent().into_iter().filter(|commit| {
        commit.id() == plain.id() || (commit.signed().header().term, commit.signed().header().seq) == (1, 2)
    });
    let standing = standing.map(|commit| commit.verify(&genesis()).expect("signed")).collect();
    shadow.handle.take(standing, false).await.expect("running");
    let (there, here) = (holder.handle.published(), shadow.handle.published());
    assert_eq!((here.root, here.seat.staged), (there.root, 2));
    let (root, chains) = (there.root, there.frontier.chains().map(|(of, chain)| (*of, chain.clone())).collect());
    shadow.ask(|reply| Job::Raise { root, chains, reply }).await;
    shadow.ask(|reply| Job::Seat(SeatJob::TakeNames { names: Vec::new(), reply })).await.expect("ended");
    let seat = shadow.handle.published().seat;
    assert_eq!((seat.staged, seat.last), (1, (1, 3)), "what is in no state yet stays");
    shadow.stop().await;
    let shadow = start(dir.path(), 1).await;
    assert_eq!(shadow.handle.published().seat.staged, 1, "durably");
    shadow.stop().await;
    holder.stop().await;
}

/// A holder came back, and a session brought what had replaced its last commits. It held everything, some of it staged, and found
/// that it lacked what its term began with: nobody could take over.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_here_in_part_staged_and_in_part_by_a_session_is_all_that_a_term_began_with() {
    let (_a, holder, _b, shadow) = pair().await;
    for _ in 0..3 {
        let (write, staged) = staging("green/k", Condition::Always, None, true);
        holder.stage(write).await;
        staged.await.expect("an answer").expect("staged");
    }
    let staged = shadow.fetch(&holder).await.expect("staged there");
    let next = takeover(&first(Some(1)), 3, &staged);
    let certificate = certified(&next);
    shadow.settle(&keys(1), certificate.clone()).await;
    holder.settle(&keys(1), certificate).await;
    assert_eq!(holder.handle.published().seat.begun, 2, "all is staged");
    holder.stop().await;

    // As the last one, which replaced the others, comes to a node that has staged but one of them.
    let third = tempfile::tempdir().expect("a directory");
    let late = start(third.path(), 2).await;
    late.settle(&keys(2), certified(&first(Some(1)))).await;
    late.settle(&keys(1), certified(&next)).await;
    assert_eq!(late.handle.published().seat.begun, 1);
    shadow.serve(2).await;
    let mut of_first = shadow.recent();
    of_first.retain(|commit| commit.signed().header().term == 1);
    of_first.sort_by_key(|commit| commit.signed().header().seq);
    let [one, two, three] = of_first.try_into().expect("three");
    let verified = |commit: Commit| commit.verify(&genesis()).expect("signed");
    late.handle.take(vec![verified(three)], false).await.expect("running");
    assert_eq!(late.handle.published().seat.begun, 1, "two are missing");
    let measured =
        async || late.ask(|reply| Job::Seat(SeatJob::Measure { holder: keys(0).author.id(), term: 1, reply })).await;
    assert_eq!(measured().await, Holdings { whole: 0, highest: 3 }, "settled here, it would cut all three");
    late.copy(&next).await;
    let mirror = |staged: Vec<Commit>| {
        let staged = staged.into_iter().map(|commit| (verified(commit), None)).collect();
        let batch = Box::new(MirrorBatch { from: 0, records: Vec::new(), staged, fidelity: Fidelity::Twin });
        late.ask(|reply| Job::Seat(SeatJob::Mirror { batch, reply }))
    };
    mirror(vec![two]).await.expect("staged");
    assert_eq!(late.handle.published().seat.begun, 1, "one is missing");
    mirror(vec![one]).await.expect("staged");
    assert_eq!(late.handle.published().seat.begun, 2);
    assert_eq!(measured().await, Holdings { whole: 3, highest: 3 });
    late.stop().await;
    let late = start(third.path(), 2).await;
    assert_eq!(late.handle.published().seat.begun, 2, "after a start too");
    late.stop().await;
    shadow.stop().await;
}
