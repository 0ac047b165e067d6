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
